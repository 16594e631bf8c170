"""What a client sends and hears: arguments, acknowledgements, what waits while it is away; against the reference and our own server."""

import asyncio

import pytest

from roomcast import AckTimeoutError, DisconnectedError, ReservedEventError, SendBufferError
from roomcast.client import connect
from support.client_fixtures import FAST, Heard, eventually, moved

pytestmark = pytest.mark.usefixtures("clean")

ARGS = [
    (),
    (1,),
    (None, True, False, 1.5, -7),
    ("", "é€😀", {"a": [1, {"b": []}]}),
    (b"\x00\xff",),
    (b"", [b"a", {"c": b"b"}], "text"),
    ({"_placeholder": True, "num": 0},),
    ("x" * 100_000, b"y" * 100_000),
]


def collector(into):
    """Return a listener that keeps what it is called with."""
    return lambda *args: into.append(args)


@pytest.mark.parametrize("args", ARGS, ids=range(len(ARGS)))
async def test_arguments_come_back_as_they_went(peer, transports, args):
    async with connect(peer.url, transports=transports) as socket:
        found = []
        socket.on("echo", collector(found))
        socket.emit("echo", *args)
        await eventually(lambda: found)
        assert found == [args]


async def test_many_events_come_in_their_order(peer, transports):
    async with connect(peer.url, transports=transports) as socket:
        found = []
        socket.on("echo", collector(found))
        for number in range(2_000):
            socket.emit("echo", number, *([b"attachment"] if number % 50 == 0 else []))
            if number % 100 == 0:
                await asyncio.sleep(0)
        await eventually(lambda: len(found) == 2_000, lambda: len(found))
        assert [args[0] for args in found] == list(range(2_000))
        assert all(args[1:] == (b"attachment",) for args in found[::50])


async def test_a_burst_of_the_server_comes_in_its_order(peer, transports):
    async with connect(peer.url, transports=transports) as socket:
        found = []
        socket.on("number", found.append)
        socket.emit("burst", 2_000)
        await eventually(lambda: len(found) == 2_000, lambda: len(found))
        assert found == list(range(2_000))


@pytest.mark.parametrize(
    "event", ["connect", "connect_error", "disconnect", "disconnecting", "newListener"]
)
async def test_reserved_events_are_not_sent(peer, event):
    async with connect(peer.url, transports="websocket") as socket:
        with pytest.raises(ReservedEventError):
            socket.emit(event)
        assert await socket.emit_with_ack("answer", 1) == 1


async def test_send_is_an_event_named_message(peer):
    async with connect(peer.url, transports="websocket") as socket:
        socket.emit("ask", "message", 1)
        assert await socket.wait_for("message") == 1
        socket.send("hello")
        assert await socket.emit_with_ack("answer", 1) == 1


async def test_listeners_for_every_event_come_first(peer):
    async with connect(peer.url, transports="websocket") as socket:
        heard, sent = [], []
        socket.on("echo", lambda *args: heard.append(("echo", *args)))
        socket.on_any(lambda event, *args: heard.append(("any", event, *args)))
        socket.prepend_any(lambda event, *args: heard.append(("first", event, *args)))
        socket.on_any_outgoing(lambda event, *args: sent.append((event, *args)))
        socket.emit("echo", 1)
        await eventually(lambda: len(heard) == 3)
        assert heard == [("first", "echo", 1), ("any", "echo", 1), ("echo", 1)]
        assert sent == [("echo", 1)]


async def test_once_and_off(peer):
    async with connect(peer.url, transports="websocket") as socket:
        heard = []
        socket.once("echo", lambda number: heard.append(("once", number)))
        socket.on("echo", on := lambda number: heard.append(("on", number)))
        socket.emit("echo", 1)
        socket.emit("echo", 2)
        await eventually(lambda: len(heard) == 3)
        socket.off("echo", on)
        socket.emit("echo", 3)
        assert await socket.wait_for("echo") == 3
        assert heard == [("once", 1), ("on", 1), ("on", 2)]


# acknowledgements


@pytest.mark.parametrize("args", [(), (1,), (1, "two"), (b"\x00", {"x": b"\x01"})])
async def test_acknowledgement_is_a_value(peer, transports, args):
    async with connect(peer.url, transports=transports) as socket:
        answer = await socket.emit_with_ack("answer", *args)
        assert answer == (args if len(args) > 1 else args[0] if args else None)


async def test_acknowledgement_calls_back(peer, transports):
    async with connect(peer.url, transports=transports) as socket:
        found = []
        socket.emit("answer", 1, b"2", ack=collector(found))
        socket.timeout(5).emit("answer", 3, ack=collector(found))
        await eventually(lambda: len(found) == 2)
        assert found == [(1, b"2"), (None, 3)]


async def test_acknowledgements_overtake_each_other(peer, transports):
    async with connect(peer.url, transports=transports) as socket:
        late, soon = socket.emit_with_ack("later", 60, "late"), socket.emit_with_ack("answer", 1)
        assert await soon == 1
        assert not late.done()
        assert await late == "late"


async def test_acknowledgement_that_is_late_is_a_timeout(peer, transports):
    async with connect(peer.url, transports=transports) as socket:
        found = []
        socket.timeout(0.02).emit("later", 100, 1, ack=collector(found))
        with pytest.raises(AckTimeoutError, match=r"^operation has timed out$"):
            await socket.timeout(0.03).emit_with_ack("later", 100, 1)
        ((error,),) = found
        assert isinstance(error, AckTimeoutError)
        await asyncio.sleep(0.12)  # the answers come, and nobody hears them
        assert len(found) == 1
        assert await socket.emit_with_ack("answer", 1) == 1


async def test_ack_timeout_is_the_timeout_of_all(peer):
    async with connect(peer.url, transports="websocket", ack_timeout=0.03) as socket:
        with pytest.raises(AckTimeoutError):
            await socket.emit_with_ack("mute")
        assert await socket.timeout(5).emit_with_ack("later", 60, 1) == 1
        found = []
        socket.emit("answer", 1, ack=collector(found))
        socket.emit("mute", ack=collector(found))
        await eventually(lambda: len(found) == 2)
        assert found[0] == (None, 1)
        assert isinstance(found[1][0], AckTimeoutError)


@pytest.mark.parametrize("how", ["cut", "leave", "disconnect"])
async def test_disconnect_fails_acknowledgements_at_once(peer, relay, transports, how):
    async with connect(relay.url, transports=transports, **FAST) as socket:
        await moved(socket, transports)
        found, timed = [], []
        waiting = socket.emit_with_ack("mute")
        timed_out = socket.timeout(60).emit_with_ack("mute")
        socket.timeout(60).emit("mute", ack=collector(timed))
        socket.emit("mute", ack=collector(found))
        await peer.until_count(4, "mute")
        if how == "cut":
            relay.cut()
        elif how == "leave":
            socket.emit("leave")
        else:
            socket.disconnect()
        for future in (waiting, timed_out):
            with pytest.raises(DisconnectedError, match=r"^socket has been disconnected$"):
                await future
        ((error,),) = timed
        assert isinstance(error, DisconnectedError)
        assert found == []  # without a time-out it has no argument for an error


async def test_acknowledgement_of_what_was_not_sent_yet_survives_a_disconnect(peer, transports):
    socket = connect(f"{peer.url}/slow", transports=transports, **FAST)
    answer = socket.emit_with_ack("answer", 1)
    socket.connect()
    await eventually(lambda: socket.manager.state == "open")
    await socket.disconnect()
    assert not answer.done()
    await socket.connect()
    assert await answer == 1
    await socket.disconnect()


async def test_time_runs_while_it_is_disconnected_and_takes_the_event_along(peer, transports):
    socket = connect(peer.url, transports=transports)
    with pytest.raises(AckTimeoutError):
        await socket.timeout(0.02).emit_with_ack("note", "too late")
    socket.emit("note", "in time")
    await socket.connect()
    await peer.until("note", "in time")
    assert peer.logged("note") == [["in time"]]
    await socket.disconnect()


async def test_server_asks(peer, transports):
    async with connect(peer.url, transports=transports) as socket:
        socket.on("question", lambda value: value + 1)

        @socket.on("wait")
        async def wait(data):
            await asyncio.sleep(0.01)
            return data, b"more"

        socket.on("nothing", lambda: None)
        socket.emit("ask", "question", 1)
        await peer.until("answer", 2)
        socket.emit("ask", "wait", b"data")
        await peer.until("answer", b"data", b"more")
        socket.emit("ask", "nothing")
        await peer.until("answer")


async def test_answer_after_the_disconnect_is_not_sent(peer, relay, transports):
    async with connect(relay.url, transports=transports, **FAST) as socket:
        await moved(socket, transports)
        heard = Heard(socket)
        go = asyncio.Event()

        @socket.on("question")
        async def question():
            await go.wait()
            return "from another life"

        socket.emit("ask", "question")
        await socket.emit_with_ack("answer")
        relay.cut()
        await heard.until("connect")
        go.set()
        await socket.emit_with_ack("answer")
        assert peer.logged("answer") == []


async def test_a_listener_that_fails_is_reported_and_harms_nobody(peer, caplog):
    async with connect(peer.url, transports="websocket") as socket:
        reported = []
        socket.on_error(lambda error, which, event: reported.append((error, which, event)))
        socket.on("echo", lambda *args: 1 // 0)
        socket.emit("echo", 1)
        await eventually(lambda: reported)
        (error, which, event) = reported[0]
        assert (type(error), which, event) == (ZeroDivisionError, socket, "echo")
        assert await socket.emit_with_ack("answer", 1) == 1
    assert "handler of" in caplog.text


# what waits while it is away


async def test_events_before_the_connect_are_sent_first(peer, transports):
    socket = connect(peer.url, transports=transports)
    socket.on("connect", lambda: socket.emit("note", "from a listener"))
    socket.emit("note", 1, b"one")
    socket.emit("note", 2)
    await socket
    await peer.until("note", "from a listener")
    assert peer.logged("note") == [[1, b"one"], [2], ["from a listener"]]
    await socket.disconnect()


async def test_events_of_a_reconnection_are_sent_in_their_order(peer, relay, transports):
    async with connect(relay.url, transports=transports, **FAST) as socket:
        await moved(socket, transports)
        heard = Heard(socket)
        relay.refusing = True
        relay.cut()
        await heard.until("disconnect")
        for number in range(100):
            socket.emit("note", number)
        answer = socket.emit_with_ack("answer", "asked while away")
        relay.refusing = False
        assert await answer == "asked while away"
        await peer.until("note", 99)
        assert peer.logged("note") == [[number] for number in range(100)]


async def test_events_wait_for_a_connect_by_hand(peer, transports):
    socket = await connect(peer.url, transports=transports)
    await socket.disconnect()
    socket.emit("note", "away")
    await socket.connect()
    await peer.until("note", "away")
    await socket.disconnect()


async def test_volatile_is_sent_when_it_can_be(peer, transports):
    async with connect(peer.url, transports=transports) as socket:
        await moved(socket, transports)
        await socket.emit_with_ack("answer")
        await asyncio.sleep(0.02)  # nothing is under way
        socket.volatile.emit("note", "kept")
        await peer.until("note", "kept")


@pytest.mark.parametrize("state", ["new", "opening", "joining", "lost", "disconnected"])
async def test_volatile_is_dropped_unless_it_is_connected(peer, relay, transports, state):
    nsp = "/slow" if state == "joining" else "/"
    socket = connect(relay.url + nsp, transports=transports, **FAST)
    heard = Heard(socket)
    if state == "opening":
        relay.hold()
        socket.connect()
        await eventually(lambda: socket.manager.state == "opening")
    elif state == "joining":
        socket.connect()
        await eventually(lambda: socket.manager.state == "open")
    elif state in ("lost", "disconnected"):
        await socket
        await moved(socket, transports)
        relay.refusing = True
        if state == "lost":
            relay.cut()
        else:
            socket.disconnect()
        await heard.until("disconnect")
    socket.volatile.emit("note", "dropped")
    with pytest.raises(DisconnectedError):
        await socket.volatile.emit_with_ack("note", "dropped")
    socket.emit("note", "kept")
    relay.refusing = False
    relay.release()
    await socket.connect()
    await peer.until("note", "kept")
    assert peer.logged("note") == [["kept"]]
    await socket.disconnect()


async def test_volatile_is_dropped_while_the_line_is_busy(peer, relay, transports):
    async with connect(relay.url, transports=transports) as socket:
        await moved(socket, transports)
        relay.hold()
        sent = 0
        while socket.manager.outbox.writable:
            socket.emit("mute", b"x" * 500_000)
            sent += 1
            await asyncio.sleep(0.001)
            assert sent < 100
        socket.volatile.emit("note", "dropped")
        relay.release()
        assert await socket.emit_with_ack("answer", 1) == 1
        await eventually(lambda: socket.manager.outbox.writable)
        socket.volatile.emit("note", "kept")
        await peer.until("note", "kept")
        assert peer.logged("note") == [["kept"]]


async def test_any_outgoing_hears_of_nothing_that_is_dropped(peer):
    socket = connect(peer.url, transports="websocket")
    sent = []
    socket.on_any_outgoing(lambda *event: sent.append(event))
    socket.volatile.emit("dropped")
    assert sent == []
    await socket
    socket.volatile.emit("note", 1)
    assert sent == [("note", 1)]
    await socket.disconnect()


async def test_send_buffer_has_an_end(peer):
    socket = connect(peer.url, transports="websocket", send_buffer_packets=2)
    socket.emit("note", 1)
    socket.emit("note", 2)
    with pytest.raises(SendBufferError):
        socket.emit("note", 3)
    await socket
    await peer.until("note", 2)
    assert peer.logged("note") == [[1], [2]]
    await socket.disconnect()


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [2, 3]), ("drop_newest", [1, 2])])
async def test_send_buffer_may_drop(peer, policy, kept, caplog):
    socket = connect(
        peer.url, transports="websocket", send_buffer_packets=2, send_buffer_policy=policy
    )
    answers = [socket.emit_with_ack("note", number) for number in (1, 2, 3)]
    await socket
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert sum(isinstance(result, DisconnectedError) for result in results) == 1
    assert peer.logged("note") == [[number] for number in kept]
    assert socket.manager.dropped == 1
    await socket.disconnect()
    assert caplog.text.count("were dropped") == 1


# one at a time, and again


async def test_retries_send_one_at_a_time_until_each_is_acknowledged(peer, transports):
    async with connect(peer.url, transports=transports, retries=3, ack_timeout=5) as socket:
        first = socket.emit_with_ack("later", 40, "first")
        second = socket.emit_with_ack("answer", "second")
        assert await second == "second"
        assert first.done()
        assert await first == "first"
        found = []
        socket.emit("answer", "third", ack=collector(found))
        await eventually(lambda: found)
        assert found == [(None, "third")]


async def test_retries_are_counted_and_the_next_one_follows(peer, relay, transports):
    options = {"transports": transports, "retries": 2, "ack_timeout": 0.05}
    async with connect(relay.url, **options) as socket:
        await moved(socket, transports)
        failing = socket.emit_with_ack("mute", 1)
        following = socket.emit_with_ack("answer", "second")
        with pytest.raises(AckTimeoutError):
            await failing
        assert await following == "second"
        assert peer.logged("mute") == [[]] * 3


async def test_volatile_is_not_retried(peer):
    async with connect(peer.url, transports="websocket", retries=2, ack_timeout=0.02) as socket:
        socket.volatile.emit("mute")
        await asyncio.sleep(0.1)
        assert peer.logged("mute") == [[]]


async def test_retried_event_goes_again_with_the_next_connection(peer, relay, transports):
    async with connect(relay.url, transports=transports, retries=2, **FAST) as socket:
        await moved(socket, transports)
        heard = Heard(socket)
        relay.hold()
        order = []
        answers = [socket.emit_with_ack("answer", number) for number in range(5)]
        for answer in answers:
            answer.add_done_callback(lambda done: order.append(done.result()))
        await asyncio.sleep(0.02)
        relay.cut()
        relay.release()
        await asyncio.gather(*answers)
        assert order == list(range(5))
        assert heard.names == ["disconnect", "connect"]


async def test_retries_wait_for_a_connection(peer):
    socket = connect(peer.url, transports="websocket", retries=1, ack_timeout=0.02)
    answer = socket.emit_with_ack("answer", 1)
    await asyncio.sleep(0.08)  # nothing was tried yet
    assert not answer.done()
    await socket
    assert await answer == 1
    await socket.disconnect()

"""Connection state recovery on the wire: what is kept, what comes back and in which order, and why it may not."""

import asyncio
import json
import re

import pytest
from tests.integration.conftest import eventually

from roomcast import ConnectError, Limits, RecoveryFailure, Server
from roomcast.server.recoverable import SessionAwareAdapter
from roomcast.server.recovery import RECOVERABLE_REASONS


@pytest.fixture
def io():
    return Server(connection_state_recovery=True)


class Reply:
    """What came for a CONNECT: the messages before its answer, and what that said."""

    def __init__(self, before, answer):
        self.before = before
        self.sid = answer["sid"]
        self.pid = answer.get("pid")

    def wish(self, offset=None):
        return {"pid": self.pid} | ({} if offset is None else {"offset": offset})


async def join(raw, auth=None, nsp="/"):
    prefix = "40" if nsp == "/" else f"40{nsp},"
    await raw.send(prefix + ("" if auth is None else json.dumps(auth)))
    before = []
    while True:
        message = await raw.recv()
        if isinstance(message, str) and message.startswith(prefix):
            return Reply(before, json.loads(message[len(prefix) :]))
        before.append(message)


async def cut(io, raw):
    """End a line as a crash does, and see the server notice."""
    connections = len(io.engine.connections)
    raw.ws.transport.abort()
    await eventually(lambda: len(io.engine.connections) < connections)


def args_of(message):
    return json.loads(message[message.index("[") :])


def offset_of(message):
    return args_of(message)[-1]


def socket_of(io, reply, nsp="/"):
    return io.of(nsp).sockets[reply.sid]


@pytest.fixture
def come(io, connect):
    """Connect and join."""

    async def start(auth=None, nsp="/"):
        raw = await connect(io)
        return raw, await join(raw, auth, nsp)

    return start


async def test_without_the_option_nothing_is_different(connect):
    io = Server()
    raw = await connect(io)
    reply = await join(raw, {"pid": "x", "offset": "y"})
    socket = socket_of(io, reply)
    socket.emit("a", "text")
    assert await raw.recv() == '42["a","text"]'
    assert reply.pid is None
    assert (socket.recovered, socket.recovery_failure) == (False, None)
    assert not any(name.startswith("recover") for name in io.engine.counters)


async def test_what_is_kept_has_an_offset(io, come):
    raw, reply = await come()
    socket = socket_of(io, reply)
    socket.emit("one", 1)
    io.emit("all", [2])
    io.to(reply.sid).emit("binary", b"3")
    socket.compress(False).emit("plain")
    socket.timeout(5).emit("no ack")
    messages = await raw.recv_many(6)
    assert messages.pop(3) == b"3"
    assert [args_of(message)[:-1] for message in messages] == [
        ["one", 1],
        ["all", [2]],
        ["binary", {"_placeholder": True, "num": 0}],
        ["plain"],
        ["no ack"],
    ]
    offsets = [offset_of(message) for message in messages]
    assert len(set(offsets)) == 5
    assert len(reply.pid) == 20
    assert reply.pid != reply.sid


async def test_acknowledged_and_volatile_events_are_not_kept(io, come):
    raw, reply = await come()
    socket = socket_of(io, reply)
    socket.emit("first")
    offset = offset_of(await raw.recv())
    socket.emit("ack", "x", ack=print)
    socket.volatile.emit("volatile", 1)
    io.volatile.emit("volatile", {"x": "text"})
    assert await raw.recv_many(3) == [
        '420["ack","x"]',
        '42["volatile",1]',
        '42["volatile",{"x":"text"}]',
    ]
    await cut(io, raw)
    _, again = await come(reply.wish(offset))
    assert (again.sid, again.before) == (reply.sid, [])


async def test_a_volatile_event_that_ends_with_a_text_leaves_the_offset_good(io, come):
    raw, reply = await come()
    socket = socket_of(io, reply)
    socket.emit("first")
    offset = offset_of(await raw.recv())
    socket.volatile.emit("tick")
    io.volatile.emit("said", "text")
    assert await raw.recv_many(2) == [f'42["tick","{offset}"]', f'42["said","text","{offset}"]']


async def test_what_was_missed_comes_first(io, come):
    raw, reply = await come()
    socket_of(io, reply).join("a")
    socket_of(io, reply).data["x"] = [1]
    io.emit("seen")
    offset = offset_of(await raw.recv())
    await cut(io, raw)
    io.emit("everybody", 1)
    io.to("a").emit("binary", b"2", [b"3"])
    io.to("b").emit("another room")
    io.to(reply.sid).emit("private", 4)
    io.to("a").except_(reply.sid).emit("left out")
    raw, again = await come(reply.wish(offset))
    assert (again.sid, again.pid) == (reply.sid, reply.pid)
    one, binary, two, three, last = again.before
    assert args_of(one)[:-1] == ["everybody", 1]
    assert binary.startswith('452-["binary",')
    assert (two, three) == (b"2", b"3")
    assert args_of(last)[:-1] == ["private", 4]
    socket = socket_of(io, again)
    assert (socket.recovered, socket.recovery_failure) == (True, None)
    assert socket.rooms == {reply.sid, "a"}
    assert socket.data == {"x": [1]}
    io.to("a").emit("goes on")
    assert args_of(await raw.recv())[0] == "goes on"
    assert io.engine.counters["recoveries"] == 1


async def test_it_recovers_before_any_event_was_sent(io, come):
    raw, reply = await come()
    await cut(io, raw)
    io.emit("missed")
    _, again = await come(reply.wish())
    assert again.sid == reply.sid
    assert [args_of(message)[0] for message in again.before] == ["missed"]


async def test_an_offset_from_before_the_session_means_none(io, come):
    bystander, _ = await come()
    io.emit("before")
    offset = offset_of(await bystander.recv())
    io.emit("before it too")
    raw, reply = await come()
    await cut(io, raw)
    io.emit("missed")
    _, again = await come(reply.wish(offset))
    assert [args_of(message)[0] for message in again.before] == ["missed"]


async def test_a_room_gives_what_was_sent_to_it_since_it_was_joined(io, come):
    raw, reply = await come()
    io.emit("seen")
    offset = offset_of(await raw.recv())
    io.to("a").emit("too early")
    socket = socket_of(io, reply)
    socket.join("a")
    io.to("a").emit("missed")
    await cut(io, raw)
    _, again = await come(reply.wish(offset))
    assert [args_of(message)[0] for message in again.before] == ["missed"]
    # and what it knows of its rooms goes along with the session
    raw = again
    socket = socket_of(io, again)
    socket.leave("a")
    io.to("a").emit("not there")
    socket.join("a")
    socket.conn.close("transport close")
    _, third = await come(reply.wish(offset))
    assert third.before == []
    assert socket_of(io, third).rooms == {reply.sid, "a"}


async def test_a_socket_that_changes_its_rooms_keeps_nothing_of_the_old_ones(io, come):
    _, reply = await come()
    socket = socket_of(io, reply)
    for number in range(100):
        io.emit("later")
        socket.join(f"room {number}")
        socket.leave(f"room {number}")
    io.in_(reply.sid).sockets_join("a", "b")
    io.in_(reply.sid).sockets_leave("b")
    assert list(socket._joined) == ["a"]


async def test_all_of_is_replayed_to_those_who_were_in_all(io, come):
    raw, reply = await come()
    socket_of(io, reply).join("a", "b")
    await cut(io, raw)
    io.all_of("a", "b").emit("both")
    io.all_of("a", "c").emit("not in c")
    io.to("x", "a").all_of("b").except_("c").emit("all three")
    io.all_of("b").except_("a").emit("left out")
    _, again = await come(reply.wish())
    assert [args_of(message)[0] for message in again.before] == ["both", "all three"]


async def test_a_room_named_like_the_id_of_who_is_away_reads_nothing(io, come):
    raw, reply = await come()
    spy, spied = await come()
    socket_of(io, spied).join(reply.sid)
    await cut(io, raw)
    io.to(reply.sid).emit("secret", 1)
    io.to("x", reply.sid).emit("secret", 2)
    io.all_of(reply.sid).emit("secret", 3)
    assert await spy.silent()
    assert await io.in_(reply.sid).fetch_sockets() == []
    assert await io.in_(reply.sid).timeout(1).emit_with_ack("secret", 4) == []
    await cut(io, spy)
    _, again = await come(spied.wish())
    assert again.before == []
    _, again = await come(reply.wish())
    assert [args_of(message)[1] for message in again.before] == [1, 2, 3]


async def test_emits_of_the_old_socket_reach_the_new_one(io, come):
    raw, reply = await come()
    old = socket_of(io, reply)
    await cut(io, raw)
    for number in range(3):
        old.emit("away", number)
        io.to(old.id).emit("away", number + 0.5)
    raw, again = await come(reply.wish())
    assert [args_of(message)[1] for message in again.before] == [0, 0.5, 1, 1.5, 2, 2.5]
    old.emit("back")
    assert args_of(await raw.recv())[0] == "back"
    old.volatile.emit("not to the old one")
    assert await raw.silent()


async def test_emits_to_a_client_that_has_left_are_not_kept(io, come):
    raw, reply = await come()
    socket = socket_of(io, reply)
    await raw.send("41")
    await eventually(lambda: not socket.connected)
    socket.emit("nobody")
    assert (io.sessions.event_count, len(io.sessions)) == (0, 0)


async def test_what_the_disconnecting_handler_emits_is_kept(io, come):
    io.event("disconnecting")(lambda socket: socket.emit("bye", sorted(socket.rooms)))
    io.event("disconnect")(lambda socket: socket.emit("gone"))
    raw, reply = await come()
    await cut(io, raw)
    _, again = await come(reply.wish())
    assert [args_of(message)[:-1] for message in again.before] == [["bye", [reply.sid]], ["gone"]]


@pytest.mark.parametrize("reason", sorted(RECOVERABLE_REASONS - {"server shutting down"}))
async def test_these_ends_keep_the_session(io, come, reason):
    _, reply = await come()
    socket_of(io, reply).conn.close(reason)
    assert len(io.sessions) == 1
    _, again = await come(reply.wish())
    assert again.sid == reply.sid
    assert len(io.sessions) == 0


@pytest.mark.parametrize("end", ["client", "server", "both", "parse error"])
async def test_these_ends_do_not(io, come, end):
    raw, reply = await come()
    socket = socket_of(io, reply)
    if end == "client":
        await raw.send("41")
    elif end == "server":
        socket.disconnect()
    elif end == "both":
        socket.disconnect(close=True)
    else:
        await raw.send("9")
    await eventually(lambda: not socket.connected)
    assert len(io.sessions) == 0
    _, again = await come(reply.wish())
    assert again.sid != reply.sid
    assert socket_of(io, again).recovery_failure is RecoveryFailure.UNKNOWN_SESSION


async def test_a_server_that_closes_keeps_nobody_waiting(io, come):
    await come()
    await io.close()
    assert len(io.engine.timers) == 0


async def test_a_session_serves_once(io, come):
    raw, reply = await come()
    await cut(io, raw)
    first, again = await come(reply.wish())
    assert again.sid == reply.sid
    _, third = await come(reply.wish())
    assert third.sid != reply.sid
    assert third.pid != reply.pid
    assert socket_of(io, third).recovery_failure is RecoveryFailure.IN_USE
    assert io.engine.counters["recovery_in_use"] == 1
    io.emit("both")
    assert args_of(await first.recv())[0] == "both"
    assert socket_of(io, again).connected


async def test_a_line_that_only_seems_alive_is_closed_first(io, come, log):
    io.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))
    old, reply = await come()
    io.emit("seen")
    offset = offset_of(await old.recv())
    io.emit("sent into the void")
    _, again = await come(reply.wish(offset))
    assert log == [("transport close", "recovered by another connection")]
    assert again.sid == reply.sid
    assert [args_of(message)[0] for message in again.before] == ["sent into the void"]
    await old.closed()
    assert list(io.sockets) == [reply.sid]


async def test_a_line_may_break_again_and_again(io, come, monkeypatch):
    monkeypatch.setattr("roomcast.server.recoverable.TAKEOVER_AFTER", 0.0)
    _, reply = await come()
    for number in range(5):
        io.emit("void", number)
        _, again = await come(reply.wish())
        assert again.sid == reply.sid
        assert [args_of(message)[1] for message in again.before] == [*range(number + 1)]


async def test_two_namespaces_of_one_connection_come_back_together(io, connect):
    other = io.of("/other")
    raw = await connect(io)
    replies = await join(raw), await join(raw, None, "/other")
    for nsp, number in ((io, 1), (other, 2)):
        nsp.emit("void", number)
    again = await connect(io)  # while the old line seems alive
    for nsp, reply, number in zip(("/", "/other"), replies, (1, 2), strict=True):
        found = await join(again, reply.wish(), nsp)
        assert found.sid == reply.sid
        assert [args_of(message)[1] for message in found.before] == [number]
    assert io.engine.counters["recoveries"] == 2


async def test_a_private_id_is_good_in_its_own_namespace_only(io, connect, come):
    io.of("/other")
    raw, reply = await come()
    await cut(io, raw)
    _, wrong = await come(reply.wish(), "/other")
    assert socket_of(io, wrong, "/other").recovery_failure is RecoveryFailure.UNKNOWN_SESSION
    _, again = await come(reply.wish())
    assert again.sid == reply.sid


async def test_on_polling(io, poll):
    first = await poll(io)
    await first.sent("40")
    (packet,) = await first.packets()
    reply = Reply([], json.loads(packet[2:]))
    io.emit("seen")
    (seen,) = await first.packets()
    await first.leave()  # the close packet of a client that did not disconnect
    await eventually(lambda: not io.sockets)
    io.emit("missed", b"1")
    io.emit("missed", 2)
    second = await poll(io)
    await second.sent("40" + json.dumps(reply.wish(offset_of(seen))))
    header, binary, plain, connect = await second.packets()
    assert header.startswith('451-["missed",')
    assert binary == "bMQ=="
    assert args_of(plain)[:2] == ["missed", 2]
    assert json.loads(connect[2:]) == {"sid": reply.sid, "pid": reply.pid}


# middlewares


async def test_middlewares_are_skipped(io, come, log):
    io.use(lambda socket: log.append(("asked", socket.recovered)))
    io.on("connection", lambda socket: log.append(("connection", socket.recovered)))
    raw, reply = await come()
    await cut(io, raw)
    await come(reply.wish())
    await come({"pid": "nobody"})
    assert log == [
        ("asked", False),
        ("connection", False),
        ("connection", True),
        ("asked", False),
        ("connection", False),
    ]


@pytest.fixture
def asking():
    """A server that asks its middlewares also about who comes back."""
    return Server(connection_state_recovery={"skip_middlewares": False})


async def test_middlewares_see_a_socket_that_is_about_to_recover(asking, connect, log):
    @asking.use
    async def ask(socket):
        log.append((socket.recovered, socket.connected, sorted(socket.rooms - {socket.id})))
        if socket.recovered:
            await asyncio.sleep(0)
            socket.emit("from the middleware")
            asking.emit("meanwhile")
            socket.leave("b")
            socket.join("c")

    raw = await connect(asking)
    reply = await join(raw)
    socket_of(asking, reply).join("a", "b")
    await cut(asking, raw)
    asking.to("a").emit("a")
    asking.to("b").emit("b")
    asking.to("c").emit("c")
    again = await join(await connect(asking), reply.wish())
    assert log == [(False, False, []), (True, False, ["a", "b"])]
    assert again.sid == reply.sid
    events = [args_of(message)[0] for message in again.before]
    assert events == ["a", "from the middleware", "meanwhile"]
    assert socket_of(asking, again).rooms == {reply.sid, "a", "c"}


async def test_a_middleware_that_refuses_ends_the_session(asking, connect):
    @asking.use
    def ask(socket):
        if socket.recovered:
            raise ConnectError("no more")

    raw = await connect(asking)
    reply = await join(raw)
    await cut(asking, raw)
    asking.emit("missed")
    raw = await connect(asking)
    await raw.send(f"40{json.dumps(reply.wish())}")
    assert await raw.recv() == '44{"message":"no more"}'
    again = await join(raw, reply.wish())
    assert again.sid != reply.sid
    assert (len(asking.sessions), asking.adapter.has_sessions) == (0, False)


async def test_a_line_that_breaks_in_a_middleware_gives_the_session_back(asking, connect, log):
    decide = asyncio.Event()

    @asking.use
    async def ask(socket):
        if socket.recovered:
            log.append("asked")
            await decide.wait()

    raw = await connect(asking)
    reply = await join(raw)
    await cut(asking, raw)
    asking.emit("missed")
    raw = await connect(asking)
    await raw.send(f"40{json.dumps(reply.wish())}")
    await log.until("asked")
    await cut(asking, raw)
    decide.set()
    again = await join(await connect(asking), reply.wish())
    assert again.sid == reply.sid
    assert [args_of(message)[0] for message in again.before] == ["missed"]


async def test_what_is_dropped_while_a_middleware_is_asked_is_no_gap(connect, log):
    io = Server(connection_state_recovery={"skip_middlewares": False, "max_packets": 2})
    decide = asyncio.Event()

    @io.use
    async def ask(socket):
        if socket.recovered:
            log.append("asked")
            await decide.wait()

    raw = await connect(io)
    reply = await join(raw)
    await cut(io, raw)
    raw = await connect(io)
    await raw.send(f"40{json.dumps(reply.wish())}")
    await log.until("asked")
    for number in range(3):
        io.emit("meanwhile", number)
    decide.set()
    await raw.closed()
    again = await join(await connect(io), reply.wish())
    assert again.sid != reply.sid
    assert socket_of(io, again).recovery_failure is RecoveryFailure.EVICTED


async def test_what_a_middleware_emits_to_a_new_socket_arrives(io, come):
    io.use(lambda socket: socket.emit("early", "text"))
    raw, reply = await come()
    (early,) = reply.before
    assert args_of(early)[:2] == ["early", "text"]
    await cut(io, raw)
    _, again = await come(reply.wish(offset_of(early)))
    assert (again.sid, again.before) == (reply.sid, [])


# bounds and failures


async def test_it_expires(io, connect):
    raw = await connect(io)
    reply = await join(raw)
    await cut(io, raw)
    assert len(io.sessions) == 1
    io.sessions.on_deadline(io.engine.now() + 121)
    assert len(io.sessions) == 0
    again = await join(await connect(io), reply.wish())
    assert again.sid != reply.sid
    assert socket_of(io, again).recovery_failure is RecoveryFailure.EXPIRED
    assert io.engine.counters["recovery_expired"] == 1
    assert io.engine.counters["recovery_sessions_expired"] == 1


async def test_it_expires_by_itself(connect):
    io = Server(connection_state_recovery={"max_disconnection_duration": 0.01})
    raw = await connect(io)
    await join(raw)
    await cut(io, raw)
    await eventually(lambda: io.engine.counters["recovery_sessions_expired"])
    assert len(io.sessions) == 0


@pytest.mark.parametrize(
    ("bounds", "count", "recovered"),
    [
        ({"max_packets": 3}, 2, True),
        ({"max_packets": 3}, 3, True),
        ({"max_packets": 3}, 4, False),
        ({"max_bytes": 100}, 0, True),
        ({"max_bytes": 100}, 1, False),
    ],
)
async def test_bounds(connect, bounds, count, recovered):
    io = Server(connection_state_recovery=bounds)
    raw = await connect(io)
    reply = await join(raw)
    await cut(io, raw)
    for number in range(count):
        io.emit("missed", number)
    again = await join(await connect(io), reply.wish())
    (limit,) = bounds
    assert (again.sid == reply.sid) == recovered
    socket = socket_of(io, again)
    assert socket.recovered == recovered
    assert socket.recovery_failure is (None if recovered else RecoveryFailure.EVICTED)
    assert io.engine.counters[f"recovery_{limit}"] == (not recovered)
    assert len(again.before) == (count if recovered else 0)


@pytest.mark.parametrize(("others", "recovered"), [(0, True), (1, True), (2, False)])
async def test_max_sessions(connect, others, recovered):
    io = Server(connection_state_recovery={"max_sessions": 2})
    raw = await connect(io)
    reply = await join(raw)
    await cut(io, raw)
    for _ in range(others):
        raw = await connect(io)
        await join(raw)
        await cut(io, raw)
    again = await join(await connect(io), reply.wish())
    failure = socket_of(io, again).recovery_failure
    assert failure is (None if recovered else RecoveryFailure.EVICTED)
    assert io.engine.counters["recovery_max_sessions"] == (not recovered)


@pytest.mark.parametrize(("size", "recovered"), [(7_000, True), (9_000, False)])
async def test_more_than_the_send_buffer_takes_is_not_replayed(connect, size, recovered):
    io = Server(
        connection_state_recovery=True, limits=Limits(send_buffer_size=10_000, send_buffer_mark=100)
    )
    raw = await connect(io)
    reply = await join(raw)
    await cut(io, raw)
    io.emit("missed", "x" * size)
    io.emit("missed", 2)
    again = await join(await connect(io), reply.wish())
    socket = socket_of(io, again)
    assert socket.recovered == recovered
    assert socket.recovery_failure is (None if recovered else RecoveryFailure.TOO_LARGE)
    assert len(again.before) == 2 * recovered
    assert len(io.engine.connections) == 1


async def test_a_storage_that_fails_gives_a_new_session(connect, log, caplog):
    class Broken(SessionAwareAdapter):
        def restore_session(self, pid, offset):
            raise OSError("no storage")

    io = Server(connection_state_recovery=True)
    io.adapter = Broken(io, io.sessions)
    io.on_error(lambda error, socket, event: log.append((str(error), socket, event)))
    raw = await connect(io)
    reply = await join(raw)
    await cut(io, raw)
    again = await join(await connect(io), reply.wish())
    assert again.sid != reply.sid
    assert socket_of(io, again).recovery_failure is RecoveryFailure.STORAGE_ERROR
    assert log == [("no storage", None, "recovery")]


async def test_a_storage_that_takes_its_time(connect, log):
    ready = asyncio.Event()

    class Slow(SessionAwareAdapter):
        async def restore_session(self, pid, offset):
            restored = await super().restore_session(pid, offset)
            log.append("asked")
            await ready.wait()
            return restored

    io = Server(connection_state_recovery=True)
    io.adapter = Slow(io, io.sessions)
    raw = await connect(io)
    reply = await join(raw)
    await cut(io, raw)
    raw = await connect(io)
    await raw.send(f"40{json.dumps(reply.wish())}")
    await log.until("asked")
    assert len(io.sessions) == 0
    await cut(io, raw)  # the session must not be lost with it
    ready.set()
    await eventually(lambda: len(io.sessions) == 1)
    again = await join(await connect(io), reply.wish())
    assert again.sid == reply.sid


# dynamic namespaces


async def test_a_child_stays_while_somebody_may_come_back(io, connect):
    parent = io.of(re.compile("^/room-"))
    parent.on("connection", lambda socket: socket.join("a"))
    raw = await connect(io)
    reply = await join(raw, None, "/room-1")
    parent.emit("seen")
    offset = offset_of(await raw.recv())
    await cut(io, raw)
    assert list(parent.children) == ["/room-1"]
    parent.to("a").emit("missed")
    raw = await connect(io)
    again = await join(raw, reply.wish(offset), "/room-1")
    assert again.sid == reply.sid
    assert [args_of(message)[0] for message in again.before] == ["missed"]
    await cut(io, raw)
    assert list(parent.children) == ["/room-1"]
    io.sessions.on_deadline(io.engine.now() + 121)
    assert not parent.children
    raw = await connect(io)
    third = await join(raw, reply.wish(offset), "/room-1")
    assert third.sid != reply.sid
    await raw.send("41/room-1,")  # nobody comes back from this
    await eventually(lambda: not parent.children)


async def test_a_failed_recovery_leaves_no_child(connect):
    io = Server(connection_state_recovery=True)
    parent = io.of(re.compile("^/room-"))
    parent.use(lambda socket: (_ for _ in ()).throw(ConnectError("no")))
    raw = await connect(io)
    await raw.send('40/room-1,{"pid":"nobody"}')
    assert await raw.recv() == '44/room-1,{"message":"no"}'
    assert not parent.children


# listeners


async def test_outgoing_listeners_see_no_offsets(io, come, log):
    raw, reply = await come()
    socket = socket_of(io, reply)
    socket.on_any_outgoing(lambda *args: log.append(args))
    socket.emit("one", 1)
    io.emit("two")
    socket.volatile.emit("three")
    await cut(io, raw)
    socket.emit("nobody there")
    assert log == [("one", 1), ("two",), ("three",)]


async def test_what_an_outgoing_listener_emits_keeps_the_order(io, come):
    raw, reply = await come()
    socket = socket_of(io, reply)
    socket.on_any_outgoing(lambda event: event == "first" and io.emit("second"))
    io.emit("first")
    first, second = await raw.recv_many(2)
    assert [args_of(first)[0], args_of(second)[0]] == ["first", "second"]
    await cut(io, raw)
    _, again = await come(reply.wish(offset_of(second)))
    assert again.before == []

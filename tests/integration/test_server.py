"""What programs do with a server, seen from a client that speaks raw frames."""

import asyncio
import warnings

import pytest
from tests.integration.conftest import eventually

from roomcast import (
    AckTimeoutError,
    ConnectError,
    DisconnectedError,
    EncodeError,
    ReservedEventError,
    Server,
    UsageError,
)

RESERVED = (
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
)


async def joined(io, connect, nsp="/", auth=None):
    """Connect and join; return the client and its socket."""
    raw = await connect(io)
    sid = await raw.join(nsp, auth)
    return raw, io.of(nsp).sockets[sid]


# Connecting


async def test_connect_reply_carries_an_id_of_its_own(io, connect):
    raw = await connect(io)
    sid = await raw.join()
    assert len(sid) == 20
    assert sid != raw.handshake["sid"]


async def test_nothing_is_joined_unless_asked_for(io, connect):
    raw = await connect(io)
    io.emit("x")
    assert await raw.silent()
    assert io.sockets == {}


async def test_connection_handlers_run_after_the_reply_both_names_alike(io, connect, log):
    io.on("connect", lambda socket: log.append(("connect", socket.id)))

    @io.on("connection")
    async def connection(socket):
        log.append(("connection", socket.id))
        socket.emit("welcome")

    raw = await connect(io)
    sid = await raw.join()
    assert log == [("connect", sid), ("connection", sid)]
    assert await raw.recv() == '42["welcome"]'


async def test_unknown_namespace_is_refused_and_the_connection_stays(io, connect):
    io.of("known")
    raw = await connect(io)
    await raw.send("40/nope,")
    assert await raw.recv() == '44/nope,{"message":"Invalid namespace"}'
    await raw.send("40/known?token=1,")
    assert await raw.recv() == '44/known?token=1,{"message":"Invalid namespace"}'
    await raw.join("/known")
    await raw.join()


async def test_namespaces_of_one_connection_are_apart(io, connect, log):
    chat = io.of("chat")
    chat.event("x")(lambda socket: log.append(("chat", socket.nsp.name)))
    io.event("x")(lambda socket: log.append(("main", socket.nsp.name)))
    raw = await connect(io)
    ids = {await raw.join(), await raw.join("/chat")}
    assert len(ids) == 2
    await raw.send('42/chat,["x"]', '42["x"]')
    await log.count(2)
    assert log == [("chat", "/chat"), ("main", "/")]
    chat.emit("only here")
    assert await raw.recv() == '42/chat,["only here"]'
    assert await raw.silent()


async def test_handshake_says_how_the_client_came(io, connect):
    query = "EIO=4&transport=websocket&a=1&a=2&b=%20x"
    raw = await connect(io, query, additional_headers={"X-One": "1", "Cookie": "c=d"})
    sid = await raw.join(auth={"token": "t"})
    handshake = io.sockets[sid].handshake
    assert handshake.auth == {"token": "t"}
    assert handshake.query == {"EIO": "4", "transport": "websocket", "a": "2", "b": " x"}
    assert handshake.headers["x-one"] == "1"
    assert handshake.headers["cookie"] == "c=d"
    assert handshake.url == f"/socket.io/?{query}"
    assert handshake.address == "127.0.0.1"
    assert not handshake.secure
    assert not handshake.xdomain
    assert handshake.time.endswith("GMT")
    assert handshake.issued > 1.7e12


async def test_handshake_auth_is_empty_without_any(io, connect):
    _, socket = await joined(io, connect)
    assert socket.handshake.auth == {}


async def test_socket_knows_its_place(io, connect):
    raw, socket = await joined(io, connect)
    assert socket.connected
    assert socket.nsp is io
    assert socket.conn.id == raw.handshake["sid"]
    assert socket.conn.transport.name == "websocket"
    assert io.sockets == {socket.id: socket}
    assert socket.rooms == {socket.id}
    socket.data["a"] = 1
    assert socket.data == {"a": 1}
    socket.data = {"b": 2}
    assert socket.data == {"b": 2}
    assert repr(socket) == f"<Socket {socket.id} of '/', connected>"


# Middlewares


async def test_middleware_that_raises_connect_error_says_why(io, connect):
    @io.use
    def check(socket):
        if socket.handshake.auth.get("token") != "right":
            raise ConnectError("Not authorized", {"code": 7})

    raw = await connect(io)
    await raw.send("40")
    assert await raw.recv() == '44{"message":"Not authorized","data":{"code":7}}'
    await raw.send('40{"token":"right"}')
    assert str(await raw.recv()).startswith('40{"sid"')


async def test_middleware_without_data_sends_none(io, connect):
    @io.use
    async def check(socket):
        raise ConnectError("no")

    raw = await connect(io)
    await raw.send("40")
    assert await raw.recv() == '44{"message":"no"}'


@pytest.mark.parametrize("data", [{1, 2}, object()])
async def test_middleware_whose_data_has_no_json_form_says_nothing(io, connect, log, data):
    io.on_error(lambda error, socket, event: log.append(type(error)))

    @io.use
    async def check(socket):
        raise ConnectError("no", data)

    raw = await connect(io)
    await raw.send("40")
    assert await raw.recv() == '44{"message":"Internal server error"}'
    assert log == [EncodeError]


async def test_middleware_that_fails_leaks_nothing(io, connect, log):
    io.on_error(lambda error, socket, event: log.append((repr(error), event)))

    @io.use
    def check(socket):
        raise KeyError("secret")

    raw = await connect(io)
    await raw.send("40")
    assert await raw.recv() == '44{"message":"Internal server error"}'
    assert log == [("KeyError('secret')", "middleware")]


async def test_middlewares_run_in_order_for_their_namespace_only(io, connect, log):
    io.use(lambda socket: log.append("main"))

    @io.of("/a").use
    async def first(socket):
        await asyncio.sleep(0.01)
        log.append("first")

    io.of("/a").use(lambda socket: log.append("second"))
    raw = await connect(io)
    await raw.join("/a")
    assert log == ["first", "second"]


async def test_emit_of_a_middleware_arrives_before_the_reply(io, connect, log):
    @io.use
    def early(socket):
        assert not socket.connected
        assert socket.rooms == set()
        socket.emit("early", 1)
        socket.join("kept", "left")
        socket.leave("left")

    raw = await connect(io)
    await raw.send("40")
    assert await raw.recv() == '42["early",1]'
    assert str(await raw.recv()).startswith('40{"sid"')
    (socket,) = io.sockets.values()
    assert socket.rooms == {socket.id, "kept"}


async def test_auth_race_nothing_reaches_a_pending_socket(io, connect, log):
    decide = asyncio.Event()
    pending = []

    @io.use
    async def slow(socket):
        pending.append(socket)
        socket.join("room")
        socket.emit("from the middleware")
        await decide.wait()
        if socket.handshake.auth:
            raise ConnectError("no")

    io.event("x")(lambda socket: log.append("x"))
    io.on("connection", lambda socket: log.append("connection"))
    accepted, refused = await connect(io), await connect(io)
    await accepted.send("40")
    await refused.send('40{"refuse":1}')
    for raw in (accepted, refused):
        assert await raw.recv() == '42["from the middleware"]'
    io.emit("a")
    io.to("room").emit("b")
    for socket in pending:
        io.to(socket.id).emit("c")
        socket.disconnect()  # not yet connected: nothing to leave
    assert io.sockets == {}
    assert await accepted.silent(0.05)
    decide.set()
    assert str(await accepted.recv()).startswith('40{"sid"')
    assert await refused.recv() == '44{"message":"no"}'
    io.to("room").emit("d")
    assert await accepted.recv() == '42["d"]'
    assert await refused.silent(0.05)
    assert log == ["connection"]
    (socket,) = io.sockets.values()
    assert io.adapter.rooms.members("room") == 1
    refused_socket = next(each for each in pending if each is not socket)
    refused_socket.emit("dropped")
    refused_socket.join("ghost")
    assert "ghost" not in io.adapter.rooms.room_names()
    await refused.send("40")  # it may try again
    assert await refused.recv() == '42["from the middleware"]'


async def test_middleware_that_outlives_its_connection_changes_nothing(io, connect, log):
    decide = asyncio.Event()
    io.on("connection", lambda socket: log.append("connection"))

    @io.use
    async def slow(socket):
        log.append("asked")
        await decide.wait()
        log.append("decided")

    io.use(lambda socket: log.append("second"))
    raw = await connect(io)
    await raw.send("40")
    await log.until("asked")
    await raw.close()
    await eventually(lambda: not io.engine.connections)
    decide.set()
    await log.until("decided")
    await asyncio.sleep(0.02)
    assert log == ["asked", "decided"]
    assert len(io.adapter.rooms) == 0


async def test_late_refusal_of_a_lost_connection_is_silent(io, connect, log):
    decide = asyncio.Event()

    @io.use
    async def slow(socket):
        log.append("asked")
        await decide.wait()
        log.append("decided")
        raise ConnectError("no")

    raw = await connect(io)
    await raw.send("40")
    await log.until("asked")
    await raw.close()
    await eventually(lambda: not io.engine.connections)
    decide.set()
    await log.until("decided")


async def test_middleware_must_be_callable(io):
    with pytest.raises(TypeError, match="middleware must be callable"):
        io.use(None)


# Events of clients


async def test_event_reaches_the_sockets_own_handlers_then_the_shared_ones(io, connect, log):
    @io.on("connection")
    def connection(socket):
        socket.on("chat message", lambda *args: log.append(("own", args)))

    @io.event("chat message")
    async def shared(socket, *args):
        log.append(("shared", socket.id, args))

    raw = await connect(io)
    sid = await raw.join()
    await raw.send('42["chat message",1,{"a":null}]')
    await log.count(2)
    assert log == [("own", (1, {"a": None})), ("shared", sid, (1, {"a": None}))]


async def test_event_decorator_takes_the_functions_name(io, connect, log):
    @io.event
    def news(socket, item):
        log.append(item)

    raw, _ = await joined(io, connect)
    await raw.send('42["news","x"]')
    await log.until("x")


async def test_client_cannot_fire_the_connection_handlers(io, connect, log):
    @io.event
    def connection(socket):
        log.append("connection")

    io.event("connect")(lambda socket: log.append("connect"))
    raw, _ = await joined(io, connect)
    await raw.send('42["connection"]')
    await raw.send('421["after"]')
    await raw.silent()
    assert log == ["connect", "connection"]


@pytest.mark.parametrize(("wire", "name"), [("1", "1"), ("1.5", "1.5"), ("2.0", "2")])
async def test_number_as_event_name_is_its_text(io, connect, log, wire, name):
    io.event(name)(lambda socket: log.append(name))
    raw, _ = await joined(io, connect)
    await raw.send(f"42[{wire}]")
    await log.until(name)


@pytest.mark.parametrize("name", ["__init__", "emit", "a\\u0000b", "x" * 900_000])
async def test_event_name_is_looked_up_among_handlers_only(io, connect, name):
    raw, socket = await joined(io, connect)
    await raw.send(f'421["{name}"]')
    assert await raw.silent(0.05)
    assert socket.connected


async def test_handlers_start_in_the_order_of_the_events(io, connect, log):
    @io.event("def")
    def plain(socket, number):
        log.append(number)

    @io.event("async")
    async def waits(socket, number):
        log.append(number)
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)

    raw, _ = await joined(io, connect)
    for number in range(20):
        await raw.send(f'42["{"async" if number % 2 else "def"}",{number}]')
    await log.count(20)
    assert log == list(range(20))


async def test_once_and_off_of_a_socket(io, connect, log):
    raw, socket = await joined(io, connect)
    kept = lambda *args: log.append("kept")  # noqa: E731
    gone = lambda *args: log.append("gone")  # noqa: E731
    socket.once("x", lambda: log.append("once"))
    socket.on("x", gone)
    socket.on("x", kept)
    socket.off("x", gone)
    await raw.send('42["x"]', '42["x"]')
    await log.count(3)
    assert log == ["once", "kept", "kept"]


async def test_new_listener_may_be_a_coroutine(io, connect, log):
    _, socket = await joined(io, connect)

    @socket.on("newListener")
    async def added(event, listener):
        log.append((event, listener))

    socket.on("x", print)
    assert log == [("x", print)]
    io.on("newListener", lambda event, listener: log.append(event))
    io.on("connection", print)
    assert log[1:] == ["connection"]


# Acknowledgements of the server


@pytest.mark.parametrize(
    ("result", "wire"),
    [
        (None, "433[]"),
        (1, "433[1]"),
        ((1, 2), "433[1,2]"),
        ((), "433[]"),
        ([1, 2], "433[[1,2]]"),
        ((None,), "433[null]"),
        (False, "433[false]"),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async", "waits"])
async def test_answer_is_what_the_handler_returns(io, connect, result, wire, kind):
    def plain(socket):
        return result

    async def coroutine(socket):
        return result

    async def waits(socket):
        await asyncio.sleep(0)
        return result

    io.event("ask")({"def": plain, "async": coroutine, "waits": waits}[kind])
    raw, _ = await joined(io, connect)
    await raw.send('423["ask"]')
    assert await raw.recv() == wire


async def test_answer_may_be_binary(io, connect):
    io.event("ask")(lambda socket: b"\x01")
    raw, _ = await joined(io, connect)
    await raw.send('4213["ask"]')
    assert await raw.recv_many(2) == ['461-13[{"_placeholder":true,"num":0}]', b"\x01"]


async def test_ack_id_zero_is_an_id(io, connect):
    io.event("ask")(lambda socket: 1)
    raw, _ = await joined(io, connect)
    await raw.send('420["ask"]')
    assert await raw.recv() == "430[1]"


async def test_first_result_that_is_something_answers(io, connect):
    io.event("ask")(lambda socket: None)
    io.event("ask")(lambda socket: "second")
    io.event("ask")(lambda socket: "third")
    raw, _ = await joined(io, connect)
    await raw.send('421["ask"]', '422["ask"]')
    assert await raw.recv_many(2) == ['431["second"]', '432["second"]']
    assert await raw.silent(0.05)


async def test_several_handlers_without_a_result_answer_once(io, connect):
    io.event("ask")(lambda socket: None)

    @io.event("ask")
    async def waits(socket):
        await asyncio.sleep(0.01)

    raw, _ = await joined(io, connect)
    await raw.send('421["ask"]')
    assert await raw.recv() == "431[]"
    assert await raw.silent(0.05)


async def test_nobody_answers_an_event_without_a_handler(io, connect):
    raw, _ = await joined(io, connect)
    await raw.send('421["ask"]')
    assert await raw.silent(0.05)


async def test_handler_may_return_what_an_emit_returned(io, connect):
    io.event("ask")(lambda socket: socket.emit("x"))
    raw, _ = await joined(io, connect)
    await raw.send('421["ask"]')
    assert await raw.recv_many(2) == ['42["x"]', "431[]"]


async def test_answer_after_the_disconnect_is_dropped(io, connect, log):
    @io.event("ask")
    async def ask(socket):
        await socket.disconnect()
        log.append("left")
        return 1

    raw, _ = await joined(io, connect)
    await raw.send('421["ask"]')
    assert await raw.recv() == "41"
    assert await raw.silent(0.05)


# Acknowledgements of clients


async def test_emit_with_ack_returns_the_answer(io, connect):
    raw, socket = await joined(io, connect)
    for number, (wire, value) in enumerate(
        [("[1]", 1), ("[]", None), ("[1,2]", (1, 2)), ("[[1]]", [1]), ("[null]", None)]
    ):
        answer = socket.emit_with_ack("ask", "x")
        assert await raw.recv() == f'42{number}["ask","x"]'
        await raw.send(f"43{number}{wire}")
        assert await answer == value
    assert not socket._acks


async def test_ack_callback_gets_the_arguments(io, connect, log):
    raw, socket = await joined(io, connect)

    async def coroutine(*args):
        log.append(args)

    socket.emit("a", ack=lambda *args: log.append(args))
    socket.emit("b", ack=coroutine)
    assert await raw.recv_many(2) == ['420["a"]', '421["b"]']
    await raw.send('431["x",2]', "430[]")
    await log.count(2)
    assert log == [("x", 2), ()]


async def test_ack_ids_are_counted_per_namespace(io, connect):
    raw, first = await joined(io, connect)
    other, second = await joined(io, connect)
    first.emit("a", ack=print)
    second.emit("b", ack=print)
    assert await raw.recv() == '420["a"]'
    assert await other.recv() == '421["b"]'
    io.timeout(1).emit("c", ack=print)
    assert await raw.recv() == '422["c"]'


async def test_ack_times_out(io, connect, log):
    raw, socket = await joined(io, connect)
    start = asyncio.get_running_loop().time()
    with pytest.raises(AckTimeoutError):
        await socket.timeout(0.1).emit_with_ack("ask")
    assert asyncio.get_running_loop().time() - start == pytest.approx(0.1, abs=0.05)
    socket.timeout(0.02).emit("ask", ack=lambda *args: log.append(args))
    await log.count(1)
    ((error,),) = log
    assert isinstance(error, AckTimeoutError)
    await raw.send("430[1]")  # too late: ignored
    assert not socket._acks
    await raw.silent(0.05)
    assert len(log) == 1


async def test_ack_callback_gets_no_error_in_time(io, connect, log):
    raw, socket = await joined(io, connect)
    socket.timeout(5).emit("ask", ack=lambda *args: log.append(args))
    await raw.recv()
    timers = len(io.engine.timers)
    await raw.send("430[1,2]")
    await log.count(1)
    assert log == [(None, 1, 2)]
    assert len(io.engine.timers) == timers - 1


async def test_timeout_without_an_ack_changes_nothing(io, connect):
    raw, socket = await joined(io, connect)
    socket.timeout(0.01).emit("x")
    assert await raw.recv() == '42["x"]'


async def test_disconnect_ends_pending_acks(io, connect, log):
    raw, socket = await joined(io, connect)
    plain = socket.emit_with_ack("a")
    timed = socket.timeout(5).emit_with_ack("b")
    ignored = socket.emit_with_ack("c")
    socket.timeout(5).emit("d", ack=lambda error, *args: log.append(error))
    socket.emit("e", ack=lambda *args: log.append("never"))
    await raw.close()
    for answer in (plain, timed):
        with pytest.raises(DisconnectedError):
            await answer
    assert ignored.done()
    (error,) = log
    assert isinstance(error, DisconnectedError)
    assert len(io.engine.timers) == 0
    with pytest.raises(DisconnectedError):
        await socket.emit_with_ack("after")


async def test_waiting_for_an_ack_can_be_given_up(io, connect):
    raw, socket = await joined(io, connect)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(socket.emit_with_ack("ask"), 0.02)
    await asyncio.sleep(0)
    assert not socket._acks
    await raw.recv()
    await raw.send("430[1]")
    await raw.silent(0.02)
    assert socket.connected


async def test_waiting_for_a_broadcast_can_be_given_up(io, connect):
    raw, socket = await joined(io, connect)
    answers = io.timeout(0.1).emit_with_ack("ask")
    answers.cancel()
    await raw.recv()
    await raw.send("430[1]")
    await raw.silent(0.02)
    assert not socket._acks
    assert answers.cancelled()


async def test_unknown_and_repeated_acks_are_ignored(io, connect, log):
    raw, socket = await joined(io, connect)
    await raw.send("4399[1]", "43[1]", "439007199254740991[]")
    socket.emit("ask", ack=lambda *args: log.append(args))
    await raw.recv()
    await raw.send("430[1]", "430[2]")
    await raw.silent(0.05)
    assert log == [(1,)]
    assert socket.connected


async def test_ack_id_beyond_the_limit_is_a_packet_error(io, connect):
    for frame in ("439007199254740992[]", "43" + "9" * 100 + "[]"):
        raw, _ = await joined(io, connect)
        await raw.send(frame)
        await raw.closed()


async def test_many_acks_share_one_timer_and_all_go(io, connect):
    raw, socket = await joined(io, connect)
    answers = [socket.timeout(0.05).emit_with_ack("x") for _ in range(1000)]
    tasks = len(asyncio.all_tasks())
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert {type(result) for result in results} == {AckTimeoutError}
    assert len(asyncio.all_tasks()) <= tasks
    assert not socket._acks
    await raw.recv_many(1000)


async def test_broadcast_collects_the_first_arguments(io, connect):
    raws = [(await joined(io, connect))[0] for _ in range(3)]
    answers = io.timeout(5).emit_with_ack("vote")
    for number, raw in enumerate(raws):
        assert await raw.recv() == '420["vote"]'
        await raw.send(f"430[{number},true]" if number else "430[]")
        await asyncio.sleep(0.02)
    assert await answers == [None, 1, 2]
    assert len(io.engine.timers) == 3


async def test_broadcast_timeout_carries_the_answers_so_far(io, connect, log):
    raw, _ = await joined(io, connect)
    silent, _ = await joined(io, connect)
    answers = io.timeout(0.1).emit_with_ack("vote")
    await raw.recv()
    await raw.send('430["yes"]')
    with pytest.raises(AckTimeoutError) as caught:
        await answers
    assert caught.value.responses == ["yes"]
    io.timeout(0.1).emit("vote", ack=lambda error, responses: log.append((error, responses)))
    await raw.recv()
    await raw.send('431["again"]')
    await log.count(1)
    ((error, responses),) = log
    assert isinstance(error, AckTimeoutError)
    assert responses == ["again"] == error.responses
    assert not any(socket._acks for socket in io.sockets.values())
    await silent.close()


async def test_broadcast_callback_gets_no_error_in_time(io, connect, log):
    raw, _ = await joined(io, connect)
    io.timeout(5).emit("vote", ack=lambda error, responses: log.append((error, responses)))
    await raw.recv()
    await raw.send("430[1]")
    await log.count(1)
    assert log == [(None, [1])]


async def test_broadcast_to_nobody_answers_at_once(io, serve):
    await serve(io)
    assert await io.to("nobody").timeout(5).emit_with_ack("vote") == []


async def test_broadcast_with_a_leaver_runs_into_its_timeout(io, connect):
    raw, _ = await joined(io, connect)
    answers = io.timeout(0.2).emit_with_ack("vote")
    await raw.close()
    with pytest.raises(AckTimeoutError) as caught:
        await answers
    assert caught.value.responses == []


async def test_broadcast_needs_a_timeout_for_acks(io, connect):
    for call in (
        lambda: io.emit_with_ack("vote"),
        lambda: io.emit("vote", ack=print),
        lambda: io.to("a").emit_with_ack("vote"),
    ):
        with pytest.raises(UsageError, match="time-out"):
            call()


async def test_socket_broadcast_can_ask_too(io, connect):
    raw, socket = await joined(io, connect)
    other, _ = await joined(io, connect)
    answers = socket.timeout(5).broadcast.emit_with_ack("vote")
    assert await other.recv() == '420["vote"]'
    await other.send("430[1]")
    assert await answers == [1]
    answers = socket.timeout(5).to("nobody").emit_with_ack("vote")
    assert await answers == []
    assert await raw.silent(0.02)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
async def test_timeout_out_of_range_is_refused(io, seconds):
    with pytest.raises(ValueError, match="timeout"):
        io.timeout(seconds)


async def test_timeout_must_be_a_number(io):
    for seconds in ("5", True, None):
        with pytest.raises(TypeError, match="timeout"):
            io.timeout(seconds)


# Rooms and broadcasts


@pytest.fixture
async def room(io, connect):
    """Four sockets: a in r1; b in r1, r2; c in r2, r3; d nowhere."""
    raws, sockets = {}, {}
    for name in "abcd":
        raws[name], sockets[name] = await joined(io, connect)
    sockets["a"].join("r1")
    await sockets["b"].join("r1", "r2")
    sockets["c"].join(["r2", "r3"])
    return raws, sockets


async def reached(io, raws, emit):
    """Emit, and return who got it, each as often as it came."""
    emit("x")
    io.emit("end")
    got = ""
    for name, raw in raws.items():
        while (frame := await raw.recv()) != '42["end"]':
            assert frame == '42["x"]'
            got += name
    return got


async def test_broadcasts_reach_whom_they_name_each_once(io, room):
    raws, sockets = room
    a, b, c = sockets["a"], sockets["b"], sockets["c"]
    cases = {
        "abcd": io.emit,
        "ab": io.to("r1").emit,
        "abc": io.to("r1", "r2").emit,
        "a": io.to("r1").except_("r2").emit,
        "b": io.all_of("r1", "r2").emit,
        "c": io.in_(c.id).emit,
        "bcd": a.broadcast.emit,
        "": io.to("nobody").emit,
        "bc": io.to("r1", "r2").all_of("r2").emit,
        "d": io.except_("r1", "r2").emit,
        "ac": b.to("r1", "r2").emit,
        "cd": a.except_("r1").emit,
    }
    for expected, emit in cases.items():
        assert await reached(io, raws, emit) == expected
    assert await reached(io, raws, io.to(["r1", "r2"]).emit) == "abc"
    assert await reached(io, raws, io.to("r1").to("r3").except_(a.id).emit) == "bc"
    assert await reached(io, raws, a.in_("r1").emit) == "b"
    assert await reached(io, raws, b.all_of("r2").emit) == "c"
    assert await reached(io, raws, io.to("r1", "r2").all_of("r1").except_("r2").emit) == "a"
    assert await reached(io, raws, io.except_().emit) == "abcd"


async def test_operator_is_immutable(io, room):
    raws, _ = room
    base = io.to("r1")
    base.to("r2")
    base.except_("r1")
    base.all_of("nobody")
    base.timeout(1)
    assert await reached(io, raws, base.emit) == "ab"
    with pytest.raises(AttributeError):
        base.other = 1


async def test_leave_ends_membership(io, room):
    raws, sockets = room
    await sockets["a"].leave("r1")
    sockets["a"].leave("never joined")
    assert sockets["a"].rooms == {sockets["a"].id}
    assert await reached(io, raws, io.to("r1").emit) == "b"


async def test_own_room_belongs_to_its_socket(io, room):
    raws, sockets = room
    a, b = sockets["a"], sockets["b"]
    b.join(a.id)
    a.leave(a.id)
    assert await reached(io, raws, io.to(a.id).emit) == "a"
    assert a.rooms == {a.id, "r1"}


async def test_broadcast_packet_is_shared_and_whole(io, room):
    raws, _ = room
    io.emit("bin", b"1", {"deep": [b"2"]})
    io.emit("after")
    for raw in raws.values():
        assert await raw.recv_many(4) == [
            '452-["bin",{"_placeholder":true,"num":0},{"deep":[{"_placeholder":true,"num":1}]}]',
            b"1",
            b"2",
            '42["after"]',
        ]


async def test_to_oneself_warns_once(io, connect):
    raw, socket = await joined(io, connect)
    with pytest.warns(RuntimeWarning, match="socket.emit"):
        socket.to(socket.id).emit("x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        socket.to([socket.id]).emit("x")
    assert await raw.silent(0.05)


async def test_rooms_must_be_text(io, connect):
    _, socket = await joined(io, connect)
    for call in (io.to, io.except_, io.all_of, socket.join, socket.to):
        with pytest.raises(TypeError, match="a room must be a str"):
            call([1])


# Emits


async def test_emit_fixes_the_bytes_before_it_returns(io, connect):
    raw, socket = await joined(io, connect)
    data = {"a": 1}
    socket.emit("x", data)
    io.emit("y", data)
    data["a"] = 2
    assert await raw.recv_many(2) == ['42["x",{"a":1}]', '42["y",{"a":1}]']


async def test_ignored_emit_costs_nothing_and_awaiting_it_does_not_suspend(io, connect):
    _, socket = await joined(io, connect)
    results = [socket.emit("x"), io.emit("x"), socket.join("r"), socket.leave("r")]
    assert len(set(map(id, results))) == 1
    tasks = asyncio.all_tasks()
    for result in results:
        await result
    assert asyncio.all_tasks() == tasks
    assert await asyncio.gather(*results[:2]) == [None, None]


@pytest.mark.parametrize("event", RESERVED)
async def test_reserved_event_is_refused_by_every_emitter(io, connect, event):
    raw, socket = await joined(io, connect)
    for emit in (
        socket.emit,
        io.emit,
        io.of("empty").emit,
        io.to("nobody").emit,
        socket.broadcast.emit,
        socket.timeout(1).emit,
        socket.emit_with_ack,
        socket.timeout(1).emit_with_ack,
        io.timeout(1).emit_with_ack,
    ):
        with pytest.raises(ReservedEventError, match=event):
            emit(event)
    socket.disconnect()
    with pytest.raises(ReservedEventError):
        socket.emit(event)
    assert await raw.recv() == "41"
    assert await raw.silent(0.02)
    assert not socket._acks


async def test_value_without_a_json_form_is_the_callers_mistake(io, connect):
    raw, socket = await joined(io, connect)
    for emit in (socket.emit, io.emit, io.to("nobody").emit):
        with pytest.raises(EncodeError):
            emit("x", object())
    assert await raw.silent(0.02)


async def test_default_is_asked_about_unknown_objects(connect):
    io = Server(default=lambda value: f"<{type(value).__name__}>")
    raw, socket = await joined(io, connect)
    socket.emit("x", object())
    assert await raw.recv() == '42["x","<object>"]'


async def test_emit_to_a_socket_that_is_gone_is_dropped(io, connect):
    raw, socket = await joined(io, connect)
    socket.disconnect()
    socket.emit("x")
    socket.join("ghost")
    assert await raw.recv() == "41"
    assert await raw.silent(0.02)
    assert io.adapter.rooms.room_names() == []
    assert socket.rooms == set()


# Disconnecting


def watch(io, log):
    @io.event
    def disconnecting(socket, reason, details):
        log.append(("disconnecting", reason, socket.connected, "r" in socket.rooms))

    @io.event
    def disconnect(socket, reason):
        log.append(("disconnect", reason, socket.connected, "r" in socket.rooms))


def both(reason):
    return [("disconnecting", reason, True, True), ("disconnect", reason, False, False)]


async def test_client_leaves_a_namespace(io, connect, log):
    watch(io, log)
    raw, socket = await joined(io, connect)
    socket.join("r")
    await raw.send("41")
    await log.count(2)
    assert log == both("client namespace disconnect")
    assert io.sockets == {}
    await raw.join()  # the connection is still there


async def test_server_makes_a_socket_leave(io, connect, log):
    watch(io, log)
    raw, socket = await joined(io, connect)
    socket.join("r")
    await socket.disconnect()
    socket.disconnect()
    assert log == both("server namespace disconnect")
    assert await raw.recv() == "41"
    assert await raw.silent(0.02)


async def test_disconnect_with_close_ends_every_namespace_and_the_line(io, connect, log):
    io.of("/a")
    watch(io.of("/a"), log)
    watch(io, log)
    raw, socket = await joined(io, connect)
    await raw.join("/a")
    for each in (*io.sockets.values(), *io.of("/a").sockets.values()):
        each.join("r")
    socket.disconnect(close=True)
    assert log == both("server namespace disconnect") * 2
    assert await raw.recv_many(2) == ["41", "41/a,"]
    await raw.closed()


async def test_disconnect_handlers_take_the_arguments_they_want(io, connect, log):
    class Method:
        def one(self, reason):
            log.append(("method", reason))

        def __call__(self, reason, details):
            log.append(("object", reason, details))

    class Starred:
        def __call__(self, *args):
            log.append(("starred", *args))

    raw, socket = await joined(io, connect)
    socket.on("disconnect", lambda: log.append(("none",)))
    socket.on("disconnect", lambda reason: log.append(("one", reason)))
    socket.on("disconnect", lambda *args: log.append(("all", *args)))
    socket.on("disconnect", Method().one)
    socket.on("disconnect", Method())
    socket.on("disconnect", Starred())
    await raw.send("43/other,1[]")
    await log.count(6)
    details = "ACK for a namespace that is not joined"
    assert log == [
        ("none",),
        ("one", "forced close"),
        ("all", "forced close", details),
        ("method", "forced close"),
        ("object", "forced close", details),
        ("starred", "forced close", details),
    ]


async def test_reentry_from_disconnect_handlers(io, connect, log):
    raw, socket = await joined(io, connect)

    @socket.on("disconnecting")
    def disconnecting(reason):
        log.append(reason)
        socket.disconnect(close=True)
        socket.emit("late")
        socket.join("late")

    @socket.on("disconnect")
    async def disconnect(reason):
        log.append(reason)
        socket.disconnect(close=True)
        socket.join("ghost")
        await io.emit("x")

    await raw.send("41")
    await raw.closed()
    assert log == ["client namespace disconnect"] * 2
    assert io.adapter.rooms.room_names() == []
    assert io.sockets == {}


async def test_late_join_after_the_disconnect_leaves_no_ghost(io, connect, log):
    @io.event
    async def slow(socket):
        await asyncio.sleep(0.05)
        await socket.join("ghost")
        log.append("joined")

    raw, _ = await joined(io, connect)
    await raw.send('42["slow"]')
    await raw.close()
    await log.until("joined")
    assert io.adapter.rooms.room_names() == []
    assert len(io.adapter.rooms) == 0


async def test_connection_handler_may_disconnect_at_once(io, connect):
    io.on("connection", lambda socket: socket.disconnect(close=True))
    raw = await connect(io)
    await raw.send("40")
    assert str(await raw.recv()).startswith('40{"sid"')
    assert await raw.recv() == "41"
    await raw.closed()


async def test_engine_connection_can_be_closed_by_the_program(io, connect, log):
    watch(io, log)
    raw, socket = await joined(io, connect)
    socket.join("r")
    socket.emit("last")
    socket.conn.close()
    assert log == both("forced close")
    assert await raw.recv() == '42["last"]'
    await raw.closed()

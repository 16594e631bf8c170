"""The emit cheat sheet of api.md, row by row, with socket.io-client 4.8.4 at the other end of a real WebSocket."""

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import pytest

from roomcast import AckTimeoutError, ConnectError, ReservedEventError
from roomcast.server import Server, Socket
from roomcast.types import RESERVED_EVENTS
from support.official_client import ClientError, OfficialClients
from support.reference import UNDEFINED
from support.served import WITH_OFFICIAL_CLIENTS, in_rooms, reached, served, server_socket, settling

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = WITH_OFFICIAL_CLIENTS


async def test_basic_emit_carries_several_arguments(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    server_socket(io, client).emit("hello", 1, "2", {"3": b"\x04"}, None, [True, 1.5, "é😀"])
    assert await client.next("hello") == [1, "2", {"3": b"\x04"}, None, [True, 1.5, "é😀"]]
    assert (await client.state())["transport"] == "websocket"


async def test_client_is_told_what_does_not_fit(io: Server, clients: OfficialClients) -> None:
    @io.event(validate=True)
    def say(socket: Socket, text: str, picture: bytes) -> int:
        return len(text) + len(picture)

    client = await clients.connect()
    assert await client.ask("say", "héllo", b"\x00") == [6]
    (refusal,) = await client.ask("say", "hello", "no bytes")
    assert refusal == {
        "error": "validation",
        "path": "args[1]",
        "message": "Expected `bytes`, got `str`",
    }


async def test_client_emit_carries_several_arguments(io: Server, clients: OfficialClients) -> None:
    got: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    client = await clients.connect()
    server_socket(io, client).on("up", lambda *args: got.put_nowait(args))
    client.emit("up", 1, "2", {"3": b"\x04"}, None, [True, 1.5, "é😀"])
    client.emit("up")
    assert await got.get() == (1, "2", {"3": b"\x04"}, None, [True, 1.5, "é😀"])
    assert await got.get() == ()


async def test_binary_goes_both_ways(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    server_socket(io, client).on("echo", lambda *args: args)
    parts = [bytes([i]) * (i * 1000) for i in range(10)]  # ten is what a packet may hold
    assert await client.ask("echo", {"parts": parts}) == [{"parts": parts}]
    assert await client.ask("echo", b"", [b"\x00" * 200_000]) == [b"", [b"\x00" * 200_000]]
    assert await client.ask("echo", {"_placeholder": True, "num": 0}) == [
        {"_placeholder": True, "num": 0}
    ]


async def test_unicode_and_surrogates_survive(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    server_socket(io, client).on("echo", lambda *args: args)
    text = 'é漢😀\u2028"\\\x00\x7f'
    assert await client.ask("echo", text, {text: text}) == [text, {text: text}]
    assert await client.ask("echo", "cut \ud83d") == ["cut \ufffd"]
    server_socket(io, client).emit("cut", "\ud83d")
    assert await client.next("cut") == ["\ud83d"]


async def test_order_is_kept(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    got: list[int] = []
    socket.on("up", lambda number, *_: got.append(number))
    for i in range(300):
        socket.emit("down", i, *([b"x"] if i % 3 == 0 else []))
        client.emit("up", i, *([b"x"] if i % 4 == 0 else []))
    assert [(await client.next("down"))[0] for _ in range(300)] == list(range(300))
    await client.settle()
    assert got == list(range(300))


async def test_io_emit_reaches_everyone(io: Server, clients: OfficialClients) -> None:
    three = await in_rooms(clients, (), (), ("a",))
    io.emit("hello", 1)
    assert await reached(three) == [1, 1, 1]


async def test_broadcast_leaves_out_the_sender(io: Server, clients: OfficialClients) -> None:
    three = await in_rooms(clients, (), (), ())
    server_socket(io, three[0]).broadcast.emit("hello", b"binary")
    assert await reached(three) == [0, 1, 1]
    assert await three[1].next("hello") == [b"binary"]


async def test_to_reaches_each_socket_once(io: Server, clients: OfficialClients) -> None:
    five = await in_rooms(clients, ("a",), ("b",), ("a", "b"), ("c",), ())
    io.to("a", "b").emit("hello")
    assert await reached(five) == [1, 1, 1, 0, 0]
    io.to(["a", "b"]).emit("hello")
    assert await reached(five) == [2, 2, 2, 0, 0]
    io.to("a").to("b").emit("hello")
    assert await reached(five) == [3, 3, 3, 0, 0]
    io.in_("c").emit("hello")
    assert await reached(five) == [3, 3, 3, 1, 0]
    io.to("nobody").emit("hello")
    assert await reached(five) == [3, 3, 3, 1, 0]


async def test_socket_to_leaves_out_the_sender(io: Server, clients: OfficialClients) -> None:
    four = await in_rooms(clients, ("a",), ("b",), ("a", "b"), ())
    server_socket(io, four[2]).to("a").emit("hello")
    assert await reached(four) == [1, 0, 0, 0]
    server_socket(io, four[2]).to("a", "b").emit("hello")
    assert await reached(four) == [2, 1, 0, 0]
    server_socket(io, four[3]).to(["a", "b"]).emit("hello")
    assert await reached(four) == [3, 2, 1, 0]


async def test_except_leaves_out_rooms_and_ids(io: Server, clients: OfficialClients) -> None:
    four = await in_rooms(clients, ("a",), ("a", "c"), ("b",), ("c",))
    io.to(["a", "b"]).except_("c").emit("hello")
    assert await reached(four) == [1, 0, 1, 0]
    io.except_("a").emit("hello")
    assert await reached(four) == [1, 0, 2, 1]
    io.except_(four[0].id, "c").emit("hello")
    assert await reached(four) == [1, 0, 3, 1]
    server_socket(io, four[0]).except_("c").emit("hello")
    assert await reached(four) == [1, 0, 4, 1]


async def test_all_of_is_the_intersection(io: Server, clients: OfficialClients) -> None:
    five = await in_rooms(clients, ("a", "c"), ("b",), ("b", "c"), ("c",), ("a", "c", "d"))
    io.all_of("a", "c").emit("hello")
    assert await reached(five) == [1, 0, 0, 0, 1]
    io.to("a", "b").all_of("c").except_("d").emit("hello")
    assert await reached(five) == [2, 0, 1, 0, 1]


async def test_io_to_a_socket_id_is_private(io: Server, clients: OfficialClients) -> None:
    one, two = await in_rooms(clients, ("a",), ("a",))
    io.to(one.id).emit("hello")
    assert await reached([one, two]) == [1, 0]


async def test_a_room_named_like_an_id_reads_nothing(io: Server, clients: OfficialClients) -> None:
    one = await clients.connect()
    (spy,) = await in_rooms(clients, (one.id,))
    io.to(one.id).emit("hello")
    assert await reached([one, spy]) == [1, 0]


async def test_to_its_own_id_warns(io: Server, clients: OfficialClients) -> None:
    one = await clients.connect()
    socket = server_socket(io, one)
    with pytest.warns(RuntimeWarning, match=r"socket\.emit"):
        socket.to(socket.id).emit("hello")
    assert await reached([one]) == [0]


async def test_join_and_leave(io: Server, clients: OfficialClients) -> None:
    one, two = await in_rooms(clients, (), ())
    socket = server_socket(io, one)
    assert socket.rooms == {one.id}
    await socket.join("a")
    await socket.join(["b", "c"])
    assert socket.rooms == {one.id, "a", "b", "c"}
    await socket.leave("b")
    assert socket.rooms == {one.id, "a", "c"}
    io.to("a").emit("hello")
    io.to("b").emit("hello")
    assert await reached([one, two]) == [1, 0]


async def test_of_separates_namespaces(io: Server, clients: OfficialClients) -> None:
    @io.of("myNamespace").on("connection")
    def connection(socket: Socket) -> None:
        socket.on("settle", lambda: None)
        socket.join("room1")

    main = await clients.connect()
    inner = await clients.connect("/myNamespace", manager=main)  # the same connection
    assert main.id != inner.id
    io.of("myNamespace").emit("hello", 1)
    io.of("/myNamespace").to("room1").emit("hello", 2)
    io.of("/myNamespace").to(inner.id).emit("hello", b"3")
    assert await reached([main, inner]) == [0, 3]
    io.emit("hello")
    io.to("room1").emit("hello")
    assert await reached([main, inner]) == [1, 3]


@pytest.mark.parametrize("namespace", ["/nope", "/su?token=1", "/ADMIN"])
async def test_unknown_namespaces_are_refused(
    io: Server, clients: OfficialClients, namespace: str
) -> None:
    io.of("/admin")
    client = clients.open("/", auth={})
    await client.next("connect")
    refused = clients.open(namespace, manager=client)
    message, *_ = await refused.next("connect_error")
    assert message == "Invalid namespace"
    await client.settle()  # the connection stays


async def test_names_keep_what_a_url_may_hold(io: Server, clients: OfficialClients) -> None:
    io.of("/ä b?c").on("connection", lambda socket: socket.emit("hello", socket.nsp.name))
    main = await clients.connect()
    inner = await clients.connect("/ä b?c", manager=main)
    assert await inner.next("hello") == ["/ä b?c"]


async def test_auth_reaches_the_handshake(io: Server, clients: OfficialClients) -> None:
    auth = {"token": "123", "deep": [{"é": None}], "n": 1.5}
    client = await clients.connect(auth=auth)
    assert server_socket(io, client).handshake.auth == auth
    bare = await clients.connect()
    assert server_socket(io, bare).handshake.auth == {}


async def test_query_and_headers_reach_the_handshake(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect(query={"x": "1 é"}, extraHeaders={"X-Custom": "abc"})
    handshake = server_socket(io, client).handshake
    assert handshake.query["x"] == "1 é"
    assert handshake.query["EIO"] == "4"
    assert handshake.headers["x-custom"] == "abc"
    assert handshake.address == "127.0.0.1"
    assert handshake.secure is False


async def test_ack_of_the_client_as_a_callback(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    await client.answer("question", 1, {"b": b"\x02"})
    answers: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    socket = server_socket(io, client)
    socket.emit("question", "x", ack=lambda *args: answers.put_nowait(args))
    assert await answers.get() == (1, {"b": b"\x02"})

    async def later(*args: Any) -> None:
        await asyncio.sleep(0)
        answers.put_nowait(args)

    await client.answer("question")
    socket.emit("question", ack=later)
    assert await answers.get() == ()


async def test_ack_of_the_client_as_an_awaitable(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    await client.answer("question", {"a": [b"1"]})
    assert await socket.emit_with_ack("question") == {"a": [b"1"]}
    await client.answer("question", 1, 2)
    assert await socket.emit_with_ack("question") == (1, 2)
    await client.answer("question", 3)
    assert await socket.timeout(5).emit_with_ack("question") == 3


async def test_ack_that_does_not_come_times_out(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    with pytest.raises(AckTimeoutError) as info:
        await socket.timeout(0.1).emit_with_ack("my-event")
    assert info.value.responses == []
    got: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    socket.timeout(0.1).emit("my-event", ack=lambda err, *args: got.put_nowait((err, *args)))
    (error,) = await got.get()
    assert isinstance(error, AckTimeoutError)
    await client.answer("my-event", "here")
    socket.timeout(5).emit("my-event", ack=lambda err, *args: got.put_nowait((err, *args)))
    assert await got.get() == (None, "here")


@pytest.mark.parametrize(
    ("returned", "args"),
    [
        (None, []),
        (1, [1]),
        ("x", ["x"]),
        ((), []),
        ((1, b"2", None), [1, b"2", None]),
        ([1, 2], [[1, 2]]),
        (b"bytes", [b"bytes"]),
        ({"a": b"b"}, [{"a": b"b"}]),
        (False, [False]),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def", "async def that waits"])
async def test_ack_of_the_server_is_what_the_handler_returns(
    io: Server, clients: OfficialClients, returned: Any, args: list[Any], kind: str
) -> None:
    handlers: dict[str, Callable[..., Any]] = {}

    def plain(*_: Any) -> Any:
        return returned

    async def quick(*_: Any) -> Any:
        return returned

    async def slow(*_: Any) -> Any:
        await asyncio.sleep(0.01)
        return returned

    handlers = {"def": plain, "async def": quick, "async def that waits": slow}
    client = await clients.connect()
    server_socket(io, client).on("question", handlers[kind])
    assert await client.ask("question", 1) == args
    assert await client.ask("question", b"x", timeout_ms=3000) == args


async def test_a_handler_that_raises_answers_nothing(
    io: Server, clients: OfficialClients, caplog: pytest.LogCaptureFixture
) -> None:
    client = await clients.connect()

    def broken() -> None:
        raise LookupError("internal")

    server_socket(io, client).on("question", broken)
    with pytest.raises(ClientError, match="operation has timed out"):
        await client.ask("question", timeout_ms=100)
    await client.settle()  # the connection lives on
    assert any("question" in record.getMessage() for record in caplog.records)


async def test_a_broadcast_collects_one_answer_per_client(
    io: Server, clients: OfficialClients
) -> None:
    three = await in_rooms(clients, ("room1",), ("room1",), ())
    for number, client in enumerate(three):
        await client.answer("vote", number, "only the first argument counts")
    assert sorted(await io.to("room1").timeout(5).emit_with_ack("vote", b"x")) == [0, 1]
    assert await io.to("nobody").timeout(5).emit_with_ack("vote") == []


async def test_a_broadcast_that_times_out_carries_the_answers(
    io: Server, clients: OfficialClients
) -> None:
    three = await in_rooms(clients, (), (), ())
    for number, client in enumerate(three[:2]):
        await client.answer("vote", number)
    with pytest.raises(AckTimeoutError) as info:
        await io.timeout(0.3).emit_with_ack("vote")
    assert sorted(info.value.responses) == [0, 1]


async def test_namespace_handlers_get_the_socket(io: Server, clients: OfficialClients) -> None:
    @io.event
    def greet(socket: Socket, name: str) -> str:
        return f"{name} {socket.id}"

    @io.event("chat message")
    async def chat(socket: Socket, text: str, data: bytes) -> tuple[str, bytes]:
        return text, data

    client = await clients.connect()
    assert await client.ask("greet", "ann") == [f"ann {client.id}"]
    assert await client.ask("chat message", "x", b"y") == ["x", b"y"]


async def test_the_client_disconnects(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect(auth={"rooms": ["a"]})
    socket = server_socket(io, client)
    heard: asyncio.Queue[tuple[str, str, set[str]]] = asyncio.Queue()
    for event in ("disconnecting", "disconnect"):
        socket.on(
            event,
            lambda reason, *_, event=event: heard.put_nowait((event, reason, set(socket.rooms))),
        )
    client.disconnect()
    reason = "client namespace disconnect"
    assert await heard.get() == ("disconnecting", reason, {client.id, "a"})
    assert await heard.get() == ("disconnect", reason, set())
    assert await client.next("disconnect") == ["io client disconnect", False]
    assert not socket.connected
    await socket.join("a")  # a no-op: no ghost member
    assert client.id not in io.of("/").sockets


@pytest.mark.parametrize("close", [False, True])
async def test_the_server_disconnects(io: Server, clients: OfficialClients, close: bool) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    io.of("/other")
    other = await clients.connect("/other", manager=client)
    heard: asyncio.Queue[str] = asyncio.Queue()
    socket.on("disconnect", lambda reason, *_: heard.put_nowait(reason))
    socket.emit("last", b"words")
    socket.disconnect(close=close)
    assert await client.next("last") == [b"words"]
    assert await heard.get() == "server namespace disconnect"
    assert await client.next("disconnect") == ["io server disconnect", False]
    if close:  # DISCONNECT for every namespace, then the transport closes
        assert await other.next("disconnect") == ["io server disconnect", False]
    else:
        assert (await other.state())["connected"]


async def test_the_line_is_cut_by_the_client(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    heard: asyncio.Queue[str] = asyncio.Queue()
    server_socket(io, client).on("disconnect", lambda reason, *_: heard.put_nowait(reason))
    client.close_engine()
    assert await heard.get() == "transport close"
    assert (await client.next("disconnect"))[0] == "forced close"


async def test_the_server_closes(node: OfficialClients) -> None:
    io = settling(Server())
    async with served(io, node) as clients:
        client = await clients.connect()
        heard: asyncio.Queue[str] = asyncio.Queue()
        server_socket(io, client).on("disconnect", lambda reason, *_: heard.put_nowait(reason))
        await io.close()
        assert await heard.get() == "server shutting down"
        assert (await client.next("disconnect"))[0] == "transport close"


async def test_a_client_may_come_back(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect(reconnection=True, reconnectionDelay=10, randomizationFactor=0)
    first = client.id
    client.close_engine()
    await client.next("disconnect")
    await client.next("connect")
    assert client.id != first
    await client.settle()
    assert list(io.of("/").sockets) == [client.id]


async def test_middleware_refuses_with_its_own_words(io: Server, clients: OfficialClients) -> None:
    connected: list[Any] = []
    io.on("connection", connected.append)

    @io.use
    async def check(socket: Socket) -> None:
        await asyncio.sleep(0)
        assert not socket.connected
        match socket.handshake.auth:
            case {"token": "right"}:
                return
            case {"token": "plain"}:
                raise ConnectError("not authorized")
            case _:
                raise ConnectError("not authorized", {"code": 7, "more": [None, "é"]})

    assert await clients.open(auth={"token": "plain"}).next("connect_error") == [
        "not authorized",
        UNDEFINED,
    ]
    assert await clients.open(auth={"token": "wrong"}).next("connect_error") == [
        "not authorized",
        {"code": 7, "more": [None, "é"]},
    ]
    assert connected == []
    client = await clients.connect(auth={"token": "right"})
    assert [socket.id for socket in connected] == [client.id]


async def test_middleware_that_fails_keeps_its_words(
    io: Server, clients: OfficialClients, caplog: pytest.LogCaptureFixture
) -> None:
    @io.use
    def broken(socket: Socket) -> None:
        raise LookupError("password is hunter2")

    message, *data = await clients.open().next("connect_error")
    assert "hunter2" not in str(message)
    assert "hunter2" not in str(data)
    assert caplog.records


async def test_middleware_may_emit_and_join_before_the_answer(
    io: Server, clients: OfficialClients
) -> None:
    @io.use
    def early(socket: Socket) -> None:
        socket.join("early")
        socket.emit("early", 1)

    client = await clients.connect()
    assert await client.next("early") == [1]
    assert "early" in server_socket(io, client).rooms


async def test_middlewares_of_the_main_namespace_stay_there(
    io: Server, clients: OfficialClients
) -> None:
    @io.use
    def refuse(socket: Socket) -> None:
        raise ConnectError("main only")

    io.of("/other").on("connection", lambda socket: socket.emit("hello"))
    client = await clients.connect("/other")
    await client.next("hello")


async def test_heartbeat_keeps_a_quiet_connection(node: OfficialClients) -> None:
    io = settling(Server(ping_interval=0.1, ping_timeout=0.1))
    async with served(io, node) as clients:
        client = await clients.connect()
        await asyncio.sleep(0.7)
        assert client.waiting("disconnect") == 0
        await client.settle()


async def test_heartbeat_finds_a_client_that_is_stopped(node: OfficialClients) -> None:
    io = settling(Server(ping_interval=0.1, ping_timeout=0.2))
    async with served(io, node) as clients:
        client = await clients.connect()
        heard: asyncio.Queue[str] = asyncio.Queue()
        server_socket(io, client).on("disconnect", lambda reason, *_: heard.put_nowait(reason))
        clients.process.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(3):
                assert await heard.get() == "ping timeout"
        finally:
            clients.process.send_signal(signal.SIGCONT)
        assert (await client.next("disconnect"))[0] in {"transport close", "ping timeout"}


@pytest.mark.parametrize("event", sorted(RESERVED_EVENTS))
async def test_reserved_events_do_not_leave_the_server(
    io: Server, clients: OfficialClients, event: str
) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    for sender in (socket, socket.broadcast, io, io.to("a"), io.of("/")):
        with pytest.raises(ReservedEventError) as info:
            sender.emit(event, 1)
        assert info.value.event == event
    await client.settle()
    assert client.order == ["connect"]


@pytest.mark.parametrize("event", sorted(RESERVED_EVENTS))
async def test_reserved_events_do_not_leave_the_client(
    io: Server, clients: OfficialClients, event: str
) -> None:
    client = await clients.connect()
    client.emit(event)
    assert await client.errors.get() == f'"{event}" is a reserved event name'
    await client.settle()


async def test_reserved_events_on_the_wire_end_the_connection(
    io: Server, clients: OfficialClients
) -> None:
    client = await clients.connect()
    called: list[Any] = []
    heard: asyncio.Queue[str] = asyncio.Queue()
    socket = server_socket(io, client)
    socket.on("disconnect", lambda reason, *_: heard.put_nowait(reason))
    socket.on("newListener", lambda *args: called.append(args))
    client.send_raw('2["newListener","x"]')
    assert await heard.get() == "forced close"
    assert called == []
    assert (await client.next("disconnect"))[0] == "transport close"


@pytest.mark.parametrize("event", ["error", "connection", "message", "reconnect", "ping"])
async def test_names_that_only_sound_reserved_are_ordinary(
    io: Server, clients: OfficialClients, event: str
) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    if event != "error":  # a listener for `error` is also the hook for what goes wrong
        socket.on(event, lambda *args: args)
        assert await client.ask(event, 1) == [1]
    socket.emit(event, 2)
    assert await client.next(event) == [2]


async def test_bytes_of_a_packet_are_fixed_when_emit_returns(
    io: Server, clients: OfficialClients
) -> None:
    client = await clients.connect()
    data: dict[str, Any] = {"list": [1], "buffer": bytearray(b"before")}
    server_socket(io, client).emit("hello", data)
    data["list"].append(2)
    data["buffer"][:] = b"after!"
    assert await client.next("hello") == [{"list": [1], "buffer": b"before"}]


async def test_default_converts_what_json_does_not_know(node: OfficialClients) -> None:
    io = settling(Server(default=sorted))
    async with served(io, node) as clients:
        client = await clients.connect()
        server_socket(io, client).emit("hello", {3, 1, 2})
        assert await client.next("hello") == [[1, 2, 3]]

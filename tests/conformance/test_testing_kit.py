"""The test kit tells the truth: the same scenarios over it, and over a real port with the official client."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from roomcast import ConnectError, Server, testing
from roomcast.server import Socket
from support.official_client import OfficialClient, OfficialClients
from support.reference import missing_reference

pytestmark = [pytest.mark.timeout(30), pytest.mark.asyncio(loop_scope="module")]


class KitClient:
    """A socket of the test kit, with the methods of `OfficialClient`."""

    def __init__(self, socket: testing.Socket) -> None:
        self.socket = socket
        self.queues: defaultdict[str, asyncio.Queue[list[Any]]] = defaultdict(asyncio.Queue)
        self.order: list[str] = []
        self.connecting: asyncio.Task[None] | None = None
        socket.on_any(self.heard)
        socket.on("connect", lambda: self.heard("connect", socket.id))
        socket.on("connect_error", lambda e: self.heard("connect_error", e.message, e.data))
        socket.on("disconnect", lambda reason: self.heard("disconnect", reason, socket.active))

    def heard(self, event: str, *args: Any) -> None:
        self.order.append(event)
        self.queues[event].put_nowait(list(args))

    @property
    def id(self) -> str | None:
        return self.socket.id

    async def connect(self) -> None:
        try:
            await self.socket
        except ConnectError:
            pass

    async def next(self, event: str) -> list[Any]:
        async with asyncio.timeout(5):
            return await self.queues[event].get()

    def emit(self, event: str, *args: Any) -> None:
        self.socket.emit(event, *args)

    async def ask(self, event: str, *args: Any, timeout_ms: int | None = None) -> list[Any]:
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if timeout_ms is None:
            self.socket.emit(event, *args, ack=lambda *answer: answered.set_result(list(answer)))
            return await answered

        def done(error: Exception | None, *answer: Any) -> None:
            if error is None:
                answered.set_result(list(answer))
            else:
                answered.set_exception(error)

        self.socket.timeout(timeout_ms / 1000).emit(event, *args, ack=done)
        return await answered

    async def answer(self, event: str, *args: Any) -> None:
        self.socket.on(event, lambda *_: args)

    async def state(self) -> dict[str, Any]:
        socket = self.socket
        return {
            "connected": socket.connected,
            "active": socket.active,
            "recovered": socket.recovered,
            "transport": socket.transport,
        }

    def disconnect(self) -> None:
        self.socket.disconnect()

    def send_raw(self, text: str) -> None:
        engine = self.socket.manager._engine
        assert engine is not None
        engine.send((f"4{text}",))


class KitSide:
    """Clients of the test kit."""

    def __init__(self, io: Server) -> None:
        self.io = io
        self.opened: list[KitClient] = []

    def open(self, nsp: str = "/", *, manager: KitClient | None = None, **options: Any):
        if "extraHeaders" in options:
            options["headers"] = options.pop("extraHeaders")
        if manager is None:
            socket = testing.connect(self.io, nsp, **options)
        else:
            socket = manager.socket.manager.socket(nsp, **options)
        client = KitClient(socket)
        client.connecting = asyncio.ensure_future(client.connect())
        self.opened.append(client)
        return client

    async def connect(self, nsp: str = "/", **options: Any) -> KitClient:
        client = self.open(nsp, **options)
        await client.next("connect")
        return client

    async def close(self) -> None:
        for client in self.opened:
            if client.connecting is not None:
                await client.connecting
            await client.socket.manager.close()


Client = KitClient | OfficialClient
Side = KitSide | OfficialClients


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def node() -> AsyncIterator[OfficialClients | None]:
    if missing_reference() is not None:
        yield None
        return
    async with OfficialClients() as clients:
        yield clients


@pytest.fixture
def io() -> Server:
    io = Server()
    io.of("/").on("connection", lambda socket: socket.on("settle", lambda: None))
    return io


@pytest_asyncio.fixture(loop_scope="module", params=["kit", "official client"])
async def side(
    request: pytest.FixtureRequest, io: Server, node: OfficialClients | None
) -> AsyncIterator[Side]:
    if request.param == "kit":
        kit = KitSide(io)
        yield kit
        await kit.close()
        return
    if node is None:
        pytest.skip(str(missing_reference()))
    listening = await io.listen(0)
    node.reset(f"http://127.0.0.1:{listening.port}")
    yield node
    node.reset("")
    await no_connections(io)
    await io.close()


@pytest.fixture(params=["websocket", "polling"])
def transports(request: pytest.FixtureRequest) -> list[str]:
    return [request.param]


class Ends:
    """How sockets have ended, as the server has it."""

    def __init__(self, nsp: Any) -> None:
        self.reasons: asyncio.Queue[str] = asyncio.Queue()
        nsp.on("connection", lambda socket: socket.on("disconnect", self.reasons.put_nowait))

    async def next(self) -> str:
        async with asyncio.timeout(5):
            return await self.reasons.get()


async def no_connections(io: Server) -> None:
    async with asyncio.timeout(5):
        while io.engine.connections:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.005)


async def test_events_go_both_ways_in_their_order(
    io: Server, side: Side, transports: list[str]
) -> None:
    @io.event
    def echo(socket: Socket, *args: Any) -> None:
        socket.emit("back", *args)

    client = await side.connect(transports=transports)
    sent: list[list[Any]] = [
        [1, "2", {"3": b"\x04"}, None, [True, 1.5, "é😀"]],
        [],
        [b"", [b"\x00" * 200_000]],
        ["last"],
    ]
    for args in sent:
        client.emit("echo", *args)
    assert [await client.next("back") for _ in sent] == sent
    assert (await client.state())["transport"] == transports[0]


@pytest.mark.parametrize("answer", [None, 7, (), ("delivered", b"\x00")])
async def test_the_server_acknowledges(io: Server, side: Side, answer: Any) -> None:
    io.event("ask")(lambda socket: answer)
    client = await side.connect()
    expected = list(answer) if isinstance(answer, tuple) else [] if answer is None else [answer]
    assert await client.ask("ask") == expected


async def test_an_acknowledgement_is_late(io: Server, side: Side) -> None:
    client = await side.connect()
    with pytest.raises(Exception, match=r"^operation has timed out$"):
        await client.ask("nobody listens", timeout_ms=20)


async def test_an_acknowledgement_is_lost_with_the_socket(io: Server, side: Side) -> None:
    io.event("ask")(lambda socket: socket.disconnect())
    client = await side.connect()
    with pytest.raises(Exception, match=r"^socket has been disconnected$"):
        await client.ask("ask", timeout_ms=10_000)


@pytest.mark.parametrize("answer", [(), (7,), ("a", b"\x00")])
async def test_the_client_acknowledges(
    io: Server, side: Side, transports: list[str], answer: tuple[Any, ...]
) -> None:
    client = await side.connect(transports=transports)
    await client.answer("question", *answer)
    asked = io.of("/").sockets[client.id or ""].timeout(5).emit_with_ack("question", b"?")
    assert await asked == (answer[0] if len(answer) == 1 else answer or None)


async def test_a_middleware_refuses(io: Server, side: Side, transports: list[str]) -> None:
    @io.use
    def refuse(socket: Socket) -> None:
        raise ConnectError("not you", {"code": 7})

    client = side.open(transports=transports)
    assert await client.next("connect_error") == ["not you", {"code": 7}]
    assert (await client.state())["active"] is False
    await no_connections(io)


async def test_a_namespace_is_invalid(io: Server, side: Side) -> None:
    client = side.open("/nope")
    assert (await client.next("connect_error"))[0] == "Invalid namespace"
    await no_connections(io)


@pytest.mark.parametrize(
    ("transport", "message"), [("websocket", "websocket error"), ("polling", "xhr poll error")]
)
async def test_a_foreign_origin_is_refused(
    io: Server, side: Side, transport: str, message: str
) -> None:
    foreign = {"origin": "https://elsewhere.example"}
    client = side.open(transports=[transport], extraHeaders=foreign)
    assert (await client.next("connect_error"))[0] == message
    assert not io.engine.connections


async def test_what_a_middleware_emits_comes_before_connect(io: Server, side: Side) -> None:
    @io.use
    def early(socket: Socket) -> None:
        socket.emit("early", 1)

    io.on("connection")(lambda socket: socket.emit("welcome"))
    client = side.open()
    await client.next("welcome")
    assert client.order == ["early", "connect", "welcome"]


async def test_what_is_emitted_before_the_connection_arrives_after_it(
    io: Server, side: Side
) -> None:
    client = side.open("/late")
    io.of("/late").event("up")(lambda socket, number: socket.emit("back", number))
    client.emit("up", 1)
    client.emit("up", 2)
    assert [await client.next("back"), await client.next("back")] == [[1], [2]]


@pytest.mark.parametrize("close", [False, True])
async def test_the_server_disconnects(
    io: Server, side: Side, transports: list[str], close: bool
) -> None:
    ends = Ends(io)
    client = await side.connect(transports=transports)
    io.of("/").sockets[client.id or ""].disconnect(close)
    assert await client.next("disconnect") == ["io server disconnect", False]
    assert await ends.next() == "server namespace disconnect"
    await no_connections(io)


async def test_the_client_disconnects(io: Server, side: Side, transports: list[str]) -> None:
    ends = Ends(io)
    client = await side.connect(transports=transports)
    client.disconnect()
    assert await client.next("disconnect") == ["io client disconnect", False]
    assert await ends.next() == "client namespace disconnect"
    await no_connections(io)


async def test_the_server_shuts_down(io: Server, side: Side) -> None:
    ends = Ends(io)
    client = await side.connect()
    closing = asyncio.ensure_future(io.close())
    assert await client.next("disconnect") == ["transport close", True]
    assert await ends.next() == "server shutting down"
    await closing


async def test_a_hostile_packet_ends_the_connection(io: Server, side: Side) -> None:
    ends = Ends(io)
    client = await side.connect()
    client.send_raw('2["disconnect"]')
    assert await ends.next() == "forced close"
    assert await client.next("disconnect") == ["transport close", True]


async def test_namespaces_share_a_connection(io: Server, side: Side, transports: list[str]) -> None:
    ends = Ends(io.of("/chat"))
    first: Any = await side.connect(transports=transports)
    second = side.open("/chat", manager=first, auth={"token": 1})
    await second.next("connect")
    (connection,) = io.engine.connections.values()
    chat = io.of("/chat").sockets[second.id or ""]
    assert chat.conn is connection
    assert dict(chat.handshake.auth) == {"token": 1}
    second.disconnect()
    assert await ends.next() == "client namespace disconnect"
    assert await first.ask("settle") == []
    assert (await first.state())["connected"] is True


async def test_polling_moves_to_a_websocket(io: Server, side: Side) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        for number in range(20):
            socket.emit("number", number)

    io.event("echo")(lambda socket, number: socket.emit("number", number))
    client = await side.connect(transports=["polling", "websocket"])
    for number in range(20, 40):
        client.emit("echo", number)
    assert [(await client.next("number"))[0] for _ in range(40)] == list(range(40))
    async with asyncio.timeout(5):
        while (await client.state())["transport"] != "websocket":  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert await client.ask("settle") == []


async def test_query_and_headers_arrive(io: Server, side: Side, transports: list[str]) -> None:
    client = await side.connect(
        transports=transports, query={"room": "ä&b"}, extraHeaders={"x-token": "7"}
    )
    handshake = io.of("/").sockets[client.id or ""].handshake
    assert handshake.query["room"] == "ä&b"
    assert handshake.query["EIO"] == "4"
    assert handshake.query["transport"] == transports[0]
    assert handshake.headers["x-token"] == "7"
    assert handshake.address == "127.0.0.1"

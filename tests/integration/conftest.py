"""Servers on real sockets, and clients that speak raw text frames; every test runs on asyncio and on uvloop."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop
import websockets
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from roomcast import Server
from roomcast.asgi import ASGIApp
from roomcast.serving import Listening
from support.process import open_files
from support.wire import Session, Wire

FULL = os.environ.get("ROOMCAST_HOSTILE") == "full"
"""Whether the hostile tests take the numbers of hardening.md; otherwise theirs are smaller, and take seconds."""


def pytest_asyncio_loop_factories(config, item):
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(config, items):
    """Leave out ASGI on asyncio's own loop: each of both is tested with the faster of the other."""
    left_out = [
        item
        for item in items
        if {"asyncio", "asgi"}
        <= set((getattr(item, "callspec", None) and item.callspec.id.split("-")) or ())
    ]
    config.hook.pytest_deselected(items=left_out)
    for item in left_out:
        items.remove(item)
    if FULL:
        for item in items:
            item.add_marker(pytest.mark.timeout(600))


async def eventually(
    done: Callable[[], object],
    explain: Callable[[], object] = lambda: "not yet",
    *,
    seconds: float = 15,
) -> None:
    """Wait until the server has noticed something that it tells nobody."""
    end = asyncio.get_running_loop().time() + seconds
    while not done():
        assert asyncio.get_running_loop().time() < end, explain()
        await asyncio.sleep(0.005)


def end_all(io: Server) -> None:
    """End the connections that a test has no further use for."""
    for connection in list(io.engine.connections.values()):
        connection.close(discard=True)


async def asgi(app: ASGIApp, scope: dict, incoming: list[dict]) -> list[dict]:
    """Run an ASGI application, which takes what it asks for from ``incoming``; return what it sent."""
    sent = []

    async def receive():
        return incoming.pop(0)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def asgi_handshake(app: ASGIApp) -> str:
    """Begin a connection on polling; return its id."""
    scope = {"type": "http", "method": "GET", "path": "/socket.io/", "headers": []}
    sent = await asgi(app, {**scope, "query_string": b"EIO=4&transport=polling"}, [])
    return json.loads(sent[1]["body"][1:])["sid"]


class Raw:
    """A client that sends and receives frames as they are, and leaves pings unanswered unless told otherwise."""

    def __init__(self, ws: websockets.ClientConnection) -> None:
        self.ws = ws
        self.handshake: dict[str, object] = {}

    async def send(self, *frames: str | bytes) -> None:
        for frame in frames:
            await self.ws.send(frame)

    async def recv(self, seconds: float = 5) -> str | bytes:
        async with asyncio.timeout(seconds):
            return await self.ws.recv()

    async def recv_many(self, count: int) -> list[str | bytes]:
        return [await self.recv() for _ in range(count)]

    async def silent(self, seconds: float = 0.1) -> bool:
        """Whether nothing arrives for a while."""
        try:
            await self.recv(seconds)
        except TimeoutError:
            return True
        return False

    async def join(self, nsp: str = "/", auth: object = None) -> str:
        """Join a namespace; return the socket's id."""
        prefix = "" if nsp == "/" else f"{nsp},"
        await self.send(f"40{prefix}{'' if auth is None else json.dumps(auth)}")
        answer = await self.recv()
        assert isinstance(answer, str)
        assert answer.startswith(f"40{prefix}"), answer
        return json.loads(answer[2 + len(prefix) :])["sid"]

    async def closed(self) -> int:
        """Wait for the close; return its code."""
        async with asyncio.timeout(5):
            while True:
                try:
                    await self.ws.recv()
                except websockets.ConnectionClosed:
                    break
        return self.ws.close_code or 0

    async def close(self) -> None:
        await self.ws.close()


Connect = Callable[..., Awaitable[Raw]]
Dial = Callable[[Server], Awaitable[Wire]]
Poll = Callable[[Server], Awaitable[Session]]
PortOf = Callable[[Server], Awaitable[int]]
Serve = Callable[[Server], Awaitable[Listening]]


@pytest.fixture(params=["direct", "asgi"])
def websockets_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Serve WebSockets directly, or by plain ASGI as under any other server."""
    if request.param == "asgi":
        monkeypatch.setattr("roomcast.uvicorn.WebSocketProtocol", WebSocketsSansIOProtocol)
    return request.param


@pytest.fixture
async def servers(websockets_of: str) -> AsyncIterator[list[Server]]:
    """The servers that listen; all are closed at the end of the test."""
    servers: list[Server] = []
    yield servers
    for io in servers:
        await io.close(
            timeout=0
        )  # what a test leaves on polling has nobody to fetch its last packets


@pytest.fixture
def serve(servers: list[Server]) -> Serve:
    """Let a server listen on a free port until the end of the test."""

    async def start(io: Server, **options) -> Listening:
        servers.append(io)
        return await io.listen(0, **options)

    return start


@pytest.fixture
def port_of(serve: Serve) -> PortOf:
    """Tell the port of a server, which starts to listen when it is asked for first."""
    ports: dict[Server, int] = {}

    async def port(io: Server) -> int:
        if io not in ports:
            ports[io] = (await serve(io)).port
        return ports[io]

    return port


@pytest.fixture
async def nothing_left(servers: list[Server]) -> AsyncIterator[None]:
    """See to it that the clients of a test, once they are gone, have left nothing behind.

    It must be asked for before them, so that it looks after they have gone; with ``usefixtures`` it is.
    """
    # libuv keeps one descriptor in reserve from the first port that a loop listens on.
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0):
        pass
    tasks, files = asyncio.all_tasks(), open_files()
    yield
    for io in servers:
        await eventually(lambda io=io: not left_in(io), lambda io=io: left_in(io))
        await io.close()
    tasks.add(asyncio.current_task())
    await eventually(lambda: not asyncio.all_tasks() - tasks, asyncio.all_tasks)
    await eventually(lambda: open_files() <= files, lambda: (open_files(), files))


def left_in(io: Server) -> dict[str, int]:
    """Count what a server holds that belongs to clients; empty if it holds nothing."""
    engine = io.engine
    serving = [listening._server.server_state for listening in io._listening]
    counts = {
        "connections": len(engine.connections),
        "closed connections on polling": len(engine._lingering),
        "websockets": len(engine._websockets),
        "handshakes": engine._places.handshakes,
        "places": engine._places.taken + len(engine._places._addresses),
        "deadlines": len(engine.timers),
        "listeners at work": len(engine._tasks),
        "congested outboxes": engine.flusher.congested,
        "sockets": sum(len(nsp.sockets) for nsp in io._namespaces.values()),
        "rooms": sum(len(nsp.adapter.rooms.room_names()) for nsp in io._namespaces.values()),
        "unfinished packets": len(io.parked) + io.parked.total,
        "requests": sum(len(state.tasks) for state in serving),
        "lines": sum(len(state.connections) for state in serving),
    }
    return {name: count for name, count in counts.items() if count}


@pytest.fixture
async def dial(port_of: PortOf) -> AsyncIterator[Dial]:
    """Open a line to a server."""
    wires: list[Wire] = []

    async def start(io: Server) -> Wire:
        wires.append(await Wire.open(await port_of(io), io.engine.path))
        return wires[-1]

    yield start
    for wire in wires:
        await wire.close()


@pytest.fixture
async def poll(dial: Dial) -> AsyncIterator[Poll]:
    """Connect a client on polling; it says goodbye at the end, unless its connection has ended or moved."""
    sessions: list[tuple[Server, Session]] = []

    async def start(io: Server) -> Session:
        session = Session(await dial(io), await dial(io))
        await session.open()
        sessions.append((io, session))
        return session

    yield start
    for io, session in sessions:
        connection = io.engine.connections.get(session.sid)
        if connection is not None and connection.transport.name == "polling":
            wire = await dial(io)
            await wire.request(session.query, b"1")


@pytest.fixture
async def connect(port_of: PortOf) -> AsyncIterator[Connect]:
    """Connect a raw client to a server, which starts to listen with its first client."""
    clients: list[Raw] = []

    async def start(io: Server, query: str = "EIO=4&transport=websocket", **options) -> Raw:
        url = f"ws://127.0.0.1:{await port_of(io)}{options.pop('path', '/socket.io/')}?{query}"
        raw = Raw(await websockets.connect(url, ping_interval=None, max_size=None, **options))
        clients.append(raw)
        opened = await raw.recv()
        assert isinstance(opened, str)
        assert opened[0] == "0"
        raw.handshake = json.loads(opened[1:])
        return raw

    yield start
    for client in clients:
        await client.close()


@pytest.fixture
def io() -> Server:
    return Server()


class Log(list):
    """What happened on the server, in order."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    def append(self, entry: object) -> None:
        super().append(entry)
        self.changed.set()

    async def until(self, entry: object) -> None:
        await self.wait(lambda: entry in self)

    async def count(self, number: int) -> None:
        await self.wait(lambda: len(self) >= number)

    async def wait(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(3):
            while not done():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def log() -> Log:
    return Log()

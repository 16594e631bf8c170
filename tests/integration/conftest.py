"""Servers on real sockets, and clients that speak raw text frames; every test runs on asyncio and on uvloop."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop
import websockets

from roomcast import Server
from roomcast.serving import Listening


def pytest_asyncio_loop_factories(config, item):
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def eventually(done: Callable[[], bool]) -> None:
    """Wait until the server has noticed something that it tells nobody."""
    async with asyncio.timeout(3):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


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
Serve = Callable[[Server], Awaitable[Listening]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Let a server listen on a free port until the end of the test."""
    servers: list[Server] = []

    async def start(io: Server, **options) -> Listening:
        servers.append(io)
        return await io.listen(0, **options)

    yield start
    for io in servers:
        await io.close(
            timeout=0
        )  # what a test leaves on polling has nobody to fetch its last packets


@pytest.fixture
async def connect(serve: Serve) -> AsyncIterator[Connect]:
    """Connect a raw client to a server, which starts to listen with its first client."""
    clients: list[Raw] = []
    ports: dict[Server, int] = {}

    async def start(io: Server, query: str = "EIO=4&transport=websocket", **options) -> Raw:
        if io not in ports:
            ports[io] = (await serve(io)).port
        url = f"ws://127.0.0.1:{ports[io]}{options.pop('path', '/socket.io/')}?{query}"
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

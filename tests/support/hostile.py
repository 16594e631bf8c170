"""Servers that do what they like: every byte is the test's."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

from support.wire import BINARY, TEXT, frame

__all__ = ["HANDSHAKE", "HostileServer", "Peer"]

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

HANDSHAKE: Final[dict[str, Any]] = {
    "sid": "abc",
    "upgrades": [],
    "pingInterval": 25_000,
    "pingTimeout": 20_000,
    "maxPayload": 1_000_000,
}
"""What the open packet of a well-behaved server says."""


class Peer:
    """One connection of a client.

    Attributes:
        head: The head of the last request.
        body: Its body.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = ""
        self.body = b""

    async def request(self) -> str:
        """Read a request; return its first line."""
        self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = self.header("content-length")
        self.body = b"" if length is None else await self.reader.readexactly(int(length))
        return self.head.partition("\r\n")[0]

    def header(self, name: str) -> str | None:
        """Return a header of the last request."""
        for line in self.head.split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name:
                return value.strip()
        return None

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self,
        body: bytes | str = b"",
        *,
        status: str = "200 OK",
        headers: tuple[str, ...] = ("Content-Type: text/plain",),
    ) -> None:
        """Answer a request."""
        data = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(data)}", "", ""]
        await self.write("\r\n".join(lines).encode("latin-1") + data)

    @property
    def accept(self) -> str:
        """The answer to the key of a WebSocket."""
        key = self.header("sec-websocket-key")
        assert key is not None
        return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()

    async def upgrade(self, *headers: str, accept: str | None = None, rest: bytes = b"") -> None:
        """Read the request of a WebSocket, and agree."""
        await self.request()
        await self.agree(*headers, accept=accept, rest=rest)

    async def agree(self, *headers: str, accept: str | None = None, rest: bytes = b"") -> None:
        """Agree to the last request for a WebSocket."""
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {self.accept if accept is None else accept}",
            *headers,
            "",
            "",
        ]
        await self.write("\r\n".join(lines).encode("latin-1") + rest)

    async def send(self, *messages: str | bytes) -> None:
        """Send messages of a WebSocket."""
        for message in messages:
            opcode = TEXT if isinstance(message, str) else BINARY
            await self.write(frame(opcode, message, masked=False))

    async def join(self, **fields: Any) -> None:
        """Be a server over a WebSocket, up to the answer to CONNECT of the main namespace."""
        await self.upgrade()
        await self.send("0" + json.dumps({**HANDSHAKE, **fields}), '40{"sid":"x"}')

    async def drain(self) -> None:
        """Read until the client ends the line."""
        while await self.reader.read(65_536):
            pass


Program = Callable[[Peer], Awaitable[None]]


class HostileServer:
    """A server that runs a program for each connection; a connection ends with it.

    Attributes:
        url: Where it is.
        connections: How many connections there were.
    """

    def __init__(self, program: Program) -> None:
        self.url = ""
        self.connections = 0
        self._program = program
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._program(Peer(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

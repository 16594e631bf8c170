"""Engine.IO clients made of bytes: nothing is sent that a test did not write, and nothing that comes back is hidden."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import websockets

from support.targets import Target

__all__ = [
    "UPGRADE",
    "Line",
    "Response",
    "Session",
    "answered",
    "closed",
    "exchange",
    "heard",
    "request",
    "websocket",
]

PATIENCE: Final = 15.0

SEPARATOR: Final = "\x1e"

UPGRADE: Final = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""What makes a request ask for a WebSocket."""


class Response(NamedTuple):
    """A response; names of headers in lower case, each with all its values."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header that may be there once."""
        values = self.headers.get(name, [])
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def packets(self) -> list[str]:
        assert self.status == 200, self
        return self.text.split(SEPARATOR)


def request(
    method: str,
    target: str,
    body: bytes | str | None = None,
    headers: Mapping[str, str | None] | None = None,
) -> bytes:
    """Return the bytes of a request; ``None`` as a header's value leaves one out that would be there."""
    data = body.encode() if isinstance(body, str) else body
    all_: dict[str, str | None] = {"host": "localhost"}
    if data is not None:
        all_ |= {"content-type": "text/plain;charset=UTF-8", "content-length": str(len(data))}
    all_ |= headers or {}
    lines = [f"{name}: {value}\r\n" for name, value in all_.items() if value is not None]
    return f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1") + (data or b"")


class Line:
    """One TCP connection. What a test leaves open, `close_all` closes."""

    opened: ClassVar[list["Line"]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.opened.append(self)

    @classmethod
    async def open(cls, port: int) -> "Line":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        # A server may have refused and gone already; the answer is still to be read.
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def response(self, *, to_head: bool = False) -> Response | None:
        """Read a response; ``None`` if the line ends without one.

        Args:
            to_head: The request was a HEAD, so that no body follows.
        """
        async with asyncio.timeout(PATIENCE):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            headers: dict[str, list[str]] = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers.setdefault(name.lower(), []).append(value.strip())
            status = int(first.split(" ")[1])
            body = b"" if to_head or status in (101, 204) else await self._body(headers)
            return Response(status, headers, body)

    async def _body(self, headers: dict[str, list[str]]) -> bytes:
        if "content-length" in headers:
            (length,) = headers["content-length"]
            return await self.reader.readexactly(int(length))
        if headers.get("transfer-encoding") != ["chunked"]:
            return await self.reader.read()
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return body

    async def rest(self) -> bytes:
        """Read until the server closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def until(self, data: bytes) -> None:
        """Read until certain bytes have come."""
        async with asyncio.timeout(PATIENCE):
            await self.reader.readuntil(data)

    def close(self) -> None:
        self.writer.close()

    @classmethod
    def close_all(cls) -> None:
        """Close the lines of all tests so far."""
        while cls.opened:
            cls.opened.pop().close()

    def reset(self) -> None:
        """End the line as a crash does."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Session:
    """One connection of Engine.IO on polling, every request on a line of its own."""

    def __init__(self, target: Target, handshake: Response | None, query: str) -> None:
        assert handshake is not None
        assert handshake.status == 200, handshake
        assert handshake.text[0] == "0"
        self.target = target
        self.handshake: dict[str, Any] = json.loads(handshake.text[1:])
        self.sid: str = self.handshake["sid"]
        self.query = f"{query}&sid={self.sid}"

    @classmethod
    async def open(cls, target: Target, *, join: bool = True) -> "Session":
        """Connect; ``join`` enters the namespace ``/`` too."""
        query = "EIO=4&transport=polling"
        session = cls(target, await exchange(target, request("GET", f"/socket.io/?{query}")), query)
        if join:
            await session.expect_post("40")
            (joined,) = await session.packets()
            assert joined.startswith("40{"), joined
        return session

    @property
    def url(self) -> str:
        return f"/socket.io/?{self.query}"

    def url_of(self, **changes: str) -> str:
        """Return the URL with parameters changed or added."""
        parameters = dict(part.split("=", 1) for part in self.query.split("&")) | changes
        return "/socket.io/?" + "&".join(f"{name}={value}" for name, value in parameters.items())

    async def get(self, **headers: str) -> Response:
        return answered(await exchange(self.target, request("GET", self.url, headers=headers)))

    async def packets(self) -> list[str]:
        """Poll once."""
        return (await self.get()).packets

    async def held_get(self) -> Line:
        """Begin a GET that finds nothing; return its line when the server holds it."""
        line = await Line.open(self.target.port)
        await line.send(request("GET", self.url))
        # What shows that it is held is that nothing comes; a request takes about a millisecond.
        await asyncio.sleep(0.05)
        return line

    async def post(
        self, body: bytes | str, headers: Mapping[str, str | None] | None = None
    ) -> Response:
        return answered(await exchange(self.target, request("POST", self.url, body, headers)))

    async def expect_post(self, body: bytes | str) -> None:
        response = await self.post(body)
        assert (response.status, response.body) == (200, b"ok"), response

    async def send(self, method: str, **changes: str) -> Response:
        """Send a request without a body, with parameters changed or added."""
        data = request(method, self.url_of(**changes))
        return answered(await exchange(self.target, data, to_head=method == "HEAD"))

    async def websocket(self) -> websockets.ClientConnection:
        """Open a WebSocket for the session."""
        return await websocket(self.target, self.url_of(transport="websocket"))

    async def upgrade(self) -> websockets.ClientConnection:
        """Move to a WebSocket."""
        ws = await self.websocket()
        await ws.send("2probe")
        assert await heard(ws) == "3probe"
        await ws.send("5")
        return ws

    async def alive(self) -> bool:
        """Whether the server still knows it, on polling."""
        response = await self.post('42["note","alive"]')
        if response.status == 400:
            assert json.loads(response.body)["code"] == 1
            return False
        assert response.body == b"ok"
        return True


def answered(response: Response | None) -> Response:
    assert response is not None, "the line ended without a response"
    return response


async def exchange(target: Target, data: bytes, *, to_head: bool = False) -> Response | None:
    """Send a request on a line of its own; return the response."""
    line = await Line.open(target.port)
    try:
        await line.send(data)
        return await line.response(to_head=to_head)
    finally:
        line.close()


async def websocket(target: Target, url: str) -> websockets.ClientConnection:
    """Open a WebSocket that answers no pings of its own and compresses nothing."""
    address = f"ws://127.0.0.1:{target.port}{url}"
    return await websockets.connect(address, ping_interval=None, compression=None)


async def heard(ws: websockets.ClientConnection) -> str | bytes:
    async with asyncio.timeout(PATIENCE):
        return await ws.recv()


async def closed(ws: websockets.ClientConnection) -> int | None:
    """Wait until the server closes a WebSocket; return the code in its close frame."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await ws.recv()
    return ws.close_code

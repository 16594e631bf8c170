"""HTTP and WebSocket byte by byte: what no well-behaved library would send, and one answer at a time."""

import asyncio
import json
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from itertools import cycle
from operator import xor
from typing import Any, Final, NamedTuple

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "WEBSOCKET",
    "Answer",
    "Session",
    "Wire",
    "frame",
    "head",
]

PATIENCE: Final = 1.0
"""Seconds within which every request must be answered, refused ones above all."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""Opcodes."""

Headers = Iterable[tuple[str, str | bytes]]

WEBSOCKET: Final = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
"""The headers of a WebSocket handshake."""


class Answer(NamedTuple):
    """What came back for a request.

    Attributes:
        status: Its status.
        headers: Names in lower case; repeated ones in the order in which they came.
        body: Its body.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the one header of this name; ``None`` if there is none."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, values
        return values[0] if values else None

    @property
    def code(self) -> int | None:
        """The code of an error of the protocol, or ``None``."""
        if self.header("content-type") != "application/json":
            return None
        code = json.loads(self.body)["code"]
        assert isinstance(code, int)
        return code


def head(method: str, target: str | bytes, headers: Headers = ()) -> bytes:
    """Return a request's head; nothing is escaped."""
    lines = [b"%s %s HTTP/1.1" % (method.encode(), _bytes(target)), b"Host: 127.0.0.1"]
    lines += [b"%s: %s" % (name.encode(), _bytes(value)) for name, value in headers]
    return b"\r\n".join([*lines, b"", b""])


def frame(
    opcode: int,
    data: bytes | str = b"",
    *,
    first: int = 0x80,
    masked: bool = True,
    mask: bytes = bytes(4),
) -> bytes:
    """Return a frame, masked with zeros so that its bytes can be read.

    Args:
        opcode: Its opcode.
        data: What it carries.
        first: FIN and the reserved bits.
        masked: Whether it is masked, as a client's must be.
        mask: The mask.
    """
    data = data.encode() if isinstance(data, str) else data
    bit = 0x80 if masked else 0
    if len(data) < 126:
        size = struct.pack("!B", bit | len(data))
    elif len(data) < 1 << 16:
        size = struct.pack("!BH", bit | 126, len(data))
    else:
        size = struct.pack("!BQ", bit | 127, len(data))
    if not masked:
        return bytes((first | opcode,)) + size + data
    if any(mask):
        data = bytes(map(xor, data, cycle(mask)))
    return bytes((first | opcode,)) + size + mask + data


class Wire:
    """One TCP connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.path = path
        self._buffer = bytearray()
        self._closed: str | None = None
        self.patience = PATIENCE

    @classmethod
    async def open(cls, port: int, path: str = "/socket.io/") -> "Wire":
        """Connect to a server."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24), path)

    def target(self, query: str | bytes) -> bytes:
        """Return what a request line names."""
        return _bytes(self.path) + (b"?" + _bytes(query) if query else b"")

    def write(self, data: bytes) -> None:
        """Send bytes, now or as soon as there is room."""
        self.writer.write(data)

    async def drain(self) -> None:
        """Wait until the kernel has taken nearly all bytes."""
        await self.writer.drain()

    def ask(
        self, query: str | bytes, body: bytes | None = None, headers: Headers = (), method: str = ""
    ) -> None:
        """Send a request; a POST if it has a body."""
        if body is None:
            self.write(head(method or "GET", self.target(query), headers))
        else:
            sized = (*headers, ("Content-Length", str(len(body))))
            self.write(head(method or "POST", self.target(query), sized) + body)

    async def request(
        self,
        query: str | bytes,
        body: bytes | None = None,
        headers: Headers = (),
        method: str = "",
        *,
        seconds: float | None = None,
    ) -> Answer:
        """Send a request and return its answer, which must come in time."""
        self.ask(query, body, headers, method)
        return await self.answer(seconds, with_body=method != "HEAD")

    async def answer(self, seconds: float | None = None, *, with_body: bool = True) -> Answer:
        """Return the next answer, which must come in time."""
        # A server that writes head and body apart, and has not switched Nagle off, would wait 40 ms for it.
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        async with asyncio.timeout(self.patience if seconds is None else seconds):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            start, *lines = text.split("\r\n")
            pairs = [line.partition(":") for line in lines if line]
            headers = [(name.lower(), value.strip()) for name, _, value in pairs]
            answer = Answer(int(start.split()[1]), headers, b"")
            length = answer.header("content-length")
            if length is not None:
                return answer._replace(body=await self.reader.readexactly(int(length) * with_body))
            if answer.header("transfer-encoding") == "chunked":
                return answer._replace(body=await self._chunks())
        return answer

    async def ended(self, seconds: float | None = None) -> bytes:
        """Return all that still comes until the other side ends the line, in time."""
        async with asyncio.timeout(self.patience if seconds is None else seconds):
            try:
                return bytes(self._buffer) + await self.reader.read()
            except ConnectionError:
                return bytes(self._buffer)

    async def silent(self, seconds: float = 0.05) -> bool:
        """Say whether nothing comes for a while."""
        try:
            async with asyncio.timeout(seconds):
                return not await self.reader.read(1)
        except TimeoutError:
            return True

    async def upgrade(self, query: str | bytes, headers: Headers = WEBSOCKET) -> Answer:
        """Ask for a WebSocket and return the answer."""
        return await self.request(query, headers=headers)

    def send(self, *messages: str | bytes) -> None:
        """Send messages in a frame each."""
        for message in messages:
            self.write(frame(TEXT if isinstance(message, str) else BINARY, message))

    async def recv(self, seconds: float | None = None) -> str | bytes:
        """Return the next message.

        Raises:
            ConnectionError: If the WebSocket was closed instead; its text is the code, empty for none.
        """
        first, data = await self.recv_frame(seconds)
        return data.decode() if first & 0xF == TEXT else data

    async def recv_frame(self, seconds: float | None = None) -> tuple[int, bytes]:
        """Return the first byte of the next frame and its payload, as they came; raises as `recv` does."""
        if self._closed is not None:
            raise ConnectionError(self._closed)
        async with asyncio.timeout(self.patience if seconds is None else seconds):
            # Nothing is taken before all of it is there: whoever gives up waiting must not cut a frame.
            while (message := self._next_frame()) is None:
                data = await self.reader.read(65_536)
                if not data:
                    raise asyncio.IncompleteReadError(bytes(self._buffer), None)
                self._buffer += data
            if message[0] & 0xF == CLOSE:
                self._closed = str(int.from_bytes(message[1][:2], "big")) if message[1] else ""
                raise ConnectionError(self._closed)
        return message

    def _next_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        start, size = 2, buffer[1] & 0x7F if len(buffer) > 1 else 0
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        first, data = buffer[0], bytes(buffer[start : start + size])
        del buffer[: start + size]
        return first, data

    async def closed(self, seconds: float | None = None) -> str:
        """Return the code with which the WebSocket is closed, in time; empty where the line just ends."""
        async with asyncio.timeout(self.patience if seconds is None else seconds):
            try:
                while True:
                    await self.recv(seconds)
            except (ConnectionResetError, asyncio.IncompleteReadError):
                return ""
            except ConnectionError as error:
                return str(error)

    def reset(self) -> None:
        """End the line with RST, whatever is on its way."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """End the line."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return body


class Session:
    """A client on polling, with a line for its GETs and another for its POSTs."""

    def __init__(self, gets: Wire, posts: Wire) -> None:
        self.gets = gets
        self.posts = posts
        self.handshake: dict[str, Any] = {}

    @property
    def sid(self) -> str:
        """Its id."""
        sid = self.handshake["sid"]
        assert isinstance(sid, str)
        return sid

    @property
    def query(self) -> str:
        """The query of its requests."""
        return f"EIO=4&transport=polling&sid={self.sid}"

    @property
    def upgrade_query(self) -> str:
        """The query of the WebSocket that it wants to move to."""
        return f"EIO=4&transport=websocket&sid={self.sid}"

    async def open(self, query: str = "EIO=4&transport=polling") -> None:
        """Begin."""
        answer = await self.gets.request(query)
        assert answer.status == 200, answer
        assert answer.body[:1] == b"0"
        self.handshake = json.loads(answer.body[1:])

    async def get(self) -> Answer:
        """Poll."""
        return await self.gets.request(self.query)

    async def packets(self) -> list[str]:
        """Poll, and return the packets."""
        answer = await self.get()
        assert answer.status == 200, answer
        return answer.body.decode().split("\x1e")

    async def post(
        self, *packets: str | bytes, headers: Headers = (), seconds: float | None = None
    ) -> Answer:
        """Send packets in one body."""
        body = b"\x1e".join(map(_bytes, packets))
        return await self.posts.request(self.query, body, headers, seconds=seconds)

    async def sent(self, *packets: str | bytes, seconds: float | None = None) -> None:
        """Send packets, which must be taken."""
        answer = await self.post(*packets, seconds=seconds)
        assert (answer.status, answer.body) == (200, b"ok"), answer

    async def join(self, nsp: str = "/") -> str:
        """Join a namespace; return the socket's id."""
        prefix = "" if nsp == "/" else f"{nsp},"
        await self.sent(f"40{prefix}")
        (packet,) = await self.packets()
        assert packet.startswith(f"40{prefix}"), packet
        sid = json.loads(packet[2 + len(prefix) :])["sid"]
        assert isinstance(sid, str)
        return sid

    async def leave(self) -> None:
        """End it with a close packet."""
        await self.sent("1")

    async def close(self) -> None:
        """End both lines, and nothing more."""
        await self.gets.close()
        await self.posts.close()


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text

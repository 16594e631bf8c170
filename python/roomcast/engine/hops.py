"""What workers say to each other: the scope of a request, then its ASGI messages, one connection a request, as over a Unix socket.

A frame is the length of a JSON text, the length of what stands behind it, and both: bytes and texts that a client or a handler has
made are never in the JSON. Whoever closes the connection ends the request, as a client that leaves does.
"""

import asyncio
import json
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final, Protocol

from roomcast.engine.asgi import Message, Scope

__all__ = [
    "HEAD_TIMEOUT",
    "Hop",
    "Reader",
    "Writer",
    "connect",
    "read_head",
    "send_line",
    "unpack_scope",
]

LENGTHS: Final = struct.Struct(">II")

MAX_JSON: Final = 1_000_000
"""Bytes of the JSON of a frame: beyond, it is none. Heads are a few kilobytes."""

HEAD_TIMEOUT: Final = 5.0
"""Seconds that a worker may take to be connected to, or to say what it wants."""

PAUSE: Final = 0.005
"""Seconds until another attempt, where too many others wait for a worker to take their connections."""

SCOPE: Final = (
    "type",
    "http_version",
    "method",
    "path",
    "raw_path",
    "root_path",
    "query_string",
    "scheme",
    "client",
    "server",
    "headers",
    "subprotocols",
)
"""What travels of a scope; what frameworks have put there belongs to the worker that they run in."""

BYTES: Final = ("raw_path", "query_string")
"""What is bytes in a scope."""

TAILS: Final = ("body", "bytes", "text")
"""What may be large in a message, and stands behind the JSON."""

REFUSAL: Final = "websocket.http.response"

NONE: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def pack(message: Mapping[str, Any], tail: bytes = b"", name: str = "") -> bytes:
    """Return a frame."""
    given = dict(message)
    if "headers" in given:
        given["headers"] = [
            (key.decode("latin-1"), value.decode("latin-1")) for key, value in given["headers"]
        ]
    text = json.dumps([given, name]).encode("ascii")
    return LENGTHS.pack(len(text), len(tail)) + text + tail


def pack_message(message: Message) -> bytes:
    """Return the frame of an ASGI message."""
    given = dict(message)
    for name in TAILS:
        tail = given.pop(name, None)
        if tail is not None:
            data = tail.encode("utf-8", "surrogatepass") if name == "text" else bytes(tail)
            return pack(given, data, name)
    return pack(given)


def pack_scope(scope: Scope) -> bytes:
    """Return the frame of a scope."""
    given = {name: scope[name] for name in SCOPE if scope.get(name) is not None}
    for name in BYTES:
        if name in given:
            given[name] = given[name].decode("latin-1")
    given["extensions"] = [REFUSAL] if REFUSAL in (scope.get("extensions") or {}) else []
    return pack(given)


def unpack(text: bytes, tail: bytes) -> dict[str, Any]:
    """Read a frame.

    Raises:
        ValueError: If it is none.
    """
    given, name = json.loads(text)
    if "headers" in given:
        given["headers"] = [
            (key.encode("latin-1"), value.encode("latin-1")) for key, value in given["headers"]
        ]
    if name:
        given[name] = tail.decode("utf-8", "surrogatepass") if name == "text" else tail
    message: dict[str, Any] = given
    return message


def unpack_scope(given: dict[str, Any]) -> None:
    """Make a scope of what a frame of `pack_scope` has brought.

    Raises:
        ValueError: If that was none.
    """
    try:
        for name in BYTES:
            if name in given:
                given[name] = given[name].encode("latin-1")
        for name in ("client", "server"):
            if name in given:
                given[name] = tuple(given[name])
        given["asgi"] = {"version": "3.0", "spec_version": "2.4"}
        given["extensions"] = {name: {} for name in given["extensions"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("no scope") from error


class Reader(Protocol):
    """What is read from; `asyncio.StreamReader` is one."""

    async def readexactly(self, n: int, /) -> bytes:
        """Return so many bytes.

        Raises:
            asyncio.IncompleteReadError: If the other end closes before.
        """
        ...


class Writer(Protocol):
    """What is written to; `asyncio.StreamWriter` is one."""

    def is_closing(self) -> bool:
        """Say whether this end or the other one has closed."""
        ...

    def write(self, data: bytes, /) -> None:
        """Write at the next opportunity."""

    async def drain(self) -> None:
        """Wait while the other end does not read.

        Raises:
            OSError: If it has closed.
        """

    def close(self) -> None:
        """Close, behind what was written."""


class Hop:
    """One request on its way between two workers; either end of it."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take the two directions of a connection."""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, line: socket.socket) -> "Hop":
        """Return an end on a connected socket, which it closes."""
        return cls(*await asyncio.open_unix_connection(sock=line))

    async def read(self) -> dict[str, Any] | None:
        """Return the next message; ``None`` where the other end has closed."""
        try:
            lengths = await self._reader.readexactly(LENGTHS.size)
            size, tail = LENGTHS.unpack(lengths)
            if size > MAX_JSON:
                return None
            text = await self._reader.readexactly(size)
            return unpack(text, await self._reader.readexactly(tail) if tail else b"")
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def write(self, frame: bytes) -> None:
        """Write a frame, and wait while the other end does not read.

        Raises:
            OSError: If that has closed.
        """
        if self._writer.is_closing():
            raise ConnectionResetError
        self._writer.write(frame)
        await self._writer.drain()

    async def send(self, message: Message) -> None:
        """Write an ASGI message; as `write`."""
        await self.write(pack_message(message))

    async def end(self) -> None:
        """Wait until the other end has closed: it would lose what it has not read, were this one faster while it writes."""
        try:
            async with asyncio.timeout(HEAD_TIMEOUT):
                while await self.read() is not None:
                    pass
        except TimeoutError:
            return

    def close(self) -> None:
        """Close it, behind what was written."""
        self._writer.close()


async def connect(path: str) -> socket.socket | None:
    """Return a socket that is connected to a worker's; ``None`` if nobody is there."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.setblocking(False)
        async with asyncio.timeout(HEAD_TIMEOUT):
            while True:
                try:
                    line.connect(path)
                except (
                    BlockingIOError
                ):  # Linux: the backlog is full, and nobody tells when it is not
                    await asyncio.sleep(PAUSE)
                else:
                    return line
    except (OSError, TimeoutError):
        line.close()
        return None
    except BaseException:
        line.close()
        raise


def send_line(line: socket.socket, scope: Scope, early: bytes, added: list[Any], fd: int) -> bytes:
    """Send a scope, what its client has sent behind it, and its connection; return what did not find room yet.

    Raises:
        OSError: If nothing was sent.
    """
    given = {"default_headers": [(key.decode(), value.decode("latin-1")) for key, value in added]}
    frame = pack_scope(scope) + pack(given, early, "body")
    sent = socket.send_fds(line, [frame], [fd])
    return frame[sent:]


async def read_head(line: socket.socket) -> tuple[Scope, int | None]:
    """Return the scope that a connection of another worker begins with, and the descriptor that comes with it.

    Raises:
        OSError: If it closes before, or there is no scope in time.
        ValueError: If it is none.
    """
    loop = asyncio.get_running_loop()
    found: list[int] = []
    try:
        async with asyncio.timeout(HEAD_TIMEOUT):
            head = b""
            while len(head) < LENGTHS.size:
                # A descriptor comes with the first byte.
                try:
                    piece, fds, _, _ = socket.recv_fds(line, LENGTHS.size - len(head), 1, NONE)
                except BlockingIOError:
                    await _readable(loop, line)
                    continue
                found += fds
                if not piece:
                    raise ConnectionResetError
                head += piece
            size, tail = LENGTHS.unpack(head)
            if size > MAX_JSON or tail:
                raise ValueError("no scope")
            scope = unpack(await _exactly(loop, line, size), b"")
        unpack_scope(scope)
    except BaseException:
        for fd in found:
            os.close(fd)
        raise
    return scope, found[0] if found else None


async def read_early(line: socket.socket) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return what a client has sent behind its request, and the headers that the server of the other worker adds."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(HEAD_TIMEOUT):
        size, tail = LENGTHS.unpack(await _exactly(loop, line, LENGTHS.size))
        given = unpack(await _exactly(loop, line, size), await _exactly(loop, line, tail))
    headers = [(key.encode(), value.encode("latin-1")) for key, value in given["default_headers"]]
    return given["body"], headers


async def _exactly(loop: asyncio.AbstractEventLoop, line: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = await loop.sock_recv(line, size - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return bytes(data)


async def _readable(loop: asyncio.AbstractEventLoop, line: socket.socket) -> None:
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(line, wake)
    try:
        await ready
    finally:
        loop.remove_reader(line)

"""Connections between the workers of one host, before it is known what for: one is a trunk, or hands over a client's connection.

==================  ====================================================================================================
a connection is     and begins with
==================  ====================================================================================================
a trunk             `TRUNK`; see `trunk.py`
for one connection  the frame of a scope and, with its first byte, the descriptor; behind it what the client has sent
                    already, and the headers that the HTTP server adds
==================  ====================================================================================================
"""

import asyncio
import os
import socket
from itertools import chain
from typing import Final

from roomcast.engine.asgi import Scope
from roomcast.engine.frames import LENGTH, pack_lines, pack_scope, unpack_lines, unpack_scope
from roomcast.engine.http import Header
from roomcast.engine.passing import HEAD_TIMEOUT

__all__ = ["TRUNK", "connect", "read_early", "read_head", "send_line"]

TRUNK: Final = LENGTH.pack(0)

MAX_FRAME: Final = 10_000_000
"""Bytes of what a connection begins with. A server that reads larger heads hands nothing over."""

PAUSE: Final = 0.005
"""Seconds until another attempt, where too many others wait for a worker to take their connections."""

NONE: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


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


def send_line(
    line: socket.socket, scope: Scope, early: bytes, added: list[Header], fd: int
) -> bytes:
    """Send a scope, what its client has sent behind it, and its connection; return what did not find room yet.

    Raises:
        OSError: If nothing was sent.
    """
    given = pack_lines([b"", *chain.from_iterable(added)], early)
    frame = pack_scope(scope) + LENGTH.pack(len(given)) + given
    sent = socket.send_fds(line, [frame], [fd])
    return frame[sent:]


async def read_head(line: socket.socket) -> tuple[Scope, int] | None:
    """Return the scope that a connection of another worker begins with, and the descriptor that comes with it; ``None`` for a trunk.

    Raises:
        OSError: If it closes before, or there is no scope in time.
        ValueError: If it is none.
    """
    loop = asyncio.get_running_loop()
    found: list[int] = []
    try:
        async with asyncio.timeout(HEAD_TIMEOUT):
            head = b""
            while len(head) < LENGTH.size:
                # A descriptor comes with the first byte.
                try:
                    piece, fds, _, _ = socket.recv_fds(line, LENGTH.size - len(head), 1, NONE)
                except BlockingIOError:
                    await _readable(loop, line)
                    continue
                found += fds
                if not piece:
                    raise ConnectionResetError
                head += piece
            if head == TRUNK and not found:
                return None
            scope = unpack_scope(await _frame(loop, line, head))
        if not found:
            raise ValueError("no descriptor")
    except BaseException:
        for fd in found:
            os.close(fd)
        raise
    return scope, found[0]


async def read_early(line: socket.socket) -> tuple[bytes, list[Header]]:
    """Return what a client has sent behind its request, and the headers that the server of the other worker adds.

    Raises:
        OSError: If it does not come.
        ValueError: If it is something else.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(HEAD_TIMEOUT):
        head = await _exactly(loop, line, LENGTH.size)
        (_, *added), early = unpack_lines(await _frame(loop, line, head))
    return early, list(zip(added[::2], added[1::2], strict=True))


async def _frame(loop: asyncio.AbstractEventLoop, line: socket.socket, head: bytes) -> bytes:
    (size,) = LENGTH.unpack(head)
    if size > MAX_FRAME:
        raise ValueError("no frame")
    return await _exactly(loop, line, size)


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

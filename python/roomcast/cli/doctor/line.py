"""A WebSocket to look through: its opening handshake, its messages, and how long a ping takes."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, cast

from roomcast._core import FrameReader
from roomcast.cli.connecting import Destination
from roomcast.cli.doctor.http import Answer, NoAnswerError, dial, read_body, read_head
from roomcast.client.handshake import Opening

__all__ = ["Line", "open_line"]

TEXT, CLOSE, PING = 0x81, 0x88, 0x89


LIMIT = 1_000_000
"""Bytes of a message that is read."""


@dataclass(slots=True)
class Line:
    """A WebSocket that is open. Whoever enters it leaves it closed."""

    to: Destination
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    frames: FrameReader
    waiting: deque[object]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.write(_frame(CLOSE, b""))
        self.writer.close()

    def send(self, text: str) -> None:
        """Send a message."""
        self.writer.write(_frame(TEXT, text.encode()))

    async def receive(self) -> str:
        """Return the next message.

        Raises:
            NoAnswerError: If none comes.
        """
        while True:
            item = await self._next()
            if isinstance(item, str):
                return item

    async def ping(self) -> float:
        """Return how long a ping and its pong take, in seconds.

        Raises:
            NoAnswerError: If none comes back.
        """
        begun = time.monotonic()
        self.writer.write(_frame(PING, b"?"))
        while await self._next() != ("pong",):
            pass
        return time.monotonic() - begun

    async def _next(self) -> object:
        try:
            async with asyncio.timeout(self.to.timeout):
                while not self.waiting:
                    data = await self.reader.read(65_536)
                    if not data:
                        raise NoAnswerError("the WebSocket was closed without a word")
                    self.waiting.extend(self.frames.feed(data))
        except TimeoutError as error:
            raise NoAnswerError(f"nothing has come within {self.to.timeout:g} s") from error
        except OSError as error:
            raise NoAnswerError(error.strerror or str(error)) from error
        item = self.waiting.popleft()
        _raise_if_end(item)
        return item


async def open_line(
    to: Destination, where: str, headers: Mapping[str, str] | None = None
) -> Line | Answer:
    """Open a WebSocket; return the answer instead if it is none.

    Args:
        to: The server.
        where: Path and query.
        headers: Headers beside those of the destination.

    Raises:
        NoAnswerError: If no answer comes.
    """
    opening = Opening(to.address.authority, where, {**to.headers, **(headers or {})}, None, ())
    begun = time.monotonic()
    writer = None
    try:
        async with asyncio.timeout(to.timeout):
            reader, writer = await dial(to)
            writer.write(opening.request)
            head, rest = await read_head(reader)
            if head.status != 101:
                body = await read_body(reader, head, rest)
                writer.transport.abort()
                return Answer(head, body, time.monotonic() - begun)
            opening.check(head)
    except (OSError, ValueError, EOFError) as error:
        if writer is not None:
            writer.transport.abort()
        raise NoAnswerError(str(error) or "no answer in time") from error
    frames = FrameReader(LIMIT, 1_024, None, client=True)
    return Line(to, reader, writer, frames, deque(frames.feed(rest)))


def _raise_if_end(item: object) -> None:
    parts = cast("tuple[object, ...]", item) if isinstance(item, tuple) else ()
    if parts and parts[0] in ("close", "error"):
        raise NoAnswerError(f"the WebSocket was closed, code {parts[1]}")


def _frame(first: int, payload: bytes) -> bytes:
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    return bytes((first, 0x80 | len(payload))) + mask + masked

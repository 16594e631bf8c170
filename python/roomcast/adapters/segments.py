"""What carries a request from one worker to another over the broker: segments of a byte stream, and what belongs to them.

A segment is a head and bytes. It travels in the channel of the worker that it is for, and names who has sent it. Within one direction
of a stream segments are numbered, since a broker may lose messages, and a stream with a hole is worth nothing: it is broken then.

A stream holds `WINDOW` bytes at most in each direction that the other end has not taken: who has taken some says so, and until then
the sender waits, and whoever writes to it.
"""

import asyncio
import struct
from collections.abc import Callable
from enum import IntFlag
from typing import Final, NamedTuple

from roomcast.engine.ways import NAME, NAME_LENGTH

__all__ = ["SEGMENT_SIZE", "WINDOW", "Flag", "Segment", "Stream", "pack_segment", "read_segment"]

HEAD: Final = struct.Struct(f">B{NAME_LENGTH}sQI")

SEGMENT_SIZE: Final = 65_536
"""Bytes of the stream that travel in one message, so that others have their turn at the broker."""

WINDOW: Final = 262_144
"""Bytes of one direction of a stream that are on their way, or wait to be taken."""

CREDIT_SIZE: Final = WINDOW // 2
"""Bytes that are taken before the other end is told."""

MARK: Final = 65_536
"""Bytes of one direction that wait for their turn above which whoever writes waits: asyncio's own mark."""

TAKEN: Final = struct.Struct(">I")


class Flag(IntFlag):
    """What a segment means.

    Attributes:
        OPEN: It is the first one of a stream, from the end that passes a request on.
        CLOSE: It is the last one of its direction, and what comes in the other one is not taken any more.
        RESET: The stream is not known, or broken.
        TAKEN: Its bytes are a number: so many bytes were taken.
        PING: Nothing came for a while: is anybody there?
        PONG: Somebody is.
    """

    OPEN = 1
    CLOSE = 2
    RESET = 4
    TAKEN = 8
    PING = 16
    PONG = 32


NONE: Final = Flag(0)
ALL: Final = sum(Flag)


class Segment(NamedTuple):
    """A segment that has come."""

    flags: Flag
    sender: str
    id: int
    number: int
    data: bytes


def pack_segment(
    flags: Flag, sender: bytes, id: int = 0, number: int = 0, data: bytes = b""
) -> bytes:
    """Return the bytes of a segment."""
    return HEAD.pack(flags, sender, id, number) + data


def read_segment(message: bytes) -> Segment:
    """Read a segment.

    Raises:
        ValueError: If it is none.
    """
    if not HEAD.size <= len(message) <= HEAD.size + SEGMENT_SIZE:
        raise ValueError("a segment of a wrong size")
    flags, name, id, number = HEAD.unpack_from(message)
    sender = name.decode("latin-1")
    if flags & ~ALL or not NAME.fullmatch(sender):
        raise ValueError("no segment")
    return Segment(Flag(flags), sender, id, number, message[HEAD.size :])


class Stream:
    """One end of a stream: a reader and a writer for a `roomcast.engine.hops.Hop`. It belongs to one event loop."""

    __slots__ = (
        "_arrival",
        "_broken",
        "_closing",
        "_departure",
        "_heard",
        "_in",
        "_is_open",
        "_loop",
        "_on_end",
        "_out",
        "_scheduled",
        "_send",
        "_sent",
        "_taken",
        "_window",
        "id",
    )

    def __init__(
        self,
        id: int,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[Flag, int, int, bytes], bool],
        on_end: Callable[[int], None],
        *,
        opens: bool,
    ) -> None:
        """Begin.

        Args:
            id: The number of the stream.
            loop: The loop.
            send: Sends a segment: flags, stream, number, bytes; says whether it will leave.
            on_end: Called with the number at the end.
            opens: Whether this end opens it.
        """
        self.id = id
        self._loop = loop
        self._send = send
        self._on_end = on_end
        self._is_open = not opens
        self._out = bytearray()
        self._in = bytearray()
        self._window = WINDOW
        self._sent = self._heard = self._taken = 0
        self._scheduled = self._closing = self._broken = False
        self._arrival: asyncio.Future[None] | None = None
        self._departure: asyncio.Future[None] | None = None

    # What a `Hop` calls.

    async def readexactly(self, n: int) -> bytes:
        """Return so many bytes; as `asyncio.StreamReader.readexactly`.

        Raises:
            asyncio.IncompleteReadError: If the other end closes before.
        """
        found = bytearray()
        while True:
            piece = self._in[: n - len(found)]
            del self._in[: len(piece)]
            found += piece
            self._take(len(piece))
            if len(found) == n:
                return bytes(found)
            if self._broken:
                raise asyncio.IncompleteReadError(bytes(found), n)
            self._arrival = self._loop.create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None

    def is_closing(self) -> bool:
        """Say whether either end has closed."""
        return self._closing or self._broken

    def write(self, data: bytes) -> None:
        """Send bytes in the next iterations of the event loop: what is written meanwhile travels along."""
        self._out += data
        self._schedule()

    async def drain(self) -> None:
        """Wait while the other end does not read, or the broker does not.

        Raises:
            ConnectionResetError: If the other end has closed.
        """
        while len(self._out) > MARK and not self._broken:
            self._departure = self._loop.create_future()
            try:
                await self._departure
            finally:
                self._departure = None
        if self._broken:
            raise ConnectionResetError

    def close(self) -> None:
        """Close it, behind what was written."""
        if not self._closing and not self._broken:
            self._closing = True
            self._schedule()

    # What comes from the other end.

    def take(self, segment: Segment) -> None:
        """Take a segment."""
        if Flag.TAKEN in segment.flags:
            if len(segment.data) != TAKEN.size:
                self.reset()
                return
            self._window = min(self._window + TAKEN.unpack(segment.data)[0], WINDOW)
            self.flush()
            return
        if segment.number != self._heard or len(self._in) + len(segment.data) > WINDOW:
            self.reset()
            return
        self._heard += 1
        if self._closing:  # nobody reads any more
            self._take(len(segment.data))
        else:
            self._in += segment.data
        if Flag.CLOSE in segment.flags:
            self.end()
        else:
            _wake(self._arrival)

    def flush(self) -> None:
        """Send what may be sent."""
        self._scheduled = False
        out = self._out
        while not self._broken and ((self._window and out) or (self._closing and not out)):
            size = min(len(out), SEGMENT_SIZE, self._window)
            piece = bytes(out[:size])
            is_last = self._closing and size == len(out)
            flags = (NONE if self._is_open else Flag.OPEN) | (Flag.CLOSE if is_last else NONE)
            if is_last and not self._is_open:
                self.end()  # nobody has heard of it
                return
            if not self._send(flags, self.id, self._sent, piece):
                return  # the broker is behind: it goes on later
            del out[:size]
            self._is_open = True
            self._sent += 1
            self._window -= size
            if is_last:
                self.end()
        if len(out) <= MARK:
            _wake(self._departure)

    def reset(self) -> None:
        """Break it, and let the other end know."""
        self._send(Flag.RESET, self.id, 0, b"")
        self.end()

    def end(self) -> None:
        """Break it off; what has come can be read, and nothing more."""
        if not self._broken:
            self._broken = True
            self._on_end(self.id)
            _wake(self._arrival)
            _wake(self._departure)

    def _take(self, size: int) -> None:
        self._taken += size
        if self._taken >= CREDIT_SIZE and not self._broken:
            self._send(Flag.TAKEN, self.id, 0, TAKEN.pack(self._taken))
            self._taken = 0

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            # Two iterations: a body follows its head in the next one.
            self._loop.call_soon(self._loop.call_soon, self.flush)


def _wake(waiting: "asyncio.Future[None] | None") -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)

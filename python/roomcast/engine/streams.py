"""A request on its way between two workers is a stream of frames in each direction; many of them share what carries them.

A carrier, which is a connection or a broker, takes segments of streams. A stream holds `WINDOW` bytes at most in each direction that the
other end has not taken: who has taken some says so, and until then the sender waits, and whoever writes to it. So one that is not read
holds up no other.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final, Protocol

from roomcast.engine.frames import LENGTH

__all__ = ["MARK", "SEGMENT_SIZE", "WINDOW", "Carrier", "Flag", "Stream"]

SEGMENT_SIZE: Final = 65_536
"""Bytes of a stream that travel at once, so that others have their turn."""

WINDOW: Final = 262_144
"""Bytes of one direction of a stream that are on their way, or wait to be taken."""

CREDIT_SIZE: Final = WINDOW // 2
"""Bytes that are taken before the other end is told."""

MARK: Final = 65_536
"""Bytes of one direction that wait for their turn above which whoever writes waits: asyncio's own mark."""

TAKEN: Final = struct.Struct(">I")


class Flag:
    """What a segment means. Plain numbers: those of `enum` take longer than all else that becomes of a segment.

    Attributes:
        OPEN: It is the first one of a stream, from the end that passes a request on.
        CLOSE: It is the last one of its direction, and what comes in the other one is not taken any more.
        RESET: The stream is not known, or broken.
        TAKEN: Its bytes are a number: so many bytes were taken.
        PING: Nothing came for a while: is anybody there?
        PONG: Somebody is.
        ALL: All of them.
    """

    OPEN: Final = 1
    CLOSE: Final = 2
    RESET: Final = 4
    TAKEN: Final = 8
    PING: Final = 16
    PONG: Final = 32
    ALL: Final = 63


class Carrier(Protocol):
    """What carries streams to another worker, and back."""

    def schedule(self, stream: "Stream", /) -> None:
        """Let a stream `Stream.flush` in the next iteration of the event loop: what is written meanwhile travels along."""

    def send(self, stream: "Stream", flags: int, data: bytes, /) -> bool:
        """Send a segment; say whether it will leave. If not, the stream is flushed again when it may."""
        ...

    def forget(self, stream: "Stream", /) -> None:
        """Learn that a stream is over."""


class Stream:
    """One end of a stream. It belongs to one event loop.

    Attributes:
        id: Its number.
        loop: The loop.
        broken: Whether it is over: nothing more comes, and nothing leaves.
        sent: Segments of bytes that were sent; for carriers that may lose some.
        heard: Segments of bytes that have come.
    """

    __slots__ = (
        "_carrier",
        "_closing",
        "_departure",
        "_in",
        "_is_open",
        "_next_size",
        "_out",
        "_scheduled",
        "_taken",
        "_taken_ahead",
        "_told",
        "_window",
        "broken",
        "heard",
        "id",
        "loop",
        "sent",
    )

    def __init__(
        self, id: int, loop: asyncio.AbstractEventLoop, carrier: Carrier, *, opens: bool
    ) -> None:
        """Begin.

        Args:
            id: The number of the stream.
            loop: The loop.
            carrier: Carries it.
            opens: Whether this end opens it.
        """
        self.id = id
        self.sent = self.heard = 0
        self.broken = False
        self.loop = loop
        self._carrier = carrier
        self._is_open = not opens
        self._out = bytearray()
        self._in = bytearray()
        self._window = WINDOW
        self._taken = 0
        self._next_size = 0
        self._taken_ahead = 0
        self._scheduled = self._closing = False
        self._told: Callable[[], None] | None = None
        self._departure: asyncio.Future[None] | None = None

    # What is for both ends of a request.

    def write(self, frame: bytes) -> None:
        """Send a frame in the next iteration of the event loop."""
        self._out += frame
        if not self._scheduled:
            self._scheduled = True
            self._carrier.schedule(self)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that whoever writes should `drain`."""
        return len(self._out) > MARK

    async def drain(self) -> None:
        """Wait while the other end does not read, or the carrier does not.

        Raises:
            ConnectionResetError: If the other end has closed.
        """
        while len(self._out) > MARK and not self.broken:
            self._departure = self.loop.create_future()
            try:
                await self._departure
            finally:
                self._departure = None
        if self.broken:
            raise ConnectionResetError

    async def send(self, frame: bytes) -> None:
        """Send a frame, and wait while the other end does not read.

        Raises:
            ConnectionResetError: If that has closed.
        """
        if self.broken or self._closing:
            raise ConnectionResetError
        self.write(frame)
        if len(self._out) > MARK:
            await self.drain()

    def has_next(self) -> bool:
        """Say whether `next` has a frame, or there is none any more. What has come of one that is not whole is taken: it is waited for."""
        size = self._next_size
        if not size:
            if len(self._in) < LENGTH.size:
                return self.broken
            size = self._next_size = LENGTH.size + LENGTH.unpack_from(self._in)[0]
        come = min(len(self._in), size)
        if come > self._taken_ahead:
            ahead, self._taken_ahead = self._taken_ahead, come
            self._take(come - ahead)
        return come == size or self.broken

    def next(self) -> bytes | None:
        """Return the next frame, without its size; ``None`` if there is none yet, or none any more."""
        if not self.has_next():
            return None
        size = self._next_size
        if not size or len(self._in) < size:  # the other end has closed
            return None
        frame = bytes(self._in[LENGTH.size : size])
        del self._in[:size]
        self._next_size = self._taken_ahead = 0
        return frame

    def tell(self, told: Callable[[], None]) -> None:
        """Call something once, as soon as `has_next`."""
        if self.has_next():
            told()
        else:
            self._told = told

    async def read(self) -> bytes | None:
        """Wait for the next frame, and return as `next`."""
        if not self.has_next():
            arrival: asyncio.Future[None] = self.loop.create_future()
            self._told = lambda: _wake(arrival)
            try:
                await arrival
            finally:
                self._told = None
        return self.next()

    def close(self) -> None:
        """Close it, behind what was written."""
        if not self._closing and not self.broken:
            self._closing = True
            self._told = None
            if not self._scheduled:
                self._scheduled = True
                self._carrier.schedule(self)

    # What is for the carrier.

    def take(self, flags: int, data: bytes) -> None:
        """Take a segment."""
        if flags & Flag.TAKEN:
            if len(data) != TAKEN.size:
                self.reset()
                return
            self._window = min(self._window + TAKEN.unpack(data)[0], WINDOW)
            self.flush()
            return
        if len(self._in) - self._taken_ahead + len(data) > WINDOW:
            self.reset()
            return
        if self._closing:  # nobody reads any more
            self._take(len(data))
        else:
            self._in += data
        if flags & Flag.CLOSE:
            self.end()
        elif self._told is not None and self.has_next():
            self._tell()

    def flush(self) -> None:
        """Send what may be sent."""
        self._scheduled = False
        out = self._out
        while not self.broken and ((self._window and out) or (self._closing and not out)):
            size = min(len(out), SEGMENT_SIZE, self._window)
            is_last = self._closing and size == len(out)
            flags = (0 if self._is_open else Flag.OPEN) | (Flag.CLOSE if is_last else 0)
            if is_last and not self._is_open:
                self.end()  # nobody has heard of it
                return
            if not self._carrier.send(self, flags, bytes(out[:size])):
                return  # it goes on later
            del out[:size]
            self._is_open = True
            self._window -= size
            if is_last:
                self.end()
        if len(out) <= MARK:
            _wake(self._departure)

    def reset(self) -> None:
        """Break it, and let the other end know."""
        self._carrier.send(self, Flag.RESET, b"")
        self.end()

    def end(self) -> None:
        """Break it off; what has come can be read, and nothing more."""
        if not self.broken:
            self.broken = True
            self._carrier.forget(self)
            self._tell()
            _wake(self._departure)

    def _take(self, size: int) -> None:
        self._taken += size
        if self._taken >= CREDIT_SIZE and not self.broken:
            taken, self._taken = self._taken, 0
            self._carrier.send(self, Flag.TAKEN, TAKEN.pack(taken))

    def _tell(self) -> None:
        told, self._told = self._told, None
        if told is not None:
            told()


def _wake(waiting: "asyncio.Future[None] | None") -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)

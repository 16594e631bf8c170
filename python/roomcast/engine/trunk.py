"""A connection between two workers of one host, over which one of them passes requests to the other, as many at a time as there are.

All that streams have to say in one iteration of the event loop leaves with one call of the system. Whoever has made the connection opens
the streams, and it stays until one of both ends.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import Final

from roomcast.engine.streams import SEGMENT_SIZE, Flag, Stream

__all__ = ["Trunk"]

HEAD: Final = struct.Struct(">BQI")
"""Flags, the number of the stream, and how many bytes of it follow."""

READ_SIZE: Final = 65_536
"""Bytes of one read."""

MAX_WAITING: Final = 1_000_000
"""Bytes that wait for the other worker above which streams wait."""

log = logging.getLogger("roomcast.engine")


class Trunk:
    """One end of a connection, a `roomcast.engine.streams.Carrier`. It belongs to one event loop."""

    __slots__ = (
        "_closing",
        "_ended",
        "_in",
        "_is_scheduled",
        "_is_stuck",
        "_last",
        "_line",
        "_loop",
        "_on_end",
        "_on_stream",
        "_out",
        "_scheduled",
        "_stalled",
        "_streams",
        "_waiting",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        line: socket.socket,
        on_end: Callable[["Trunk"], None],
        on_stream: Callable[[Stream], None] | None = None,
        greeting: bytes = b"",
    ) -> None:
        """Begin on a connected socket that does not block, which it closes.

        Args:
            loop: The loop.
            line: The socket.
            on_end: Called when it has ended.
            on_stream: Called with each stream that the other end opens; ``None`` at the end that opens them.
            greeting: What goes before everything else.
        """
        self._loop = loop
        self._line = line
        self._on_end = on_end
        self._on_stream = on_stream
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._in = b""
        self._out: list[bytes] = [greeting] if greeting else []
        self._waiting = len(greeting)
        self._scheduled: list[Stream] = []
        self._stalled: set[Stream] = set()
        self._is_scheduled = self._is_stuck = self._closing = self._ended = False
        loop.add_reader(line, self._on_readable)

    def open(self) -> Stream:
        """Return a new stream."""
        self._last += 1
        stream = self._streams[self._last] = Stream(self._last, self._loop, self, opens=True)
        return stream

    def refuse(self) -> None:
        """Take no more streams that the other end opens."""
        self._on_stream = None

    def close(self) -> None:
        """End when the streams that there are have, and what they have written has left."""
        self._closing = True
        self._flush()

    def abandon(self) -> None:
        """End now. In a loop that is closed nobody is told."""
        if self._ended:
            return
        self._ended = True
        if not self._loop.is_closed():
            self._loop.remove_reader(self._line)
            self._loop.remove_writer(self._line)
        self._line.close()
        if not self._loop.is_closed():
            for stream in list(self._streams.values()):
                stream.end()
        self._on_end(self)

    # What streams call.

    def schedule(self, stream: Stream) -> None:
        """Flush a stream in the next iteration of the event loop."""
        self._scheduled.append(stream)
        self._schedule()

    def send(self, stream: Stream, flags: int, data: bytes) -> bool:
        """Send a segment behind those of this iteration."""
        if self._waiting > MAX_WAITING and data and not flags & Flag.TAKEN:
            self._stalled.add(stream)
            return False
        self._out.append(HEAD.pack(flags, stream.id, len(data)) + data)
        self._waiting += HEAD.size + len(data)
        self._schedule()
        return True

    def forget(self, stream: Stream) -> None:
        """Drop a stream that is over."""
        del self._streams[stream.id]
        self._stalled.discard(stream)
        if self._closing:
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and not self._ended:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what streams have to say."""
        self._is_scheduled = True
        scheduled, self._scheduled = self._scheduled, []
        for stream in scheduled:
            stream.flush()
        self._is_scheduled = False
        if self._ended:
            return
        if self._scheduled:
            self._schedule()
        if self._out and not self._is_stuck:
            self._write()
        if self._closing and not self._streams and not self._out:
            self.abandon()

    def _write(self) -> None:
        """Send what waits, as much as the other end takes."""
        out = self._out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        try:
            sent = self._line.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            log.debug("another worker is gone: %s", error)
            self.abandon()
            return
        self._waiting = len(data) - sent
        if self._waiting:
            out.append(data[sent:])
            if not self._is_stuck:
                self._is_stuck = True
                self._loop.add_writer(self._line, self._on_writable)
            return
        if self._is_stuck:
            self._is_stuck = False
            self._loop.remove_writer(self._line)
        stalled, self._stalled = self._stalled, set()
        for stream in stalled:
            stream.flush()

    def _on_writable(self) -> None:
        self._write()
        if not self._ended:
            self._flush()

    def _on_readable(self) -> None:
        try:
            data = self._line.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            log.debug("another worker is gone: %s", error)
            data = b""
        if not data:
            self.abandon()
            return
        if self._in:
            data = self._in + data
        start, size = 0, len(data)
        while size - start >= HEAD.size:
            flags, id, length = HEAD.unpack_from(data, start)
            if length > SEGMENT_SIZE or flags & ~Flag.ALL:
                log.warning("another worker does not speak the same: is it of another version?")
                self.abandon()
                return
            begin = start + HEAD.size
            if begin + length > size:
                break
            start = begin + length
            self._take(flags, id, data[begin:start])
            if self._ended:
                return
        self._in = data[start:]

    def _take(self, flags: int, id: int, data: bytes) -> None:
        stream = self._streams.get(id)
        if stream is None:
            if not flags & Flag.OPEN:
                return  # it is over here, and the other end knows or learns it
            stream = Stream(id, self._loop, self, opens=False)
            self._streams[id] = stream
            if self._on_stream is None:
                stream.reset()
                return
            stream.take(flags, data)
            self._on_stream(stream)
        elif flags & Flag.RESET:
            stream.end()
        else:
            stream.take(flags, data)

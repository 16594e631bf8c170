"""What waits to be sent: one outbox per connection, one flush per iteration of the event loop for all of them.

A packet enters whole, as one item: nothing can come between its header and its attachments. The first packet of an iteration
marks the outbox as dirty; at the end of the iteration one callback flushes all dirty ones, so that what one tick sends to a
client leaves together. An outbox knows its size in bytes, which is what back pressure and the slow-client limit look at:

    ==============  ===========================================================================================
    size            what happens
    ==============  ===========================================================================================
    above the mark  the outbox stands in ``Flusher.congested``; awaiting an emit to it waits
    at the end      the packet is refused, and the flush closes the connection as a slow client. One packet that is
                    larger than that may enter an empty outbox.
    ==============  ===========================================================================================

The size counts what the transport has not taken yet, the packet that it is taking included.
"""

import asyncio
from collections import deque
from collections.abc import Generator, Iterable
from typing import Any, Final, Protocol

from roomcast._core import EncodedPacket, encode_frames, encode_payload
from roomcast.engine.connection import Carrier, Sink
from roomcast.types import Limits

__all__ = ["DONE", "Done", "Drain", "Flusher", "Outbox"]

SLICE: Final = 256
"""Outboxes that are flushed between two looks at the clock."""

SLICE_TIME: Final = 0.01
"""Seconds that a flush may hold the loop; what is left continues in the next iteration. Half of the 20 ms of the architecture."""


class Owner(Protocol):
    """The side of a connection that an outbox sees."""

    def on_overflow(self) -> None:
        """Close the connection: its client does not read."""


class Flusher:
    """Flushes the outboxes of one server. It belongs to one event loop.

    Attributes:
        congested: The outboxes above the mark.
    """

    __slots__ = (
        "_dirty",
        "_last_frames",
        "_last_queue",
        "_loop",
        "congested",
        "mark",
        "size_limit",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self._loop = loop
        self._dirty: deque[Outbox] = deque()
        self._last_queue: deque[EncodedPacket | str] = deque()
        self._last_frames = b""
        self.congested: set[Outbox] = set()
        self.mark = limits.send_buffer_mark
        self.size_limit = limits.send_buffer_size

    def add(self, outbox: "Outbox") -> None:
        """Flush an outbox at the end of this iteration."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(outbox)

    def frames_of(self, queue: "deque[EncodedPacket | str]", skip: int) -> bytes:
        """Return the frames of packets; those of the last call again if they are the same."""
        if skip:
            return encode_frames(queue, skip)
        if queue != self._last_queue:
            self._last_queue = queue.copy()
            self._last_frames = encode_frames(queue)
        return self._last_frames

    def future(self) -> asyncio.Future[None]:
        """Return a new future of the loop."""
        return self._loop.create_future()

    def _flush(self) -> None:
        dirty = self._dirty
        end = self._loop.time() + SLICE_TIME
        count = 0
        try:
            # Emits of disconnect handlers that an overflow runs join the same queue and leave in this pass.
            while dirty:
                dirty.popleft().flush()
                count += 1
                if not count % SLICE and self._loop.time() >= end:
                    break
        finally:
            self._last_queue.clear()
            self._last_frames = b""
            if dirty:
                self._loop.call_soon(self._flush)


class Outbox:
    """The packets that wait for one connection.

    Attributes:
        size: Their bytes.
        queue: The packets; a `str` is one of Engine.IO's own. Only a transport takes from it, and says so to `sent`.
        skip: Messages of the first packet that went with a polling payload already.
    """

    __slots__ = (
        "_carrier",
        "_closed",
        "_dirty",
        "_flusher",
        "_overflown",
        "_owner",
        "_waiter",
        "queue",
        "size",
        "skip",
    )

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher
        self._carrier: Carrier | None = None
        self._owner: Owner | None = None
        self._closed = False
        self._dirty = False
        self._overflown = False
        self._waiter: asyncio.Future[None] | None = None
        self.queue: deque[EncodedPacket | str] = deque()
        self.size = 0
        self.skip = 0

    def carry(self, carrier: Carrier) -> None:
        """Hand what it holds to this transport from now on."""
        self._carrier = carrier

    def attach(self, owner: Owner) -> None:
        """Name the connection to close when the outbox overflows."""
        self._owner = owner

    def push(self, packet: EncodedPacket) -> None:
        """Queue a packet; once the outbox is closed or has overflown it is dropped.

        Cost:
            Constant; the packet is shared, not copied.
        """
        self._push(packet, packet.size)

    def push_text(self, text: str) -> None:
        """Queue a packet of Engine.IO's own, in ASCII."""
        self._push(text, len(text))

    def _push(self, packet: EncodedPacket | str, size: int) -> None:
        if self._closed or self._overflown:
            return
        flusher = self._flusher
        total = self.size + size
        if total > flusher.size_limit and self.size:
            # Closing runs user code (disconnect handlers); the sender must not meet it in the middle of its broadcast.
            self._overflown = True
        else:
            self.size = total
            self.queue.append(packet)
            if total > flusher.mark:
                flusher.congested.add(self)
        if not self._dirty:
            self._dirty = True
            flusher.add(self)

    def flush(self) -> None:
        """Hand over to the transport; called by the flusher."""
        self._dirty = False
        if self._overflown and self._owner is not None:
            self._owner.on_overflow()
        elif self._carrier is not None:
            self._carrier.flush()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self.queue

    def take_payload(self, limit: int) -> bytes:
        """Take the packets, or parts of packets, that fit into a polling payload.

        Args:
            limit: Bytes of the payload; a single larger message goes alone.

        Returns:
            The payload; what is left stays in its order.
        """
        payload, whole, self.skip = encode_payload(self.queue, self.skip, limit)
        for _ in range(whole):
            self.sent(self.queue.popleft())
        return payload

    def take_frames(self) -> bytes:
        """Take everything, as WebSocket frames.

        Cost:
            Where several outboxes of one tick hold the same packets, the frames are put together once.
        """
        queue, skip = self.queue, self.skip
        first = queue[0]
        if len(queue) == 1 and not skip and not isinstance(first, str):
            frames = first.frames
        else:
            frames = self._flusher.frames_of(queue, skip)
        queue.clear()
        self.skip = 0
        self.drained_to(0)
        return frames

    def drained_to(self, size: int) -> None:
        """Learn how much of what was taken has not been sent; what came in the meantime counts again."""
        self.size = size + sum(
            [len(packet) if isinstance(packet, str) else packet.size for packet in self.queue]
        )
        if self.size > self._flusher.mark:
            self._flusher.congested.add(self)
        elif self._waiter is not None or self in self._flusher.congested:
            self._relax()

    def sent(self, packet: EncodedPacket | str) -> None:
        """Learn that the transport has taken a packet."""
        self.size -= len(packet) if isinstance(packet, str) else packet.size
        if self._waiter is not None or self in self._flusher.congested:
            self._relax()

    def close(self) -> None:
        """Take nothing more; what is there may still be sent. Whoever waits for room goes on."""
        self._closed = True
        self._owner = None
        self._relax()

    def discard(self) -> None:
        """Drop everything."""
        self.close()
        self.queue.clear()
        self.size = 0
        self.skip = 0

    @property
    def congested(self) -> bool:
        """Whether awaiting an emit waits."""
        return self.size > self._flusher.mark and not self._closed

    def drained(self) -> asyncio.Future[None]:
        """Return the future that is done when the outbox is no longer congested; shared by all who wait."""
        if self._waiter is None:
            self._waiter = self._flusher.future()
        return self._waiter

    def _relax(self) -> None:
        if self.congested:
            return
        self._flusher.congested.discard(self)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Done:
    """What a call returns that has nothing to wait for; awaiting it does not suspend."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        """Finish at once."""
        yield from ()


DONE: Final = Done()
"""The one instance: an ignored result costs nothing."""


class Drain:
    """What an emit returns while some client is behind: done when its recipients are below the mark.

    Ignoring it is fine; it holds a reference to its recipients and nothing else.
    """

    __slots__ = ("_outboxes",)

    def __init__(self, outboxes: Iterable[Sink]) -> None:
        self._outboxes = outboxes

    def __await__(self) -> Generator[Any, None, None]:
        """Wait for each recipient in turn; those that close in the meantime count as done."""
        for outbox in self._outboxes:
            while outbox.congested:
                # Shielded, because the future is shared: who gives up waiting must not cancel it for the others.
                yield from asyncio.shield(outbox.drained()).__await__()

"""The line between a client and the server, whose faults tests bring about.

A line has two directions. In each, packets queue for their turn and are handed on by the loop, so that nobody's code runs in the
middle of somebody else's emit. A packet is what it is to Socket.IO: its text and all of its attachments, which share its fate.

    ============  ============================================  =======================================================
    switch        what happens to the packets                   who notices
    ============  ============================================  =======================================================
    `drop`        the next ones are lost                        whoever misses them
    `duplicate`   the next ones come twice                      whoever gets them
    `delay`       all come later, in their order                heartbeats come later too
    `stall`       all wait, until `resume`                      incoming: the server, which stands before a client that
                                                                does not read; outgoing: its heartbeat
    `Line.cut`    all are lost, both ways, from now on          nobody, until their heartbeats do
    `Line.reset`  all are lost, both ways                       both at once
    ============  ============================================  =======================================================

`drop` and `duplicate` count the packets of Socket.IO: heartbeats and the handshake of Engine.IO pass them.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Direction", "Line", "Unit", "Wire"]

Unit = tuple[str | bytes, ...]
"""A packet as the transports carry it: a text with the digit of its type in front, then its attachments."""

BINARY: Final = ("45", "46")
"""How packets with attachments begin; their number follows."""


class Direction:
    """One way of a line. It belongs to the loop of its client."""

    def __init__(self) -> None:
        """Take a direction in which nothing goes wrong."""
        self._queue: deque[tuple[float, Unit | None]] = deque()
        self._timer: asyncio.Handle | None = None
        self._delay = 0.0
        self._drop = 0
        self._duplicate = 0
        self._resumed: asyncio.Future[None] | None = None
        self._forward: Callable[[Unit | None], None] | None = None
        self._header: list[str | bytes] = []
        self._missing = 0

    @property
    def waiting(self) -> int:
        """How many packets are on their way."""
        return len(self._queue)

    @property
    def stalled(self) -> bool:
        """Whether nothing goes on until `resume`."""
        return self._resumed is not None

    @property
    def latency(self) -> float:
        """Seconds that a packet is under way."""
        return self._delay

    @property
    def writable(self) -> bool:
        """Whether what is sent now does not wait behind something else of this turn of the loop."""
        return self._resumed is None and (self._delay > 0 or not self._queue)

    def drop(self, count: int = 1) -> None:
        """Lose the next packets.

        Args:
            count: How many.
        """
        self._drop += count

    def duplicate(self, count: int = 1) -> None:
        """Let the next packets come twice.

        Args:
            count: How many.
        """
        self._duplicate += count

    def delay(self, seconds: float) -> None:
        """Let everything come later from now on; packets never overtake each other.

        Args:
            seconds: How much later; 0 ends it.
        """
        if seconds < 0:
            raise ValueError("nothing comes before it was sent")
        self._delay = seconds

    def stall(self) -> None:
        """Let nothing go on until `resume`."""
        if self._resumed is None:
            self._resumed = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        """End a stall: what waits goes on."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.done():
            resumed.set_result(None)
            self._arm()

    # What follows is for the transports.

    async def ready(self) -> None:
        """Wait while it is stalled."""
        while self._resumed is not None:
            await asyncio.shield(self._resumed)

    def carry(self, forward: Callable[[Unit | None], None]) -> None:
        """Hand everything on to a new receiver; what was on its way to another one is lost.

        Args:
            forward: Gets each packet, and ``None`` for the end of the line.
        """
        self.discard()
        self._forward = forward

    def discard(self) -> None:
        """Lose everything that is on its way."""
        self._queue.clear()
        self._header.clear()
        self._missing = 0
        self._forward = None

    def feed(self, message: str | bytes) -> None:
        """Take a message; packets are made whole here."""
        if self._missing and isinstance(message, bytes):
            self._missing -= 1
            self._header.append(message)
        elif isinstance(message, str) and (count := _attachments(message)):
            self._missing = count
            self._header = [message]
        else:  # Engine.IO's own packets may come between the parts of one of Socket.IO
            self.push((message,))
            return
        if not self._missing:
            self.push(tuple(self._header))

    def push(self, unit: Unit | None) -> None:
        """Take a packet, or ``None`` for the end of the line."""
        if self._forward is None:
            return
        copies = 1
        if unit is not None and unit[0][:1] == "4":
            if self._drop:
                self._drop -= 1
                return
            if self._duplicate:
                self._duplicate -= 1
                copies = 2
        due = asyncio.get_running_loop().time() + self._delay
        if self._queue:
            due = max(due, self._queue[-1][0])
        self._queue.extend([(due, unit)] * copies)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None or self._resumed is not None or not self._queue:
            return
        loop = asyncio.get_running_loop()
        due = self._queue[0][0]
        if due <= loop.time():
            self._timer = loop.call_soon(self._run)
        else:
            self._timer = loop.call_at(due, self._run)

    def _run(self) -> None:
        self._timer = None
        queue = self._queue
        try:
            now = asyncio.get_running_loop().time()
            while queue and self._resumed is None and queue[0][0] <= now:
                _, unit = queue.popleft()
                if self._forward is not None:
                    self._forward(unit)
        finally:
            self._arm()


class Line:
    """A client's way to the server and back. It belongs to the loop of its client, and outlives its connections.

    Attributes:
        incoming: From the server to the client.
        outgoing: From the client to the server.
    """

    def __init__(self) -> None:
        """Take a line on which nothing goes wrong."""
        self.incoming = Direction()
        self.outgoing = Direction()
        self._wire: Wire | None = None
        self._on_reset: Callable[[], None] | None = None

    @property
    def is_cut(self) -> bool:
        """Whether nothing gets through any more; a new connection of the client has a whole line again."""
        return self._wire is not None and self._wire.is_cut

    def cut(self) -> None:
        """Lose everything from now on, both ways, without a word to anybody: a cable that was pulled."""
        if self._wire is not None:
            self._wire.is_cut = True
            self.incoming.discard()
            self.outgoing.discard()

    def reset(self) -> None:
        """End the connection at once, for both: a process that was killed, or a network that was left.

        The reason is ``transport close``; for a server whose poll waited it is ``transport error``.
        """
        if self._on_reset is not None:
            self._on_reset()

    # What follows is for the connection.

    def begin(self, on_reset: Callable[[], None]) -> "Wire":
        """Carry a new connection.

        Args:
            on_reset: Ends it for both sides.
        """
        self._wire = Wire(self)
        self._on_reset = on_reset
        return self._wire

    def carries(self, wire: "Wire") -> bool:
        """Say whether a connection is the one that it carries."""
        return wire is self._wire

    def end(self, wire: "Wire") -> None:
        """Carry nothing any more, unless it carries another connection by now."""
        if wire is self._wire:
            self._wire = self._on_reset = None
            self.incoming.discard()
            self.outgoing.discard()


class Wire:
    """The line as one connection has it: what the server still sends over it gets into no later one.

    Attributes:
        is_cut: Whether nothing gets through.
    """

    def __init__(self, line: Line) -> None:
        """Be the part of a line."""
        self.is_cut = False
        self._line = line

    @property
    def is_alive(self) -> bool:
        """Whether what the server sends gets through."""
        return not self.is_cut and self._line.carries(self)

    async def ready(self) -> None:
        """Wait until the client reads."""
        if self.is_alive:
            await self._line.incoming.ready()

    def feed(self, message: str | bytes) -> None:
        """Take a message of the server."""
        if self.is_alive:
            self._line.incoming.feed(message)

    def end(self) -> None:
        """Take the end of the line."""
        if self.is_alive:
            self._line.incoming.push(None)


def _attachments(message: str) -> int:
    """Return how many attachments follow a message."""
    if not message.startswith(BINARY):
        return 0
    digits = message[2:].partition("-")[0]
    return int(digits) if digits.isdecimal() else 0

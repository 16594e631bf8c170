"""Events that are sent one at a time, and again until they are acknowledged.

Source:
    socket.io-client, ``Socket._addToQueue`` and ``Socket._drainQueue``. Differs from it: each try of an event has the same bytes, and so the
    same ack id, as it had at its emit; an answer that comes late still counts.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from roomcast._core import EncodedPacket
from roomcast.sockets.acks import Done

__all__ = ["RetryQueue"]


class Entry:
    """One event."""

    __slots__ = ("done", "id", "packet", "pending", "timeout", "tries")

    def __init__(
        self, id: int, packet: EncodedPacket, done: Done | None, timeout: float | None
    ) -> None:
        self.id = id
        self.packet = packet
        self.done = done
        self.timeout = timeout
        self.tries = 0
        self.pending = False


Send = Callable[[int, EncodedPacket, float | None, Done], None]
"""Sends a packet, and calls back with its answer, or with why there is none."""


class RetryQueue:
    """The events of one socket that are not acknowledged yet.

    Attributes:
        size: Bytes of them.
    """

    def __init__(self, retries: int, is_connected: Callable[[], bool], send: Send) -> None:
        """Take how.

        Args:
            retries: How often an event is sent after the first time.
            is_connected: Says whether anything can be sent.
            send: Sends a packet.
        """
        self.size = 0
        self._retries = retries
        self._is_connected = is_connected
        self._send = send
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        """Return how many events wait, that under way included."""
        return len(self._entries)

    def push(
        self, id: int, packet: EncodedPacket, done: Done | None, timeout: float | None
    ) -> None:
        """Queue an event.

        Args:
            id: Its ack id.
            packet: It.
            done: Called once, with the answer or the last error.
            timeout: Seconds that each try may take.
        """
        self._entries.append(Entry(id, packet, done, timeout))
        self.size += packet.size
        self.drain()

    def drain(self, *, again: bool = False) -> None:
        """Send the first event, unless it is under way.

        Args:
            again: Send it even if it is: it went over a line that is gone.
        """
        if not self._entries or not self._is_connected():
            return
        entry = self._entries[0]
        if entry.pending and not again:
            return
        entry.pending = True
        entry.tries += 1
        self._send(
            entry.id,
            entry.packet,
            entry.timeout,
            lambda error, args: self._settle(entry, error, args),
        )

    def _settle(self, entry: Entry, error: Exception | None, args: tuple[Any, ...]) -> None:
        if not self._entries or self._entries[0] is not entry:
            return
        entry.pending = False
        if error is None or entry.tries > self._retries:
            self._entries.popleft()
            self.size -= entry.packet.size
            if entry.done is not None:
                entry.done(error, args)
        self.drain()

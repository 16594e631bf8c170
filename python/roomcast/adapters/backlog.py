"""What waits to be sent, so many bytes of it at most."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from roomcast.adapters.publisher import ENTRY_SIZE, Publishing

__all__ = ["Backlog"]

T = TypeVar("T")


class Backlog(Generic[T]):
    """Messages in their order. What finds no place is dropped by the policy, and counted.

    Attributes:
        size: Bytes that wait, with what each message takes beside its own.
    """

    def __init__(self, how: Publishing, counters: Counter[str]) -> None:
        """Begin with nothing.

        Args:
            how: How much may wait, and what is dropped beyond.
            counters: Where to count.
        """
        self.size = 0
        self._limit = how.queue_size
        self._drops_oldest = how.queue_policy == "drop_oldest"
        self._counters = counters
        self._queue: deque[tuple[T, int]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, message: T, length: int) -> bool:
        """Let a message wait; say whether it has found a place.

        Args:
            message: The message.
            length: Its bytes.
        """
        size = length + ENTRY_SIZE
        if self._drops_oldest and size <= self._limit:
            while self.size + size > self._limit:
                self._pop()
                self._counters["dropped_outbound"] += 1
        if self.size + size > self._limit:
            self._counters["dropped_outbound"] += 1
            return False
        self._queue.append((message, size))
        self.size += size
        return True

    def take(self, limit: float) -> Iterator[T]:
        """Take messages, the oldest first, so many bytes of them or one that is larger."""
        taken = 0
        while self._queue and (not taken or taken + self._queue[0][1] <= limit):
            taken += self._queue[0][1]
            yield self._pop()

    def clear(self) -> None:
        """Drop everything, uncounted: nobody is there for it."""
        self._queue.clear()
        self.size = 0

    def _pop(self) -> T:
        message, size = self._queue.popleft()
        self.size -= size
        return message

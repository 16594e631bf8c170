"""What has arrived and was not asked for yet, and those who wait for more."""

import asyncio
from collections import deque
from collections.abc import Callable
from reprlib import Repr
from typing import Any, Final

from roomcast.errors import DisconnectedError

__all__ = ["PATIENCE", "Event", "Inbox"]

Event = tuple[Any, ...]
"""An event: its name, then its arguments."""

PATIENCE: Final = 5.0
"""Seconds that an event may take which a test waits for, unless it says otherwise."""

MAX_EVENTS: Final = 10_000
"""Events that nobody has asked for. Beyond: the oldest is forgotten, as in a load of which a test reads nothing."""

MAX_NAMED: Final = 10
"""How many of them a message names."""

_short: Final = Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 3, 40, 40


class Inbox:
    """The events of one socket. It belongs to the loop of its client.

    Attributes:
        events: Those that nobody has asked for, in their order.
        ended: Why no further ones come; ``None`` while they may.
    """

    def __init__(self) -> None:
        """Take an empty one, into which nothing comes yet."""
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.ended: str | None = "not connected"
        self._waiting: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []
        self._failures: deque[BaseException] = deque()

    def put(self, event: Event) -> None:
        """Take an event: the first who waits for it gets it."""
        for entry in self._waiting:
            wanted, future = entry
            if wanted(event) and not future.done():
                self._waiting.remove(entry)
                future.set_result(event)
                return
        self.events.append(event)

    def begin(self) -> None:
        """Let events come."""
        self.ended = None

    def end(self, reason: str) -> None:
        """Let no further ones come."""
        self.ended = reason
        self._wake(lambda: DisconnectedError(f"the socket is disconnected ({reason})"))

    def fail(self, error: BaseException) -> None:
        """Raise an exception where somebody waits, or will wait next."""
        if self._waiting:
            self._wake(lambda: error)
        else:
            self._failures.append(error)

    def take_failure(self) -> BaseException | None:
        """Return an exception that nobody has seen, and forget it."""
        return self._failures.popleft() if self._failures else None

    async def take(
        self, wanted: Callable[[Event], bool], name: str, seconds: float | None
    ) -> Event:
        """Return the first event that is wanted, as soon as it is there; the others stay.

        Args:
            wanted: Says whether an event is.
            name: What it is called in messages.
            seconds: How long to wait; ``None`` waits without end.

        Raises:
            TimeoutError: If it does not come in time; it names what came instead.
            DisconnectedError: If it cannot come any more.
        """
        failure = self.take_failure()
        if failure is not None:
            raise failure
        for index, event in enumerate(self.events):
            if wanted(event):
                del self.events[index]
                return event
        if self.ended is not None:
            raise DisconnectedError(f"{name} cannot come, {self.ended}; {self.describe()}")
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        entry = (wanted, future)
        self._waiting.append(entry)
        try:
            done, _ = await asyncio.wait((future,), timeout=seconds)
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        if not done:
            raise TimeoutError(f"{name} did not come within {seconds:g} s; {self.describe()}")
        try:
            return future.result()
        except DisconnectedError as error:
            raise DisconnectedError(f"{name} cannot come, {error}; {self.describe()}") from None

    def describe(self) -> str:
        """Say what is there."""
        if not self.events:
            return "nothing else came"
        named = [_spell(event) for event in list(self.events)[-MAX_NAMED:]]
        more = len(self.events) - len(named)
        return "what came instead: " + ", ".join([*([f"{more} more"] if more else []), *named])

    def _wake(self, make: Callable[[], BaseException]) -> None:
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(make())


def _spell(event: Event) -> str:
    name, *args = event
    return f"{name!r}({', '.join(map(_short.repr, args))})"

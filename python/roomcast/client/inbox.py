"""What has arrived and was not asked for yet, and those who wait for more."""

import asyncio
from collections import deque
from collections.abc import Callable
from reprlib import Repr
from typing import Any, Final

from roomcast.errors import DisconnectedError, EventsLostError

__all__ = ["Event", "Inbox"]

Event = tuple[Any, ...]
"""An event: its name, then its arguments."""

MAX_UNHEARD: Final = 1_000
"""Events that nobody listens to, kept in case that somebody is about to ask for them. Beyond: the oldest is forgotten."""

MAX_UNREAD: Final = 100_000
"""Events that somebody who iterates has not come to. Beyond: the oldest is forgotten, and `EventsLostError` says so."""

MAX_NAMED: Final = 10
"""How many of them a message names."""

_short: Final = Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 3, 40, 40


class Inbox:
    """The events of one socket. It belongs to the loop of its client.

    Attributes:
        events: Those that nobody has asked for, in their order.
        ended: Why no further ones come; ``None`` while they may.
        reading: Whether somebody iterates, and so wants those too that have listeners.
        waiting: Who waits for what.
    """

    def __init__(self, unheard: int = MAX_UNHEARD) -> None:
        """Take an empty one, into which nothing comes yet.

        Args:
            unheard: How many events are kept as long as nobody iterates.
        """
        self.events: deque[Event] = deque()
        self.ended: str | None = "not connected"
        self.reading = False
        self.waiting: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []
        self._unheard = unheard
        self._lost = 0

    def put(self, event: Event) -> None:
        """Take an event: the first who waits for it gets it."""
        for entry in self.waiting:
            wanted, future = entry
            if wanted(event) and not future.done():
                self.waiting.remove(entry)
                future.set_result(event)
                return
        self.events.append(event)
        if len(self.events) > (MAX_UNREAD if self.reading else self._unheard):
            self.events.popleft()
            self._lost += self.reading

    def tell(self, event: Event) -> None:
        """Tell all who wait for it of an event of the library's own; whoever iterates does not."""
        for entry in list(self.waiting):
            wanted, future = entry
            if wanted is not _any and wanted(event) and not future.done():
                self.waiting.remove(entry)
                future.set_result(event)

    def begin(self) -> None:
        """Let events come."""
        self.ended = None

    def end(self, reason: str) -> None:
        """Let no further ones come."""
        self.ended = reason
        self._wake(lambda: DisconnectedError(f"the socket is disconnected ({reason})"))

    async def read(self) -> Event:
        """Return the next event, whatever it is.

        Raises:
            EventsLostError: If the reader was so slow that some are gone; once for all of them.
            DisconnectedError: If none comes any more.
        """
        self.reading = True
        if self._lost:
            lost, self._lost = self._lost, 0
            raise EventsLostError(lost)
        return await self.take(_any, "an event", None)

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
        for index, event in enumerate(self.events):
            if wanted(event):
                del self.events[index]
                return event
        if self.ended is not None:
            raise DisconnectedError(f"{name} cannot come, {self.ended}; {self.describe()}")
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        entry = (wanted, future)
        self.waiting.append(entry)
        try:
            done, _ = await asyncio.wait((future,), timeout=seconds)
        except asyncio.CancelledError:
            if future.done() and future.exception() is None:
                self.events.appendleft(future.result())  # for whoever asks next
            raise
        finally:
            if entry in self.waiting:
                self.waiting.remove(entry)
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
        waiting, self.waiting = self.waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(make())


def _any(event: Event) -> bool:
    return True


def _spell(event: Event) -> str:
    name, *args = event
    return f"{name!r}({', '.join(map(_short.repr, args))})"

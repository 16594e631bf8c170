"""What has arrived and was not asked for yet, and what listeners have raised."""

from collections import deque
from collections.abc import Callable
from typing import Final

from roomcast.client.inbox import Event, Inbox as ClientInbox

__all__ = ["PATIENCE", "Event", "Inbox"]

PATIENCE: Final = 5.0
"""Seconds that an event may take which a test waits for, unless it says otherwise."""

MAX_EVENTS: Final = 10_000
"""Events that nobody has asked for. Beyond: the oldest is forgotten, as in a load of which a test reads nothing."""


class Inbox(ClientInbox):
    """The events of one socket of a test, and its failures. It belongs to the loop of its client."""

    def __init__(self) -> None:
        """Take an empty one, into which nothing comes yet."""
        super().__init__(MAX_EVENTS)
        self._failures: deque[BaseException] = deque()

    def fail(self, error: BaseException) -> None:
        """Raise an exception where somebody waits, or will wait next."""
        if self.waiting:
            self._wake(lambda: error)
        else:
            self._failures.append(error)

    def take_failure(self) -> BaseException | None:
        """Return an exception that nobody has seen, and forget it."""
        return self._failures.popleft() if self._failures else None

    async def take(
        self, wanted: Callable[[Event], bool], name: str, seconds: float | None
    ) -> Event:
        """Return the first event that is wanted, as `Inbox.take` of the client does; what a listener has raised comes first."""
        failure = self.take_failure()
        if failure is not None:
            raise failure
        return await super().take(wanted, name, seconds)

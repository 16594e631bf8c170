"""How long handlers take, by event."""

from time import perf_counter
from typing import Any, Final

from roomcast.engine.histogram import Histogram

__all__ = ["MAX_EVENT_NAMES", "OTHER_EVENTS", "HandlerTimes"]

MAX_EVENT_NAMES: Final = 200
"""Events that have a histogram of their own. Handlers for every event run under names that clients have chosen."""

OTHER_EVENTS: Final = "(other)"
"""What the events beyond are called."""


class HandlerTimes:
    """Observes the handlers of a server.

    Attributes:
        by_event: How long those of an event took, from their beginning to their end, what they waited for included.
    """

    def __init__(self) -> None:
        self.by_event: dict[str, Histogram] = {}

    def __call__(self, event: str, socket: Any) -> "_Run":
        """Begin to measure one."""
        histogram = self.by_event.get(event)
        if histogram is None:
            if len(self.by_event) >= MAX_EVENT_NAMES:
                event = OTHER_EVENTS
            histogram = self.by_event.setdefault(event, Histogram())
        return _Run(histogram)


class _Run:
    __slots__ = ("_begin", "_histogram")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._begin = perf_counter()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def end(self, error: BaseException | None) -> None:
        self._histogram.observe(perf_counter() - self._begin)

"""What waits to be sent: one outbox per connection, one flush per iteration of the event loop for all of them.

Both are the core's (`roomcast._core.Outbox`, `roomcast._core.Flusher`), because a broadcast touches every one of its recipients'
outboxes. Here is what an emit returns.
"""

import asyncio
from collections.abc import Generator, Iterable
from typing import Any, Final

from roomcast._core import Flusher, Outbox, Traffic
from roomcast.types import Limits

__all__ = ["DONE", "SLICE_TIME", "Done", "Drain", "new_flusher"]

SLICE_TIME: Final = 0.01
"""Seconds that a flush may hold the loop; what is left continues in the next iteration. Half of the 20 ms of the architecture."""


def new_flusher(
    loop: asyncio.AbstractEventLoop,
    limits: Limits,
    policy: str = "close",
    traffic: Traffic | None = None,
) -> Flusher:
    """Return what flushes the outboxes of one server.

    Args:
        loop: The loop it belongs to.
        limits: ``send_buffer_mark`` and ``send_buffer_size`` apply.
        policy: What happens at the latter: ``close``, ``drop_oldest`` or ``drop_newest``.
        traffic: Counts what enters the outboxes.
    """
    mark, size = limits.send_buffer_mark, limits.send_buffer_size
    return Flusher(loop, mark, size, policy, SLICE_TIME, traffic=traffic)


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

    def __init__(self, outboxes: Iterable[Outbox]) -> None:
        self._outboxes = outboxes

    def __await__(self) -> Generator[Any, None, None]:
        """Wait for each recipient in turn; those that close in the meantime count as done."""
        for outbox in self._outboxes:
            while outbox.congested:
                # Shielded, because the future is shared: who gives up waiting must not cancel it for the others.
                yield from asyncio.shield(outbox.drained()).__await__()

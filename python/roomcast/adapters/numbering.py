"""The numbers that a node gives to what it publishes in a namespace: the other half of `gaps.py`.

Everything in a channel has a number, one more than the last. Where every node hears every channel, all of them are one. Where a node
hears only the channels of its rooms, each has numbers of its own; one that is numbered anew, because it was forgotten for others, begins
behind every number that it can have had.

A node says now and then which number it has reached: a second after a message, then every ten seconds; in the channel of a room only
as long as a node that was deaf may look for it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["POSITION_DELAY", "Numbering"]

POSITION_DELAY: Final = 1.0
"""Seconds after a message until the node says which number it has reached."""

POSITION_INTERVAL: Final = 10.0
"""Seconds after which it says that again where it has sent nothing: a node that was deaf meanwhile finds its gap."""

REPETITIONS: Final = 3
"""Times that it is said in the channel of a room after its last message."""

MAX_CHANNELS: Final = 65_536
"""Channels whose numbers are remembered. Beyond, the one that was numbered first is forgotten."""


class Numbering:
    """The numbers of one namespace. It belongs to the event loop of its server."""

    def __init__(self, main: bytes, say: Callable[[bytes, int], None]) -> None:
        """Begin at 0.

        Args:
            main: The channel that every node hears.
            say: Says in a channel which number has been reached.
        """
        self._main = main
        self._say = say
        self._total = 0
        self._positions: dict[bytes, int] = {}
        # Channels of rooms in which it is still to be said, and how often.
        self._unsaid: dict[bytes, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_soon = False

    def next(self, channel: bytes) -> tuple[int, bool]:
        """Return the number of the next message in a channel, and whether its numbers begin with it."""
        self._total += 1
        positions = self._positions
        last = positions.get(channel)
        if last is None:
            if len(positions) >= MAX_CHANNELS:
                forgotten = next(iter(positions))
                del positions[forgotten]
                self._unsaid.pop(forgotten, None)
            last = self._total - 1
            is_first = True
        else:
            is_first = False
        positions[channel] = last + 1
        if channel != self._main:
            self._unsaid[channel] = REPETITIONS
        if not self._is_soon:
            self._schedule(POSITION_DELAY)
        return last + 1, is_first

    def undo(self, channel: bytes) -> None:
        """Take the number of the last message back: it could not be written."""
        self._total -= 1
        self._positions[channel] -= 1

    def announce(self, again: float | None = None) -> None:
        """Say which numbers have been reached, and say it again after so many seconds."""
        self._say(self._main, self._positions.get(self._main, 0))
        for channel, times in list(self._unsaid.items()):
            self._say(channel, self._positions[channel])
            if times > 1:
                self._unsaid[channel] = times - 1
            else:
                del self._unsaid[channel]
        self._schedule(POSITION_INTERVAL if again is None else again)

    def stop(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, delay: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # before there is one; it will say so when there is
            return
        self.stop()
        self._is_soon = delay == POSITION_DELAY
        self._timer = loop.call_later(delay, self.announce)

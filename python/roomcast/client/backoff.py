"""How long a client waits before it tries again."""

import random

__all__ = ["Backoff"]


class Backoff:
    """Delays that double, each with its share of chance.

    Attributes:
        attempts: How many delays there were since the last `reset`.

    Source:
        socket.io-client, ``lib/contrib/backo2.ts``. Differs from it: there the chance is cut off at the longest delay, so that after a
        while all clients of a server come at the same time; here it is a share of every delay, below the longest as well.
    """

    def __init__(self, shortest: float, longest: float, factor: float) -> None:
        """Take the bounds.

        Args:
            shortest: Seconds of the first delay.
            longest: Seconds that no delay exceeds.
            factor: Which share of a delay is left to chance, 0 to 1.
        """
        self.attempts = 0
        self._shortest = shortest
        self._longest = longest
        self._factor = factor

    def next_delay(self) -> float:
        """Return the next delay in seconds, and count it."""
        # Far below where a float ends; the longest delay is reached long before.
        delay = min(self._shortest * 2.0 ** min(self.attempts, 64), self._longest)
        self.attempts += 1
        spread = delay * self._factor
        return random.uniform(delay - spread, min(delay + spread, self._longest))  # noqa: S311  no secret

    def reset(self) -> None:
        """Begin anew with the shortest delay."""
        self.attempts = 0

"""Counting durations into buckets."""

from bisect import bisect_left

__all__ = ["SECONDS", "Histogram"]

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of buckets for what takes from half a millisecond to ten seconds."""


class Histogram:
    """How often something took how long.

    Attributes:
        bounds: The upper bound of each bucket, in seconds; what is beyond the last falls into one more.
        counts: How many fell into each bucket, and into that one more.
        total: Seconds of all together.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def copy(self) -> "Histogram":
        """Return what it is now, which does not change any more."""
        copy = Histogram(self.bounds)
        copy.counts = list(self.counts)
        copy.total = self.total
        return copy

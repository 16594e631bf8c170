"""Time calls so that a noisy machine does not decide who is faster.

In every round each call is timed once, for a few milliseconds and in a new order, so that whatever else the machine does
meets all of them; what is compared is the ratio of two samples of one round. From every sample goes what an empty call
costs in the same loop.
"""

import gc
import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter_ns
from typing import Any, NamedTuple

__all__ = ["Call", "Spread", "interleave", "ratios", "spread", "timers"]


@dataclass(frozen=True)
class Call:
    """One thing to time.

    Attributes:
        function: A Python function of one argument, so that every call pays the same for being one.
        argument: What it gets.
        renew: Makes an equal argument that nobody has seen yet; without it the same one is passed again and again. A text
            beyond ASCII needs it: CPython keeps its UTF-8 form in the object once somebody has asked for it.
    """

    function: Callable[[Any], object]
    argument: Any
    renew: Callable[[], Any] | None = None

    def arguments(self, loops: int) -> Iterable[Any]:
        """Return the arguments of ``loops`` calls."""
        if self.renew is None:
            return repeat(self.argument, loops)
        return [self.renew() for _ in range(loops)]

    def time(self, loops: int) -> int:
        """Return the nanoseconds that ``loops`` calls take."""
        function, arguments = self.function, self.arguments(loops)
        gc.collect()  # so that nobody pays for another's garbage; its own it does pay for
        start = perf_counter_ns()
        for argument in arguments:
            function(argument)
        return perf_counter_ns() - start

    def calibrate(self, nanoseconds: float) -> int:
        """Return how many calls take about that long."""
        loops = 1
        while (elapsed := self.time(loops)) < nanoseconds / 4:
            loops *= 4
        return max(1, round(loops * nanoseconds / elapsed))


def _idle(_: Any) -> None:
    pass


def interleave(
    timers: dict[str, Callable[[], float]], rounds: int, *, seed: int = 0
) -> dict[str, list[float]]:
    """Return the samples of each timer, one per round; samples of one index are of one round."""
    samples: dict[str, list[float]] = {name: [] for name in timers}
    order, shuffle = list(timers), random.Random(seed).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            samples[name].append(timers[name]())
    return samples


def timers(calls: dict[str, Call], milliseconds: float) -> dict[str, Callable[[], float]]:
    """Return for each call a function that takes one sample of it, in nanoseconds a call."""
    idle = Call(_idle, None)
    idle_loops = idle.calibrate(2e6)

    def timer(call: Call) -> Callable[[], float]:
        loops = call.calibrate(milliseconds * 1e6)
        return lambda: call.time(loops) / loops - idle.time(idle_loops) / idle_loops

    return {name: timer(call) for name, call in calls.items()}


class Spread(NamedTuple):
    """The quartiles of samples."""

    q1: float
    median: float
    q3: float


def spread(samples: Sequence[float]) -> Spread:
    """Return the quartiles of at least two samples."""
    return Spread(*statistics.quantiles(samples, n=4, method="inclusive"))


def ratios(samples: Sequence[float], base: Sequence[float]) -> Spread:
    """Return how many times ``base`` the samples are, round by round."""
    return spread([sample / other for sample, other in zip(samples, base, strict=True)])

"""Every deadline of a server behind one timer of the event loop.

Heartbeats, connect time-outs, unfinished packets and acknowledgements all wait here; no connection and no packet has a timer of
its own. Time is cut into ticks. The items of one tick share a set, the ticks that have items stand in a heap, and the loop's
timer is set for the earliest of them.

An item that wants to be called *later* only moves its ``deadline``: when its tick comes it is put into the right one. So a pong
costs an assignment. An item that wants to be called *earlier* is added again.
"""

import asyncio
from heapq import heappop, heappush
from math import ceil, inf
from typing import Final

from roomcast.engine.connection import Timed
from roomcast.engine.histogram import Histogram

__all__ = ["Timers"]

TICK: Final = 0.01
"""Seconds. Nothing is called early, and nothing later than this; a hundred wake-ups a second are the most there can be."""


class Timers:
    """The deadlines of one server. It belongs to one event loop.

    Attributes:
        lag: How late the loop was each time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, lag: Histogram | None = None) -> None:
        """Take a loop.

        Args:
            loop: The loop.
            lag: Where its lateness is counted.
        """
        self._loop = loop
        self.lag = Histogram() if lag is None else lag
        self._ticks: dict[int, set[Timed]] = {}
        self._heap: list[int] = []
        self._handle: asyncio.TimerHandle | None = None
        self._handle_tick = 0

    def __len__(self) -> int:
        return sum(map(len, self._ticks.values()))

    def now(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def add(self, item: Timed) -> None:
        """Call an item at its deadline; does nothing if it is called by then anyway.

        Cost:
            A look-up in a dict, and logarithmic in the ticks that wait.
        """
        if item.deadline == inf:
            return
        tick = ceil(item.deadline / TICK)
        if item.tick is not None:
            if item.tick <= tick:
                return
            self.remove(item)
        self._put(item, tick)
        self._arm()

    def remove(self, item: Timed) -> None:
        """Forget an item; one that is not there is ignored."""
        if item.tick is None:
            return
        items = self._ticks.get(item.tick)
        if items is not None:
            items.discard(item)
        item.tick = None

    def close(self) -> None:
        """Forget every item and the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        for items in self._ticks.values():
            for item in items:
                item.tick = None
        self._ticks.clear()
        self._heap.clear()

    def _put(self, item: Timed, tick: int) -> None:
        items = self._ticks.get(tick)
        if items is None:
            items = self._ticks[tick] = set()
            heappush(self._heap, tick)
        items.add(item)
        item.tick = tick

    def _put_again(self, item: Timed, earliest: int) -> None:
        """Keep an item that was called, or was not due yet, unless it has added itself or waits for nothing."""
        if item.tick is None and item.deadline != inf:
            self._put(item, max(ceil(item.deadline / TICK), earliest))

    def _arm(self) -> None:
        """Set the loop's timer for the earliest tick."""
        heap = self._heap
        while heap and not self._ticks[heap[0]]:
            del self._ticks[heappop(heap)]
        if self._handle is not None:
            if heap and self._handle_tick <= heap[0]:
                return  # it fires early, finds nothing due, and is set anew
            self._handle.cancel()
            self._handle = None
        if heap:
            self._handle_tick = heap[0]
            self._handle = self._loop.call_at(heap[0] * TICK, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = self._loop.time()
        self.lag.observe(max(now - self._handle_tick * TICK, 0.0))
        # The loop may call a timer early by the resolution of its clock; the tick it was set for counts as reached.
        current = max(int(now / TICK), self._handle_tick)
        now = max(now, current * TICK)
        heap = self._heap
        try:
            while heap and heap[0] <= current:
                self._call(heappop(heap), now, current)
        finally:
            self._arm()

    def _call(self, tick: int, now: float, current: int) -> None:
        """Call the items of a tick, which is over with that: what they add meanwhile goes into others."""
        items = self._ticks.pop(tick)
        try:
            while items:
                item = items.pop()
                if item.tick != tick:
                    continue  # removed meanwhile
                item.tick = None
                if item.deadline <= now:
                    item.on_deadline(now)
                self._put_again(item, current + 1)
        finally:
            # Whatever a deadline raises is not the fault of the others.
            for item in items:
                if item.tick == tick:
                    self._put(item, current + 1)

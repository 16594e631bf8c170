import asyncio
from math import inf

import pytest

from roomcast.engine.heartbeat import Timers


class Loop:
    """A clock that a test moves, with at most one timer that has not been cancelled."""

    def __init__(self):
        self.now = 1000.0
        self.timers = []
        self.made = 0

    def time(self):
        return self.now

    def call_at(self, when, callback):
        self.made += 1
        timer = Timer(self, when, callback)
        self.timers.append(timer)
        assert len(self.timers) == 1
        return timer

    def advance(self, seconds):
        end = self.now + seconds
        while self.timers and self.timers[0].when <= end:
            timer = self.timers.pop()
            self.now = max(self.now, timer.when)
            timer.callback()
        self.now = end


class Timer:
    def __init__(self, loop, when, callback):
        self.loop, self.when, self.callback = loop, when, callback

    def cancel(self):
        self.loop.timers.remove(self)


class Item:
    def __init__(self, deadline, again=inf):
        self.deadline = deadline
        self.again = again
        self.tick = None
        self.calls = []

    def on_deadline(self, now):
        assert now >= self.deadline
        self.calls.append(now)
        self.deadline = self.again


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def timers(loop):
    return Timers(loop)


def test_items_are_called_not_early_and_within_a_tick(loop, timers):
    items = [Item(1000 + 0.0137 * n) for n in range(1, 50)]
    for item in items:
        timers.add(item)
    loop.advance(2)
    for item in items:
        (call,) = item.calls
        assert call < 1000 + 0.0137 * (items.index(item) + 1) + 0.0101
    assert len(timers) == 0
    assert loop.timers == []


def test_later_deadline_needs_no_call(loop, timers):
    item = Item(1001.0)
    timers.add(item)
    item.deadline = 1003.0
    loop.advance(2)
    assert item.calls == []
    loop.advance(1.1)
    assert len(item.calls) == 1


def test_earlier_deadline_is_added_again(loop, timers):
    item = Item(1010.0)
    timers.add(item)
    item.deadline = 1001.0
    timers.add(item)
    timers.add(item)
    assert len(timers) == 1
    loop.advance(1.1)
    assert len(item.calls) == 1
    assert loop.timers == []


def test_item_may_go_on(loop, timers):
    item = Item(1001.0, again=1002.0)
    timers.add(item)
    loop.advance(1.5)
    assert len(item.calls) == 1
    item.again = inf
    loop.advance(1)
    assert len(item.calls) == 2
    assert len(timers) == 0


def test_removed_item_is_not_called_nor_kept(loop, timers):
    gone, stays = Item(1001.0), Item(1002.0)
    timers.add(gone)
    timers.add(stays)
    timers.remove(gone)
    timers.remove(gone)
    assert len(timers) == 1
    loop.advance(3)
    assert gone.calls == []
    assert len(stays.calls) == 1


def test_items_without_a_deadline_are_not_kept(loop, timers):
    item = Item(inf)
    timers.add(item)
    assert len(timers) == 0
    assert loop.timers == []
    item.deadline = 1001.0
    timers.add(item)
    item.deadline = inf
    loop.advance(2)
    assert item.calls == []
    assert len(timers) == 0


def test_one_timer_serves_all(loop, timers):
    items = [Item(1001.0) for _ in range(1000)]
    for item in items:
        timers.add(item)
    assert loop.made == 1
    loop.advance(2)
    assert all(len(item.calls) == 1 for item in items)


def test_call_may_add_and_remove_others(loop, timers):
    class Meddler(Item):
        def on_deadline(self, now):
            super().on_deadline(now)
            timers.remove(victim)
            timers.add(late)
            self.deadline = now + 1
            timers.add(self)

    victim, late = Item(1001.005), Item(1001.0)
    meddler = Meddler(1000.995)
    timers.add(meddler)
    timers.add(victim)
    loop.advance(1.05)
    assert victim.calls == []
    assert len(late.calls) == 1
    assert len(meddler.calls) == 1
    assert len(timers) == 1


def test_failing_call_keeps_the_timer_going(loop, timers):
    class Failing(Item):
        def on_deadline(self, now):
            raise ValueError

    other = Item(1002.0)
    timers.add(Failing(1001.0))
    timers.add(other)
    with pytest.raises(ValueError):  # noqa: PT011
        loop.advance(1.1)
    loop.advance(1)
    assert len(other.calls) == 1


def test_close_forgets_everything(loop, timers):
    item = Item(1001.0)
    timers.add(item)
    timers.close()
    timers.close()
    assert loop.timers == []
    assert item.tick is None
    timers.add(item)
    loop.advance(2)
    assert len(item.calls) == 1


async def test_on_a_real_loop():
    loop = asyncio.get_running_loop()
    timers = Timers(loop)
    item = Item(timers.now() + 0.05)
    start = loop.time()
    timers.add(item)
    async with asyncio.timeout(2):
        while not item.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert 0.05 <= loop.time() - start < 0.1


class Action(Item):
    """Does something when it is called."""

    def __init__(self, deadline, action):
        super().__init__(deadline)
        self.action = action

    def on_deadline(self, now):
        super().on_deadline(now)
        self.action(now)


def test_item_that_adds_another_when_called_takes_no_tick_along(loop):
    timers = Timers(loop)
    others = [Item(1000.5 + step) for step in range(3)]
    again = Item(1000.2)
    first = Action(1000.1, lambda now: timers.add(again))
    for item in (first, *others):
        timers.add(item)
    loop.advance(10)
    assert [len(item.calls) for item in (first, again, *others)] == [1] * 5
    assert len(timers) == 0


def test_item_that_another_of_its_tick_removes_is_not_called(loop):
    timers = Timers(loop)
    items = [Action(1000.1, lambda now: None) for _ in range(8)]

    def remove_the_others(now):
        for item in items:
            timers.remove(item)

    for item in items:
        item.action = remove_the_others
        timers.add(item)
    loop.advance(1)
    assert sum(len(item.calls) for item in items) == 1
    assert len(timers) == 0


def test_item_that_raises_does_not_take_the_others_of_its_tick_along(loop):
    timers = Timers(loop)

    def fail(now):
        raise KeyboardInterrupt

    items = [Action(1000.1, fail), *(Item(1000.1) for _ in range(8)), Item(1000.3)]
    for item in items:
        timers.add(item)
    with pytest.raises(KeyboardInterrupt):
        loop.advance(0.2)
    loop.advance(1)
    assert [len(item.calls) for item in items] == [1] * 10
    assert len(timers) == 0

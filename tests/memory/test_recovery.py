"""What is kept for clients that may come back costs what the bounds say, and is given back."""

import asyncio
import gc
import tracemalloc

import pytest

from roomcast._core import Encoder
from roomcast.engine.heartbeat import Timers
from roomcast.server.recovery import ConnectionStateRecovery
from roomcast.server.sessions import Session, Sessions
from support.process import resident

ENCODER = Encoder()
COUNT = 5_000


class Owner:
    """A server with the real timers and a clock that the test moves."""

    def __init__(self):
        self.ahead = 0.0
        self.timers = Timers(self)

    def time(self):
        return asyncio.get_running_loop().time() + self.ahead

    def call_at(self, when, callback):
        return asyncio.get_running_loop().call_at(when - self.ahead, callback)

    now = time

    def schedule(self, item):
        self.timers.add(item)

    def count(self, name):
        pass

    def advance(self, seconds):
        self.ahead += seconds
        self.timers._fire()


class Keeper:
    def session_gone(self, session):
        pass


def fill(sessions, keeper, index):
    for number in range(COUNT):
        sid = f"{number:020}"
        rooms = {f"room {number % 100}": 0, f"own {number}": 0}
        sessions.keep(Session(sid, f"pid{sid}", rooms, {"name": str(number)}, 0, keeper))
        offset = sessions.next_offset()
        packet = ENCODER.encode_event("/", "event", ("x" * 100, offset))
        assert packet.frames  # as its first recipient makes them
        sessions.store(index, sessions.position, packet, (f"room {number % 100}",))


@pytest.fixture
def owner():
    return Owner()


@pytest.mark.timeout(60)
async def test_memory_is_given_back_when_all_is_over(owner):
    sessions, index = Sessions(ConnectionStateRecovery(max_sessions=COUNT), 130.0, owner), {}
    fill(sessions, Keeper(), index)
    owner.advance(1000)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        fill(sessions, Keeper(), index)
        full = tracemalloc.get_traced_memory()[0]
        assert (len(sessions), sessions.event_count) == (COUNT, COUNT)
        owner.advance(130)
        assert len(sessions) == 0
        assert sessions.event_count == COUNT  # they are kept for longer
        owner.advance(1000)
        assert (sessions.event_count, sessions.size, index) == (0, 0, {})
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert full - before > 3_000_000
    assert left < 10_000
    assert len(owner.timers) == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("size", [10, 1_000, 20_000])
async def test_max_bytes_is_what_it_costs(owner, size):
    limit = 40_000_000
    sessions, index = Sessions(ConnectionStateRecovery(max_bytes=limit), 130.0, owner), {}
    gc.collect()
    before = resident()
    for number in range(100_000 if size < 100 else 60_000_000 // size // 2):
        offset = sessions.next_offset()
        packet = ENCODER.encode_event("/", "event", ("x" * size, offset))
        assert packet.frames
        sessions.store(index, sessions.position, packet, (f"room {number % 50}",))
    cost = resident() - before
    assert sessions.size <= limit
    assert sessions.size > limit * 0.9
    assert cost < limit * 1.15

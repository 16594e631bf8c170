import asyncio

import pytest

from roomcast._core import Encoder
from roomcast.engine.outbox import DONE, Drain, Flusher, Outbox
from roomcast.types import Limits


class Carrier:
    def __init__(self):
        self.flushes = 0

    def flush(self):
        self.flushes += 1


def carried(flusher):
    made = Outbox(flusher)
    made.carry(Carrier())
    return made


class Owner:
    overflows = 0

    def on_overflow(self):
        self.overflows += 1


def packet(size):
    made = Encoder().encode_event("/", "x", ("a" * (size - 10),))
    assert made.size == size
    return made


@pytest.fixture
async def flusher():
    limits = Limits(send_buffer_mark=100, send_buffer_size=1000)
    return Flusher(asyncio.get_running_loop(), limits)


@pytest.fixture
async def outbox(flusher):
    made = carried(flusher)
    made.attach(Owner())
    return made


async def test_packets_of_one_iteration_are_flushed_together(outbox):
    outbox.push(packet(20))
    outbox.push_text("2")
    assert outbox._carrier.flushes == 0
    await asyncio.sleep(0)
    assert outbox._carrier.flushes == 1
    assert outbox.size == 21
    outbox.push_text("2")
    await asyncio.sleep(0)
    assert outbox._carrier.flushes == 2


async def test_all_dirty_outboxes_share_one_callback(flusher):
    outboxes = [carried(flusher) for _ in range(1000)]
    shared = packet(20)
    for outbox in outboxes:
        outbox.push(shared)
    await asyncio.sleep(0)
    assert all(outbox._carrier.flushes == 1 for outbox in outboxes)
    assert all(outbox.queue[0] is shared for outbox in outboxes)


async def test_long_flush_is_cut_into_slices(flusher, monkeypatch):
    monkeypatch.setattr("roomcast.engine.outbox.SLICE_TIME", 0)
    outboxes = [carried(flusher) for _ in range(600)]
    for outbox in outboxes:
        outbox.push_text("2")
    flushed = []
    for _ in range(3):
        await asyncio.sleep(0)
        flushed.append(sum(outbox._carrier.flushes for outbox in outboxes))
    assert flushed == [256, 512, 600]


async def test_size_at_the_limit_passes_and_beyond_closes(outbox, flusher):
    outbox.push(packet(500))
    outbox.push(packet(500))
    assert outbox.size == 1000
    outbox.push_text("2")
    outbox.push_text("2")
    assert outbox.size == 1000
    assert len(outbox.queue) == 2
    owner = outbox._owner
    assert owner.overflows == 0  # not in the middle of the sender's call
    await asyncio.sleep(0)
    assert owner.overflows == 1
    assert outbox._carrier.flushes == 0


async def test_one_larger_packet_may_enter_an_empty_outbox(outbox):
    large = packet(5000)
    outbox.push(large)
    assert outbox.size == 5000
    await asyncio.sleep(0)
    assert outbox._owner.overflows == 0
    outbox.sent(outbox.queue.popleft())
    assert outbox.size == 0
    outbox.push(large)
    outbox.push(packet(20))
    await asyncio.sleep(0)
    assert outbox._owner.overflows == 1


async def test_congestion_begins_above_the_mark_and_ends_at_it(outbox, flusher):
    outbox.push(packet(100))
    assert not outbox.congested
    outbox.push_text("2")
    assert outbox.congested
    assert flusher.congested == {outbox}
    waiting = asyncio.ensure_future(Drain([outbox]))
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.sent(outbox.queue.popleft())
    assert flusher.congested == set()
    await waiting


async def test_close_lets_everybody_go_on_and_refuses_packets(outbox, flusher):
    outbox.push(packet(200))
    waiting = [asyncio.ensure_future(Drain([outbox])) for _ in range(3)]
    await asyncio.sleep(0)
    outbox.close()
    await asyncio.gather(*waiting)
    assert flusher.congested == set()
    outbox.push(packet(20))
    assert len(outbox.queue) == 1
    outbox.discard()
    assert (outbox.size, len(outbox.queue)) == (0, 0)


async def test_overflow_without_an_owner_is_silent(flusher):
    outbox = carried(flusher)
    outbox.push(packet(900))
    outbox.push(packet(900))
    await asyncio.sleep(0)
    assert outbox._carrier.flushes == 1


async def test_done_is_done():
    await DONE
    assert list(DONE.__await__()) == []

"""The way over a broker where the broker does not take everything: what waits, and what becomes of a stream with a hole."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest

from roomcast.adapters.passing import LEAST_QUEUE, BrokerWay
from roomcast.adapters.segments import pack_segment, read_segment
from roomcast.engine.frames import pack_scope
from roomcast.engine.streams import SEGMENT_SIZE, Flag
from roomcast.engine.ways import WorkerLostError
from roomcast.errors import BrokerError

OTHER = "BBBBBBBB"
SCOPE = {"type": "http", "path": "/", "headers": [], "client": None}


class FakePublisher:
    """A queue that is as full as it is told to be.

    Attributes:
        asked: What was to be published, and who waits for its fate.
    """

    connected = True
    size = 0
    listeners = 1

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.asked: list[tuple[bytes, asyncio.Future[int]]] = []

    def ask(self, command: bytes, channel: bytes, message: bytes) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.asked.append((message, future))
        return future

    def reaches(self, channel: bytes, *, sharded: bool) -> bool:
        return self.connected

    def segments(self) -> list[tuple[int, int]]:
        """Return flags and sizes of what was to be published."""
        read = [read_segment(message) for message, _ in self.asked]
        return [(segment.flags, len(segment.data)) for segment in read]

    async def subscribers(self, channel: bytes, *, sharded: bool) -> int:
        return self.listeners

    def hear(self, count: int) -> None:
        """Say that so many have heard it all."""
        asked, self.asked = self.asked, []
        for _, future in asked:
            future.set_result(count)

    def lose(self) -> None:
        """Drop it all."""
        asked, self.asked = self.asked, []
        for _, future in asked:
            future.set_exception(BrokerError("the queue is full"))


class FakeSubscriber:
    listening = True

    def hears(self, channel: bytes, *, sharded: bool) -> bool:
        return self.listening

    def add(self, *_: object, **__: object) -> None:
        return

    def remove(self, *_: object, **__: object) -> None:
        return


class FakeNode:
    def __init__(self, limit: int) -> None:
        self.publisher = FakePublisher(limit)
        self.subscriber = FakeSubscriber()
        self.counters: Counter[str] = Counter()

    def ensure_started(self) -> None:
        return

    def count(self, name: str) -> None:
        self.counters[name] += 1


@pytest.fixture
async def way():
    node = FakeNode(LEAST_QUEUE)
    made = BrokerWay(node, "x", sharded=False)

    async def serve(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"z" * 1_000_000})

    made.start(asyncio.get_running_loop(), "AAAAAAAA", serve)
    yield SimpleNamespace(way=made, publisher=node.publisher)
    made.stop()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def never() -> dict[str, object]:
    await asyncio.Event().wait()
    raise AssertionError


async def ignored(_: object) -> None:
    return


async def test_streams_leave_three_quarters_of_a_small_queue_to_others(way):
    way.publisher.size = LEAST_QUEUE // 4 + 1
    passing = asyncio.ensure_future(way.way.pass_on(OTHER, SCOPE, never, ignored))
    await asyncio.sleep(0.05)
    assert not way.publisher.asked
    way.publisher.size = LEAST_QUEUE // 4
    async with asyncio.timeout(10):
        while not way.publisher.asked:  # noqa: ASYNC110  it looks again by itself
            await asyncio.sleep(0.01)
    assert way.publisher.segments()[0][0] == Flag.OPEN
    passing.cancel()


async def test_a_request_whose_segment_is_dropped_does_not_wait_for_an_answer(way):
    passing = asyncio.ensure_future(way.way.pass_on(OTHER, SCOPE, never, ignored))
    await turns()
    way.publisher.lose()
    with pytest.raises(WorkerLostError):
        await passing


async def test_who_waits_for_what_was_dropped_is_told_as_soon_as_there_is_room(way):
    way.way._on_message(b"", pack_segment(Flag.OPEN, OTHER.encode(), 5, 0, pack_scope(SCOPE)))
    async with asyncio.timeout(10):
        while not way.publisher.asked:  # noqa: ASYNC110  it is served by a task of its own
            await asyncio.sleep(0.001)
    assert way.publisher.segments()[0] == (0, SEGMENT_SIZE)
    for _ in range(3):
        way.publisher.lose()  # and so is what says so
        async with asyncio.timeout(10):
            while not way.publisher.asked:  # noqa: ASYNC110  it tries again by itself
                await asyncio.sleep(0.001)
        assert {flags for flags, _ in way.publisher.segments()} == {Flag.RESET}
    way.publisher.connected = False
    way.publisher.lose()
    await asyncio.sleep(0.05)
    assert not way.publisher.asked
    way.publisher.connected = True
    way.way.changed()
    assert {flags for flags, _ in way.publisher.segments()} == {Flag.RESET}


async def test_a_hole_shows_though_nothing_follows(way):
    """On a Redis Cluster nobody was counted for the first segment, and yet somebody listens: it may be heard, or not."""
    way.way._has_members = True
    passing = asyncio.ensure_future(way.way.pass_on(OTHER, SCOPE, never, ignored))
    await turns()
    (opening, _), *_ = way.publisher.asked
    way.publisher.hear(0)
    for number in (1, 2):
        await turns()
        assert not passing.done()
        way.way._on_look()
        await turns()
        read = [read_segment(message) for message, _ in way.publisher.asked]
        asked = [segment for segment in read if segment.id == read_segment(opening).id]
        assert [(each.flags, each.number, bytes(each.data)) for each in asked] == [(0, number, b"")]
        way.publisher.hear(0)
    await turns()
    way.way._on_look()
    await turns()
    way.publisher.hear(1)
    await turns()
    way.way._on_message(
        b"", pack_segment(Flag.RESET, OTHER.encode(), read_segment(opening).id, 0, b"")
    )
    with pytest.raises(WorkerLostError):
        await passing
    way.way._on_look()
    assert {flags for flags, _ in way.publisher.segments()} <= {Flag.PING, Flag.CLOSE}


async def test_who_waits_for_an_answer_that_nobody_heard_is_told(way):
    way.way._has_members = True
    way.way._on_message(b"", pack_segment(Flag.OPEN, OTHER.encode(), 5, 0, pack_scope(SCOPE)))
    await asyncio.sleep(0.05)
    way.publisher.hear(0)
    way.way._on_message(b"", pack_segment(Flag.RESET, OTHER.encode(), 5, 0, b""))
    await turns()
    way.publisher.asked.clear()
    way.way._on_look()
    assert Flag.RESET in {flags for flags, _ in way.publisher.segments()}


async def test_a_worker_that_nobody_hears_for_is_gone(way):
    way.way._has_members = True
    way.publisher.listeners = 0
    passing = asyncio.ensure_future(way.way.pass_on(OTHER, SCOPE, never, ignored))
    await turns()
    way.publisher.hear(0)
    with pytest.raises(WorkerLostError):
        await passing
    way.publisher.asked.clear()
    way.way._on_look()
    assert not way.publisher.asked

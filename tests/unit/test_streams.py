"""Streams between workers, without anything that carries them: order, windows and ends."""

import asyncio

import pytest

from roomcast.engine.frames import LENGTH
from roomcast.engine.streams import MARK, SEGMENT_SIZE, WINDOW, Flag, Stream


class End:
    """What carries one end."""

    def __init__(self, pair: "Pair", i: int) -> None:
        self.pair = pair
        self.i = i
        self.stream = Stream(7, asyncio.get_running_loop(), self, opens=i == 0)

    def schedule(self, stream: Stream) -> None:
        stream.loop.call_soon(stream.flush)

    def send(self, stream: Stream, flags: int, data: bytes) -> bool:
        if data and not self.pair.may_send:
            return False
        self.pair.sent.append((1 - self.i, flags, data))
        return True

    def forget(self, stream: Stream) -> None:
        self.pair.ended.append(stream.id)


class Pair:
    """Two ends whose segments arrive when they are told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, bytes]] = []
        self.ended: list[int] = []
        self.may_send = True
        self.ends = [End(self, i).stream for i in range(2)]

    def arrive(self) -> None:
        while self.sent:
            i, flags, data = self.sent.pop(0)
            if flags & Flag.RESET:
                self.ends[i].end()
            else:
                self.ends[i].take(flags, data)


def framed(data: bytes) -> bytes:
    return LENGTH.pack(len(data)) + data


async def settle(pair: Pair) -> None:
    for _ in range(20):
        await asyncio.sleep(0)
        pair.arrive()


async def test_what_is_written_at_once_travels_together_and_with_the_end():
    pair = Pair()
    pair.ends[1].write(framed(b"head"))
    pair.ends[1].write(framed(b"body"))
    pair.ends[1].close()
    await asyncio.sleep(0)
    ((_, flags, _),) = pair.sent
    assert flags == Flag.CLOSE
    pair.arrive()
    assert [await pair.ends[0].read() for _ in range(4)] == [b"head", b"body", None, None]
    assert pair.ended == [7, 7]


@pytest.mark.parametrize("size", [0, 1, SEGMENT_SIZE, WINDOW, 5 * WINDOW])
async def test_frames_of_any_size_arrive_whole(size):
    pair = Pair()
    for i in range(2):
        pair.ends[i].write(framed(b"x" * size) + framed(b"y"))
        reading = asyncio.ensure_future(pair.ends[1 - i].read())
        await settle(pair)
        assert await reading == b"x" * size
        assert await pair.ends[1 - i].read() == b"y"


async def test_who_does_not_wait_is_told_as_soon_as_a_frame_is_whole():
    pair = Pair()
    told: list[bytes | None] = []
    pair.ends[1].tell(lambda: told.append(pair.ends[1].next()))
    frame = framed(b"x" * 2 * WINDOW)
    pair.ends[0].write(frame[:3])
    await settle(pair)
    pair.ends[0].write(frame[3:-1])
    await settle(pair)
    assert not told
    pair.ends[0].write(frame[-1:])
    await settle(pair)
    assert told == [b"x" * 2 * WINDOW]
    pair.ends[1].tell(lambda: told.append(pair.ends[1].next()))
    pair.ends[0].close()
    await settle(pair)
    assert told[1:] == [None]


async def test_who_waits_no_more_is_not_told():
    pair = Pair()
    reading = asyncio.ensure_future(pair.ends[1].read())
    await asyncio.sleep(0)
    reading.cancel()
    pair.ends[0].write(framed(b"x"))
    await settle(pair)
    assert reading.cancelled()
    assert await pair.ends[1].read() == b"x"


@pytest.mark.parametrize("size", [WINDOW - 1, WINDOW, WINDOW + 1, 5 * WINDOW])
async def test_no_more_than_a_window_is_on_its_way(size):
    pair = Pair()
    pair.ends[0].write(framed(b"x" * (size - LENGTH.size)))
    await settle(pair)
    held = len(pair.ends[1]._in)
    assert held == min(size, WINDOW)
    draining = asyncio.ensure_future(pair.ends[0].drain())
    await asyncio.sleep(0)
    assert draining.done() is (size - held <= MARK)
    reading = asyncio.ensure_future(pair.ends[1].read())
    await settle(pair)
    assert len(await reading) == size - LENGTH.size
    await draining


async def test_many_small_frames_that_nobody_reads_stop_at_the_window():
    pair = Pair()
    for _ in range(WINDOW // 50):
        pair.ends[0].write(framed(b"x" * 96))
    await settle(pair)
    assert len(pair.ends[1]._in) == WINDOW
    for _ in range(WINDOW // 50):
        assert await pair.ends[1].read() == b"x" * 96
        pair.arrive()


@pytest.mark.parametrize(("size", "is_broken"), [(WINDOW, False), (WINDOW + 1, True)])
async def test_who_sends_more_than_the_window_is_cut_off(size, is_broken):
    pair = Pair()
    for begin in range(0, size, SEGMENT_SIZE):
        pair.ends[1].take(0, b"x" * min(SEGMENT_SIZE, size - begin))
    assert pair.ends[1].broken is is_broken
    assert bool(pair.sent) is is_broken


async def test_a_number_of_taken_bytes_that_is_none_breaks_it():
    pair = Pair()
    pair.ends[1].take(Flag.TAKEN, b"abc")
    await settle(pair)
    assert pair.ended == [7, 7]


async def test_what_there_is_no_place_for_goes_later():
    pair = Pair()
    pair.may_send = False
    pair.ends[0].write(framed(b"x" * 10))
    await settle(pair)
    assert not pair.sent
    pair.may_send = True
    pair.ends[0].flush()
    await settle(pair)
    assert await pair.ends[1].read() == b"x" * 10


async def test_who_closes_takes_nothing_more_and_holds_nobody_up():
    pair = Pair()
    pair.ends[0].write(framed(b"x"))
    await settle(pair)
    pair.ends[0].write(framed(b"x" * (2 * WINDOW)))
    pair.ends[0].close()
    pair.ends[1].write(framed(b"y" * (3 * WINDOW)))
    await settle(pair)
    assert await pair.ends[1].read() == b"x"
    reading = asyncio.ensure_future(pair.ends[1].read())
    await settle(pair)
    assert len(await reading) == 2 * WINDOW
    assert pair.ended == [7, 7]
    with pytest.raises(ConnectionResetError):
        await pair.ends[1].send(b"z")
    with pytest.raises(ConnectionResetError):
        await pair.ends[1].drain()


async def test_nobody_hears_of_what_was_closed_before_it_left():
    pair = Pair()
    pair.ends[0].write(framed(b"head"))
    pair.ends[0].close()
    await settle(pair)
    assert not pair.sent
    assert pair.ended == [7]

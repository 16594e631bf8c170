"""Streams between workers, without a broker: order, windows, ends, and bytes that are no segment."""

import asyncio

import pytest

from roomcast.adapters.segments import (
    MARK,
    SEGMENT_SIZE,
    WINDOW,
    Flag,
    Segment,
    Stream,
    pack_segment,
    read_segment,
)

NAME = b"AAAAbbb-"


class Pair:
    """Two ends whose segments arrive when they are told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.ended: list[int] = []
        self.may_send = True
        loop = asyncio.get_running_loop()
        self.ends = [
            Stream(7, loop, lambda *args, i=i: self.send(i, *args), self.ended.append, opens=not i)
            for i in range(2)
        ]

    def send(self, i: int, flags: Flag, id: int, number: int, data: bytes) -> bool:
        if data and not self.may_send:
            return False
        self.sent.append((1 - i, pack_segment(flags, NAME, id, number, data)))
        return True

    def arrive(self) -> None:
        while self.sent:
            i, message = self.sent.pop(0)
            segment = read_segment(message)
            if Flag.RESET in segment.flags:
                self.ends[i].end()
            else:
                self.ends[i].take(segment)


async def settle(pair: Pair) -> None:
    for _ in range(20):
        await asyncio.sleep(0)
        pair.arrive()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00",
        pack_segment(Flag.OPEN, NAME)[:-1],
        pack_segment(Flag.OPEN, b"AAAA/../"),
        b"\x40" + pack_segment(Flag.OPEN, NAME)[1:],
        pack_segment(Flag.OPEN, NAME, data=b"x" * (SEGMENT_SIZE + 1)),
    ],
)
def test_what_is_no_segment_is_refused(message):
    with pytest.raises(ValueError, match="segment"):
        read_segment(message)


@pytest.mark.parametrize("size", [0, 1, SEGMENT_SIZE - 1, SEGMENT_SIZE])
def test_segments_are_read_as_they_were_written(size):
    segment = Segment(Flag.OPEN | Flag.CLOSE, NAME.decode(), 2**64 - 1, 2**32 - 1, b"x" * size)
    assert read_segment(pack_segment(segment.flags, NAME, *segment[2:])) == segment


async def test_what_is_written_at_once_travels_together_and_with_the_end():
    pair = Pair()
    pair.ends[1].write(b"head")
    await asyncio.sleep(0)
    pair.ends[1].write(b"body")
    pair.ends[1].close()
    for _ in range(3):
        await asyncio.sleep(0)
    ((_, message),) = pair.sent
    assert read_segment(message).flags == Flag.CLOSE
    pair.arrive()
    assert await pair.ends[0].readexactly(8) == b"headbody"
    with pytest.raises(asyncio.IncompleteReadError):
        await pair.ends[0].readexactly(1)
    assert pair.ended == [7, 7]


@pytest.mark.parametrize("size", [WINDOW - 1, WINDOW, WINDOW + 1, 5 * WINDOW])
async def test_no_more_than_a_window_is_on_its_way(size):
    pair = Pair()
    pair.ends[0].write(b"x" * size)
    await settle(pair)
    reading = asyncio.ensure_future(pair.ends[1].readexactly(size))
    held = len(pair.ends[1]._in)
    assert held == min(size, WINDOW)
    draining = asyncio.ensure_future(pair.ends[0].drain())
    await asyncio.sleep(0)
    assert draining.done() is (size - held <= MARK)
    await settle(pair)
    assert await reading == b"x" * size
    await draining


async def test_a_hole_breaks_it_on_both_sides():
    pair = Pair()
    for _ in range(2):
        pair.ends[0].write(b"x")
        pair.ends[0].flush()
    del pair.sent[0]
    await settle(pair)
    assert pair.ended == [7, 7]
    with pytest.raises(ConnectionResetError):
        await pair.ends[0].drain()


@pytest.mark.parametrize(("size", "is_broken"), [(WINDOW, False), (WINDOW + 1, True)])
async def test_who_sends_more_than_the_window_is_cut_off(size, is_broken):
    pair = Pair()
    for number, begin in enumerate(range(0, size, SEGMENT_SIZE)):
        data = b"x" * min(SEGMENT_SIZE, size - begin)
        pair.ends[1].take(Segment(Flag(0), NAME.decode(), 7, number, data))
    assert pair.ends[1].is_closing() is is_broken


async def test_a_number_of_taken_bytes_that_is_none_breaks_it():
    pair = Pair()
    pair.ends[1].take(Segment(Flag.TAKEN, NAME.decode(), 7, 0, b"abc"))
    assert pair.ends[1].is_closing()


async def test_what_the_broker_has_no_place_for_goes_later():
    pair = Pair()
    pair.may_send = False
    pair.ends[0].write(b"x" * 10)
    await settle(pair)
    assert not pair.sent
    pair.may_send = True
    pair.ends[0].flush()
    await settle(pair)
    assert await pair.ends[1].readexactly(10) == b"x" * 10


async def test_who_closes_takes_nothing_more_and_holds_nobody_up():
    pair = Pair()
    pair.ends[0].write(b"x")
    await settle(pair)
    pair.ends[0].write(b"x" * (2 * WINDOW))
    pair.ends[0].close()
    pair.ends[1].write(b"y" * (3 * WINDOW))
    await settle(pair)
    reading = asyncio.ensure_future(pair.ends[1].readexactly(2 * WINDOW + 1))
    await settle(pair)
    assert len(await reading) == 2 * WINDOW + 1
    assert pair.ended == [7, 7]


async def test_nobody_hears_of_what_was_closed_before_it_left():
    pair = Pair()
    pair.ends[0].write(b"head")
    pair.ends[0].close()
    await settle(pair)
    assert not pair.sent
    assert pair.ended == [7]

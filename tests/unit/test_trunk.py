"""A trunk between two workers, over a pair of sockets."""

import asyncio
import socket

import pytest

from roomcast.engine.frames import LENGTH
from roomcast.engine.streams import WINDOW, Stream
from roomcast.engine.trunk import HEAD, MAX_WAITING, Trunk


class Ends:
    """Both ends of a trunk, and the streams that have come."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        lines = socket.socketpair()
        for line in lines:
            line.setblocking(False)
        self.lines = lines
        self.streams: list[Stream] = []
        self.ended: list[Trunk] = []
        self.opens = Trunk(loop, lines[0], self.ended.append)
        self.takes = Trunk(loop, lines[1], self.ended.append, self.streams.append)

    def close(self) -> None:
        self.opens.abandon()
        self.takes.abandon()


@pytest.fixture
async def ends():
    made = Ends()
    yield made
    made.close()


def framed(data: bytes) -> bytes:
    return LENGTH.pack(len(data)) + data


async def wait_until(done) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110  no event says it
            await asyncio.sleep(0.001)


async def test_many_streams_at_once_do_not_get_mixed_up(ends):
    async def ask(number: int) -> None:
        stream = ends.opens.open()
        text = b"%d " % number * number
        await stream.send(framed(text))
        assert await stream.read() == text
        stream.close()

    async def answer() -> None:
        served = 0
        while served < 100:
            await asyncio.sleep(0)
            for stream in ends.streams[served:]:
                served += 1
                text = await stream.read()
                assert text is not None
                await stream.send(framed(text))
                stream.close()

    await asyncio.gather(answer(), *(ask(number) for number in range(100)))
    assert not ends.ended


async def test_one_that_is_not_read_holds_up_no_other(ends):
    slow = ends.opens.open()
    writing = asyncio.ensure_future(slow.send(framed(b"x" * 50 * WINDOW)))
    await wait_until(lambda: ends.streams and len(ends.streams[0]._in) == WINDOW)
    for _ in range(5):
        stream = ends.opens.open()
        await stream.send(framed(b"quick"))
        await wait_until(lambda: len(ends.streams) == 2)
        assert await ends.streams.pop().read() == b"quick"
        stream.close()
    assert not writing.done()
    assert len(await ends.streams[0].read()) == 50 * WINDOW
    await writing


async def test_what_the_other_end_does_not_read_waits_and_is_bounded(ends):
    loop = asyncio.get_running_loop()
    loop.remove_reader(ends.lines[1])  # it hangs
    streams = [ends.opens.open() for _ in range(20)]
    for stream in streams:
        stream.write(framed(b"x" * WINDOW))
    await asyncio.sleep(0.05)
    assert ends.opens._waiting < MAX_WAITING + WINDOW
    loop.add_reader(ends.lines[1], ends.takes._on_readable)
    await wait_until(lambda: len(ends.streams) == 20)
    for stream in ends.streams:
        assert len(await stream.read()) == WINDOW


@pytest.mark.parametrize("who", ["opens", "takes"])
async def test_streams_end_with_the_line(ends, who):
    stream = ends.opens.open()
    await stream.send(framed(b"x"))
    await wait_until(lambda: ends.streams)
    getattr(ends, who).abandon()
    await wait_until(lambda: len(ends.ended) == 2)
    assert await stream.read() is None
    assert await ends.streams[0].read() == b"x"
    assert await ends.streams[0].read() is None
    with pytest.raises(ConnectionResetError):
        await stream.send(b"")


async def test_it_closes_when_all_is_answered_and_has_left(ends):
    asking, held = ends.opens.open(), ends.opens.open()
    await asking.send(framed(b"x"))
    await held.send(framed(b"y"))
    await wait_until(lambda: len(ends.streams) == 2)
    ends.takes.close()
    ends.streams[0].write(framed(b"z" * 3 * WINDOW))
    ends.streams[0].close()
    assert len(await asking.read()) == 3 * WINDOW
    assert not ends.ended
    ends.streams[1].close()
    await wait_until(lambda: len(ends.ended) == 2)
    assert await held.read() is None


async def test_one_that_takes_no_more_says_so(ends):
    before = ends.opens.open()
    await before.send(framed(b"x"))
    await wait_until(lambda: ends.streams)
    ends.takes.refuse()
    stream = ends.opens.open()
    await stream.send(framed(b"y"))
    assert await stream.read() is None
    await ends.streams[0].send(framed(b"z"))
    assert await before.read() == b"z"


@pytest.mark.parametrize("bytes_", [HEAD.pack(64, 1, 0), HEAD.pack(0, 1, 65_537)])
async def test_what_is_no_segment_ends_it(ends, bytes_, caplog):
    ends.lines[0].send(bytes_)
    await wait_until(lambda: len(ends.ended) == 2)
    assert "does not speak the same" in caplog.text


async def test_segments_in_pieces_are_put_together(ends):
    for byte in HEAD.pack(1, 1, 5) + framed(b"x") + HEAD.pack(0, 9, 2) + b"yy":
        ends.lines[0].send(bytes((byte,)))
        await asyncio.sleep(0.001)
    await wait_until(lambda: ends.streams)
    assert await ends.streams[0].read() == b"x"
    assert not ends.ended

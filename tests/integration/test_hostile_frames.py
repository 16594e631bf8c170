"""Rows of hardening.md about the frames of a WebSocket, where roomcast reads them itself: size, fragments, frames, pings.

The row stands in the name of each test. Inflated messages and extensions are in `test_deflate`, the heartbeat's packets and what both
transports have in common in `test_hostile_websocket`. Behind plain ASGI the server underneath counts and answers; what does not
depend on it is tried there too. ``ROOMCAST_HOSTILE=full`` takes the numbers of the page.
"""

import asyncio
import struct
from itertools import pairwise

import pytest
from tests.integration.conftest import FULL, eventually
from tests.integration.test_hostile_websocket import CORRUPT, DIRECT

from roomcast import Limits, Server
from support.process import watch_memory
from support.wire import BINARY, CONTINUATION, PING, PONG, TEXT, frame

pytestmark = pytest.mark.usefixtures("nothing_left")

directly = pytest.mark.parametrize("websockets_of", ["direct"], indirect=True)

CODES = {
    "bad UTF-8": "1007",
    "surrogate in UTF-8": "1007",
    "close with bad UTF-8": "1007",
    "beyond the limit": "1009",
}
"""Of what is no violation of the protocol."""


@pytest.fixture
def watched(io, log):
    """A server that logs what arrives and why sockets end."""
    io.event("x")(lambda socket, *args: log.append(args))
    io.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))
    return io


@pytest.fixture
async def join(dial):
    """Let a client join."""

    async def start(io):
        wire = await dial(io)
        assert (await wire.upgrade(DIRECT)).status == 101
        assert str(await wire.recv()).startswith("0{")
        wire.send("40")
        assert str(await wire.recv()).startswith("40{")
        return wire

    return start


# size


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_size_of_a_message_is_refused_before_it_has_all_come(watched, join, log, opcode):
    wire = await join(watched)
    size, sent = 60_000, 0
    closed = asyncio.create_task(wire.closed(5))
    for number in range(100):
        wire.write(frame(CONTINUATION if number else opcode, b"4" * size, first=0))
        await wire.drain()
        await asyncio.sleep(0.01)
        if closed.done():
            break
        sent += size
    assert sent <= 1_000_000 + 64_000
    assert await closed in ("1009", "")  # reset where more of it was on its way
    await log.count(1)
    assert log[0][0] == "transport error"
    assert watched.engine.counters == {"max_http_buffer_size": 1}


# fragments


@directly
@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("count", [1_023, 1_024, 1_025])
async def test_fragments_of_a_message_are_limited(watched, join, log, count, size):
    wire = await join(watched)
    text = b'42["x","' + b"a" * (count - 2) * size + b'"]'
    first, middle, last = text[:8], text[8:-2], text[-2:]
    wire.write(frame(TEXT, first, first=0))
    wire.write(frame(CONTINUATION, middle[:size], first=0) * (count - 2))
    wire.write(frame(CONTINUATION, last))
    if count <= 1_024:
        await log.count(1)
        assert log == [(middle.decode(),)]
        assert watched.engine.counters == {}
    else:
        assert await wire.closed() == "1008"
        await log.count(1)
        assert log == [("transport error", "too many fragments")]
        assert watched.engine.counters == {"max_fragments": 1}


@directly
@pytest.mark.parametrize("size", [0, 1])
async def test_fragments_without_end_take_no_memory(watched, join, log, size):
    count = 1_000_000 if FULL else 100_000
    wire, other = await join(watched), await join(watched)
    block = frame(CONTINUATION, b"a" * size, first=0) * 1_000
    wire.write(frame(BINARY, b"", first=0) + block * 2)
    assert await wire.closed() == "1008"
    async with watch_memory() as memory:
        for _ in range(count // 1_000):
            wire.write(block)
            await asyncio.sleep(0)
            if wire.writer.is_closing():
                break
    assert memory.rise < 1_000_000
    await eventually(lambda: len(watched.engine.connections) == 1)
    other.send('42["x"]')
    await log.until(())


# frames


@directly
@pytest.mark.parametrize("name", CORRUPT)
async def test_frames_that_are_corrupt_are_answered_by_the_code_for_it(watched, join, log, name):
    wire = await join(watched)
    for cut in range(0, 1 + len(CORRUPT[name]), 1 + len(CORRUPT[name]) // 20):
        wire.write(CORRUPT[name][:cut])
        await asyncio.sleep(0)
        wire.write(CORRUPT[name][cut:])
        assert await wire.closed() == CODES.get(name, "1002")
        await log.count(1)
        assert log[0][0] == "transport error"
        await wire.close()
        log.clear()
        wire = await join(watched)


# pings


async def frames_of(wire, opcode):
    """Read what has come of one kind, until nothing comes for a while."""
    found = []
    while True:
        try:
            first, data = await wire.recv_frame(0.3)
        except TimeoutError:
            return found
        if first & 0xF == opcode:
            found.append(data)


@directly
async def test_pings_are_answered_in_their_order(watched, join):
    wire = await join(watched)
    wire.write(b"".join(frame(PING, b"%d" % number) for number in range(1_000)))
    assert await frames_of(wire, PONG) == [b"%d" % number for number in range(1_000)]


@directly
async def test_pings_whose_pongs_are_not_read_are_answered_by_the_newest(watched, join, log):
    count = 1_000_000 if FULL else 60_000
    wire, other = await join(watched), await join(watched)
    wire.writer.transport.pause_reading()
    async with watch_memory() as memory:
        for start in range(0, count, 500):
            numbers = range(start, start + 500)
            wire.write(b"".join(frame(PING, struct.pack("!I121x", number)) for number in numbers))
            await wire.drain()
        wire.send('42["x"]')
        await log.until(())
    # Pongs of 127 bytes: much more than the kernel takes.
    assert memory.rise < 3_000_000
    other.send('42["x"]')
    await log.wait(lambda: len(log) == 2)
    wire.writer.transport.resume_reading()
    numbers = [struct.unpack_from("!I", data)[0] for data in await frames_of(wire, PONG)]
    assert all(one < two for one, two in pairwise(numbers))
    assert numbers[-1] == count - 1
    assert len(numbers) < count


@directly
async def test_pings_of_a_client_that_does_not_read_leave_the_limit_of_its_buffer(join, log):
    io = Server(limits=Limits(send_buffer_size=200_000))
    io.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))
    wire = await join(io)
    wire.writer.transport.pause_reading()
    async with asyncio.timeout(10):
        while not log:
            wire.write(frame(PING, bytes(125)) * 100)
            io.emit("fill", "x" * 100_000)
            await asyncio.sleep(0.001)
    assert log == [("forced close", "slow client")]
    wire.reset()

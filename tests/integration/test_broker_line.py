"""One connection to a broker: order, refusals, who waits for whom, and its end; on both loops."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from roomcast.adapters.broker import broker_of, command
from roomcast.adapters.line import MAX_UNREAD, Line, RefusedError
from roomcast.errors import BrokerError
from support.broker import RunningBroker

LARGE = 100_000
"""Bytes of a value that makes a connection full."""


@pytest.fixture
async def line(broker: RunningBroker) -> AsyncIterator[Line]:
    line = broker_of(broker.url).line()
    await line.open()
    yield line
    await line.close()


async def ask(line: Line, *words: bytes) -> object:
    await line.send([command(*words)])
    return await line.read()


async def test_replies_come_in_the_order_of_the_commands(line: Line):
    await line.send([command(b"ECHO", b"%d" % number) for number in range(5_000)])
    assert [await line.read() for _ in range(5_000)] == [b"%d" % number for number in range(5_000)]


async def test_a_refusal_keeps_its_code(broker: RunningBroker, line: Line):
    refused = await ask(line, b"GET")
    assert isinstance(refused, RefusedError)
    assert str(refused).startswith("ERR wrong number")
    await ask(line, b"REPLICAOF", b"127.0.0.1", b"1")
    refused = await ask(line, b"SET", b"a", b"b")
    assert str(refused).startswith("READONLY")


async def test_what_nobody_reads_makes_the_broker_wait(line: Line):
    assert await ask(line, b"SET", b"large", bytes(LARGE)) == b"OK"
    before = line.reads
    await line.send([command(b"GET", b"large")] * 100)
    await asyncio.sleep(0.3)
    quiet = line.reads
    assert before < quiet
    await asyncio.sleep(0.3)
    assert line.reads == quiet  # of 10 MB, no more is taken
    for _ in range(100):
        assert await line.read() == bytes(LARGE)
    assert line.reads > quiet
    assert await ask(line, b"ECHO", b"after") == b"after"
    assert 100 * LARGE > 4 * MAX_UNREAD


async def test_a_flood_leaves_others_the_loop(broker: RunningBroker, line: Line):
    taken: list[object] = []

    def take(reply: object) -> None:
        taken.append(reply)
        sum(range(300))  # some work

    delivering = asyncio.ensure_future(line.deliver(take))
    await line.send([command(b"ECHO", b"%d" % number) for number in range(50_000)])
    turns = 0
    while len(taken) < 50_000:
        await asyncio.sleep(0)
        turns += bool(taken)
    assert taken == [b"%d" % number for number in range(50_000)]
    assert turns > 5
    delivering.cancel()
    await asyncio.wait((delivering,))
    assert await ask(line, b"ECHO", b"after") == b"after"


async def test_what_the_taker_raises_is_raised(line: Line):
    def take(reply: object) -> None:
        raise LookupError(reply)

    delivering = asyncio.ensure_future(line.deliver(take))
    await line.send([command(b"ECHO", b"1"), command(b"ECHO", b"2")])
    with pytest.raises(LookupError):
        await delivering
    assert await line.read() == b"2"


@pytest.mark.parametrize("way", ["read", "deliver"])
async def test_who_reads_learns_that_it_is_broken(broker: RunningBroker, line: Line, way: str):
    waiting = asyncio.ensure_future(line.read() if way == "read" else line.deliver(print))
    await asyncio.sleep(0.05)
    broker.kill()
    with pytest.raises(BrokerError):
        await waiting
    assert not line.write([b""])
    for again in (line.read(), line.deliver(print), line.send([command(b"PING")])):
        with pytest.raises(BrokerError):
            await again
    with pytest.raises(BrokerError):
        await broker_of(broker.url).line().open()


async def test_who_sends_waits_for_a_broker_that_is_behind(broker: RunningBroker, line: Line):
    told: list[None] = []
    line.on_writable = lambda: told.append(None)
    broker.pause()
    while line.write([command(b"SET", b"large", bytes(LARGE))]):
        pass
    sending = asyncio.ensure_future(line.send([command(b"ECHO", b"after")]))
    await asyncio.sleep(0.1)
    assert not sending.done()
    assert not told
    broker.resume()
    await sending
    assert told
    while (reply := await line.read()) != b"after":
        assert reply == b"OK"

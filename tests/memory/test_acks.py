"""Acknowledgements that nobody answers: when their time is over, nothing is left of them."""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets

from roomcast import AckTimeoutError, Server
from support.process import resident
from support.served import eventually

log = logging.getLogger(__name__)

TOTAL = int(os.environ.get("ROOMCAST_TIMED_OUT_ACKS", "50_000"))
"""How many acknowledgements run into their time-out; the goal is set for 1_000_000."""

BATCH = 5_000
"""So many wait at the same time."""

TIMEOUT = 0.05
"""Seconds that a client has to answer."""

GROWTH = 4_000_000
"""Bytes that the process may have grown in the end; with the million the smallest object for each would be four times as much."""


@asynccontextmanager
async def silent_client(port: int) -> AsyncIterator[None]:
    """Connect a client that reads everything and answers nothing but pings."""
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    async with websockets.connect(url, ping_interval=None, max_queue=None) as ws:
        await ws.send("40")

        async def read() -> None:
            async for message in ws:
                if message == "2":
                    await ws.send("3")

        reading = asyncio.create_task(read())
        yield
        reading.cancel()


async def run_out(io: Server, late: list[Any]) -> None:
    """Let a batch of every kind of acknowledgement run into its time-out."""
    (socket,) = io.sockets.values()
    waiting = []
    for _ in range(BATCH // 5):
        waiting += [
            socket.timeout(TIMEOUT).emit_with_ack("question"),
            io.timeout(TIMEOUT).emit_with_ack("question"),
            io.timeout(TIMEOUT).emit_with_ack_report("question"),
        ]
        socket.timeout(TIMEOUT).emit("question", ack=lambda error: late.append(type(error)))
        io.timeout(TIMEOUT).emit("question", ack=lambda error, _: late.append(type(error)))
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    await eventually(lambda: len(late) == BATCH // 5 * 2)
    assert {type(outcome) for outcome in outcomes[0::3] + outcomes[1::3]} == {AckTimeoutError}
    assert {outcome.timed_out for outcome in outcomes[2::3]} == {(socket.id,)}
    assert set(late) == {AckTimeoutError}
    late.clear()
    assert not socket._acks


@pytest.mark.timeout(60 + TOTAL // 2_000)
async def test_memory_is_where_it_was_after_many_timed_out_acks() -> None:
    io = Server()
    listening = await io.listen(0)
    late: list[Any] = []
    async with silent_client(listening.port):
        await eventually(lambda: io.sockets)
        for _ in range(3):
            await run_out(io, late)
        gc.collect()
        deadlines, before = len(io.engine.timers), resident()
        for _ in range(TOTAL // BATCH):
            await run_out(io, late)
        gc.collect()
        growth = resident() - before
        assert len(io.engine.timers) == deadlines
        assert len(io.engine.timers._ticks) < 10
    await io.close()
    log.info("grown by %.0f kB after %d timed-out acknowledgements", growth / 1e3, TOTAL)
    assert growth < GROWTH

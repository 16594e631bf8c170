"""Ten minutes of connects, disconnects, upgrades and aborts at random, in a few seconds; then nothing may be left.

``ROOMCAST_SOAK`` is the time in seconds, on each kind of event loop; 600 in the long run.
"""

import asyncio
import gc
import os
import random

import pytest
from tests.integration.conftest import eventually, left_in

from roomcast import Server
from support.crowd import Crowd
from support.process import open_files, resident

pytestmark = pytest.mark.usefixtures("nothing_left")

SOAK = float(os.environ.get("ROOMCAST_SOAK", "3"))

CLIENTS = 40

GROWTH = 8_000_000
"""Bytes that the memory may grow after the warm-up, however long the soak."""


@pytest.fixture
def io(monkeypatch):
    """A server in which everything that waits for a client waits a second at most."""
    monkeypatch.setattr("roomcast.engine.polling.LINGER", 0.5)
    monkeypatch.setattr("roomcast.engine.websocket.LINGER", 0.5)
    monkeypatch.setattr("roomcast.engine.direct.LINGER", 0.5)
    io = Server(ping_interval=0.3, ping_timeout=0.7, upgrade_timeout=0.4, connect_timeout=1)
    io.event("in")(lambda socket, room: socket.join(str(room)))
    io.event("out")(lambda socket, room: socket.leave(str(room)))
    io.event("shout")(lambda socket, room: socket.to(str(room)).emit("news", b"1", b"2"))

    @io.event
    async def echo(socket, value):
        return value

    return io


async def disturb(io, chance):
    """Broadcast, and throw somebody out now and then."""
    while True:
        await asyncio.sleep(0.01)
        io.emit("news", "a" * chance.randint(0, 2_000))
        sockets = list(io.sockets.values())
        if sockets and chance.random() < 0.2:
            chance.choice(sockets).disconnect(close=chance.random() < 0.5)


@pytest.mark.timeout(SOAK * 1.5 + 60)
async def test_soak_leaves_nothing_behind(io, port_of, capsys):
    seed = random.randrange(1 << 32)
    crowd = Crowd(await port_of(io), seed)
    memory, files = [], []
    for seconds in (SOAK / 4, SOAK * 3 / 4):  # the first is the warm-up
        disturbing = asyncio.create_task(disturb(io, crowd.random))
        await crowd.live(seconds, CLIENTS)
        disturbing.cancel()
        await eventually(lambda: not left_in(io), lambda: (seed, left_in(io)))
        gc.collect()
        memory.append(resident())
        files.append(open_files())
    with capsys.disabled():
        if SOAK > 10:
            print(  # noqa: T201
                f"\nseed {seed}, {SOAK:.0f} s, {sum(crowd.tally.values())} events: {dict(crowd.tally.most_common())}"
                f"\ncounters of the server: {dict(io.engine.counters)}"
                f"\nleft: {left_in(io)}, descriptors {files}, memory in MB {[size / 1e6 for size in memory]}"
            )
    assert memory[1] - memory[0] < GROWTH, seed
    assert files[0] == files[1]

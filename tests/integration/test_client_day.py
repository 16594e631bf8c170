"""A day of a network that breaks in every way, on a clock that jumps: a client holds no more at its end than after two hours.

``ROOMCAST_HOURS`` is how many hours; a day by default, as it takes seconds.
"""

import asyncio
import gc
import json
import os
import random
from collections import Counter

import pytest

from roomcast.client import connect
from roomcast.client.engine import Engine
from roomcast.client.polling import Polling
from roomcast.client.websocket import WebSocket
from support.hostile import HANDSHAKE, HostileServer
from support.process import open_files, resident

HOURS = int(os.environ.get("ROOMCAST_HOURS", "24"))

pytestmark = [pytest.mark.usefixtures("fresh_memory"), pytest.mark.timeout(60 + 5 * HOURS)]

WARM_UP = 2
"""Hours after which it holds what it ever holds."""

GROWTH = 4_000_000
"""Bytes that memory may grow after that, however long the day."""


class Network:
    """What becomes of a connection is a matter of chance."""

    def __init__(self, chance):
        self.chance = chance
        self.fates = Counter()
        self.alive_until = 0.0
        self.joining = False

    async def serve(self, peer):
        """Serve one TCP connection."""
        await peer.request()
        if "sid=" in peer.head.partition("\r\n")[0]:
            await self.poll(peer)
            return
        fate = self.chance.choice(["lasts", "lasts", "lasts", "refused", "silent", "reset"])
        self.fates[fate] += 1
        self.alive_until = asyncio.get_running_loop().time() + self.chance.uniform(1, 900)
        if fate == "silent":
            await peer.drain()
        elif fate == "refused":
            await peer.answer(status="503 Service Unavailable")
        elif fate == "lasts" and peer.header("upgrade"):
            await self.websocket(peer)
        elif fate == "lasts":
            await peer.answer("0" + json.dumps(HANDSHAKE))
            await peer.request()
            await self.poll(peer)

    async def websocket(self, peer):
        await peer.agree()
        await peer.send("0" + json.dumps(HANDSHAKE), '40{"sid":"x"}')
        loop = asyncio.get_running_loop()
        while loop.time() < self.alive_until:
            await asyncio.sleep(25)
            await peer.send("2", '42["news",1]')
        if self.chance.random() < 0.3:
            self.fates["goes silent"] += 1
            await peer.drain()

    async def poll(self, peer):
        """Serve the requests on a line of polling; the first one has been read."""
        loop = asyncio.get_running_loop()
        while loop.time() < self.alive_until:
            if peer.head.startswith("POST"):
                self.joining = self.joining or peer.body == b"40"
                await peer.answer("ok")
            else:
                await asyncio.sleep(0.01)  # perhaps somebody is just joining
                if self.joining:
                    self.joining = False
                    await peer.answer('40{"sid":"x"}')
                else:
                    await asyncio.sleep(25)
                    await peer.answer('2\x1e42["news",1]')
            await peer.request()


def held():
    """Count what a client is made of."""
    gc.collect()
    return Counter(
        type(found).__name__
        for found in gc.get_objects()
        if isinstance(found, Engine | Polling | WebSocket | asyncio.Task | asyncio.TimerHandle)
    )


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_day_leaves_nothing_behind(clock, transport):
    network = Network(random.Random(7))
    counts, memory, files = [], [], []
    async with HostileServer(network.serve) as server:
        socket = connect(server.url, transports=transport)
        heard = Counter()
        for event in ("connect", "connect_error", "disconnect", "news"):
            socket.on(event, lambda *args, event=event: heard.update([event]))
        socket.connect()
        for hour in range(HOURS):
            await clock.advance(3_600)
            socket.emit("note", hour)
            if hour + 1 in (WARM_UP, HOURS):
                # Wherever it stands just now; so it is brought to the same place each time.
                await socket.disconnect()
                await clock.advance(60)
                counts.append(held())
                memory.append(resident())
                files.append(open_files())
                socket.connect()
        await socket.disconnect()
    assert heard["connect"] > HOURS
    assert heard["disconnect"] > HOURS
    assert heard["connect_error"] > HOURS
    assert heard["news"] > 20 * HOURS
    assert counts[0] == counts[1], counts
    assert files[0] == files[1]
    assert memory[1] - memory[0] < GROWTH

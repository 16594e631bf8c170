"""Nothing is lost, doubled or reordered on the way up from polling to a WebSocket, whenever that happens."""

import asyncio
import json
import os
import random

import pytest

from support.reference import NODE_DIRECTORY

RUNS = int(os.environ.get("ROOMCAST_UPGRADES", "3"))
"""Upgrades at random moments; 50 in the long run."""

COUNT = 10_000


def payload(number):
    return number if number % 10 else [number, str(number).encode()]


def number_of(value):
    if isinstance(value, int):
        return value
    number, attachment = value
    assert attachment == str(number).encode()
    return number


async def send_numbers(socket, count):
    number = 0
    while number < count:
        for _ in range(min(count - number, random.randint(1, 200))):
            socket.emit("number", payload(number))
            number += 1
        await asyncio.sleep(random.random() * 0.003)


@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.timeout(60)
async def test_numbered_events_arrive_whole_once_and_in_order(io, serve, run):
    received = []
    upgraded = []

    @io.on("connection")
    def connection(socket):
        socket.conn.on(
            "upgrade", lambda transport: upgraded.append((len(received), transport.name))
        )

    @io.event
    async def start(socket, count):
        await send_numbers(socket, count)

    @io.event
    def number(socket, value):
        received.append(number_of(value))

    @io.event
    def end(socket):
        return len(received)

    url = f"http://127.0.0.1:{(await serve(io)).port}"
    client = await asyncio.create_subprocess_exec(
        "node",
        str(NODE_DIRECTORY / "sequence.js"),
        url,
        str(COUNT),
        str(random.uniform(0, 150)),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    output, _ = await client.communicate()
    report = json.loads(output)
    assert report.get("error") is None, (report["error"], len(received), len(report["received"]))
    assert report["transport"] == "websocket"
    assert [name for _, name in upgraded] == ["websocket"]
    assert received == list(range(COUNT))
    assert report["received"] == list(range(COUNT))
    assert report["answered"] == COUNT

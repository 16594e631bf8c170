"""The server is killed again and again under traffic; with ``retries`` nothing is lost.

``ROOMCAST_KILLS`` is how often; 50 in the long run.
"""

import asyncio
import json
import os
import random
import socket as sockets

import pytest

from roomcast.client import connect
from support.client_fixtures import FAST, Heard
from support.peers import PeerProcess

KILLS = int(os.environ.get("ROOMCAST_KILLS", "4"))

pytestmark = [pytest.mark.usefixtures("clean"), pytest.mark.timeout(60 + 5 * KILLS)]


def free_port():
    with sockets.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def test_nothing_is_lost_with_retries(peer_kind, transports, tmp_path):
    path, port, chance = tmp_path / "events", free_port(), random.Random(1)
    process = await asyncio.to_thread(PeerProcess, peer_kind)
    process.start(port)
    options = {"transports": transports, "retries": 1_000, "ack_timeout": 5.0, **FAST}
    socket = await connect(f"http://127.0.0.1:{port}", **options)
    heard = Heard(socket)
    sent, going, failures = 0, True, []

    async def talk():
        nonlocal sent
        while going:
            answer = socket.emit_with_ack("store", str(path), sent)
            answer.add_done_callback(
                lambda done: failures.append(done.exception()) if done.exception() else None
            )
            sent += 1
            await asyncio.sleep(0.002)
        return await answer

    talking = asyncio.ensure_future(talk())
    for kill in range(1, KILLS + 1):
        await asyncio.sleep(0.02 + chance.random() * 0.1)
        await asyncio.to_thread(process.kill)
        process = await asyncio.to_thread(PeerProcess, peer_kind)
        process.start(port)
        await heard.until("connect", kill)
    going = False
    async with asyncio.timeout(60):
        await talking
    await socket.disconnect()
    await asyncio.to_thread(process.kill)

    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert failures == []
    assert sent > 10 * KILLS
    assert list(dict.fromkeys(found)) == list(range(sent))  # all, and first seen in their order
    # Whose acknowledgement was lost with the server is sent again: one at each kill at most, as one at a time is under way.
    doubled = len(found) - sent
    assert 0 <= doubled <= KILLS
    assert all(found.count(number) <= 2 for number in set(found[:200]))


async def test_without_retries_nothing_is_doubled(peer_kind, tmp_path):
    path, port = tmp_path / "events", free_port()
    process = await asyncio.to_thread(PeerProcess, peer_kind)
    process.start(port)
    async with connect(f"http://127.0.0.1:{port}", transports="websocket", **FAST) as socket:
        heard = Heard(socket)
        answers = [socket.emit_with_ack("store", str(path), number) for number in range(500)]
        await asyncio.sleep(0.01)
        await asyncio.to_thread(process.kill)
        results = await asyncio.gather(*answers, return_exceptions=True)
        process = await asyncio.to_thread(PeerProcess, peer_kind)
        process.start(port)
        await heard.until("connect")
        await socket.emit_with_ack("answer")
    await asyncio.to_thread(process.kill)
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    assert len(set(found)) == len(found)
    # What was acknowledged has arrived; everybody else was told.
    assert all(
        number in found for number, result in enumerate(results) if not isinstance(result, OSError)
    )

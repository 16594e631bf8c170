"""The line is cut at every byte of an event with three attachments, in both directions, on both transports.

The client reconnects, no half event is delivered, none twice, and what follows gets through. ``ROOMCAST_CUTS=1`` tries every byte also of
the heads of polling's requests and answers; otherwise those of all bodies and frames, and every 16th of the heads.
"""

import asyncio
import os
import re
from itertools import pairwise

import pytest

from roomcast.client import connect
from support.client_fixtures import FAST, Heard, eventually
from support.relay import Relay

pytestmark = [pytest.mark.usefixtures("clean"), pytest.mark.timeout(120)]

EVERY = "ROOMCAST_CUTS" in os.environ

ATTACHMENTS = (b"first", {"second": b"2" * 20, "text": "é"}, [b"third"])

HEAD = re.compile(rb"(HTTP/1\.1 200|POST /).*?\r\n\r\n", re.DOTALL)

MARK = "measured"
"""The first argument of an event; all are as long as this one."""

FIXED = {"upgrade": False, "timestamp_requests": False}
"""Options with which an event always takes the same number of bytes."""

ABREAST = 8
"""Connections that are cut at the same time."""


async def measure(peer, transport, direction):
    """Return what goes over the line for one event."""
    async with (
        Relay(peer.port) as relay,
        connect(relay.url, transports=transport, **FIXED) as socket,
    ):
        await ready(socket, relay)
        before = len(relay.traffic[direction])
        if direction == "up":
            socket.emit("note", MARK, *ATTACHMENTS)
            await peer.until("note", MARK)
        else:
            peer.emit("note", MARK, *ATTACHMENTS)
            await socket.wait_for("note")
        traffic = bytes(relay.traffic[direction][before:])
    # On polling the next GET comes in the same direction, behind.
    return traffic.partition(b"GET /")[0] if traffic.startswith(b"POST") else traffic


def cuts_of(traffic):
    """Return where to cut: bytes after which the event is neither unsent nor whole."""
    step = 1 if EVERY else 16
    cuts = {count for count in range(1, len(traffic)) if count % step == 0}
    heads = [(found.start(), found.end()) for found in HEAD.finditer(traffic)]
    for (_, end), (start, _) in pairwise([*(heads or [(0, 4)]), (len(traffic), 0)]):
        cuts.update(range(end - 3, start))
    # The reference sends text and attachments apart. A line that ends between two requests is made anew, and nothing is lost.
    return sorted(cuts - {start for start, _ in heads})


async def ready(socket, relay):
    """Wait until nothing is under way, but for a GET."""
    await socket.emit_with_ack("answer")
    size = -1
    while size != len(relay.traffic["up"]) + len(relay.traffic["down"]):
        size = len(relay.traffic["up"]) + len(relay.traffic["down"])
        await asyncio.sleep(0.01)


async def cut_at(peer, transport, direction, count, mark, *, lost=True):
    """Cut one line; return what its client has heard."""
    heard = []
    options = {"transports": transport, **FIXED, **FAST}
    async with Relay(peer.port) as relay, connect(relay.url, **options) as socket:
        events = Heard(socket)
        socket.on("note", lambda *args: heard.append(args))
        await ready(socket, relay)
        relay.cut_after(direction, count)
        (socket if direction == "up" else peer).emit("note", mark, *ATTACHMENTS)
        await eventually(lambda: not relay.cutting)
        if lost:
            await events.until("connect")
            assert events.names == ["disconnect", "connect"], (count, events)
        assert await socket.timeout(5).emit_with_ack("answer", mark, b"alive") == (
            mark,
            b"alive",
        )
    return heard


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_cut_line(start_peer, transport, direction):
    # Each line has a server of its own, so that nobody else hears an event.
    peers = [start_peer() for _ in range(ABREAST)]
    cuts = cuts_of(await measure(peers[0], transport, direction))
    assert len(cuts) > 80
    count = len(cuts)
    found = {}

    async def work(peer):
        while cuts:
            at = cuts.pop()
            found[at] = await cut_at(peer, transport, direction, at, f"{at:08}")
        if direction == "up":
            # No event has arrived, as each lacked a byte at least.
            assert [mark for mark, *_ in peer.logged("note") if mark != MARK] == []

    await asyncio.gather(*map(work, peers))
    assert set(map(len, found.values())) == {0}
    assert len(found) == count


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_line_that_is_cut_right_behind_an_event(peer, transport, direction):
    """All of it has gone through: it is delivered, once."""
    total = len(await measure(peer, transport, direction))
    mark = f"{total:08}"
    # On polling, a line that ends between two requests is made anew, and nothing is lost.
    lost = (transport, direction) != ("polling", "down")
    heard = await cut_at(peer, transport, direction, total, mark, lost=lost)
    if direction == "down":
        assert [args[0] for args in heard] == [mark]
        assert heard[0][1:] == ATTACHMENTS
    else:
        await peer.until_count(2, "note")
        assert [note[0] for note in peer.logged("note")] == [MARK, mark]

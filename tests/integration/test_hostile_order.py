"""Row "adjacent" of hardening.md: what several tasks send at once is never interleaved, lost or doubled, on any way to the client."""

import asyncio
import base64
from collections import defaultdict

import pytest
from tests.integration.conftest import FULL

from roomcast.codec import Decoder

pytestmark = pytest.mark.usefixtures("nothing_left")

SENDERS = 8
COUNT = 1_000 if FULL else 60


class Received:
    """The packets that a client got, by their sender; an interleaved one raises."""

    def __init__(self):
        self.decoder = Decoder()
        self.numbers = defaultdict(list)

    def __len__(self):
        return sum(map(len, self.numbers.values()))

    def take(self, message):
        """Take a message of Engine.IO; a text has its type digit."""
        if isinstance(message, str) and message[0] != "4":
            return
        packet = self.decoder.feed(message[1:] if isinstance(message, str) else message)
        if packet is None:
            return
        event, sender, number, *attachments = packet.data
        assert event == "x"
        assert attachments == [b"%d %d %d" % (sender, number, place) for place in range(3)]
        self.numbers[sender].append(number)

    def take_payload(self, payload):
        for packet in payload.decode().split("\x1e"):
            self.take(base64.b64decode(packet[1:]) if packet[0] == "b" else packet)

    def check(self):
        assert self.numbers == {sender: list(range(COUNT)) for sender in range(SENDERS)}


@pytest.fixture
def start(io):
    """Let eight tasks emit as soon as a client asks for it."""
    tasks = []

    async def send(socket, sender):
        for number in range(COUNT):
            socket.emit("x", sender, number, *(b"%d %d %d" % (sender, number, n) for n in range(3)))
            # Some turns of the loop, so that the tasks mix in every order.
            for _ in range((number * 7 + sender) % 4):
                await asyncio.sleep(0)
            if number % 10 == sender:
                await asyncio.sleep(0.001)

    def begin(sid):
        tasks.extend(asyncio.create_task(send(io.sockets[sid], n)) for n in range(SENDERS))

    return begin


async def test_adjacent_packets_through_polling(io, poll, start):
    session, received = await poll(io), Received()
    start(await session.join())
    while len(received) < SENDERS * COUNT:
        received.take_payload((await session.get()).body)
    received.check()


async def test_adjacent_packets_through_a_websocket(io, dial, start):
    wire, received = await dial(io), Received()
    await wire.upgrade("EIO=4&transport=websocket")
    await wire.recv()
    wire.send("40")
    await wire.recv()
    start(next(iter(io.sockets)))
    while len(received) < SENDERS * COUNT:
        received.take(await wire.recv())
    received.check()


@pytest.mark.parametrize("moment", [0, 1, 5, 20])
@pytest.mark.parametrize("limit", [1_000_000, 100])
async def test_adjacent_packets_through_an_upgrade(
    poll, dial, io, start, moment, limit, monkeypatch
):
    # With a small limit nearly every payload ends in the middle of a packet.
    monkeypatch.setattr("roomcast.engine.polling.Polling._take", take_up_to(limit))
    session, received = await poll(io), Received()
    start(await session.join())
    wire = await dial(io)
    for _ in range(moment):
        received.take_payload((await session.get()).body)
    await wire.upgrade(session.upgrade_query)
    session.gets.ask(session.query)
    wire.send("2probe")
    assert await wire.recv() == "3probe"
    received.take_payload((await session.gets.answer()).body)
    wire.send("5")
    while len(received) < SENDERS * COUNT:
        received.take(await wire.recv())
    received.check()


def take_up_to(limit):
    return lambda polling: polling._outbox.take_payload(limit)

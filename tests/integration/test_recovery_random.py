"""Clients whose lines break at random get all that was sent to them, once and in order."""

import asyncio
import random

import pytest
from tests.integration.conftest import FULL, eventually
from tests.integration.test_hostile_recovery import Counting, open_wire

from roomcast import Server

ROOMS = ["a", "b", "c"]


class Client:
    """A client, and what it should have got."""

    def __init__(self, io, port):
        self.io = io
        self.port = port
        self.wire = None
        self.reply = None
        self.got = Counting()
        self.expected = []
        self.rooms = set()

    @property
    def is_there(self):
        return self.reply.sid in self.io.sockets

    async def connect(self):
        wish = {} if self.reply is None else self.reply.wish(self.got.offset)
        self.wire, again = await open_wire(self.port, wish)
        assert self.reply is None or again.sid == self.reply.sid, self.io.engine.counters
        self.reply = again
        self.got.begin()
        for message in again.before:
            self.got.take(message)

    def join(self, room):
        self.io.sockets[self.reply.sid].join(room)
        self.rooms.add(room)

    async def cut(self, count):
        """Take at most so many messages, lose the others, and break the line."""
        for _ in range(count):
            try:
                self.got.take(await self.wire.recv(0.02))
            except TimeoutError:
                break
        self.wire.reset()
        self.wire = None

    async def finish(self):
        if self.wire is None:
            await self.connect()
        while len(self.got.numbers) < len(self.expected) or not self.got.is_whole:
            self.got.take(await self.wire.recv())
        assert await self.wire.silent()
        assert self.got.numbers == self.expected
        await self.wire.close()


def emit(io, dice, clients, number):
    """Emit to a random choice, and note for whom it is."""
    if dice.random() < 0.2:
        one = dice.choice(clients)
        io.to(one.reply.sid).emit("event", number)
        one.expected.append(number)
        return
    to = set(dice.sample(ROOMS, dice.choice((0, 1, 2))))
    all_of = set(dice.sample(ROOMS, dice.choice((0, 0, 1))))
    except_ = set(dice.sample(ROOMS, dice.choice((0, 0, 1))))
    operator = io.to(to).all_of(all_of).except_(except_)
    operator.emit("event", number, *[b"x"] * dice.choice((0, 0, 2)))
    for client in clients:
        rooms = client.rooms
        if (not to or rooms & to) and rooms >= all_of and not rooms & except_:
            client.expected.append(number)


async def step(dice, client):
    """Let something happen to a client, or nothing."""
    action = dice.random()
    if action < 0.05 and client.is_there:
        client.join(dice.choice(ROOMS))
    elif action < 0.15 and client.wire is not None:
        await client.cut(dice.randrange(3))
    elif action < 0.35 and client.wire is None:
        if dice.random() < 0.5:  # otherwise the old line may still seem alive
            await eventually(lambda: not client.is_there)
        await client.connect()
    elif action < 0.4:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("seed", range(20 if FULL else 3))
async def test_nothing_is_lost_doubled_or_misplaced(port_of, monkeypatch, seed):
    # Lines break faster here than an official client comes back.
    monkeypatch.setattr("roomcast.server.recoverable.TAKEOVER_AFTER", 0.0)
    io = Server(connection_state_recovery=True)
    dice = random.Random(seed)
    port = await port_of(io)
    clients = [Client(io, port) for _ in range(6)]
    for client in clients:
        await client.connect()
    for number in range(400):
        emit(io, dice, clients, number)
        await step(dice, dice.choice(clients))
    for client in clients:
        await client.finish()
    assert io.engine.counters["recoveries"] > 10

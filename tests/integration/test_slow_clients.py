"""Clients that do not read: volatile events, back pressure, and what the policy does when their buffer is full."""

import asyncio
import socket

import pytest
from tests.integration.conftest import eventually
from tests.support.raw import UPGRADE, request

from roomcast import Server
from roomcast.types import Limits

pytestmark = pytest.mark.usefixtures("nothing_left")

PIECE = "x" * 10_000
LIMITS = Limits(send_buffer_size=200_000)


class Stalled:
    """A client that joins and then reads nothing until it is told to; its own buffer is as small as the kernel allows."""

    def __init__(self, line):
        self.line = line
        self.loop = asyncio.get_running_loop()
        self.received = b""

    @classmethod
    async def connect(cls, port):
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.setblocking(False)
        client = cls(line)
        await client.loop.sock_connect(line, ("127.0.0.1", port))
        target = "/socket.io/?EIO=4&transport=websocket"
        await client.loop.sock_sendall(line, request("GET", target, headers=UPGRADE))
        await client.read_until(b'0{"sid"')
        await client.loop.sock_sendall(line, b"\x81\x82\0\0\0\x0040")
        await client.read_until(b'40{"sid"')
        client.received = b""
        return client

    async def read_until(self, text):
        async with asyncio.timeout(10):
            while text not in self.received:
                data = await self.loop.sock_recv(self.line, 1 << 20)
                assert data, "the line has ended"
                self.received += data
        _, _, self.received = self.received.partition(text)

    async def numbers(self, last):
        """Read the numbers of events ``n`` up to one, each with its padding."""
        async with asyncio.timeout(10):
            while b'["n",%d,' % last not in self.received:
                data = await self.loop.sock_recv(self.line, 1 << 20)
                assert data, "the line has ended"
                self.received += data
        return [int(part.split(b",")[0]) for part in self.received.split(b'42["n",')[1:]]


@pytest.fixture
async def stall(port_of):
    clients = []

    async def start(io):
        clients.append(await Stalled.connect(await port_of(io)))
        return clients[-1]

    yield start
    for client in clients:
        client.line.close()


async def fill(io):
    """Send to the one connection until its transport takes no more; return how many events that took."""
    (outbox,) = [connection.outbox for connection in io.engine.connections.values()]
    sent = 0
    while outbox.writable:
        io.emit("fill", PIECE * 10)
        # The next one would be one too many while this one has not been taken.
        await eventually(lambda: not outbox.size or not outbox.writable)
        sent += 1
        assert sent < 1000
    return outbox


async def test_volatile_events_reach_a_client_that_reads(connect, io):
    raw = await connect(io)
    await raw.join()
    (socket_,) = io.sockets.values()
    socket_.volatile.emit("a")
    io.volatile.emit("b")
    socket_.to(socket_.id + "x").volatile.emit("nobody")
    io.to(socket_.id).volatile.emit("c")
    assert await raw.recv_many(3) == ['42["a"]', '42["b"]', '42["c"]']
    assert io.engine.counters["dropped_volatile"] == 0


async def test_volatile_events_are_dropped_exactly_while_a_client_does_not_read(stall):
    io = Server(limits=Limits(send_buffer_size=10_000_000))
    stalled = await stall(io)
    outbox = await fill(io)
    (socket_,) = io.sockets.values()
    dropped = io.engine.counters["dropped_volatile"]
    assert dropped == 0
    socket_.volatile.emit("n", 1, "")
    io.volatile.emit("n", 2, "")
    socket_.emit("n", 3, "")
    assert io.engine.counters["dropped_volatile"] == 2
    await stalled.read_until(b'42["n",3,')
    await eventually(lambda: outbox.writable)
    socket_.volatile.emit("n", 4, "")
    await stalled.read_until(b'42["n",4,')
    assert io.engine.counters["dropped_volatile"] == 2


async def test_volatile_event_with_an_acknowledgement_runs_into_its_time_out(stall):
    io = Server(limits=Limits(send_buffer_size=10_000_000))
    await stall(io)
    await fill(io)
    (socket_,) = io.sockets.values()
    with pytest.raises(TimeoutError):
        await socket_.volatile.timeout(0.05).emit_with_ack("question")
    assert io.engine.counters["dropped_volatile"] == 1


async def test_volatile_events_on_polling_leave_with_a_request_that_waits(poll, io, log):
    io.event("disconnect")(lambda socket, *why: log.append(why))
    session = await poll(io)
    await session.join()
    (socket_,) = io.sockets.values()
    socket_.volatile.emit("lost")
    socket_.emit("kept")
    assert (await session.get()).body == b'42["kept"]'
    waiting = asyncio.create_task(session.get())
    await eventually(lambda: socket_.outbox.writable)
    socket_.volatile.emit("one")
    socket_.volatile.emit("two")
    assert (await waiting).body == b'42["one"]\x1e42["two"]'
    assert io.engine.counters["dropped_volatile"] == 1


async def test_awaiting_an_emit_waits_until_the_client_has_caught_up(stall):
    io = Server(limits=Limits(send_buffer_size=10_000_000, send_buffer_mark=50_000))
    stalled = await stall(io)
    await fill(io)
    (socket_,) = io.sockets.values()
    waits = [
        asyncio.ensure_future(socket_.emit("n", 1, PIECE * 10)),
        asyncio.ensure_future(io.emit("n", 2, PIECE)),
    ]
    await asyncio.sleep(0.05)
    assert not any(wait.done() for wait in waits)
    assert io.engine.flusher.congested == 1
    await stalled.numbers(2)
    async with asyncio.timeout(3):
        await asyncio.gather(*waits)
    assert io.engine.flusher.congested == 0
    await socket_.emit("n", 3, "")


async def test_slow_client_is_closed_and_reported(stall, log):
    io = Server(limits=LIMITS)
    io.event("disconnect")(lambda socket, *why: log.append(why))
    io.engine.on("slow_client", lambda connection, dropped: log.append((connection.id, dropped)))
    await stall(io)
    (id,) = io.engine.connections
    outbox = await fill(io)
    sizes = []
    while io.engine.connections:
        io.emit("more", PIECE)
        sizes.append(outbox.size)
        await asyncio.sleep(0)
    assert log == [(id, 0), ("forced close", "slow client")]
    assert max(sizes) <= LIMITS.send_buffer_size
    assert io.engine.counters["send_buffer_size"] == 1
    assert io.engine.counters["dropped_packets"] == 0


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_policy_drops_events_of_a_slow_client_and_keeps_it(stall, policy):
    io = Server(limits=LIMITS, send_buffer_policy=policy)
    dropped = []
    io.engine.on("slow_client", lambda connection, count: dropped.append(count))
    stalled = await stall(io)
    outbox = await fill(io)
    for number in range(100):
        io.emit("n", number, PIECE)
        assert outbox.size <= LIMITS.send_buffer_size
        if not number % 7:
            await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert 60 < sum(dropped) < 100
    assert io.engine.counters["dropped_packets"] == sum(dropped)
    assert io.engine.counters["send_buffer_size"] == len(dropped)
    reading = asyncio.create_task(stalled.numbers(1000))
    await eventually(lambda: outbox.writable and outbox.empty)
    io.emit("n", 1000, "")
    numbers = await reading
    assert len(numbers) == 101 - sum(dropped)
    assert numbers == sorted(numbers)
    assert numbers[-2] == 99 if policy == "drop_oldest" else numbers[0] == 0
    assert len(io.sockets) == 1


async def test_stalled_client_costs_the_others_nothing(stall, connect):
    io = Server(limits=LIMITS)
    await stall(io)
    stalled = await fill(io)
    others = [await connect(io) for _ in range(20)]
    for other in others:
        await other.join()
    largest = 0
    for number in range(50):
        io.emit("n", number, PIECE)
        largest = max(largest, stalled.size)
        received = await asyncio.gather(*(other.recv() for other in others))
        assert set(received) == {f'42["n",{number},"{PIECE}"]'}
    assert largest <= LIMITS.send_buffer_size
    assert len(io.engine.connections) == 20


def test_policy_is_checked_at_construction():
    with pytest.raises(ValueError, match="send_buffer_policy: 'hope' is none of close"):
        Server(send_buffer_policy="hope")

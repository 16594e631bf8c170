"""The switches of the test kit's line, each for what it does to packets and who notices."""

import asyncio

import pytest

from roomcast import AckTimeoutError, Limits, Server, Socket, testing
from roomcast.testing import Clock, Connect


@pytest.fixture
def io() -> Server:
    io = Server()
    io.of("/").on("connection", lambda socket: socket.join("all"))

    @io.event
    def echo(socket: Socket, *args: object) -> object:
        socket.emit("back", *args)
        return args

    return io


@pytest.fixture
def ends(io: Server) -> list[str]:
    ends: list[str] = []
    io.event("disconnect")(lambda socket, reason: ends.append(reason))
    return ends


@pytest.fixture(params=["websocket", "polling"])
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_drop_loses_the_next_packets_with_their_attachments(
    io: Server, connect: Connect, clock: Clock, transport: str
) -> None:
    client = await connect(io, transports=transport)
    client.line.incoming.drop(2)
    io.emit("x", 1, b"one")
    io.emit("x", 2)
    io.emit("x", 3, b"three")
    assert await client.wait_for("x") == (3, b"three")
    client.line.outgoing.drop()
    client.emit("echo", "lost", b"too")
    client.emit("echo", "found")
    assert await client.wait_for("back") == "found"
    await clock.settle()
    assert client.received == []


async def test_heartbeats_pass_a_drop(io: Server, connect: Connect, clock: Clock) -> None:
    client = await connect(io)
    client.line.incoming.drop()
    client.line.outgoing.drop()
    await clock.advance(100)
    assert client.connected
    io.emit("x")
    io.emit("y")
    assert await client.wait_for("y") is None
    assert client.received == []


async def test_a_lost_acknowledgement_times_out(io: Server, connect: Connect, clock: Clock) -> None:
    client = await connect(io)
    client.line.incoming.drop(2)
    with pytest.raises(AckTimeoutError):
        await client.timeout(3).emit_with_ack("echo")
    assert await client.timeout(3).emit_with_ack("echo", 1) == 1


async def test_duplicate_lets_packets_come_twice(
    io: Server, connect: Connect, clock: Clock, transport: str
) -> None:
    client = await connect(io, transports=transport)
    client.line.incoming.duplicate()
    io.emit("x", b"one")
    io.emit("x", b"two")
    await clock.settle()
    assert client.received == [("x", b"one"), ("x", b"one"), ("x", b"two")]
    client.line.outgoing.duplicate()
    assert await client.emit_with_ack("echo", b"up") == b"up"
    await clock.settle()
    assert client.received[3:] == [("back", b"up"), ("back", b"up")]


async def test_delay_keeps_the_order(
    io: Server, connect: Connect, clock: Clock, transport: str
) -> None:
    client = await connect(io, transports=transport)
    begin = clock.time()
    client.line.incoming.delay(2)
    io.emit("x", 1)
    await clock.settle()
    client.line.incoming.delay(0)
    io.emit("x", 2)
    await clock.advance(1.9)
    assert client.received == []
    assert [await client.wait_for("x"), await client.wait_for("x")] == [1, 2]
    assert clock.time() - begin == pytest.approx(2)
    client.line.outgoing.delay(0.5)
    assert await client.emit_with_ack("echo", "up") == "up"
    assert clock.time() - begin == pytest.approx(2.5)


async def test_a_line_that_is_too_slow_for_the_heartbeat_ends(
    io: Server, ends: list[str], connect: Connect, clock: Clock, transport: str
) -> None:
    client = await connect(io, transports=transport)
    client.line.incoming.delay(11)
    client.line.outgoing.delay(11)
    await clock.advance(60)
    assert ends == ["ping timeout"]
    assert await client.wait_for("disconnect") == "transport close"


async def test_cut_is_noticed_by_the_heartbeats_of_both_sides(
    io: Server, ends: list[str], connect: Connect, clock: Clock, transport: str
) -> None:
    client = await connect(io, transports=transport)
    client.line.cut()
    io.emit("x")
    client.emit("echo")
    await clock.advance(44.9)
    assert (ends, client.connected, client.received) == ([], True, [])
    await clock.advance(0.2)
    assert ends == ["ping timeout"]
    assert await client.wait_for("disconnect") == "ping timeout"
    assert not client.connected
    assert client.active


async def test_reset_is_noticed_at_once(
    io: Server, ends: list[str], connect: Connect, clock: Clock, transport: str
) -> None:
    client = await connect(io, transports=transport)
    begin = clock.time()
    client.line.reset()
    assert await client.wait_for("disconnect") == "transport close"
    await clock.settle()
    assert clock.time() == begin
    assert ends == ["transport close" if transport == "websocket" else "transport error"]


async def test_a_client_that_does_not_read_is_a_slow_client(
    ends: list[str], connect: Connect, clock: Clock
) -> None:
    io = Server(limits=Limits(send_buffer_size=10_000, send_buffer_mark=5_000))
    slow = await connect(io)
    fast = await connect(io)
    slow.line.incoming.stall()
    for _ in range(20):
        io.emit("x", "a" * 1000)
        await clock.settle()
    assert len(fast.received) == 20
    assert io.engine.counters["send_buffer_size"] == 1
    assert list(io.of("/").sockets) == [fast.id]
    slow.line.incoming.resume()
    await slow.wait_for("disconnect")


async def test_an_emit_waits_for_a_client_that_does_not_read(
    connect: Connect, clock: Clock
) -> None:
    io = Server(limits=Limits(send_buffer_mark=5_000))
    client = await connect(io)
    client.line.incoming.stall()
    io.emit("x", "a" * 4000)
    await clock.settle()
    emit = asyncio.ensure_future(io.emit("x", "a" * 4000))
    await clock.settle()
    assert not emit.done()
    client.line.incoming.resume()
    await emit
    await clock.settle()
    assert len(client.received) == 2


async def test_volatile_events_are_dropped_for_a_client_that_does_not_read(
    io: Server, connect: Connect, clock: Clock
) -> None:
    client = await connect(io)
    client.line.incoming.stall()
    io.emit("x", 1)
    await clock.settle()
    io.volatile.emit("x", 2)
    client.line.incoming.resume()
    await clock.settle()
    io.volatile.emit("x", 3)
    await clock.settle()
    assert client.received == [("x", 1), ("x", 3)]
    assert io.engine.counters["dropped_volatile"] == 1


async def test_a_client_on_polling_that_stalls_asks_for_nothing(
    io: Server, connect: Connect, clock: Clock
) -> None:
    client = await connect(io, transports="polling")
    await clock.settle()
    client.line.incoming.stall()
    io.emit("x", 1)  # the GET that waits already
    await clock.settle()
    io.emit("x", 2)
    await clock.settle()
    assert client.received == []
    client.line.incoming.resume()
    assert [await client.wait_for("x"), await client.wait_for("x")] == [1, 2]


async def test_a_client_that_cannot_write_loses_its_heartbeat(
    io: Server, ends: list[str], connect: Connect, clock: Clock, transport: str
) -> None:
    client = await connect(io, transports=transport)
    client.line.outgoing.stall()
    client.volatile.emit("echo", "volatile")
    client.emit("echo", "kept")
    await clock.advance(30)
    assert client.line.outgoing.waiting == 2  # the event and the pong
    client.line.outgoing.resume()
    assert await client.wait_for("back") == "kept"
    client.line.outgoing.stall()
    await clock.advance(60)
    assert ends == ["ping timeout"]


async def test_a_client_behind_a_broken_line_leaves_nothing_when_it_disconnects(
    io: Server, ends: list[str], connect: Connect, clock: Clock, transport: str
) -> None:
    cut = await connect(io, transports=transport)
    stalled = await connect(io, transports=transport)
    cut.line.cut()
    stalled.line.outgoing.stall()
    begin = clock.time()
    await cut.disconnect()
    await stalled.disconnect()
    assert clock.time() == begin
    assert len(ends) == 2
    assert not io.engine.connections


async def test_a_client_comes_back_while_the_server_believes_the_old_line(
    io: Server, ends: list[str], connect: Connect, clock: Clock, transport: str
) -> None:
    client = await connect(io, transports=transport)
    old = io.of("/").sockets[client.id or ""]
    client.line.cut()
    client.emit("echo", "lost")
    await client.reconnect()
    assert client.id != old.id
    assert old.connected
    old.emit("x", "to nobody")
    assert await client.emit_with_ack("echo", 1) == 1
    await clock.advance(50)
    assert ends == ["ping timeout"]
    assert [event for event, *_ in client.received] == ["back"]
    assert client.connected


@pytest.mark.parametrize("noticed", [True, False])
async def test_a_client_gets_its_session_back_and_what_it_has_missed(
    connect: Connect, clock: Clock, transport: str, noticed: bool
) -> None:
    io = Server(connection_state_recovery=True)
    io.on("connection")(lambda socket: socket.join("all"))
    client = await connect(io, transports=transport)
    id = client.id
    io.to("all").emit("x", 1)
    assert await client.wait_for("x") == 1
    client.line.cut()
    io.to("all").emit("x", 2, b"two")
    if noticed:
        await clock.advance(50)
        assert not io.sockets
    io.to("all").emit("x", 3)
    await client.reconnect()
    assert client.recovered
    assert client.id == id
    assert client.received == [("x", 2, b"two"), ("x", 3)]
    await clock.advance(200)
    io.to("all").emit("x", 4)
    await clock.settle()
    assert client.received[-1] == ("x", 4)
    client.line.reset()
    await clock.advance(121)  # the session is kept for two minutes
    await client.reconnect()
    assert not client.recovered


async def test_a_delay_outlives_a_connection(io: Server, connect: Connect, clock: Clock) -> None:
    client = await connect(io)
    client.line.outgoing.delay(1)
    await client.reconnect()
    begin = clock.time()
    await client.emit_with_ack("echo")
    assert clock.time() - begin == pytest.approx(1)
    await client.disconnect()  # its goodbye takes a second too
    assert clock.time() - begin == pytest.approx(2)
    assert not io.engine.connections


def test_nothing_comes_before_it_was_sent() -> None:
    with pytest.raises(ValueError, match="before it was sent"):
        testing.Line().incoming.delay(-1)

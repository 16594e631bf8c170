"""Acknowledgements that can neither leak nor hang, with the official client as the one who answers."""

import asyncio
from typing import Any

import pytest

from roomcast import AckTimeoutError, DisconnectedError, ReservedEventError, UsageError
from roomcast.server import AckReport, Server, Socket
from support.official_client import OfficialClient, OfficialClients
from support.served import (
    WITH_OFFICIAL_CLIENTS,
    eventually,
    in_rooms,
    reached,
    server_socket,
)

pytestmark = WITH_OFFICIAL_CLIENTS

Answers = asyncio.Queue[tuple[Any, ...]]


def pending(*sockets: Socket) -> int:
    """Return how many acknowledgements sockets still wait for."""
    return sum(len(socket._acks or ()) for socket in sockets)


def deadlines(io: Server) -> int:
    """Return how many deadlines the server has; one is the heartbeat of each client."""
    return len(io.engine.timers) - len(io.engine.connections)


async def test_ack_is_freed_by_the_answer(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    await client.answer("question", 1)
    asked = [socket.timeout(60).emit_with_ack("question") for _ in range(3)]
    asked.append(socket.emit_with_ack("question"))
    assert (pending(socket), deadlines(io)) == (4, 3)
    assert [await each for each in asked] == [1] * 4
    assert (pending(socket), deadlines(io)) == (0, 0)


async def test_ack_is_freed_by_its_time_out_and_a_late_answer_is_ignored(
    io: Server, clients: OfficialClients
) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    answers: Answers = asyncio.Queue()
    await client.answer("question", "late", delay_ms=100)
    socket.timeout(0.02).emit("question", ack=lambda *args: answers.put_nowait(args))
    with pytest.raises(AckTimeoutError):
        await socket.timeout(0.02).emit_with_ack("question")
    (error,) = await answers.get()
    assert isinstance(error, AckTimeoutError)
    assert (pending(socket), deadlines(io)) == (0, 0)
    await asyncio.sleep(0.15)
    await client.settle()  # the late ones are here
    assert answers.empty()
    await client.answer("question", "in time")
    assert await socket.timeout(5).emit_with_ack("question") == "in time"


async def test_ack_that_comes_again_and_again_counts_once(
    io: Server, clients: OfficialClients
) -> None:
    one, two = await in_rooms(clients, (), ())
    answers: Answers = asyncio.Queue()
    for client in (one, two):
        await client.answer("question", client.id, times=3)
    socket = server_socket(io, one)
    socket.emit("question", ack=lambda *args: answers.put_nowait(args))
    votes = await io.timeout(5).emit_with_ack("question")
    await reached([one, two])
    assert sorted(votes) == sorted([one.id, two.id])
    assert answers.get_nowait() == (one.id,)
    assert answers.empty()


@pytest.mark.parametrize("how", ["leave", "cut", "server"])
async def test_disconnect_fails_pending_acks_at_once(
    io: Server, clients: OfficialClients, how: str
) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    answers: Answers = asyncio.Queue()
    asked = [socket.emit_with_ack("question"), socket.timeout(60).emit_with_ack("question")]
    socket.timeout(60).emit("question", ack=lambda *args: answers.put_nowait(args))
    socket.emit("question", ack=lambda *args: answers.put_nowait(("never", *args)))
    seen: list[int] = []
    socket.on("disconnect", lambda *_: seen.append(pending(socket)))
    if how == "leave":
        client.disconnect()
    elif how == "cut":
        client.close_engine()
    else:
        socket.disconnect()
    async with asyncio.timeout(5):  # not the minute of the time-outs
        for each in asked:
            with pytest.raises(DisconnectedError):
                await each
        (error,) = await answers.get()
    assert isinstance(error, DisconnectedError)
    assert answers.empty()  # without a time-out the function has no place for an error
    assert seen == [0]
    with pytest.raises(DisconnectedError):
        await socket.emit_with_ack("question")
    with pytest.raises(DisconnectedError):
        await socket.timeout(60).emit_with_ack("question")
    assert pending(socket) == 0
    await eventually(lambda: deadlines(io) == 0)


async def test_who_gives_up_waiting_leaves_nothing(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(socket.emit_with_ack("question"), 0.02)
    await asyncio.sleep(0)
    assert (pending(socket), deadlines(io)) == (0, 0)


async def test_handler_may_ask_its_own_client(io: Server, clients: OfficialClients) -> None:
    @io.event
    async def order(socket: Socket, dish: str) -> tuple[str, Any]:
        sure = await socket.timeout(5).emit_with_ack("sure?", dish)
        again = await socket.emit_with_ack("really?", dish)
        return dish, [sure, again]

    client = await clients.connect()
    await client.answer("sure?", "yes")
    await client.answer("really?", "yes!")
    assert await client.ask("order", "soup") == ["soup", ["yes", "yes!"]]


async def test_asking_may_fail_at_the_call(io: Server, clients: OfficialClients) -> None:
    socket = server_socket(io, await clients.connect())
    with pytest.raises(ReservedEventError):
        await socket.emit_with_ack("connect")
    with pytest.raises(ReservedEventError):
        await io.timeout(1).emit_with_ack("disconnect")
    for operator in (io, io.to("a"), socket.broadcast, io.of("/x")):
        with pytest.raises(UsageError, match="time-out"):
            await operator.emit_with_ack("vote")
        with pytest.raises(UsageError, match="time-out"):
            operator.emit("vote", ack=print)
    assert (pending(socket), deadlines(io)) == (0, 0)


async def test_volatile_and_compress_go_with_a_time_out_in_any_order(
    io: Server, clients: OfficialClients
) -> None:
    client = await clients.connect()
    await client.answer("question", 1)
    socket = server_socket(io, client)
    assert await socket.volatile.timeout(5).compress(False).emit_with_ack("question") == 1
    assert await socket.compress(False).timeout(5).volatile.emit_with_ack("question") == 1
    operator = io.volatile.timeout(5).to(client.id).compress(False).local
    assert await operator.emit_with_ack("question") == [1]
    assert await socket.timeout(5).broadcast.emit_with_ack("question") == []


async def three_kinds(
    io: Server, clients: OfficialClients
) -> tuple[OfficialClient, OfficialClient, OfficialClient, OfficialClient]:
    """Return clients of which one answers late in time, one at once, one too late, and one never."""
    slow, quick, late, silent = await in_rooms(clients, ("a",), ("a",), ("a",), ("a",))
    await slow.answer("vote", "slow", delay_ms=100)
    await quick.answer("vote", "quick", "and more")
    await late.answer("vote", "late", delay_ms=700)
    return slow, quick, late, silent


async def test_report_tells_who_answered_was_late_or_left(
    io: Server, clients: OfficialClients
) -> None:
    slow, quick, late, silent = await three_kinds(io, clients)
    sockets = [server_socket(io, client) for client in (slow, quick, late, silent)]
    asked = asyncio.ensure_future(io.to("a").timeout(0.4).emit_with_ack_report("vote"))
    await asyncio.sleep(0)
    assert (pending(*sockets), deadlines(io)) == (4, 1)
    silent.disconnect()
    report = await asked
    assert isinstance(report, AckReport)
    assert report.answered == {quick.id: ("quick", "and more"), slow.id: "slow"}
    assert list(report.answered) == [quick.id, slow.id]  # as they came
    assert report.timed_out == (late.id,)
    assert report.gone == (silent.id,)
    assert not report.complete
    assert (pending(*sockets), deadlines(io)) == (0, 0)
    await asyncio.sleep(0.4)
    await late.settle()  # its answer is here, and ignored
    assert late.id not in report.answered


async def test_answers_come_in_the_order_of_their_arrival(
    io: Server, clients: OfficialClients
) -> None:
    for_order = await in_rooms(clients, ("a",), ("a",), ("a",))
    for client, delay in zip(for_order, (120, 0, 60), strict=True):
        await client.answer("vote", delay, delay_ms=delay)
    assert await io.to("a").timeout(5).emit_with_ack("vote") == [0, 60, 120]
    report = await io.to("a").timeout(5).emit_with_ack_report("vote")
    assert report.complete
    assert list(report.answered.values()) == [0, 60, 120]
    assert (await io.to("nobody").timeout(5).emit_with_ack_report("vote")).complete


async def test_broadcast_is_over_when_the_last_one_leaves(
    io: Server, clients: OfficialClients
) -> None:
    one, two = await in_rooms(clients, ("a",), ("a",))
    answers: Answers = asyncio.Queue()
    await one.answer("vote", 1)
    io.to("a").timeout(60).emit("vote", ack=lambda *args: answers.put_nowait(args))
    two.close_engine()
    async with asyncio.timeout(5):
        error, responses = await answers.get()
    assert isinstance(error, AckTimeoutError)
    assert responses == error.responses == [1]
    assert deadlines(io) == 0


async def test_broadcast_that_ends_a_socket_while_it_begins_waits_for_the_others(
    io: Server, clients: OfficialClients
) -> None:
    one, two = await in_rooms(clients, (), ())
    await one.answer("vote", 1)
    await two.answer("vote", 2)
    first, second = io.sockets.values()

    @first.on_any_outgoing
    def end(event: str, *args: Any) -> None:
        first.disconnect()

    report = await io.timeout(5).emit_with_ack_report("vote")
    assert list(report.answered) == [second.id]
    assert report.complete  # who had left before was not asked
    assert (pending(first, second), deadlines(io)) == (0, 0)


async def test_every_kind_of_broadcast_can_ask(io: Server, clients: OfficialClients) -> None:
    parent = io.of(lambda name, auth: True)
    for nsp in (io.of("/named"), parent):
        nsp.on("connection", lambda socket: socket.on("settle", lambda: None))
    main = await in_rooms(clients, (), ("a",))
    named = [await clients.connect("/named") for _ in range(2)]
    children = [await clients.connect(f"/child-{number}") for number in range(2)]
    for client in (*main, *named, *children):
        await client.answer("vote", client.id)

    async def asked(operator: Any) -> set[str]:
        return set(await operator.timeout(5).emit_with_ack("vote"))

    assert await asked(io) == {client.id for client in main}
    assert await asked(server_socket(io, main[0]).broadcast) == {main[1].id}
    assert await asked(server_socket(io, main[0]).to("a")) == {main[1].id}
    assert await asked(io.of("/named")) == {client.id for client in named}
    assert await asked(io.of("/named").except_(named[0].id)) == {named[1].id}
    assert await asked(parent) == {client.id for client in children}
    assert await asked(parent.except_(children[0].id)) == {children[1].id}
    assert await asked(parent.to("nobody")) == set()
    report = await parent.timeout(5).emit_with_ack_report("vote")
    assert report.answered == {client.id: client.id for client in children}


async def test_a_parent_waits_for_all_children_together(
    io: Server, clients: OfficialClients
) -> None:
    parent = io.of(lambda name, auth: True)
    children = [await clients.connect(f"/child-{number}") for number in range(3)]
    await children[0].answer("vote", 0)
    await children[1].answer("vote", 1, delay_ms=100)
    with pytest.raises(AckTimeoutError) as info:
        await parent.timeout(0.3).emit_with_ack("vote")
    assert info.value.responses == [0, 1]
    assert deadlines(io) == 0

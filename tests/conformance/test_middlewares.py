"""Middlewares on three levels with the official client; what may happen while they decide, on both transports."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import pytest

from roomcast import ConnectError, DisconnectedError, UsageError
from roomcast.engine.requests import Request
from roomcast.server import Server, Socket
from support.official_client import ClientError, OfficialClients
from support.reference import UNDEFINED
from support.served import WITH_OFFICIAL_CLIENTS, eventually, reached, server_socket

pytestmark = WITH_OFFICIAL_CLIENTS

both_transports = pytest.mark.parametrize("transport", ["polling", "websocket"])


@both_transports
async def test_middlewares_of_the_engine_see_every_request(
    io: Server, clients: OfficialClients, transport: str
) -> None:
    seen: list[str | None] = []

    @io.engine.use
    async def look(request: Request) -> None:
        await asyncio.sleep(0.01)
        seen.append(request.query.get("token"))
        if request.query.get("token") != "right":
            raise ConnectError("no")

    message, *_ = await clients.open(transports=[transport]).next("connect_error")
    assert message == {"polling": "xhr poll error", "websocket": "websocket error"}[transport]
    assert not io.engine.connections
    client = await clients.connect(transports=[transport], query={"token": "right"})
    await client.settle()
    assert seen[:2] == [None, "right"]
    assert (len(seen) > 2) == (transport == "polling")


@both_transports
async def test_middlewares_decide_in_their_order(
    io: Server, clients: OfficialClients, transport: str
) -> None:
    heard: list[str] = []

    @io.use
    async def slow(socket: Socket) -> None:
        heard.append("slow begins")
        await asyncio.sleep(0.05)
        heard.append("slow ends")

    @io.use
    def quick(socket: Socket) -> None:
        heard.append("quick")
        if "refused" in socket.handshake.auth:
            raise ConnectError("no", {"why": "quick", "bytes": None})

    io.use(lambda socket: heard.append("last"))
    io.on("connection", lambda socket: heard.append("connection"))
    options: dict[str, Any] = {"transports": [transport]}
    refused = clients.open(auth={"refused": 1}, **options)
    assert await refused.next("connect_error") == ["no", {"why": "quick", "bytes": None}]
    assert heard == ["slow begins", "slow ends", "quick"]
    heard.clear()
    await clients.connect(**options)
    assert heard == ["slow begins", "slow ends", "quick", "last", "connection"]


@both_transports
async def test_nothing_reaches_a_socket_that_middlewares_decide_about(
    io: Server, clients: OfficialClients, transport: str
) -> None:
    decide = asyncio.Event()
    asked: asyncio.Queue[Socket] = asyncio.Queue()
    dispatched: list[Any] = []

    @io.use
    async def slow(socket: Socket) -> None:
        if "slow" in socket.handshake.auth:
            socket.join("early", "left")
            socket.leave("left")
            socket.emit("early", 1)
            asked.put_nowait(socket)
            await decide.wait()
            socket.emit("early", b"2")

    io.event("x")(lambda socket, *args: dispatched.append(args))
    other = await clients.connect(transports=[transport])
    client = clients.open(auth={"slow": True}, transports=[transport])
    client.emit("x", "is kept by the client")
    socket = await asked.get()
    heard: list[str] = []
    socket.on("disconnect", lambda *_: heard.append("disconnect"))
    assert not socket.connected
    for operator in (io, io.to("early"), io.to(socket.id), server_socket(io, other).broadcast):
        operator.emit("hello")
    assert await io.to(socket.id, "early").timeout(5).emit_with_ack("vote") == []
    assert await io.in_("early").fetch_sockets() == []
    io.sockets_join("added")
    io.to(socket.id).disconnect_sockets()
    assert (io.sockets_count, io.rooms, list(io.sockets)) == (1, {"added"}, [other.id])
    assert socket.rooms == {"early"}
    assert await reached([other]) == [1]
    assert dispatched == []
    decide.set()
    await client.next("connect")
    assert socket.rooms == {socket.id, "early"}
    assert await reached([client]) == [0]
    assert [await client.next("early") for _ in range(2)] == [[1], [b"2"]]
    assert dispatched == [("is kept by the client",)]
    io.to("early").emit("hello")
    assert await reached([client]) == [1]
    assert heard == []


@both_transports
@pytest.mark.parametrize("end", ["refused", "failed", "gone"])
async def test_nothing_is_left_of_a_socket_that_was_not_accepted(
    io: Server, clients: OfficialClients, transport: str, end: str
) -> None:
    decide = asyncio.Event()
    asked: asyncio.Queue[Socket] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    heard: list[Any] = []

    @io.of("/secret").use
    async def slow(socket: Socket) -> None:
        socket.join("early")
        socket.emit("question", ack=lambda *args: heard.append(args))
        asking = asyncio.ensure_future(socket.timeout(60).emit_with_ack("question"))
        asking.add_done_callback(lambda done: answers.put_nowait(done.exception()))
        socket.on_any_outgoing(lambda *event: heard.append(event))
        socket.on("disconnect", lambda *_: heard.append("disconnect"))
        asked.put_nowait(socket)
        await decide.wait()
        if end == "refused":
            raise ConnectError("no")
        if end == "failed":
            raise LookupError("internal")

    io.of("/secret").use(lambda socket: heard.append("second"))
    secret = io.of("/secret")
    secret.on("connection", heard.append)
    client = await clients.connect(transports=[transport])
    refused = clients.open("/secret", manager=client)
    socket = await asked.get()
    if end == "gone":
        client.close_engine()
        await eventually(lambda: not io.engine.connections)
        decide.set()
        await asyncio.sleep(0)
    else:
        decide.set()
        message, data = await refused.next("connect_error")
        assert message == {"refused": "no", "failed": "Internal server error"}[end]
        assert data is UNDEFINED
        await client.settle()  # the connection stays
    assert isinstance(await answers.get(), DisconnectedError)
    assert heard == []
    assert not socket.connected
    assert (secret.sockets_count, secret.rooms, secret.outgoing_observers) == (0, set(), set())
    assert secret.is_empty
    assert (socket.rooms, socket._acks) == (set(), None)
    await socket.join("late")
    socket.emit("late")
    assert secret.rooms == set()
    assert len(io.engine.timers) == len(io.engine.connections)
    if end == "refused":
        secret.middlewares = ()
        await clients.connect("/secret", manager=client)  # the second attempt


@both_transports
async def test_every_client_gets_its_own_answer(
    io: Server, clients: OfficialClients, transport: str
) -> None:
    chance = random.Random(5)
    names = [f"client {number}" for number in range(40)]
    refused = set(chance.sample(names, 20))
    connected: list[str] = []

    @io.use
    async def check(socket: Socket) -> None:
        name = socket.handshake.auth["name"]
        socket.emit("you are", name)
        await asyncio.sleep(chance.random() / 20)
        if name in refused:
            raise ConnectError(name, {"name": name})
        await socket.join(name)

    io.on("connection", lambda socket: connected.append(socket.handshake.auth["name"]))
    sharing = [await clients.connect(transports=[transport], auth={"name": "x"}) for _ in range(4)]
    refused.discard("x")
    io.of("/more").use(check)
    opened = {
        name: clients.open("/more", manager=sharing[index % 4], auth={"name": name})
        if index % 3 == 0 and index < 12
        else clients.open(transports=[transport], auth={"name": name})
        for index, name in enumerate(names)
    }
    for _ in range(10):
        io.emit("hello")
        await asyncio.sleep(0.005)
    for name, client in opened.items():
        async with asyncio.timeout(10):
            await client.decided.wait()
        if name in refused:
            assert client.record == [["connect_error", name, {"name": name}]]
        else:
            assert await client.next("you are") == [name]
    for nsp in (io, io.of("/more")):
        for name in names:
            nsp.to(name).emit("private", name)
    for client in sharing:
        await client.settle()
    for name, client in opened.items():
        if name in refused:
            assert len(client.record) == 1
        else:
            assert await client.next("private") == [name]
    assert not refused.intersection(connected)


async def test_packets_pass_their_middlewares_in_order(
    io: Server, clients: OfficialClients
) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    heard: list[Any] = []
    socket.on_any(lambda *event: heard.append(("any", *event)))

    @socket.use
    async def slow(event: list[Any]) -> None:
        await asyncio.sleep(0.03 if event[1:] == ["slow"] else 0)
        heard.append(("first", *event))

    @socket.use
    def change(event: list[Any]) -> None:
        if event[0] == "add":
            event[0] = "x"
            event.append(b"added")

    socket.on("x", lambda *args: heard.append(("x", *args)) or len(args))
    client.emit("x", "slow")
    asked = [asyncio.ensure_future(client.ask(event, 2)) for event in ("add", "x")]
    assert [await each for each in asked] == [[2], [1]]
    assert [event for event in heard if event[0] != "any"] == [
        ("first", "x", "slow"),
        ("x", "slow"),
        ("first", "add", 2),
        ("x", 2, b"added"),
        ("first", "x", 2),
        ("x", 2),
    ]
    assert heard.index(("any", "add", 2)) < heard.index(("first", "x", "slow"))


@pytest.mark.parametrize("listened", [False, True])
async def test_packet_that_is_refused_is_told_and_not_answered(
    io: Server, clients: OfficialClients, caplog: pytest.LogCaptureFixture, listened: bool
) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    heard: list[Any] = []
    told: list[Any] = []

    @socket.use
    async def strict(event: list[Any]) -> None:
        if event[0] == "cancelled":
            waiting = asyncio.get_running_loop().create_future()
            waiting.cancel()
            await waiting
        if event[0] == "empty":
            event.clear()
        if event[0:1] == ["x"]:
            raise ConnectError("no", {"code": 1})

    for event in ("x", "empty", "cancelled", "last"):
        socket.on(event, lambda *_, event=event: heard.append(event))
    if listened:
        socket.on("error", told.append)
    hooked: list[Any] = []
    socket.on_error(lambda error, *where: hooked.append((type(error), *where)))
    for event in ("x", "cancelled", "empty"):
        client.emit(event)
    client.emit("last")
    with pytest.raises(ClientError, match="timed out"):
        await client.ask("x", timeout_ms=50)
    await client.settle()
    assert heard == ["last"]  # what waited behind the others was not lost
    kinds = [ConnectError, asyncio.CancelledError, UsageError, ConnectError]
    events = ["x", "cancelled", "empty", "x"]
    assert hooked == [(kind, socket, event) for kind, event in zip(kinds, events, strict=True)]
    assert [type(error) for error in told] == (kinds if listened else [])
    assert len(caplog.records) == (0 if listened else 4)


@both_transports
async def test_packets_whose_socket_has_gone_meanwhile_are_dropped(
    io: Server, clients: OfficialClients, transport: str
) -> None:
    client = await clients.connect(transports=[transport])
    socket = server_socket(io, client)
    decide = asyncio.Event()
    asked: list[str] = []
    heard: list[str] = []

    @socket.use
    async def slow(event: list[Any]) -> None:
        asked.append(event[0])
        await decide.wait()

    for event in ("one", "two"):
        socket.on(event, lambda event=event: heard.append(event))
        client.emit(event)
    await eventually(lambda: asked)
    client.disconnect()
    await eventually(lambda: not socket.connected)
    decide.set()
    await asyncio.sleep(0.01)
    assert asked == ["one"]
    assert heard == []


async def test_middleware_that_is_cancelled_by_what_it_waits_for_refuses(
    io: Server, clients: OfficialClients
) -> None:
    reports: list[Any] = []
    io.on_error(lambda error, socket, event: reports.append((type(error), event)))

    @io.use
    async def broken(socket: Socket) -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        await task

    assert (await clients.open().next("connect_error"))[0] == "Internal server error"
    assert reports == [(asyncio.CancelledError, "middleware")]
    assert not io.handlers._tasks


async def test_predicate_that_fails_or_is_cancelled_is_a_no(
    io: Server, clients: OfficialClients
) -> None:
    reports: list[Any] = []
    io.on_error(lambda error, socket, event: reports.append((type(error), event)))

    async def cancelled(name: str, auth: Mapping[str, Any]) -> bool:
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        return bool(await waiting)

    def broken(name: str, auth: Mapping[str, Any]) -> bool:
        raise LookupError(name)

    io.of(cancelled)
    io.of(broken)
    client = await clients.connect()
    refused = clients.open("/x", manager=client)
    assert (await refused.next("connect_error"))[0] == "Invalid namespace"
    assert reports == [(asyncio.CancelledError, "namespace"), (LookupError, "namespace")]
    io.of(lambda name, auth: True)
    await clients.connect("/x", manager=client)

"""Servers of python-socketio and of roomcast in one cluster: everything in both directions, and once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import socketio

from roomcast import AckTimeoutError
from support.broker import missing_broker
from support.official_client import OfficialClient
from support.python_cluster import PYTHON, ROOMCAST, PythonCluster, running_python_cluster
from support.reference import missing_reference

_MISSING = missing_reference() or missing_broker()

pytestmark = [
    pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING)),
    pytest.mark.timeout(60),
    pytest.mark.asyncio(loop_scope="module"),
]

ORIGINS = ("a", "p", "writer")


@pytest_asyncio.fixture(
    loop_scope="module", scope="module", params=[False, True], ids=["alone", "adapter"]
)
async def running(request: pytest.FixtureRequest) -> AsyncIterator[PythonCluster]:
    async with running_python_cluster(with_adapter=request.param) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(running: PythonCluster) -> AsyncIterator[PythonCluster]:
    yield running
    await running.alone()


async def emit(
    cluster: PythonCluster,
    origin: str,
    event: str,
    *args: Any,
    nsp: str = "/",
    rooms: list[str] | None = None,
    skip: list[str] | None = None,
) -> None:
    """Let any origin emit."""
    if origin in ROOMCAST:
        await cluster.ios[origin].of(nsp).to(rooms or []).except_(skip or []).emit(event, *args)
        return
    emitter = cluster.writer if origin == "writer" else cluster.sios[origin]
    room = rooms[0] if rooms and len(rooms) == 1 else rooms
    skipped = skip[0] if skip and len(skip) == 1 else skip
    await emitter.emit(event, args, namespace=nsp, room=room, skip_sid=skipped)


def ids(clients: dict[str, OfficialClient], *servers: str) -> list[str]:
    return [clients[server].id for server in servers]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("nsp", ["/", "/chat"])
async def test_events_reach_everybody_once(cluster: PythonCluster, origin: str, nsp: str) -> None:
    clients = await cluster.crowd(nsp=nsp)
    args = [1, "é😀", None, 1.5, [1, [2]], {"a": [True, {}]}]
    await emit(cluster, origin, "news", *args, nsp=nsp)
    heard = await cluster.heard(origin, clients, "news", nsp)
    assert heard == {key: [args] for key in cluster.urls}


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(
    "args",
    [(), (1,), (None, None), ([1, 2],), ([],), (b"\x00\xff",), ([b"1", {"b": b""}], b"2", "x")],
    ids=repr,
)
async def test_arguments_arrive_as_they_are(
    cluster: PythonCluster, origin: str, args: tuple[Any, ...]
) -> None:
    clients = await cluster.crowd()
    await emit(cluster, origin, "news", *args)
    heard = await cluster.heard(origin, clients, "news")
    assert heard == {key: [list(args)] for key in cluster.urls}


@pytest.mark.parametrize("origin", ORIGINS)
async def test_rooms_ids_and_those_left_out(cluster: PythonCluster, origin: str) -> None:
    clients = {server: await cluster.connect(server, "all", server) for server in cluster.urls}

    async def reached(rooms: list[str] | None, skip: list[str] | None = None) -> set[str]:
        await emit(cluster, origin, "news", rooms=rooms, skip=skip)
        heard = await cluster.heard(origin, clients, "news")
        assert all(len(each) <= 1 for each in heard.values()), heard
        return {server for server, each in heard.items() if each}

    assert await reached(["all"]) == {"a", "b", "p", "q"}
    assert await reached(["nobody"]) == set()
    assert await reached(["a", "q"]) == {"a", "q"}
    for server in cluster.urls:
        assert await reached([server]) == {server}
        assert await reached(ids(clients, server)) == {server}
        assert await reached(None, ids(clients, server)) == {*cluster.urls} - {server}
    assert await reached(["all"], ids(clients, "b", "p")) == {"a", "q"}


async def test_order_of_one_sender_is_kept(cluster: PythonCluster) -> None:
    clients = await cluster.crowd()
    for origin in ORIGINS:
        for number in range(100):
            await emit(cluster, origin, "n", number)
        heard = await cluster.heard(origin, clients, "n")
        assert heard == {key: [[number] for number in range(100)] for key in cluster.urls}


@pytest.mark.parametrize("server", PYTHON)
async def test_server_of_python_socketio_calls_clients_of_roomcast(
    cluster: PythonCluster, server: str
) -> None:
    clients = await cluster.crowd()
    for each in (*ROOMCAST, *PYTHON):
        await clients[each].answer("ask", each, {"n": [1]}, times=2)
        answer = await cluster.sios[server].call("ask", "?", to=clients[each].id, timeout=5)
        assert answer == (each, {"n": [1]})
    heard = await cluster.heard(server, clients, "ask")
    assert all(len(each) == 1 for each in heard.values())


@pytest.mark.parametrize("server", ROOMCAST)
async def test_roomcast_asks_clients_of_python_socketio(
    cluster: PythonCluster, server: str
) -> None:
    clients = await cluster.crowd()
    io = cluster.ios[server]
    for each in (*PYTHON, *ROOMCAST):
        await clients[each].answer("ask", each, times=2)
        operator = io.to(clients[each].id).timeout(5)
        assert await operator.emit_with_ack("ask", b"?") == [each]
    report = await io.to(clients["p"].id).timeout(5).emit_with_ack_report("ask")
    assert (report.answered, report.others, report.complete) == ({}, ("p",), True)
    assert cluster.bridges[server]._pending == {}


async def test_nobody_has_an_id_that_is_asked(cluster: PythonCluster) -> None:
    operator = cluster.ios["a"].to("x" * 20).timeout(0.2)
    with pytest.raises(AckTimeoutError):
        await operator.emit_with_ack("ask")
    report = await operator.emit_with_ack_report("ask")
    assert (report.others, report.servers_timed_out) == ((), None)
    assert cluster.bridges["a"]._pending == {}


async def test_clients_that_answer_a_broadcast_may_be_of_python_socketio(
    cluster: PythonCluster,
) -> None:
    clients = {server: await cluster.connect(server, "all") for server in cluster.urls}
    for server, client in clients.items():
        await client.answer("ask", server)
    io = cluster.ios["a"]
    report = await io.to("all").timeout(5).emit_with_ack_report("ask", 1)
    assert report.answered.pop(clients["a"].id) == "a"
    assert {*report.answered} <= {clients["b"].id}  # where there is an adapter beside the bridge
    heard = await cluster.heard("a", clients, "ask")
    assert all(len(each) == 1 for each in heard.values())


@pytest.mark.parametrize(("origin", "server"), [("a", "p"), ("p", "a"), ("p", "q"), ("a", "b")])
async def test_sockets_of_others_enter_and_leave_rooms(
    cluster: PythonCluster, origin: str, server: str
) -> None:
    clients = await cluster.crowd()
    id = clients[server].id

    async def enter(leave: bool) -> None:
        if origin in ROOMCAST:
            operator = cluster.ios[origin].in_(id)
            await (operator.sockets_leave("late") if leave else operator.sockets_join("late"))
        else:
            sio = cluster.sios[origin]
            await (sio.leave_room(id, "late") if leave else sio.enter_room(id, "late"))

    for leave, expected in ((False, [[1]]), (True, [])):
        await enter(leave)
        await emit(cluster, origin, "news", 1, rooms=["late"])
        heard = await cluster.heard(origin, clients, "news")
        assert heard == {key: [] for key in cluster.urls} | {server: expected}


@pytest.mark.parametrize("origin", ["a", "p"])
async def test_room_is_closed_everywhere(cluster: PythonCluster, origin: str) -> None:
    clients = await cluster.crowd("open", "other")
    if origin == "a":
        await cluster.ios["a"].in_("open").sockets_leave("open")
    else:
        await cluster.sios["p"].close_room("open")
    await emit(cluster, origin, "news", rooms=["open"])
    await emit(cluster, origin, "more", rooms=["other"])
    assert not any((await cluster.heard(origin, clients, "news")).values())
    assert all((await cluster.heard(origin, clients, "more")).values())


@pytest.mark.parametrize(("origin", "server"), [("a", "p"), ("p", "a"), ("a", "b"), ("p", "q")])
async def test_sockets_of_others_are_disconnected(
    cluster: PythonCluster, origin: str, server: str
) -> None:
    clients = await cluster.crowd()
    if origin == "a":
        await cluster.ios["a"].in_(clients[server].id).disconnect_sockets()
    else:
        await cluster.sios["p"].disconnect(clients[server].id)
    assert (await clients[server].next("disconnect"))[0] == "io server disconnect"
    del clients[server]
    assert not any((await cluster.heard(origin, clients, "disconnect")).values())


async def test_what_the_format_cannot_say_reaches_nobody_of_python_socketio(
    cluster: PythonCluster,
) -> None:
    clients = await cluster.crowd("all", "out")
    io, counters = cluster.ios["a"], cluster.bridges["a"].counters
    before = counters["inexpressible"]
    io.except_("out").emit("news", 1)
    io.all_of("all", "out").emit("news", 2)
    io.in_("all").sockets_join("more")
    io.in_("all").sockets_leave("more")
    io.in_("nobody").disconnect_sockets()
    heard = await cluster.heard("a", clients, "news")
    assert heard["a"] == [[2]]
    assert heard["p"] == heard["q"] == []
    assert counters["inexpressible"] == before + 5


async def test_local_events_stay(cluster: PythonCluster) -> None:
    clients = await cluster.crowd()
    cluster.ios["a"].local.emit("news")
    cluster.ios["a"].to(clients["a"].id).emit("news")
    assert await cluster.heard("a", clients, "news") == {"a": [[], []], "b": [], "p": [], "q": []}


async def test_synchronous_manager_reaches_everybody(cluster: PythonCluster) -> None:
    clients = await cluster.crowd("all")
    manager: Any = socketio.RedisManager(cluster.broker.url, write_only=True)
    manager.emit("news", {"photo": b"1"}, room="all")
    for client in clients.values():
        assert await client.next("news") == [{"photo": b"1"}]
    manager.redis.close()

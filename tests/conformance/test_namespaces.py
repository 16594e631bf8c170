"""Dynamic namespaces and their races, sockets in bulk, and what is told of rooms, with the official client."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import pytest

from roomcast import ConnectError, ReservedEventError, UsageError
from roomcast.server import Namespace, ParentNamespace, Server, Socket
from support.official_client import OfficialClients
from support.served import (
    WITH_OFFICIAL_CLIENTS,
    eventually,
    in_rooms,
    reached,
    served,
    server_socket,
    settling,
)

pytestmark = WITH_OFFICIAL_CLIENTS

both_transports = pytest.mark.parametrize("transport", ["polling", "websocket"])


def settle_in(nsp: Namespace) -> None:
    nsp.on("connection", lambda socket: socket.on("settle", lambda: None))


async def test_predicate_gets_name_and_auth(io: Server, clients: OfficialClients) -> None:
    asked: list[Any] = []

    async def allowed(name: str, auth: Mapping[str, Any]) -> bool:
        asked.append((name, dict(auth)))
        await asyncio.sleep(0.01)
        return auth.get("token") == "right"

    made: list[str] = []
    io.on("new_namespace", lambda nsp: made.append(nsp.name))
    parent = io.of(allowed)
    refused = clients.open("/tenant", auth={"token": "wrong"})
    assert (await refused.next("connect_error"))[0] == "Invalid namespace"
    assert (made, parent.children) == ([], {})
    client = await clients.connect("/tenant", auth={"token": "right"})
    child = io.of("/tenant")
    assert parent.children == {"/tenant": child}
    assert child.parent is parent
    assert child.sockets[client.id].handshake.auth == {"token": "right"}
    # Everybody is asked only while there is no such namespace: after that it is one like any other.
    await clients.connect("/tenant", auth={"token": "wrong"})
    assert made == ["/tenant"]
    assert asked == [("/tenant", {"token": "wrong"}), ("/tenant", {"token": "right"})]


async def test_children_inherit_what_the_parent_has_when_they_are_made(
    io: Server, clients: OfficialClients
) -> None:
    heard: list[Any] = []
    parent = io.of(re.compile(r"^/child-\d$"))

    @parent.use
    async def early(socket: Socket) -> None:
        heard.append(("middleware", socket.nsp.name))
        if socket.handshake.auth.get("refuse"):
            raise ConnectError("no")

    @parent.event
    def greet(socket: Socket, name: str) -> str:
        return f"{name} in {socket.nsp.name}"

    @parent.event
    def fail(socket: Socket) -> None:
        raise LookupError("broken")

    parent.on("connection", lambda socket: heard.append(("connection", socket.nsp.name)))
    parent.on_error(lambda error, socket, event: heard.append((event, str(error))))
    client = await clients.connect("/child-1")
    assert await client.ask("greet", "ann") == ["ann in /child-1"]
    client.emit("fail")
    assert await client.ask("greet", "bob") == ["bob in /child-1"]
    assert heard == [
        ("middleware", "/child-1"),
        ("connection", "/child-1"),
        ("fail", "broken"),
    ]
    refused = clients.open("/child-2", auth={"refuse": True})
    assert await refused.next("connect_error")
    assert set(parent.children) == {"/child-1"}
    parent.use(lambda socket: heard.append("late"))
    io.of("/child-1").use(lambda socket: heard.append("only here"))
    heard.clear()
    await clients.connect("/child-1")
    await clients.connect("/child-3")
    assert heard == [
        ("middleware", "/child-1"),
        "only here",
        ("connection", "/child-1"),
        ("middleware", "/child-3"),
        "late",
        ("connection", "/child-3"),
    ]


@pytest.mark.parametrize("cleanup", [True, False])
async def test_empty_children_go_unless_they_are_wanted(
    node: OfficialClients, cleanup: bool
) -> None:
    io = settling(Server(cleanup_empty_child_namespaces=cleanup))
    async with served(io, node) as clients:
        parent = io.of(re.compile("^/x"))
        io.of("/x-kept")
        client = await clients.connect()
        for name in ("/x", "/x-kept", "/x"):
            inner = await clients.connect(name, manager=client)
            before = io.of(name)
            assert parent.children[name] is before
            inner.disconnect()
            await inner.next("disconnect")
            await client.settle()
        left = {"/x-kept"} if cleanup else {"/x", "/x-kept"}
        assert set(parent.children) == left
        assert set(io._namespaces) == left | {"/"}


@both_transports
async def test_two_may_ask_for_one_child_while_the_predicate_waits(
    io: Server, clients: OfficialClients, transport: str
) -> None:
    made: list[str] = []
    waiting: list[asyncio.Future[bool]] = []

    async def allowed(name: str, auth: Mapping[str, Any]) -> bool:
        waiting.append(asyncio.get_running_loop().create_future())
        return await waiting[-1]

    io.on("new_namespace", lambda nsp: made.append(nsp.name))
    parent = io.of(allowed)
    settle_in(parent)
    three = [clients.open("/child", transports=[transport]) for _ in range(3)]
    await eventually(lambda: len(waiting) == 3)
    waiting[1].set_result(True)
    waiting[2].set_result(False)
    waiting[0].set_result(True)
    decided = [await client.decided.wait() for client in three]
    assert all(decided)
    connected = [client for client in three if client.id]
    assert len(connected) == 2
    assert made == ["/child"]
    io.of("/child").emit("hello")
    parent.emit("hello")
    assert await reached(connected) == [2, 2]


@both_transports
@pytest.mark.parametrize("allow", [True, False])
async def test_line_may_be_lost_while_the_predicate_waits(
    io: Server, clients: OfficialClients, transport: str, allow: bool
) -> None:
    waiting: list[asyncio.Future[bool]] = []
    heard: list[Any] = []

    async def allowed(name: str, auth: Mapping[str, Any]) -> bool:
        waiting.append(asyncio.get_running_loop().create_future())
        return await waiting[-1]

    parent = io.of(allowed)
    parent.on("connection", heard.append)
    parent.use(heard.append)
    client = await clients.connect(transports=[transport])
    clients.open("/child", manager=client)
    await eventually(lambda: waiting)
    client.close_engine()
    await eventually(lambda: not io.engine.connections)
    waiting[0].set_result(allow)
    await asyncio.sleep(0.01)
    assert heard == []
    assert parent.children == {}
    assert set(io._namespaces) == {"/"}
    assert len(io.engine.timers) == 0


@both_transports
@pytest.mark.parametrize("end", ["accepted", "refused", "gone"])
async def test_child_stays_while_a_client_waits_for_it(
    io: Server, clients: OfficialClients, transport: str, end: str
) -> None:
    decide = asyncio.Event()
    asked: list[str] = []
    parent = io.of(re.compile("^/child$"))
    settle_in(parent)

    @parent.use
    async def slow(socket: Socket) -> None:
        if "slow" in socket.handshake.auth:
            asked.append(socket.id)
            await decide.wait()
            if end == "refused":
                raise ConnectError("no")

    first = await clients.connect("/child", transports=[transport])
    child = io.of("/child")
    second = clients.open("/child", auth={"slow": True}, transports=[transport])
    await eventually(lambda: asked)
    first.disconnect()
    await eventually(lambda: not child.sockets)
    assert io.of("/child") is child
    if end == "gone":
        second.close_engine()
        await eventually(lambda: not io.engine.connections)
    decide.set()
    if end == "accepted":
        await second.next("connect")
        assert io.of("/child") is child
        child.emit("hello")
        assert await reached([second]) == [1]
        second.disconnect()
    await eventually(lambda: not parent.children)
    await clients.connect("/child", transports=[transport])  # a new one
    assert io.of("/child") is not child


@both_transports
async def test_children_come_and_go_under_many_clients(
    io: Server, clients: OfficialClients, transport: str
) -> None:
    async def allowed(name: str, auth: Mapping[str, Any]) -> bool:
        await asyncio.sleep(auth["wait"] / 1000)
        return True

    parent = io.of(allowed)
    settle_in(parent)

    @parent.event
    def where(socket: Socket) -> str:
        assert io.of(socket.nsp.name) is socket.nsp
        return socket.nsp.name

    async def visit(number: int) -> None:
        name = f"/child-{number % 3}"
        client = clients.open(name, transports=[transport], auth={"wait": number % 5})
        await client.next("connect")
        assert await client.ask("where") == [name]
        client.disconnect()

    await asyncio.gather(*(visit(number) for number in range(45)))
    await eventually(lambda: not parent.children)
    assert set(io._namespaces) == {"/"}


async def test_parent_means_all_of_its_children(io: Server, clients: OfficialClients) -> None:
    parent = io.of(re.compile("^/child"))
    assert isinstance(parent, ParentNamespace)
    settle_in(parent)
    three = [await clients.connect(f"/child-{number}") for number in (1, 1, 2)]
    ids = [client.id for client in three]
    assert parent.sockets_count == 3
    assert set(parent.sockets) == set(ids)
    assert {socket.id for socket in await parent.fetch_sockets()} == set(ids)
    await parent.except_(ids[0]).sockets_join("a")
    assert parent.rooms == {"a"}
    assert parent.room_size("a") == 2
    assert io.of("/child-1").room_size("a") == 1
    for operator in (parent, parent.to("a"), parent.except_("a"), parent.local.volatile.to("a")):
        operator.emit("hello")
    assert await reached(three) == [2, 3, 3]
    await parent.in_("a").sockets_leave("a")
    assert parent.rooms == set()
    with pytest.raises(UsageError, match="one namespace"):
        parent.server_side_emit("x")
    with pytest.raises(ReservedEventError):
        parent.emit("connect")
    await parent.disconnect_sockets()
    for client in three:
        assert await client.next("disconnect") == ["io server disconnect", False]
    assert parent.children == {}


async def test_sockets_in_bulk_on_every_operator(io: Server, clients: OfficialClients) -> None:
    four = await in_rooms(clients, ("a",), ("b",), ("a", "b"), ())
    ids = [client.id for client in four]
    sockets = [server_socket(io, client) for client in four]

    async def chosen(operator: Any) -> list[int]:
        return sorted(ids.index(socket.id) for socket in await operator.fetch_sockets())

    assert await chosen(io) == [0, 1, 2, 3]
    assert await chosen(io.in_("a")) == [0, 2]
    assert await chosen(io.to("a", "b").except_(ids[2])) == [0, 1]
    assert await chosen(io.all_of("a", "b")) == [2]
    assert await chosen(io.local.volatile.compress(True).timeout(1).in_("a")) == [0, 2]
    assert await chosen(sockets[0].broadcast) == [1, 2, 3]
    assert await chosen(sockets[0].to("a")) == [2]
    assert await chosen(sockets[0].except_("b")) == [3]
    (fetched,) = await io.in_(ids[3]).fetch_sockets()
    assert fetched is sockets[3]
    fetched.data["name"] = "dan"
    assert server_socket(io, four[3]).data == {"name": "dan"}
    await io.in_("a").except_("b").sockets_join("c", ["d"])
    await sockets[0].broadcast.sockets_join("e")
    await io.all_of("a", "b").sockets_leave(["a", "e"])
    assert [socket.rooms - set(ids) for socket in sockets] == [
        {"a", "c", "d"},
        {"b", "e"},
        {"b"},
        {"e"},
    ]
    assert (io.rooms, io.sockets_count) == ({"a", "b", "c", "d", "e"}, 4)
    assert [io.room_size(room) for room in "abcdex"] == [1, 2, 1, 1, 2, 0]
    io.in_("e").except_("b").disconnect_sockets()
    assert await four[3].next("disconnect") == ["io server disconnect", False]
    sockets[0].broadcast.disconnect_sockets(close=True)
    for client in four[1:3]:
        assert await client.next("disconnect") == ["io server disconnect", False]
    await eventually(lambda: len(io.engine.connections) == 1)
    assert (list(io.sockets), io.rooms) == ([ids[0]], {"a", "c", "d"})


async def test_events_of_rooms_in_their_order(io: Server, clients: OfficialClients) -> None:
    heard: list[Any] = []
    adapter = io.of("/").adapter
    for event in ("create-room", "join-room", "leave-room", "delete-room"):
        adapter.on(event, lambda *args, event=event: heard.append((event, *args)))
    client = await clients.connect()
    id, socket = client.id, server_socket(io, client)
    assert heard == [("create-room", id), ("join-room", id, id)]
    heard.clear()
    other = await clients.connect(auth={"rooms": ["b"]})
    heard.clear()
    await socket.join("a", "b", "a")
    await socket.leave("x")
    await io.in_("b").sockets_leave("a", "b")
    assert heard[:3] == [("create-room", "a"), ("join-room", "a", id), ("join-room", "b", id)]
    assert sorted(heard[3:]) == sorted(
        [
            *[("leave-room", "a", id), ("delete-room", "a"), ("delete-room", "b")],
            *[("leave-room", "b", id), ("leave-room", "b", other.id)],
        ]
    )
    await socket.join("a")
    await server_socket(io, other).join("a")
    heard.clear()
    client.disconnect()
    await eventually(lambda: not socket.connected)
    assert heard == [("leave-room", id, id), ("delete-room", id), ("leave-room", "a", id)]
    adapter.off()
    other.disconnect()
    await eventually(lambda: not io.sockets_count)
    assert len(heard) == 3


@pytest.mark.parametrize("name", ["/", "/chat"])
async def test_server_side_emit_alone_reaches_nobody(
    io: Server, clients: OfficialClients, name: str
) -> None:
    nsp = io.of(name)
    heard: list[Any] = []
    nsp.on("x", lambda *args: heard.append(args))
    settle_in(nsp)
    client = await clients.connect(name)
    await nsp.server_side_emit("x", 1)
    nsp.server_side_emit("x", ack=lambda error, responses: heard.append((error, responses)))
    assert heard == [(None, [])]  # not to itself
    assert await nsp.server_side_emit_with_ack("x", 1) == []
    for event in ("connect", "connection", "new_namespace"):
        with pytest.raises(ReservedEventError):
            nsp.server_side_emit(event)
        with pytest.raises(ReservedEventError):
            await nsp.server_side_emit_with_ack(event)
    with pytest.raises(ValueError, match="timeout"):
        nsp.server_side_emit("x", timeout=-1)
    await nsp.server_side_emit("disconnect")  # is reserved for sockets only
    client.emit("x", "from a client")
    await client.settle()
    assert heard == [(None, [])]
    assert await nsp.adapter.server_count() == 1

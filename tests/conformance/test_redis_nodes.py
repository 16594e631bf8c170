"""What becomes of a cluster's namespaces, sessions and older requests on roomcast nodes."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from roomcast import RedisAdapter, Server
from roomcast.testing import Connect, Manager
from support.broker import RunningBroker, missing_broker
from support.broker_fixtures import NewNode
from support.served import eventually

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(60),
]


async def test_children_of_dynamic_namespaces_come_and_go(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    (a, _), (b, adapter) = await start_node(), await start_node()
    for io in (a, b):
        io.of(re.compile(r"^/room-\d$"))
    channel = "socket.io-request#/room-1#"
    first, second = await connect(a, "/room-1"), await connect(b, "/room-1")
    await eventually(lambda: broker.subscribers(channel) == 2 and adapter.health.ok)
    heard: list[Any] = []
    second.on("hello", heard.append)
    a.of("/room-1").emit("hello", 1)
    await eventually(lambda: heard == [1])
    assert len(await b.of("/room-1").fetch_sockets()) == 2
    await second.disconnect()
    await eventually(lambda: broker.subscribers(channel) == 1)
    assert "/room-1" not in b._namespaces
    # It comes again, with a new id.
    third = await connect(b, "/room-1")
    third.on("hello", heard.append)
    await eventually(lambda: broker.subscribers(channel) == 2)
    a.of("/room-1").emit("hello", 2)
    await eventually(lambda: heard == [1, 2])
    assert first.connected


async def test_dynamic_namespaces_gather_the_answers_of_all_nodes(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    (a, _), (b, adapter) = await start_node(), await start_node()
    parents = [io.of(re.compile(r"^/room-\d$")) for io in (a, b)]
    assert await parents[0].timeout(5).emit_with_ack("ask") == []
    clients = {}
    for io in (a, b):
        for name in ("/room-1", "/room-2"):
            client = clients[io, name] = await connect(io, name)
            client.on("ask", lambda client=client: client.id)
    silent = await connect(b, "/room-2")
    for name in ("/room-1", "/room-2"):
        channel = f"socket.io-request#{name}#"
        await eventually(lambda channel=channel: broker.subscribers(channel) == 2)
    await eventually(lambda: adapter.health.ok)
    report = await parents[0].timeout(0.5).emit_with_ack_report("ask")
    assert report.answered == {client.id: client.id for client in clients.values()}
    assert (report.others_timed_out, report.timed_out, report.complete) == (1, (), False)
    await silent.disconnect()
    responses = await parents[0].timeout(5).emit_with_ack("ask")
    assert sorted(responses) == sorted(report.answered)
    local = await parents[0].local.timeout(5).emit_with_ack("ask")
    assert local == [clients[a, name].id for name in ("/room-1", "/room-2")]


async def test_what_is_missed_of_other_nodes_is_recovered(start_node: NewNode) -> None:
    (a, _), (b, _) = await start_node(), await start_node(connection_state_recovery=True)
    async with Manager(b, transports=["websocket"]) as manager:
        client = manager.socket(auth={"rooms": ["room"]})
        heard: list[Any] = []
        client.on("n", lambda number, *_: heard.append(number))
        await client.connect()
        a.to("room").emit("n", 1)
        await eventually(lambda: heard == [1])
        manager.line.reset()
        await eventually(lambda: not b.sockets)
        a.to("room").emit("n", 2)
        a.to("other").emit("n", 3)
        a.emit("n", 4)
        await eventually(lambda: b.adapter.sessions.event_count >= 3)
        await client.connect()
        assert client.recovered
        await eventually(lambda: heard == [1, 2, 4])


@pytest.mark.parametrize(
    ("kind", "more", "effect"),
    [
        (0, {"rooms": ["room"]}, lambda socket: True),
        (1, {}, lambda socket: True),
        (2, {"room": "new"}, lambda socket: "new" in socket.rooms),
        (3, {"room": "room"}, lambda socket: "room" not in socket.rooms),
        (4, {"close": False}, lambda socket: not socket.connected),
    ],
)
async def test_requests_of_older_nodes_are_carried_out_and_answered(
    broker: RunningBroker,
    start_node: NewNode,
    connect: Connect,
    kind: int,
    more: dict[str, Any],
    effect: Callable[[Any], bool],
) -> None:

    io, _ = await start_node()
    client = await connect(io, auth={"rooms": ["room"]})
    socket = io.sockets[client.id]
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(b"SUBSCRIBE socket.io-response#/#\r\n")
    await reader.readuntil(b":1\r\n")
    request = {"requestId": "r", "type": kind, "sid": client.id, **more}
    data = json.dumps(request).encode()
    await asyncio.to_thread(broker.publish, "socket.io-request#/#", data)
    await reader.readuntil(b"socket.io-response#/#\r\n")
    await reader.readline()
    answer = json.loads(await reader.readline())
    expected: dict[int, dict[str, Any]] = {
        0: {"sockets": [client.id]},
        1: {"rooms": ["room", client.id]},
    }
    assert answer == {"requestId": "r", **expected.get(kind, {})}
    assert effect(socket)
    writer.close()
    await writer.wait_closed()


async def test_redis_client_of_the_program_gives_its_settings(broker: RunningBroker) -> None:
    import redis.asyncio  # noqa: PLC0415

    client = redis.asyncio.Redis(port=broker.port, decode_responses=True, protocol=3)
    adapter = RedisAdapter(client)
    io = Server(adapter=adapter)
    await adapter.start()
    assert adapter.health.ok
    assert await io.adapter.server_count() == 1
    await io.close()
    await adapter.close()
    await client.aclose()

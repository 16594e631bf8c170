"""Nodes on all members of a Redis Cluster, one of Node.js among them: who hears what, and what becomes of it where members change."""

import asyncio
from typing import Any, Final

import pytest
import socketio
from redis.asyncio import RedisCluster

from roomcast import Emitter, PythonSocketIOBridge, RedisAdapter, Server
from roomcast.testing import Connect
from support.broker import missing_broker
from support.broker_fixtures import NewBroker, NewNode, Node
from support.ears import Ear
from support.node_cluster import NodeServer
from support.official_client import OfficialClients
from support.redis_members import running_members, soon
from support.reference import missing_reference
from support.served import eventually

_MISSING: Final = missing_reference() or missing_broker()

pytestmark = [
    pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING)),
    pytest.mark.timeout(120),
]

ROOMS: Final = ("lobby", "r1", "r3")
"""Rooms whose channels are at different members."""


BOTH: Final = pytest.mark.parametrize("adapter_kind", ["classic", "sharded/dynamic"])


ALL: Final = pytest.mark.parametrize(
    "adapter_kind",
    ["classic", "sharded/dynamic", "streams", "streams/sharded", "streams/several"],
)


def channel(room: str = "") -> str:
    return f"socket.io#/#{room}#" if room else "socket.io#/#"


def sound(*nodes: Node) -> bool:
    return all(adapter.health.ok and adapter.subscriber.settled for _, adapter in nodes)


@ALL
async def test_everything_crosses_between_nodes_on_all_members(
    brokers: NewBroker, start_node: NewNode, connect: Connect, adapter_kind: str
) -> None:
    members = await running_members(brokers)
    assert {members.owner(channel(room)) for room in ROOMS} == set(members.masters)
    client: Any = RedisCluster(host="127.0.0.1", port=members.masters[2].port)
    a, b, c = (
        await start_node(members.urls),
        await start_node([members.urls[1]]),
        await start_node(client),
    )
    await eventually(lambda: sound(a, b, c))
    async with NodeServer(",".join(members.urls), adapter_kind) as node, OfficialClients() as far:
        far.url = node.url
        official = await far.connect("/", auth={"rooms": list(ROOMS)})
        await official.settle()
        clients = [await connect(io, auth={"rooms": list(ROOMS)}) for io, _ in (a, b, c)]
        ears = [Ear(each) for each in clients]
        await eventually(lambda: sound(a, b, c))
        if adapter_kind.startswith("streams"):
            count = 16 if adapter_kind == "streams/several" else 4
            await eventually(lambda: sum(member.readers() for member in members.all) == count)
        if adapter_kind.startswith("sharded"):
            for room in ROOMS:
                await eventually(lambda room=room: members.shard_subscribers(channel(room)) == 4)
        # Each counts all four, wherever they have subscribed.
        for io, _ in (a, b, c):
            await soon(lambda io=io: io.adapter.server_count())
            assert await io.adapter.server_count() == 4
        assert await node.call("count") == 4
        heard = []
        for number, (io, _) in enumerate((a, b, c)):
            io.emit("n", number)
            for place, room in enumerate(ROOMS):
                io.to(room).emit("n", 10 * number + place + 100)
            heard += [number, *(10 * number + place + 100 for place in range(3))]
        await node.call("emit", "n", 3)
        for place, room in enumerate(ROOMS):
            await node.call("emit", "n", 200 + place, choice={"to": [room]})
        heard += [3, 200, 201, 202]
        for ear in ears:
            for number in heard:
                await ear.hears(number)
            assert sorted(ear.heard) == sorted(heard)
        assert sorted([(await official.next("n"))[0] for _ in heard]) == sorted(heard)
        for each in clients:
            each.on("ask", lambda: "here")
        found = await b[0].fetch_sockets()
        assert (found.servers, found.complete) == (4, True)
        assert {each.id for each in found} == {official.id, *(each.id for each in clients)}
        assert len(await node.call("fetch")) == 4
        answers = await c[0].to(clients[0].id, clients[1].id).timeout(5).emit_with_ack("ask")
        assert answers == ["here", "here"]
        assert sorted(await a[0].server_side_emit_with_ack("sum", 1, 2)) == [3, 3, 3]
        assert await node.call("serverSideAsk", "sum", 4, 5) == [9, 9, 9]
    for _, adapter in (a, b, c):
        assert adapter.counters["missed"] == 0
    await client.aclose()


async def test_emitter_reaches_nodes_on_other_members(
    brokers: NewBroker, start_node: NewNode, connect: Connect
) -> None:
    members = await running_members(brokers)
    ears = [
        Ear(await connect((await start_node([url], kind="classic"))[0])) for url in members.urls
    ]
    async with Emitter(members.urls[:1]) as emitter:
        for number in range(10):
            await emitter.emit("n", number)
        for ear in ears:
            await ear.hears(9)
            assert ear.heard == [*range(10)]


async def test_slot_that_moves_takes_its_subscriptions_along(
    brokers: NewBroker, start_node: NewNode, connect: Connect
) -> None:
    """Nothing is lost that waits, out of order or twice; what was on its way to those who had to move is reported."""
    members = await running_members(brokers)
    room, name = ROOMS[0], channel(ROOMS[0])
    a, b = [await start_node(members.urls, kind="sharded/dynamic") for _ in range(2)]
    async with (
        NodeServer(",".join(members.urls), "sharded/dynamic") as node,
        OfficialClients() as far,
    ):
        far.url = node.url
        official = await far.connect("/", auth={"rooms": [room]})
        await official.settle()
        there = Ear(await connect(b[0], auth={"rooms": [room]}))
        await eventually(lambda: members.shard_subscribers(name) == 2)
        sent, stop = 0, asyncio.Event()

        async def load() -> None:
            nonlocal sent
            while not stop.is_set():
                a[0].to(room).emit("n", sent)
                sent += 1
                await asyncio.sleep(0.002)

        loading = asyncio.create_task(load())
        old = members.owner(name)
        for target in [each for each in members.masters if each is not old]:
            await eventually(lambda: sent % 100 > 50)
            members.move(name, target)
            await soon(lambda target=target: target.shard_subscribers(name) == 2 and sound(a, b))
            before = len(there.heard)
            await eventually(lambda before=before: len(there.heard) > before + 100)
        stop.set()
        await loading
        a[0].to(room).emit("n", sent)
        await there.hears(sent)
        assert there.heard == sorted(set(there.heard)), "out of order, or twice"
        assert sent + 1 - len(there.heard) == b[1].counters["missed"]
        assert a[1].counters["redirected"] > 0
        assert a[1].counters["dropped_outbound"] + a[1].counters["lost_in_flight"] == 0
        assert old.shard_subscribers(name) == 0
        while (await official.next("n"))[0] != sent:
            continue


@BOTH
async def test_replica_of_a_member_that_dies_takes_its_channels(
    brokers: NewBroker, start_node: NewNode, connect: Connect, adapter_kind: str
) -> None:
    members = await running_members(brokers, replicas=True)
    room = ROOMS[0]
    a, b, c = [await start_node(members.urls) for _ in range(3)]
    async with NodeServer(",".join(members.urls), adapter_kind) as node, OfficialClients() as far:
        far.url = node.url
        official = await far.connect("/", auth={"rooms": [room]})
        await official.settle()
        clients = [await connect(io, auth={"rooms": [room]}) for io, _ in (a, b, c)]
        ears = [Ear(each) for each in clients]
        dying = members.owner(channel(room))
        await eventually(lambda: sound(a, b, c))
        dying.kill()
        if adapter_kind != "classic":
            await eventually(lambda: not any(node[1].health.ok for node in (a, b, c)))
            a[0].to(room).emit("n", 1)  # waits
        else:
            await asyncio.sleep(1)  # for those who have lost their home to notice it
        await soon(lambda: sound(a, b, c))
        a[0].to(room).emit("n", 2)
        for ear in ears:
            await ear.hears(2)
        if adapter_kind != "classic":
            assert all(ear.heard == [1, 2] for ear in ears)
        await soon(lambda: counted(4, a[0], b[0], c[0]))
        # Node.js takes its own time to find the new master.
        while not official.waiting("n"):
            a[0].to(room).emit("n", 2)
            await asyncio.sleep(0.1)
        while not all(3 in ear.heard for ear in ears):
            await node.call("emit", "n", 3, choice={"to": [room]})
            await asyncio.sleep(0.1)
        await soon(lambda: fetched(4, a[0]))  # its answer may be stuck on the way to the dead one
        # It comes back as a replica.
        await asyncio.to_thread(dying.start)
        await asyncio.sleep(1)
        await soon(lambda: sound(a, b, c))
        await soon(lambda: counted(4, a[0], b[0], c[0]))
        a[0].to(room).emit("n", 4)
        for ear in ears:
            await ear.hears(4)
            assert ear.heard == sorted(ear.heard)
            assert ear.heard.count(4) == 1


async def fetched(number: int, io: Any) -> bool:
    return len(await io.fetch_sockets()) == number


async def counted(number: int, *servers: Any) -> bool:
    return all([await io.adapter.server_count() == number for io in servers])


@BOTH
async def test_master_that_becomes_a_replica_on_command_is_left(
    brokers: NewBroker, start_node: NewNode, connect: Connect, adapter_kind: str
) -> None:
    members = await running_members(brokers, replicas=True)
    room = ROOMS[1]
    a, b = [await start_node(members.urls) for _ in range(2)]
    here, there = [Ear(await connect(io, auth={"rooms": [room]})) for io, _ in (a, b)]
    await eventually(lambda: sound(a, b))
    for master, replica in zip(members.masters, members.replicas, strict=True):
        replica.command("CLUSTER", "FAILOVER")
        await soon(lambda master=master: b"role:slave" in master.command("INFO", "replication"))
        await soon(
            lambda master=master: master.command("CLIENT", "LIST", "TYPE", "PUBSUB")[:2] == b"$0"
        )
    await soon(lambda: sound(a, b))
    for number in range(10):
        a[0].to(room).emit("n", number)
        await there.hears(number)
        await here.hears(number)
    assert here.heard == there.heard == [*range(10)]
    assert await a[0].adapter.server_count() == 2


@BOTH
async def test_members_that_nobody_can_reach_are_waited_for(
    brokers: NewBroker, start_node: NewNode, connect: Connect, adapter_kind: str
) -> None:
    members = await running_members(brokers)
    for member in members.all:
        member.kill()
    a, b = [await start_node(members.urls) for _ in range(2)]
    there, here = Ear(await connect(b[0])), Ear(await connect(a[0]))
    a[0].emit("n", 1)
    await here.hears(1)
    assert not a[1].health.ok
    assert a[1].health.queued > 0
    assert await a[0].adapter.server_count() == 1
    for member in members.all:
        await asyncio.to_thread(member.start)
    await soon(lambda: sound(a, b))
    await there.hears(1)
    assert here.heard == there.heard == [1]


@BOTH
async def test_one_connection_for_subscriptions_at_each_member(
    brokers: NewBroker, start_node: NewNode, connect: Connect, adapter_kind: str
) -> None:
    members = await running_members(brokers)
    a = await start_node(members.urls)
    await connect(a[0], auth={"rooms": [f"room {number}" for number in range(500)]})
    await eventually(lambda: sound(a))
    lines = [
        member.command("CLIENT", "LIST", "TYPE", "PUBSUB").count(b"id=")
        for member in members.masters
    ]
    assert sorted(lines) == ([0, 0, 1] if adapter_kind == "classic" else [1, 1, 1])


@pytest.mark.parametrize("redis", [[], ["redis://127.0.0.1:1", 3]], ids=["none", "a number"])
def test_what_is_no_redis_cluster_is_refused(redis: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="redis must be"):
        RedisAdapter(redis)


async def test_sharded_adapter_with_one_url_of_a_redis_cluster_says_what_is_wrong(
    brokers: NewBroker, start_node: NewNode, caplog: pytest.LogCaptureFixture
) -> None:
    members = await running_members(brokers)
    other = next(each for each in members.masters if each is not members.owner(channel()))
    _, adapter = await start_node(other.url, kind="sharded/dynamic")
    assert not adapter.health.listening
    assert "it is a member of a Redis Cluster: give a list of URLs" in caplog.text


async def test_bridge_hears_python_socketio_at_another_member(
    brokers: NewBroker, connect: Connect
) -> None:
    members = await running_members(brokers)
    adapter = PythonSocketIOBridge(members.urls)
    io = Server(adapter=adapter)
    await adapter.start()
    ear = Ear(await connect(io))
    for url in members.urls:
        manager = socketio.RedisManager(url, write_only=True)
        await asyncio.to_thread(manager.emit, "n", members.urls.index(url))
    for number in range(3):
        await ear.hears(number)
    await io.close()

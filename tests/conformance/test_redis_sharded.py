"""The sharded adapter: who hears which rooms, what a room that is left and joined ends as, and messages that no node has sent."""

import asyncio
import json
import os
import random
from typing import Any, Final

import pytest

from roomcast import ShardedRedisAdapter
from roomcast.adapters.notepack import Notepack
from roomcast.testing import Connect, Manager
from support.broker import RunningBroker, missing_broker
from support.broker_fixtures import NewNode
from support.served import eventually
from support.strange_messages import MESSAGES_DATA, STRANGE, mutated

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(120),
]

MESSAGES: Final = int(os.environ.get("ROOMCAST_EXAMPLES", "20000"))


@pytest.fixture
def adapter_kind() -> str:
    return "sharded/dynamic"


def hears(broker: RunningBroker, room: str) -> int:
    return broker.shard_subscribers(f"socket.io#/#{room}#")


@pytest.mark.parametrize(
    ("mode", "received"), [("dynamic", 0), ("dynamic-private", 0), ("static", 1)]
)
async def test_node_does_not_receive_what_is_for_rooms_that_it_does_not_have(
    broker: RunningBroker, start_node: NewNode, connect: Connect, mode: str, received: int
) -> None:
    (a, _), (b, adapter) = (
        await start_node(kind=f"sharded/{mode}"),
        await start_node(kind=f"sharded/{mode}"),
    )
    client = await connect(b, auth={"rooms": ["here"]})
    await eventually(lambda: adapter.subscriber.settled)
    assert hears(broker, "here") == (mode != "static")
    assert hears(broker, client.id) == (mode == "dynamic-private")
    before = adapter.counters["foreign_rooms"]
    a.to("elsewhere").emit("hello", 1)
    a.to("here").emit("hello", 2)
    assert await client.wait_for("hello") == 2
    assert adapter.counters["foreign_rooms"] == before + received


async def test_room_that_is_left_and_joined_quickly_ends_as_it_should(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    (a, _), (b, adapter) = await start_node(), await start_node()
    client = await connect(b)
    socket = b.sockets[client.id]
    randomly = random.Random(5)
    for _ in range(300):
        room = randomly.choice(("x", "y", "z"))
        if randomly.random() < 0.5:
            socket.join(room)
        else:
            socket.leave(room)
        if randomly.random() < 0.3:
            await asyncio.sleep(randomly.choice((0, 0, 0.002)))
    await eventually(lambda: adapter.subscriber.settled)
    for room in ("x", "y", "z"):
        await eventually(lambda room=room: hears(broker, room) == (room in socket.rooms))
    before = adapter.counters["received"]
    for room in socket.rooms - {socket.id}:
        a.to(room).emit("hello", room)
        assert await client.wait_for("hello") == room
    assert adapter.counters["gaps"] == 0
    assert adapter.counters["received"] - before == len(socket.rooms) - 1


async def test_after_a_reconnection_every_channel_is_there_once(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    (a, adapter_a), (b, adapter_b) = await start_node(), await start_node()
    client = await connect(b, auth={"rooms": ["first", "second"]})
    await eventually(lambda: adapter_b.subscriber.settled)
    broker.kill()
    await eventually(lambda: not adapter_b.health.listening)
    b.sockets[client.id].leave("first")
    b.sockets[client.id].join("third")
    broker.start()
    await eventually(lambda: adapter_a.health.ok and adapter_b.subscriber.settled)
    assert [hears(broker, room) for room in ("first", "second", "third")] == [0, 1, 1]
    assert broker.shard_subscribers("socket.io#/#") == 2
    for room in ("second", "third"):
        a.to(room).emit("hello", room)
        assert await client.wait_for("hello") == room


async def test_gap_in_the_channel_of_a_room_is_found(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    (a, adapter_a), (b, adapter_b) = await start_node(), await start_node()
    client = await connect(b, auth={"rooms": ["room"]})
    await eventually(lambda: adapter_b.subscriber.settled)
    a.to("room").emit("hello", 1)
    assert await client.wait_for("hello") == 1
    broker.command("CLIENT", "KILL", "TYPE", "pubsub")
    a.to("room").emit("hello", 2)  # before the node is back
    await eventually(lambda: adapter_a.health.ok and adapter_b.subscriber.settled)
    await eventually(lambda: hears(broker, "room") == 1)
    a.to("room").emit("hello", 3)
    assert await client.wait_for("hello") == 3
    assert (adapter_b.counters["gaps"], adapter_b.counters["missed"]) == (1, 1)


async def test_kills_under_load_lose_exactly_what_is_reported(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    (a, adapter_a), (b, adapter_b) = await start_node(), await start_node()
    here = await connect(a, auth={"rooms": ["room"]})
    there = await connect(b, auth={"rooms": ["room"]})
    await eventually(lambda: adapter_a.subscriber.settled and adapter_b.subscriber.settled)
    heard: dict[str, list[int]] = {"here": [], "there": []}
    here.on("n", heard["here"].append)
    there.on("n", heard["there"].append)
    sent = 0
    stop = asyncio.Event()

    async def load() -> None:
        nonlocal sent
        while not stop.is_set():
            for _ in range(3):
                a.to("room").emit("n", sent)
                sent += 1
            await asyncio.sleep(0.001)

    loading = asyncio.create_task(load())
    await eventually(lambda: len(heard["there"]) > 10)
    first = heard["there"][0]
    for _ in range(8):
        broker.kill()
        await eventually(lambda: not adapter_a.health.listening and not adapter_b.health.listening)
        await asyncio.to_thread(broker.start)
        await eventually(lambda: adapter_a.health.ok and adapter_b.subscriber.settled)
        await asyncio.sleep(0.05)
        assert [hears(broker, "room"), broker.shard_subscribers("socket.io#/#")] == [2, 2]
    stop.set()
    await loading
    a.to("room").emit("n", sent)
    await eventually(lambda: sent in heard["there"])
    assert heard["here"] == list(range(sent + 1))
    assert heard["there"] == sorted(set(heard["there"])), "out of order, or twice"
    missing = sent + 1 - first - len(heard["there"])
    assert adapter_b.counters["missed"] == missing < sent / 5


async def test_what_follows_sockets_join_finds_the_room(
    start_node: NewNode, connect: Connect
) -> None:
    (a, _), (b, adapter) = await start_node(), await start_node()
    client = await connect(b)
    await eventually(lambda: adapter.subscriber.settled)
    for number in range(20):
        a.sockets_join(f"new-{number}")
        a.to(f"new-{number}").emit("hello", number)
        assert await client.wait_for("hello") == number


@pytest.mark.parametrize("mode", ["dynamic", "dynamic-private"])
async def test_rooms_of_those_who_may_come_back_are_heard(
    broker: RunningBroker, start_node: NewNode, mode: str
) -> None:
    (a, _), (b, _) = (
        await start_node(kind=f"sharded/{mode}"),
        await start_node(kind=f"sharded/{mode}", connection_state_recovery=True),
    )
    async with Manager(b, transports=["websocket"]) as manager:
        client = manager.socket(auth={"rooms": ["room"]})
        heard: list[Any] = []
        client.on("n", lambda number, *_: heard.append(number))
        await client.connect()
        id = client.id
        await eventually(lambda: hears(broker, "room") == 1)
        a.to("room").emit("n", 1)
        await eventually(lambda: heard == [1])
        manager.line.reset()
        await eventually(lambda: not b.sockets)
        a.to("room").emit("n", 2)
        a.to(id).emit("n", 3)
        await eventually(lambda: b.adapter.sessions.event_count >= 3)
        await client.connect()
        assert client.recovered
        await eventually(lambda: heard == [1, 2, 3])
        await client.disconnect()
    await eventually(lambda: hears(broker, "room") == 0)
    assert hears(broker, id) == 0


async def test_room_of_one_namespace_may_have_the_channel_of_another(
    start_node: NewNode, connect: Connect
) -> None:
    (a, _), (b, adapter) = await start_node(), await start_node()
    for io in (a, b):
        io.of("/#x")
    client = await connect(b, auth={"rooms": ["x"]})
    other = await connect(b, "/#x")
    await eventually(lambda: adapter.subscriber.settled)
    b.sockets[client.id].leave("x")
    await eventually(lambda: adapter.subscriber.settled)
    a.of("/#x").emit("hello", 1)
    assert await other.wait_for("hello") == 1


@pytest.mark.parametrize("mode", ["dynamic-public", "", None])
def test_mode_that_there_is_not_is_refused(mode: Any) -> None:
    with pytest.raises(ValueError, match="subscription_mode"):
        ShardedRedisAdapter("redis://127.0.0.1:1", subscription_mode=mode)


DATA: Final = [
    *MESSAGES_DATA,
    (12, {"packet": 1, "requestId": "1", "sid": "x", "args": [1]}),
    (100, {"requestId": "1", "sid": "x"}),
    (101, {}),
]


async def test_messages_of_nobody_do_no_harm(
    start_node: NewNode, connect: Connect, caplog: Any
) -> None:
    io, adapter = await start_node()
    client = await connect(io, auth={"rooms": ["room"]})
    uid = "0123456789abcdef"
    whole = [
        {"type": kind, "data": data, "uid": uid, "nsp": "/", "seq": number}
        for number, (kind, data) in enumerate(DATA)
    ]
    valid = [json.dumps(message).encode() for message in whole]
    valid += [Notepack().pack(message) for message in whole]
    # Values of the wrong type in every place.
    for message in whole:
        for name in message:
            valid += [json.dumps(message | {name: each}).encode() for each in STRANGE]
        for name in message["data"]:
            for each in STRANGE:
                data = message["data"] | {name: each}
                valid.append(json.dumps(message | {"data": data}).encode())
    bus: Any = io.adapter.bus
    randomly = random.Random(20)
    sent = [*valid, *(mutated(randomly, randomly.choice(valid)) for _ in range(MESSAGES))]
    channels = [*bus._subscribed["shards"], b"socket.io#/#room#"]
    for number, data in enumerate(sent):
        bus.on_message(randomly.choice(channels), data)
        if number % 500 == 0:
            await asyncio.sleep(0)
    assert adapter.counters["failed"] == 0
    assert adapter.counters["invalid"] > MESSAGES / 4
    await eventually(lambda: adapter.health.ok)
    assert client.connected
    heard: list[Any] = []
    client.on("end", heard.append)
    message = {"type": 3, "data": {"packet": {"type": 2, "data": ["end", 1]}, "opts": {}}}
    bus.on_message(b"socket.io#/#", json.dumps(message | {"uid": "y", "nsp": "/"}).encode())
    await eventually(lambda: heard == [1])
    assert len([record for record in caplog.records if "dropped" in record.message]) < 10

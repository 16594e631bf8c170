"""Emitters into nodes on a Redis Cluster, in asyncio and without, over pub/sub and over streams; and members that change meanwhile."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest
import redis
import redis.asyncio

from roomcast import BrokerError, Emitter, StreamsEmitter, SyncEmitter, SyncStreamsEmitter
from roomcast.testing import Connect
from support.broker import missing_broker
from support.broker_fixtures import NewBroker, NewNode
from support.ears import Ear
from support.redis_members import RunningMembers, running_members, soon

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(120),
]

STREAM: Final = "socket.io"

NOWHERE: Final = ["redis://127.0.0.1:1", "redis://127.0.0.1:2"]

ASYNCIO: Final = {"classic": Emitter, "streams": StreamsEmitter}
BLOCKING: Final = {"classic": SyncEmitter, "streams": SyncStreamsEmitter}

kinds = pytest.mark.parametrize("adapter_kind", ["classic", "streams"])


def client_of(library: Any, members: RunningMembers) -> Any:
    return library.RedisCluster(host="127.0.0.1", port=members.masters[1].port)


@kinds
async def test_emitters_reach_nodes_wherever_they_are(
    brokers: NewBroker, start_node: NewNode, connect: Connect, adapter_kind: str
) -> None:
    members = await running_members(brokers)
    nodes = [await start_node(members.urls) for _ in range(3)]
    clients = [await connect(io, auth={"rooms": [f"room {n}"]}) for n, (io, _) in enumerate(nodes)]
    ears = [Ear(client) for client in clients]
    await soon(lambda: all(adapter.health.ok for _, adapter in nodes))
    make, make_blocking = ASYNCIO[adapter_kind], BLOCKING[adapter_kind]
    theirs = client_of(redis.asyncio, members)
    async with AsyncExitStack() as stack:
        given = await asyncio.to_thread(client_of, redis, members)
        emits: list[Callable[..., Any]] = []
        for target in (members.urls, members.urls[2:], theirs):
            emitter = await stack.enter_async_context(make(target))
            emits.append(emitter.emit)
        for target in (members.urls, members.urls[2:], given):
            blocking = stack.enter_context(make_blocking(target))
            emits.append(lambda *args, blocking=blocking: asyncio.to_thread(blocking.emit, *args))
        for number, emit in enumerate(emits):
            await emit("n", number)
            for ear in ears:
                await ear.hears(number)
        # The rest of what an emitter does goes the same way.
        await emitter.to("room 0").sockets_join("joined")
        await soon(lambda: nodes[0][0].room_size("joined") == 1)
        await asyncio.to_thread(blocking.to("room 1").disconnect_sockets)
        await clients[1].wait_for("disconnect")
        assert given.ping()  # it is not closed
        given.close()
    await theirs.aclose()
    for ear in ears:
        assert ear.heard == [*range(len(emits))]


async def test_emitters_follow_a_stream_that_moves(
    brokers: NewBroker, start_node: NewNode, connect: Connect
) -> None:
    members = await running_members(brokers)
    io, adapter = await start_node(members.urls, kind="streams")
    there = Ear(await connect(io))
    await soon(lambda: adapter.health.ok)
    number = 0
    async with StreamsEmitter(members.urls) as emitter:
        with SyncStreamsEmitter(members.urls) as blocking:

            async def emit() -> None:
                nonlocal number
                await emitter.emit("n", number)
                await asyncio.to_thread(blocking.emit, "n", number + 1)
                number += 2

            await emit()
            for _ in range(2):
                old = members.owner(STREAM)
                target = next(each for each in members.masters if each is not old)
                members.begin_move(STREAM, target)
                await emit()
                members.move_key(STREAM, target)
                await emit()
                await emit()
                members.end_move(STREAM, target)
                await emit()
    await soon(lambda: len(there.heard) >= number)
    assert there.heard == [*range(number)]


@kinds
async def test_emitters_go_on_with_the_replica_of_a_member_that_dies(
    brokers: NewBroker, start_node: NewNode, connect: Connect, adapter_kind: str
) -> None:
    members = await running_members(brokers, replicas=True)
    io, adapter = await start_node(members.urls)
    there = Ear(await connect(io))
    await soon(lambda: adapter.health.ok)
    async with ASYNCIO[adapter_kind](members.urls) as emitter:
        with BLOCKING[adapter_kind](members.urls) as blocking:
            await emitter.emit("n", 0)
            await asyncio.to_thread(blocking.emit, "n", 1)
            members.owner(STREAM).kill()

            async def emitted(number: int) -> bool:
                try:
                    if number % 2:
                        await asyncio.to_thread(blocking.emit, "n", number)
                    else:
                        await emitter.emit("n", number)
                except BrokerError:
                    return False
                return True

            for number in (2, 3):
                await soon(lambda number=number: emitted(number))
            await soon(lambda: adapter.health.ok)
            for number in (4, 5):
                await soon(lambda number=number: emitted(number))
                await there.hears(number)


@kinds
async def test_members_that_nobody_can_reach_take_nothing(adapter_kind: str) -> None:
    async with ASYNCIO[adapter_kind](NOWHERE) as emitter:
        with pytest.raises(BrokerError):
            await emitter.emit("n", 1)
    with BLOCKING[adapter_kind](NOWHERE) as blocking, pytest.raises(BrokerError):
        blocking.emit("n", 1)


@pytest.mark.parametrize("make", [SyncEmitter, SyncStreamsEmitter, Emitter, StreamsEmitter])
@pytest.mark.parametrize(
    "target", [[], ["redis://127.0.0.1:1", 3], ["redis://127.0.0.1:1", "no URL"], 17]
)
def test_what_is_no_redis_cluster_is_refused(make: Any, target: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        make(target)

"""Brokers that change: shut down, slow, out of memory, replaced by their replica, found by Sentinel, several in a Redis Cluster."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel

from roomcast.testing import Connect, Socket
from support.broker import RunningBroker, missing_broker
from support.broker_fixtures import NewBroker, NewNode, Node
from support.ears import Ear, heard_again
from support.proxy import Proxy
from support.redis_members import running_members
from support.served import eventually

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(300),
]

FULL: Final = os.environ.get("ROOMCAST_HOSTILE") == "full"

KILLS: Final = 50 if FULL else 8
CALLS: Final = 100_000 if FULL else 3_000

BACK_WITHIN: Final = 2.0
"""Seconds within which a node must hear again once the broker is back."""

NEW_MASTER_WITHIN: Final = 60.0
"""Seconds within which a Sentinel must have found one, most of it its own."""

REQUESTS: Final = "socket.io-request#/#"


def deaf(*nodes: Node) -> bool:
    return not any(adapter.health.listening or adapter.health.publishing for _, adapter in nodes)


async def test_broker_that_is_shut_down_and_started_again(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(broker), await start_node(broker)
    here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
    broker.shut_down()
    await eventually(lambda: deaf(a, b))
    a[0].emit("n", 1)
    await here.hears(1)
    assert a[1].health.queued > 0
    broker.start()
    assert await heard_again(a, b) < BACK_WITHIN
    await there.hears(1)
    assert broker.subscribers(REQUESTS) == 2
    assert (here.heard, there.heard) == ([1], [1])


@pytest.mark.parametrize(
    "words", [("CLIENT", "PAUSE", "1000", "ALL"), ("DEBUG", "SLEEP", "1")], ids=" ".join
)
async def test_broker_that_is_slow_for_a_moment_costs_nothing(
    brokers: NewBroker, start_node: NewNode, connect: Connect, words: tuple[str, ...]
) -> None:
    broker = brokers("--enable-debug-command", "yes")
    a, b = await start_node(broker), await start_node(broker)
    here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
    slow = asyncio.ensure_future(asyncio.to_thread(broker.command, *words))
    for number in range(50):
        a[0].emit("n", number)
        await here.hears(number)
        await asyncio.sleep(0.01)
    await slow
    await there.hears(49)
    assert here.heard == there.heard == [*range(50)]
    assert [adapter.counters["subscriptions"] for _, adapter in (a, b)] == [1, 1]
    assert (b[1].counters["missed"], a[1].health.ok, b[1].health.ok) == (0, True, True)


async def test_broker_that_sleeps_long_is_given_up_and_found_again(
    brokers: NewBroker, start_node: NewNode, connect: Connect
) -> None:
    broker = brokers("--enable-debug-command", "yes")
    a, b = await start_node(broker), await start_node(broker)
    here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
    slow = asyncio.ensure_future(asyncio.to_thread(broker.command, "DEBUG", "SLEEP", "4"))
    await eventually(lambda: deaf(a, b))
    a[0].emit("n", 1)
    await here.hears(1)
    await slow
    assert await heard_again(a, b) < BACK_WITHIN
    a[0].emit("n", 2)
    await there.hears(2)
    await eventually(lambda: broker.subscribers(REQUESTS) == 2)
    assert there.heard in ([1, 2], [2])


async def test_memory_that_is_full_stops_nothing(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(broker), await start_node(broker)
    there = Ear(await connect(b[0]))
    broker.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    broker.command("CONFIG", "SET", "maxmemory", "1")
    assert broker.command("SET", "key", "value")[:4] == b"-OOM"
    a[0].emit("n", 1)
    await there.hears(1)
    assert (await a[0].fetch_sockets()).complete
    broker.command("CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: b[1].counters["subscriptions"] == 2)
    assert await heard_again(a, b) < BACK_WITHIN
    a[0].emit("n", 2)
    await there.hears(2)
    assert a[1].counters["refused_by_broker"] == 0


async def test_replica_takes_the_place_of_its_master(
    brokers: NewBroker, start_node: NewNode, connect: Connect
) -> None:
    master = brokers()
    replica = brokers("--replicaof", f"127.0.0.1 {master.port}")
    async with Proxy(master.port) as proxy:
        a, b = await start_node(proxy.url), await start_node(proxy.url)
        here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
        a[0].emit("n", 1)
        await there.hears(1)
        master.kill()
        await eventually(lambda: deaf(a, b))
        a[0].emit("n", 2)
        await here.hears(2)
        proxy.target = replica.port  # as an address does that moves
        # It is still read-only, which pub/sub is none the worse for.
        assert await heard_again(a, b) < BACK_WITHIN
        await there.hears(2)
        assert replica.command("SET", "key", "value")[:9] == b"-READONLY"
        a[0].emit("n", 3)
        await there.hears(3)
        replica.command("REPLICAOF", "NO", "ONE")
        a[0].emit("n", 4)
        await there.hears(4)
        assert here.heard == there.heard == [1, 2, 3, 4]
        await eventually(lambda: replica.subscribers(REQUESTS) == 2)
        assert (await a[0].fetch_sockets()).servers == 2
        for io, _ in (a, b):
            await io.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A master, its replica, and a client that asks a Sentinel which of them is the master."""

    master: RunningBroker
    replica: RunningBroker
    client: Any


@pytest.fixture
async def watched(brokers: NewBroker) -> AsyncIterator[Watched]:
    """Run a master and a replica under a Sentinel that replaces the one by the other after half a second."""
    master = brokers()
    replica = brokers("--replicaof", f"127.0.0.1 {master.port}")
    sentinel = brokers("--sentinel")
    sentinel.command("SENTINEL", "MONITOR", "main", "127.0.0.1", str(master.port), "1")
    sentinel.command("SENTINEL", "SET", "main", "down-after-milliseconds", "500")
    sentinel.command("SENTINEL", "SET", "main", "failover-timeout", "2000")
    await eventually(lambda: b"127.0.0.1" in sentinel.command("SENTINEL", "REPLICAS", "main"))
    asked = Sentinel([("127.0.0.1", sentinel.port)])
    client: Any = asked.master_for("main")
    yield Watched(master=master, replica=replica, client=client)
    for each in (client, *asked.sentinels):
        await each.aclose()


async def test_sentinel_finds_the_new_master_after_a_death(
    watched: Watched, start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(watched.client), await start_node(watched.client)
    here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
    a[0].emit("n", 1)
    await there.hears(1)
    assert watched.master.subscribers(REQUESTS) == 2
    watched.master.kill()
    await eventually(lambda: deaf(a, b))
    a[0].emit("n", 2)
    await here.hears(2)
    end = time.monotonic() + NEW_MASTER_WITHIN
    while not (a[1].health.ok and b[1].health.ok):
        assert time.monotonic() < end, "no new master"
        await asyncio.sleep(0.05)
    assert watched.replica.subscribers(REQUESTS) == 2
    a[0].emit("n", 3)
    await there.hears(3)
    assert (here.heard, there.heard) == ([1, 2, 3], [1, 2, 3])
    for io, _ in (a, b):
        await io.close()


async def test_sentinel_finds_the_new_master_when_the_old_one_hangs(
    watched: Watched, start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(watched.client), await start_node(watched.client)
    here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
    a[0].emit("n", 0)
    await there.hears(0)
    watched.master.pause()
    # Each connection finds out for itself, when others may be with the new master already: what is published between is missed, and
    # counted.
    sent = 0
    end = time.monotonic() + NEW_MASTER_WITHIN
    while there.heard[-1] == 0 or watched.replica.subscribers(REQUESTS) != 2:
        assert time.monotonic() < end, "no new master"
        sent += 1
        a[0].emit("n", sent)
        await asyncio.sleep(0.05)
    sent += 1
    a[0].emit("n", sent)
    await there.hears(sent)
    assert here.heard == [*range(sent + 1)]
    assert there.heard == sorted(set(there.heard))
    await eventually(lambda: len(there.heard) + b[1].counters["missed"] == sent + 1)
    assert a[1].health.ok
    assert b[1].health.ok
    for io, _ in (a, b):
        await io.close()


@pytest.fixture
async def cluster(brokers: NewBroker) -> list[RunningBroker]:
    """Return the three masters of a Redis Cluster."""
    return (await running_members(brokers)).masters


async def test_one_node_of_a_redis_cluster_serves_all(
    cluster: list[RunningBroker], start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(cluster[1]), await start_node(cluster[1])
    clients = [await connect(a[0]), await connect(b[0])]
    there = Ear(clients[1])
    a[0].to("nobody").emit("n", 0)
    a[0].emit("n", 1)
    await there.hears(1)
    clients[1].on("ask", lambda: "there")
    assert await a[0].to(clients[1].id).timeout(5).emit_with_ack("ask") == ["there"]
    found = await a[0].fetch_sockets()
    assert ({each.id for each in found}, found.servers, found.complete) == (
        {each.id for each in clients},
        2,
        True,
    )


async def test_events_pass_between_the_nodes_of_a_redis_cluster(
    cluster: list[RunningBroker], start_node: NewNode, connect: Connect
) -> None:
    nodes = [await start_node(each) for each in cluster]
    ears = [Ear(await connect(io)) for io, _ in nodes]
    for number, (io, _) in enumerate(
        nodes, -3
    ):  # the members say that they are ready before all of their lines are
        while any(number not in ear.heard for ear in ears):
            io.emit("n", number)
            await asyncio.sleep(0.05)
    for number, (io, _) in enumerate(nodes):
        io.emit("n", number)
        for ear in ears:
            await ear.hears(number)
    assert all(sorted(each for each in ear.heard if each >= 0) == [0, 1, 2] for ear in ears)
    cluster[2].kill()
    await eventually(lambda: deaf(nodes[2]))
    nodes[0][0].emit("n", 3)
    await ears[1].hears(3)


async def test_nodes_on_several_members_count_those_of_their_own_only(
    cluster: list[RunningBroker], start_node: NewNode, connect: Connect
) -> None:
    (a, _), (b, _) = await start_node(cluster[0]), await start_node(cluster[1])
    await connect(b)
    assert await a.adapter.server_count() == 1
    assert (await a.fetch_sockets()).servers == 1


async def test_what_is_published_on_a_replica_stays_there(
    brokers: NewBroker, start_node: NewNode, connect: Connect
) -> None:
    master = brokers("--repl-diskless-sync-delay", "0")
    replica = brokers("--replicaof", f"127.0.0.1 {master.port}")
    await eventually(lambda: b"master_link_status:up" in replica.command("INFO", "replication"))
    a, b = await start_node(master), await start_node(replica)
    here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
    b[0].emit("n", 1)
    await there.hears(1)
    a[0].emit("n", 2)
    await there.hears(2)
    assert here.heard == [2]


async def test_client_of_redis_asyncio_says_where_and_how(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    client = Redis(host="127.0.0.1", port=broker.port, db=3, client_name="roomcast")
    a, b = await start_node(client), await start_node(broker)
    there = Ear(await connect(b[0]))
    a[0].emit("n", 1)
    await there.hears(1)
    assert broker.command("CLIENT", "LIST").count(b"name=roomcast") == 2
    await client.aclose()
    a[0].emit("n", 2)
    await there.hears(2)


class History:
    """What a client of a node has heard of every sender, and what the node has said that it missed of them."""

    def __init__(self, node: Node, socket: Socket, senders: int) -> None:
        self.io, self.adapter = node
        self.heard: list[list[int]] = [[] for _ in range(senders)]
        self.missed: Counter[str] = Counter()
        socket.on("n", lambda sender, number: self.heard[sender].append(number))
        self.adapter.on("gap", self._gap)

    def _gap(self, nsp: str, sender: str, missing: int) -> None:
        self.missed[sender] += missing

    def check(self, sent: int, senders: list[str]) -> None:
        """Make sure that everything is there from 0 to the last number, in order and once, but what was said to be missing."""
        for uid, numbers in zip(senders, self.heard, strict=True):
            assert numbers == sorted(set(numbers)), "out of order, or twice"
            lost = sent + 1 - len(numbers)
            assert lost == self.missed[uid], "lost and not reported, or the reverse"
            if uid == self.io.adapter.bus.uid:
                assert lost == 0, "local delivery has stopped"


async def test_history_of_every_sender_over_many_kills(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    nodes = [await start_node(broker) for _ in range(3)]
    histories = [History(each, await connect(each[0]), len(nodes)) for each in nodes]
    sent = 0
    stop = asyncio.Event()

    def send() -> None:
        nonlocal sent
        for sender, (io, _) in enumerate(nodes):
            io.emit("n", sender, sent)
        sent += 1

    async def load() -> None:
        while not stop.is_set():
            send()
            send()
            await asyncio.sleep(0.002)

    def is_last_heard() -> bool:
        heard = [numbers for history in histories for numbers in history.heard]
        return all(numbers and numbers[-1] == sent - 1 for numbers in heard)

    send()  # the number that gaps are counted from
    await eventually(is_last_heard)
    loading = asyncio.create_task(load())
    randomly = random.Random(9)
    for kill in range(KILLS):
        await asyncio.sleep(randomly.uniform(0, 0.1))
        (broker.kill if kill % 4 else broker.shut_down)()
        await eventually(lambda: deaf(*nodes))
        await asyncio.sleep(randomly.uniform(0, 0.05))
        await asyncio.to_thread(broker.start)
        assert await heard_again(*nodes) < BACK_WITHIN, kill
        assert broker.subscribers(REQUESTS) == len(nodes)
    stop.set()
    await loading
    await eventually(lambda: not any(adapter.health.queued for _, adapter in nodes))
    send()
    await eventually(is_last_heard)
    senders = [io.adapter.bus.uid for io, _ in nodes]
    for history in histories:
        history.check(sent - 1, senders)
    assert all(adapter.counters["subscriptions"] == KILLS + 1 for _, adapter in nodes)


async def test_calls_that_are_cancelled_at_random_get_nobody_elses_answer(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(broker), await start_node(broker)
    clients = [await connect(b[0]) for _ in range(4)]
    for number, client in enumerate(clients):
        client.on("ask", lambda question, number=number: [number, question])
    randomly = random.Random(3)

    async def call(question: int) -> None:
        number = randomly.randrange(len(clients))
        id = clients[number].id
        match question % 4:
            case 0:
                found = await a[0].to(id).fetch_sockets()
                assert [each.id for each in found] == [id]
            case 1:
                answers = await a[0].to(id).timeout(30).emit_with_ack("ask", question)
                assert answers == [[number, question]]
            case 2:
                assert await a[0].server_side_emit_with_ack("sum", question, 1) == [question + 1]
            case _:
                assert await a[0].adapter.server_count() == 2

    for begin in range(0, CALLS, 20):
        calls = [asyncio.ensure_future(call(begin + each)) for each in range(20)]
        for _ in range(randomly.randrange(4)):
            await asyncio.sleep(0)
        cancelled = randomly.sample(calls, 8)
        for each in cancelled:
            each.cancel()
        for each in calls:
            if each not in cancelled:
                await each
        await asyncio.wait(calls)
    report = await a[0].timeout(5).emit_with_ack_report("ask", 0)
    assert report.complete
    await eventually(lambda: not a[0].adapter.bus._pending)

"""Streams on a Redis Cluster: nodes of both languages, slots that move with a stream or before it, and members that die under load."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from roomcast.adapters.slots import slot_of
from roomcast.testing import Connect
from support.broker import RunningBroker, missing_broker
from support.broker_fixtures import NewBroker, NewNode, Node
from support.ears import Ear
from support.harm import FULL
from support.node_cluster import NodeServer
from support.official_client import OfficialClients
from support.redis_members import RunningMembers, running_members, soon
from support.reference import missing_reference
from support.served import eventually

_MISSING: Final = missing_reference() or missing_broker()

pytestmark = [
    pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING)),
    pytest.mark.timeout(400),
]

STREAM: Final = "socket.io"

ROUNDS: Final = 20 if FULL else 3

MOVES: Final = 60 if FULL else 6


@pytest.fixture
def adapter_kind() -> str:
    return "streams"


def sound(*nodes: Node) -> bool:
    return all(adapter.health.ok and adapter.subscriber.settled for _, adapter in nodes)


def readers(members: RunningMembers) -> int:
    return sum(member.readers() for member in members.all)


async def nobody_at(node: NodeServer) -> bool:
    return not await node.call("rooms")


class Histories:
    """What each client of some nodes hears of what each of the nodes emits."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = nodes
        self.heard: dict[tuple[int, int], list[int]] = {}
        self.sent = 0

    async def connect(self, connect: Connect) -> None:
        for receiver, (io, _) in enumerate(self.nodes):
            client = await connect(io)
            for sender in range(len(self.nodes)):
                numbers = self.heard[sender, receiver] = []
                client.on(f"n{sender}", lambda number, *_, numbers=numbers: numbers.append(number))

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Emit until the end of the block, and wait until everything has come."""
        stop = asyncio.Event()

        async def emit() -> None:
            while not stop.is_set():
                self.emit()
                await asyncio.sleep(0.002)

        loading = asyncio.create_task(emit())
        yield
        stop.set()
        await loading
        self.emit()
        await soon(lambda: all(each[-1:] == [self.sent - 1] for each in self.heard.values()))

    def emit(self) -> None:
        for sender, (io, _) in enumerate(self.nodes):
            io.emit(f"n{sender}", self.sent)
        self.sent += 1

    async def go_on(self) -> None:
        """Wait until something new has come everywhere."""
        until = self.sent + 20
        await soon(lambda: all(each and each[-1] >= until for each in self.heard.values()))

    def assert_whole(self) -> None:
        for (sender, receiver), numbers in self.heard.items():
            assert numbers == list(range(self.sent)), (sender, receiver)
        for _, adapter in self.nodes:
            assert (adapter.counters["missed"], adapter.counters["trimmed"]) == (0, 0)


async def started(
    start_node: NewNode, members: RunningMembers, *, recovers: bool
) -> tuple[Node, Node]:
    options: dict[str, Any] = {"connection_state_recovery": recovers}
    nodes = await start_node(members.urls, **options), await start_node(members.urls, **options)
    await eventually(lambda: sound(*nodes))
    return nodes


def has_taken_over(members: RunningMembers, replica: RunningBroker, master: RunningBroker) -> bool:
    """Say whether a replica has taken its master's place, and tell it to; one that is still behind refuses."""
    replica.command("CLUSTER", "FAILOVER")
    return (replica, master) in members.pairs


recovering = pytest.mark.parametrize("recovers", [False, True])


@recovering
async def test_stream_that_moves_under_load_loses_nothing_and_repeats_nothing(
    brokers: NewBroker, start_node: NewNode, connect: Connect, recovers: bool
) -> None:
    """The key is on its way for a while: its old member says where to ask, and the new one takes it for the time being only."""
    members = await running_members(brokers)
    nodes = await started(start_node, members, recovers=recovers)
    histories = Histories(*nodes)
    await histories.connect(connect)
    randomly = random.Random(4)
    async with histories.load():
        for _ in range(MOVES):
            await histories.go_on()
            old = members.owner(STREAM)
            target = randomly.choice([each for each in members.masters if each is not old])
            members.begin_move(STREAM, target)
            await asyncio.sleep(randomly.uniform(0, 0.1))
            members.move_key(STREAM, target)
            await histories.go_on()
            assert members.has(target, STREAM)
            members.end_move(STREAM, target)
            await soon(lambda: sound(*nodes))
    histories.assert_whole()
    for _, adapter in nodes:
        assert adapter.counters["redirected"] > 0
        assert adapter.counters["lost_in_flight"] == adapter.counters["dropped_outbound"] == 0


async def test_stream_begins_while_its_slot_is_on_its_way(
    brokers: NewBroker, start_node: NewNode, connect: Connect
) -> None:
    members = await running_members(brokers)
    target = next(each for each in members.masters if each is not members.owner(STREAM))
    members.begin_move(STREAM, target)
    nodes = await started(start_node, members, recovers=False)
    histories = Histories(*nodes)
    await histories.connect(connect)
    async with histories.load():
        await histories.go_on()
        assert members.has(target, STREAM)
        members.end_move(STREAM, target)
        await histories.go_on()
    histories.assert_whole()


@recovering
@pytest.mark.parametrize("harm", ["kill", "pause", "failover"])
async def test_replica_takes_the_place_of_the_member_with_the_stream(
    brokers: NewBroker, start_node: NewNode, connect: Connect, harm: str, recovers: bool
) -> None:
    """What was replicated is not lost, what was not is reported, and nothing comes twice or out of order."""
    members = await running_members(brokers, replicas=True)
    nodes = await started(start_node, members, recovers=recovers)
    histories = Histories(*nodes)
    await histories.connect(connect)
    owner = members.owner(STREAM)
    replica = members.replicas[members.masters.index(owner)]
    async with histories.load():
        await histories.go_on()
        match harm:
            case "kill":
                owner.kill()
            case "pause":
                owner.pause()
            case _:
                replica.command("CLUSTER", "FAILOVER")
        await soon(lambda: b"role:master" in replica.command("INFO", "replication"))
        await soon(lambda: sound(*nodes))
        await histories.go_on()
        if harm == "pause":
            owner.resume()
        elif harm == "kill":
            await asyncio.to_thread(owner.start)
        await soon(lambda: b"role:slave" in owner.command("INFO", "replication"))
        await histories.go_on()
    lost = [0, 0]
    for (_, receiver), numbers in histories.heard.items():
        assert numbers == sorted({*numbers})
        lost[receiver] += histories.sent - len(numbers)
    for receiver, (_, adapter) in enumerate(nodes):
        assert adapter.counters["missed"] == lost[receiver]
        assert adapter.counters["trimmed"] == 0
    if harm == "failover":
        histories.assert_whole()


@recovering
async def test_histories_over_moves_failovers_and_lines_that_break(
    brokers: NewBroker, start_node: NewNode, connect: Connect, recovers: bool
) -> None:
    members = await running_members(brokers, replicas=True)
    nodes = await started(start_node, members, recovers=recovers)
    histories = Histories(*nodes)
    await histories.connect(connect)
    randomly = random.Random(20)
    async with histories.load():
        for change in ("failover", "move", "cut") * ROUNDS:
            await histories.go_on()
            masters = [master for master, _ in members.pairs]
            match change:
                case "failover":
                    master, replica = randomly.choice(members.pairs)
                    await soon(lambda pair=(replica, master): has_taken_over(members, *pair))
                case "move":
                    owner = next(each for each in masters if members.has(each, STREAM))
                    members.moved[slot_of(STREAM.encode())] = owner
                    members.move(STREAM, randomly.choice([m for m in masters if m is not owner]))
                case _:
                    for master in masters:
                        for kind in ("normal", "pubsub"):
                            master.command("CLIENT", "KILL", "TYPE", kind)
            await soon(lambda: sound(*nodes))
    histories.assert_whole()


async def test_clients_come_back_to_whichever_node_of_either_language(
    brokers: NewBroker, start_node: NewNode
) -> None:
    """Sessions are at the members that have their keys; what was missed is in the stream, wherever that has moved."""
    members = await running_members(brokers)
    io, adapter = await start_node(members.urls, connection_state_recovery=True)
    listening = await io.listen(0)
    async with (
        NodeServer(",".join(members.urls), "streams", recovers=True) as node,
        OfficialClients() as clients,
    ):
        urls = {"here": f"http://127.0.0.1:{listening.port}", "far": node.url}
        await soon(lambda: sound((io, adapter)) and readers(members) == 2)
        emitted = 0

        async def emit_both(**choice: Any) -> list[int]:
            nonlocal emitted
            numbers = [emitted, emitted + 1]
            emitted += 2
            target = io.to(choice["to"]) if choice else io
            target.emit("n", numbers[0])
            await node.call("emit", "n", numbers[1], choice=choice)
            return numbers

        everybody = []
        for number in range(6):  # their sessions are at all members
            clients.url = urls["far" if number % 2 else "here"]
            client = await clients.connect(auth={"rooms": [f"room {number}"]})
            await client.settle()
            everybody.append(client)
        assert await node.call("count") == await io.adapter.server_count() == 2
        numbers = await emit_both()
        for client in everybody:
            assert sorted([(await client.next("n"))[0] for _ in numbers]) == numbers
        for turn in range(2):
            ids = [client.id for client in everybody]
            for client in everybody:
                client.close_engine()
                await client.next("disconnect")
            await soon(lambda: not io.sockets)
            await soon(lambda: nobody_at(node))
            await soon(lambda: not adapter.health.queued)
            missed = [await emit_both(to=[f"room {number}"]) for number in range(6)]
            last = await emit_both()
            if turn:
                target = next(each for each in members.masters if each is not members.owner(STREAM))
                members.move(STREAM, target)
                await soon(lambda: adapter.counters["readings"] == 2 and sound((io, adapter)))
            for number, client in enumerate(everybody):
                client.move(urls["far" if (number + turn) % 3 else "here"])
                client.record.clear()
                client.connect()
                await client.next("connect")
                state = await client.state()
                assert (state["id"], state["recovered"]) == (ids[number], True)
                heard = [(await client.next("n"))[0] for _ in range(4)]
                assert sorted(heard) == [*missed[number], *last]


@pytest.mark.parametrize("change", ["move", "failover", "kill"])
async def test_histories_with_a_node_js_server(
    brokers: NewBroker, start_node: NewNode, connect: Connect, change: str
) -> None:
    members = await running_members(brokers, replicas=change != "move")
    nodes = await started(start_node, members, recovers=False)
    histories = Histories(*nodes)
    await histories.connect(connect)
    async with NodeServer(",".join(members.urls), "streams") as far, OfficialClients() as clients:
        clients.url = far.url
        there = await clients.connect()
        here = Ear(await connect(nodes[0][0]))
        await soon(lambda: readers(members) == 3)
        told = 0

        def heard_there(event: str) -> list[int]:
            return [args[0] for name, *args in there.record if name == event]

        def follows() -> bool:
            ends = (heard_there("n0"), heard_there("n1"))
            return all(each and each[-1] >= histories.sent - 100 for each in ends)

        async def tell(stop: asyncio.Event) -> None:
            nonlocal told
            while not stop.is_set():
                await far.call("emit", "n", told)
                told += 1
                await asyncio.sleep(0.005)

        stop = asyncio.Event()
        telling = asyncio.create_task(tell(stop))
        async with histories.load():
            await histories.go_on()
            await soon(lambda: follows() and here.heard)
            owner = members.owner(STREAM)
            if change == "move":
                target = next(each for each in members.masters if each is not owner)
                members.begin_move(STREAM, target)
                await asyncio.sleep(0.1)
                members.move_key(STREAM, target)
                await histories.go_on()
                members.end_move(STREAM, target)
            else:
                replica = members.replicas[members.masters.index(owner)]
                if change == "kill":
                    owner.kill()
                else:
                    replica.command("CLUSTER", "FAILOVER")
                await soon(lambda: b"role:master" in replica.command("INFO", "replication"))
            before, until = told, len(here.heard)
            await histories.go_on()
            await soon(follows)
            await soon(lambda: here.heard[-1] > before and len(here.heard) > until + 10)
        stop.set()
        await telling
        await far.call("emit", "n", told)
        await soon(lambda: here.heard[-1] == told)
        await soon(lambda: heard_there("n0")[-1] == heard_there("n1")[-1] == histories.sent - 1)
        for event in ("n0", "n1"):
            numbers = heard_there(event)
            assert numbers == sorted({*numbers})
            # Of what a master has not replicated before it dies nobody can tell.
            assert change == "kill" or len(numbers) == histories.sent
        # What the other server sends while its member is gone it may lose, and after that it may send out of order.
        assert len({*here.heard}) == len(here.heard)
    if change != "kill":
        histories.assert_whole()

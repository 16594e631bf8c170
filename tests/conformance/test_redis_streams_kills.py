"""Redis Streams with a Node.js server among the nodes, and a broker that breaks under load: who hears what, and what Node.js loses.

What a Node.js server has sent to a broker that dies it does not send again, and it does not look what has become of it. What is in
the stream it reads once, from roomcast as from others, and so does roomcast what Node.js has written there.
"""

import asyncio
import random
from typing import Any, Final

import pytest

from roomcast.testing import Connect
from support.broker import missing_broker
from support.broker_fixtures import NewBroker, NewNode
from support.ears import heard_again
from support.harm import ENOUGH, FULL, PERSISTENT, do_harm
from support.node_cluster import NodeServer
from support.official_client import OfficialClient, OfficialClients
from support.redis_members import soon
from support.reference import missing_reference
from support.served import eventually

_MISSING: Final = missing_reference() or missing_broker()

pytestmark = [
    pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING)),
    pytest.mark.timeout(400),
]

ROUNDS: Final = 50 if FULL else 4


@pytest.fixture
def adapter_kind() -> str:
    return "streams"


def numbers_of(client: OfficialClient, event: str) -> list[int]:
    return [args[0] for name, *args in client.record if name == event]


@pytest.mark.parametrize("recovers", [False, True])
@pytest.mark.parametrize("harm", ["kill", "cut", "pause"])
async def test_histories_of_nodes_of_both_languages(
    brokers: NewBroker, start_node: NewNode, connect: Connect, harm: str, recovers: bool
) -> None:
    broker = brokers(*PERSISTENT)
    nodes = [
        await start_node(broker, connection_state_recovery=recovers, max_len=ENOUGH)
        for _ in range(2)
    ]
    names = ("a", "b", "node")
    async with (
        NodeServer(broker.url, "streams", recovers=recovers) as far,
        OfficialClients() as them,
    ):
        them.url = far.url
        there = await them.connect()
        heard: dict[str, dict[str, list[int]]] = {name: {} for name in names[:2]}
        for name, (io, _) in zip(names[:2], nodes, strict=True):
            client = await connect(io)
            for sender in names:
                numbers: list[int] = []
                heard[name][sender] = numbers
                client.on(sender, lambda number, *_, numbers=numbers: numbers.append(number))
        await eventually(lambda: broker.readers() == 3)
        sent = 0

        async def emit() -> None:
            nonlocal sent
            for name, (io, _) in zip(names[:2], nodes, strict=True):
                io.emit(name, sent)
            await far.call("emit", "node", sent)
            sent += 1

        def all_have_heard(number: int) -> bool:
            heard["far"] = {name: numbers_of(there, name) for name in names}
            return all(
                numbers and numbers[-1] >= number
                for histories in heard.values()
                for numbers in histories.values()
            )

        async def load(stop: asyncio.Event) -> None:
            while not stop.is_set():
                await emit()
                await asyncio.sleep(0.002)

        stop = asyncio.Event()
        loading = asyncio.create_task(load(stop))
        await soon(lambda: all_have_heard(0))
        randomly = random.Random(4)
        for _ in range(ROUNDS if harm != "pause" else 2):
            await asyncio.sleep(randomly.uniform(0.02, 0.8))
            await do_harm(harm, broker, nodes)
            await heard_again(*nodes)
            # A Node.js server takes its time to come back.
            await soon(lambda until=sent: all_have_heard(until))
        stop.set()
        await loading
        await emit()
        await soon(lambda: all_have_heard(sent - 1))
        for histories in heard.values():
            for name in names[:2]:
                assert histories[name] == [*range(sent)]
            # Nothing twice, nothing out of order.
            assert histories["node"] == sorted({*histories["node"]})
        assert heard["a"]["node"] == heard["b"]["node"]
        # Its own clients hear what it has lost.
        assert heard["far"]["node"] == [*range(sent)]
        for _, adapter in nodes:
            counters: Any = adapter.counters
            assert (counters["missed"], counters["trimmed"], counters["repeated"]) == (0, 0, 0)

"""A broker that is killed, hangs, refuses or forgets: local delivery goes on, and what was lost is known."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from roomcast import (
    AckTimeoutError,
    AdapterHealth,
    BrokerError,
    Emitter,
    SyncEmitter,
)
from roomcast.adapters.notepack import Notepack
from roomcast.testing import Connect
from support.broker import RunningBroker, missing_broker
from support.broker_fixtures import NewNode
from support.ears import Ear, heard_again
from support.proxy import Proxy
from support.served import eventually

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(60),
]

BACK_WITHIN = 2.0
"""Seconds within which a node must hear again once the broker is back."""


@pytest.fixture(params=["classic", "sharded/dynamic", "streams"])
def adapter_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def subscribers(broker: RunningBroker, adapter_kind: str) -> Callable[[], int]:
    """Return what counts how many have subscribed to the channel of requests."""
    if adapter_kind == "classic":
        return lambda: broker.subscribers("socket.io-request#/#")
    if adapter_kind == "streams":
        return lambda: broker.subscribers("socket.io#/#")
    return lambda: broker.shard_subscribers("socket.io#/#")


async def test_clients_of_the_same_node_hear_while_the_broker_is_gone(
    broker: RunningBroker, start_node: NewNode, connect: Connect, subscribers: Callable[[], int]
) -> None:
    a, b = await start_node(), await start_node()
    here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
    changes: list[AdapterHealth] = []
    b[1].on("health", changes.append)
    a[0].emit("n", 1)
    await there.hears(1)
    broker.kill()
    await eventually(lambda: not a[1].health.listening and not a[1].health.publishing)
    await eventually(lambda: not b[1].health.listening)
    assert b[1].health.deaf_for > 0
    a[0].emit("n", 2)
    await here.hears(2)
    await asyncio.sleep(0.2)
    assert there.heard == [1]
    broker.start()
    assert await heard_again(a, b) < BACK_WITHIN
    assert subscribers() == 2
    assert [a[1].counters["subscriptions"], b[1].counters["subscriptions"]] == [2, 2]
    assert (b[1].health.deaf_for, changes[-1].ok) == (0.0, True)
    a[0].emit("n", 3)
    await there.hears(3)
    assert not changes[0].ok


async def test_node_serves_though_the_broker_is_not_there_yet(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    broker.kill()
    a, b = await start_node(), await start_node()
    here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
    assert not a[1].health.ok
    a[0].emit("n", 1)
    await here.hears(1)
    broker.start()
    assert await heard_again(a, b) < BACK_WITHIN
    a[0].emit("n", 2)
    await there.hears(2)


async def test_nobody_waits_for_a_broker_that_is_gone(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    io, adapter = await start_node()
    client = await connect(io)
    client.on("ask", lambda: "here")
    broker.kill()
    await eventually(lambda: not adapter.health.publishing)
    begin = time.monotonic()
    found = await io.fetch_sockets()
    assert ([each.id for each in found], found.servers, found.complete) == (
        [client.id],
        None,
        False,
    )
    report = await io.timeout(30).emit_with_ack_report("ask")
    assert (report.answered, report.servers_timed_out) == ({client.id: "here"}, None)
    with pytest.raises(AckTimeoutError):
        await io.server_side_emit_with_ack("sum", 1, timeout=30)
    assert await io.adapter.server_count() == 1
    await io.sockets_join("room")
    assert io.room_size("room") == 1
    await io.disconnect_sockets()
    assert io.sockets == {}
    async with Emitter(broker.url) as emitter:
        with pytest.raises(BrokerError):
            await emitter.emit("n", 1)
    with SyncEmitter(broker.url) as emitter, pytest.raises(BrokerError):
        emitter.emit("n", 1)
    assert time.monotonic() - begin < 10


async def test_volatile_events_do_not_wait_for_the_broker(
    broker: RunningBroker, start_node: NewNode
) -> None:
    io, adapter = await start_node()
    broker.kill()
    await eventually(lambda: not adapter.health.publishing)
    before = adapter.health.queued
    io.volatile.emit("n", 1)
    assert (adapter.counters["dropped_volatile"], adapter.health.queued) == (1, before)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_queue_is_bounded_and_what_it_drops_is_known_everywhere(
    broker: RunningBroker, start_node: NewNode, connect: Connect, policy: str
) -> None:
    a = await start_node(queue_size=20_000, queue_policy=policy)
    b = await start_node()
    there = Ear(await connect(b[0]))
    a[0].emit("n", -1)
    await there.hears(-1)
    broker.kill()
    await eventually(lambda: not a[1].health.publishing and not b[1].health.listening)
    for number in range(200):
        a[0].emit("n", number)
    dropped = a[1].counters["dropped_outbound"]
    assert 50 < dropped < 199
    assert a[1].health.queued <= 20_000
    gaps: list[Any] = []
    b[1].on("gap", lambda *gap: gaps.append(gap))
    broker.start()
    await heard_again(a, b)
    await eventually(lambda: a[1].health.queued == 0)
    a[0].emit("n", 1000)
    await there.hears(1000)
    missed = sorted({*range(200)} - {*there.heard})
    # One of what was dropped may have said nothing but a position.
    assert len(missed) >= dropped - 1
    # What the nodes say of their own numbers has numbers of its own: none.
    assert sum(missing for _, _, missing in gaps) == len(missed) == b[1].counters["missed"]
    assert all(nsp == "/" and sender == a[0].adapter.bus.uid for nsp, sender, _ in gaps)
    kept = there.heard[1:-1]
    assert kept == sorted(kept)
    if policy == "drop_newest":
        assert 0 in kept or 0 in missed


async def test_broker_that_hangs_is_given_up_and_found_again(
    broker: RunningBroker, start_node: NewNode, connect: Connect, subscribers: Callable[[], int]
) -> None:
    a, b = await start_node(), await start_node()
    here, there = Ear(await connect(a[0])), Ear(await connect(b[0]))
    broker.pause()
    a[0].emit("n", 1)
    await here.hears(1)
    await eventually(lambda: not a[1].health.listening and not a[1].health.publishing)
    broker.resume()
    assert await heard_again(a, b) < BACK_WITHIN
    a[0].emit("n", 2)
    await there.hears(2)
    await eventually(lambda: subscribers() == 2)


async def test_half_open_line_is_noticed(
    broker: RunningBroker, start_node: NewNode, connect: Connect, adapter_kind: str
) -> None:
    async with Proxy(broker.port) as proxy:
        a, b = await start_node(), await start_node(proxy.url)
        there = Ear(await connect(b[0]))
        a[0].emit("n", 1)
        await there.hears(1)
        proxy.freeze()
        a[0].emit("n", 2)
        await eventually(lambda: not b[1].health.listening and not b[1].health.publishing)
        assert a[1].health.ok
        proxy.thaw()
        assert await heard_again(b) < BACK_WITHIN
        a[0].emit("n", 3)
        await there.hears(3)
        if adapter_kind == "streams":  # it reads on where it was
            assert (there.heard, b[1].counters["missed"]) == ([1, 2, 3], 0)
        else:
            assert (there.heard, b[1].counters["missed"]) == ([1, 3], 1)
        await b[0].close()


@pytest.mark.parametrize("lines", ["pubsub", "normal"])
async def test_lines_that_the_broker_cuts_are_replaced(
    broker: RunningBroker,
    start_node: NewNode,
    connect: Connect,
    lines: str,
    subscribers: Callable[[], int],
) -> None:
    a, b = await start_node(), await start_node()
    there = Ear(await connect(b[0]))
    for number in range(5):
        broker.command("CLIENT", "KILL", "TYPE", lines)
        await eventually(lambda: not b[1].health.ok)
        assert await heard_again(a, b) < BACK_WITHIN
        a[0].emit("n", number)
        await there.hears(number)
    await eventually(lambda: subscribers() == 2)


async def test_changed_password_is_no_end(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    io, adapter = await start_node()
    broker.command("CONFIG", "SET", "requirepass", "secret")
    url = broker.url.replace("//", "//:secret@")
    other, other_adapter = await start_node(url)
    there = Ear(await connect(other))
    for kind in ("pubsub", "normal"):
        await asyncio.to_thread(broker.authenticated, "secret", "CLIENT", "KILL", "TYPE", kind)
    await eventually(lambda: not adapter.health.listening and not adapter.health.publishing)
    await heard_again((other, other_adapter))
    await asyncio.to_thread(broker.authenticated, "secret", "CONFIG", "SET", "requirepass", "")
    assert await heard_again((io, adapter)) < BACK_WITHIN
    io.emit("n", 1)
    await there.hears(1)


@pytest.mark.parametrize("adapter_kind", ["classic"], indirect=True)
async def test_node_that_is_too_slow_for_the_broker_finds_its_gap(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    broker.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 100kb 100kb 0")
    io, adapter = await start_node()
    ear = Ear(await connect(io))
    pack = Notepack().pack

    def send(number: int, size: int) -> None:
        """Send what another roomcast node would."""
        packet = {"type": 2, "data": ["n", number], "nsp": "/", "filling": "x" * size}
        options: dict[str, Any] = {"rooms": [], "except": [], "flags": {}}
        message = b"\x94" + pack("flood1") + pack(packet) + pack(options)
        broker.publish("socket.io#/#", message + b"\xcf" + number.to_bytes(8, "big"))

    send(1, 1)
    await ear.hears(1)
    for number in range(2, 1500):  # this loop is the node's: it does not read meanwhile
        send(number, 10_000)
    await eventually(lambda: adapter.counters["subscriptions"] == 2)
    await heard_again((io, adapter))
    send(1500, 1)
    await ear.hears(1500)
    assert ear.heard == sorted(set(ear.heard))
    assert adapter.counters["missed"] == 1500 - len(ear.heard) > 0


async def test_last_messages_that_are_lost_are_missed_too(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(), await start_node()
    there = Ear(await connect(b[0]))
    a[0].emit("n", 1)
    await there.hears(1)
    broker.command("CLIENT", "KILL", "TYPE", "pubsub")
    a[0].emit("n", 2)
    await heard_again(a, b)
    # Nothing follows; the node says by itself where it stands.
    await eventually(lambda: b[1].counters["missed"] == 1 or there.heard == [1, 2])


async def test_closed_node_is_counted_no_more(
    start_node: NewNode, subscribers: Callable[[], int]
) -> None:
    a, b = await start_node(), await start_node()
    assert await a[0].adapter.server_count() == 2
    a[0].of("/chat").emit("n", 1)
    await b[0].close()
    await eventually(lambda: subscribers() == 1)
    assert await a[0].adapter.server_count() == 1
    assert (await a[0].fetch_sockets()).complete

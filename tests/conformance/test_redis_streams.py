"""Redis Streams: brokers that break under load, entries that are gone before they are read, several streams, and entries of nobody."""

import asyncio
import base64
import json
import os
import random
import re
from typing import Any, Final

import pytest

from roomcast import RedisStreamsAdapter, StreamsEmitter, SyncStreamsEmitter
from roomcast.adapters.notepack import Notepack
from roomcast.testing import Connect
from support.broker import RunningBroker, missing_broker, packed
from support.broker_fixtures import NewBroker, NewNode
from support.ears import Ear, heard_again
from support.harm import ENOUGH, FULL, PERSISTENT, do_harm
from support.node_cluster import NodeServer
from support.official_client import OfficialClients
from support.proxy import Proxy
from support.reference import missing_reference
from support.served import eventually
from support.strange_messages import MESSAGES_DATA, OPTIONS, PACKET, STRANGE, mutated

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(120),
]

MESSAGES: Final = int(os.environ.get("ROOMCAST_EXAMPLES", "20000"))
KILLS: Final = 50 if FULL else 8

UNPOLLED: Final = "/custom-namespace"
"""A namespace whose stream no Node.js server reads where there are four."""

with_node = pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference()))


@pytest.fixture
def adapter_kind() -> str:
    return "streams"


@pytest.mark.parametrize("recovers", [False, True])
@pytest.mark.parametrize("harm", ["kill", "cut", "pause", "readonly"])
async def test_nothing_is_lost_and_nothing_comes_twice(
    brokers: NewBroker,
    start_node: NewNode,
    connect: Connect,
    harm: str,
    recovers: bool,
) -> None:
    broker = brokers(*PERSISTENT)
    options = {"connection_state_recovery": recovers, "max_len": ENOUGH}
    nodes = [await start_node(broker, **options) for _ in range(2)]
    heard: dict[tuple[int, int], list[int]] = {}
    for receiver, (io, _) in enumerate(nodes):
        client = await connect(io)
        for sender in range(len(nodes)):
            numbers = heard[sender, receiver] = []
            client.on(f"n{sender}", lambda number, *_, numbers=numbers: numbers.append(number))
    sent = 0
    stop = asyncio.Event()

    async def load() -> None:
        nonlocal sent
        while not stop.is_set():
            for sender, (io, _) in enumerate(nodes):
                io.emit(f"n{sender}", sent)
            sent += 1
            await asyncio.sleep(0.001)

    loading = asyncio.create_task(load())
    randomly = random.Random(4)
    for _ in range(KILLS if harm != "pause" else 2):
        # What has waited leaves half a second after the broker is back: in some rounds the harm comes before, in others after.
        await asyncio.sleep(randomly.uniform(0.02, 0.8))
        await do_harm(harm, broker, nodes)
        assert await heard_again(*nodes) < 3
    stop.set()
    await loading
    await eventually(lambda: all(numbers and numbers[-1] == sent - 1 for numbers in heard.values()))
    for (sender, receiver), numbers in heard.items():
        assert numbers == list(range(sent)), (sender, receiver)
    for _, adapter in nodes:
        assert (adapter.counters["missed"], adapter.counters["trimmed"]) == (0, 0)


async def test_entries_that_are_trimmed_before_they_are_read_are_a_gap(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    async with Proxy(broker.port) as proxy:
        a, b = await start_node(max_len=100), await start_node(proxy.url)
        there = Ear(await connect(b[0]))
        gaps: list[Any] = []
        b[1].on("gap", lambda *gap: gaps.append(gap))
        a[0].emit("n", -1)
        await there.hears(-1)
        proxy.freeze()
        await eventually(lambda: not b[1].health.listening)
        for number in range(1_000):
            a[0].emit("n", number)
        await eventually(lambda: not a[1].health.queued)
        proxy.thaw()
        await heard_again(b)
        await there.hears(999)
        kept = there.heard[1:]
        assert kept == list(range(1_000 - len(kept), 1_000))
        lost = 1_000 - len(kept)
        assert lost > 700
        # What the nodes say of their own numbers are entries, too.
        assert lost <= b[1].counters["trimmed"] <= lost + 3
        assert gaps == [("", "", b[1].counters["trimmed"]), ("/", a[0].adapter.bus.uid, lost)]
        await b[0].close()


async def test_broker_that_forgets_its_stream_is_read_from_its_beginning(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(), await start_node()
    there = Ear(await connect(b[0]))
    a[0].emit("n", 1)
    await there.hears(1)
    broker.kill()
    await eventually(lambda: not a[1].health.publishing and not b[1].health.listening)
    a[0].emit("n", 2)
    broker.start()
    await heard_again(a, b)
    await there.hears(2)
    a[0].emit("n", 3)
    await there.hears(3)
    assert there.heard == [1, 2, 3]
    assert b[1].counters["streams_begun_anew"] == 1


@pytest.mark.parametrize("kept", [7, 0])
async def test_end_of_a_stream_that_the_broker_has_lost_is_read_anew(
    broker: RunningBroker, start_node: NewNode, connect: Connect, kept: int
) -> None:
    """What was read and is gone leaves room for other entries, with ids that were there before."""
    begin = 2_000_000_000_000  # so long after today that no other entry is among them

    async def add(offset: int, number: int) -> None:
        opts: dict[str, Any] = {"rooms": [], "except": [], "flags": {}}
        data = {"packet": {"type": 2, "data": ["n", number]}, "opts": opts}
        words = ("uid", "somebody", "nsp", "/", "type", "3", "data", json.dumps(data))
        await asyncio.to_thread(broker.command, "XADD", "socket.io", str(begin + offset), *words)

    await add(0, 0)
    async with Proxy(broker.port) as proxy:
        b = await start_node(proxy.url)
        there = Ear(await connect(b[0]))
        for number in range(1, 11):
            await add(10 * number, number)
        await there.hears(10)
        proxy.freeze()
        await eventually(lambda: not b[1].health.listening)
        last = str(begin + 10 * kept)
        behind = broker.command("XRANGE", "socket.io", f"({last}", "+")
        gone = re.findall(rb"\b\d{13}-\d+\b", behind)
        broker.command("DEL", "socket.io")
        for number in range(kept + 1):
            await add(10 * number, number)
        for number in (8, 9):
            await add(10 * number + 5, 100 + number)
        proxy.thaw()
        await heard_again(b)
        await there.hears(109)
        assert there.heard == [*range(1, 11), 108, 109]
        assert b[1].counters["lost_by_broker"] == len(gone)
        await b[0].close()


async def test_backlog_is_read_in_parts(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(), await start_node(read_count=3)
    there = Ear(await connect(b[0]))
    for number in range(100):
        a[0].emit("n", number)
    await there.hears(99)
    assert there.heard == list(range(100))


async def test_namespaces_are_spread_over_streams(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    a, b = await start_node(stream_count=4), await start_node(stream_count=4)
    for nsp in ("/", "/admin", UNPOLLED):
        for io in (a[0], b[0]):
            io.of(nsp)
        client = await connect(b[0], nsp)
        await heard_again(a, b)
        a[0].of(nsp).emit("hello", nsp)
        assert await client.wait_for("hello") == nsp
    streams = {f"socket.io-{number}" for number in range(4)} | {"socket.io--2"}
    assert {name.decode() for name in b[1].readers} == streams
    for stream, nsp in (("socket.io-3", "/"), ("socket.io-0", "/admin"), ("socket.io-2", UNPOLLED)):
        assert f"nsp\r\n${len(nsp)}\r\n{nsp}\r\n".encode() in broker.command(
            "XRANGE", stream, "-", "+"
        )
    async with StreamsEmitter(broker.url, stream_count=4) as emitter:
        await emitter.of(UNPOLLED).emit("again", 1)
    assert await client.wait_for("again") == 1


@with_node
async def test_namespace_that_nodejs_loses_reaches_roomcast_and_comes_from_it(
    broker: RunningBroker, start_node: NewNode
) -> None:
    async with NodeServer(broker.url, "streams/several") as far, OfficialClients() as clients:
        await far.call("emit", "nobody hears this", nsp=UNPOLLED)  # makes the namespace
        io, adapter = await start_node(stream_count=4)
        io.of(UNPOLLED).on("connection", lambda socket: None)
        listening = await io.listen(0)
        await heard_again((io, adapter))
        await eventually(lambda: broker.readers() == 9)
        clients.url = f"http://127.0.0.1:{listening.port}"
        here = await clients.connect(UNPOLLED)
        clients.url = far.url
        there = await clients.connect(UNPOLLED)
        io.of(UNPOLLED).emit("from roomcast", 1)
        assert await there.next("from roomcast") == [1]
        await far.call("emit", "from node", 2, nsp=UNPOLLED)
        assert await here.next("from node") == [2]


@with_node
async def test_plain_text_is_for_people(broker: RunningBroker, start_node: NewNode) -> None:
    async with NodeServer(broker.url, "streams") as far, OfficialClients() as clients:
        io, _ = await start_node(only_plaintext=True)
        clients.url = far.url
        client = await clients.connect()
        await eventually(lambda: broker.readers() == 2)
        io.emit("hello", b"\x01\x02", {"a": [b""]})
        buffer = {"type": "Buffer", "data": [1, 2]}
        empty = {"type": "Buffer", "data": []}
        assert await client.next("hello") == [buffer, {"a": [empty]}]
    assert b'{"type":"Buffer","data":[1,2]}' in broker.command("XRANGE", "socket.io", "-", "+")


@pytest.mark.parametrize(
    "options", [{"stream_count": 0}, {"max_len": -1}, {"read_count": 0}, {"stream_count": True}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=name):
        RedisStreamsAdapter("redis://127.0.0.1:1", **options)
    if name != "read_count":
        with pytest.raises(ValueError, match=name):
            SyncStreamsEmitter("redis://127.0.0.1:1", **options)


async def test_official_emitter_s_entries_are_taken(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    io, _ = await start_node()
    client = await connect(io, auth={"rooms": ["room"]})
    packet = {"type": 2, "data": ["hello", 1], "nsp": "/"}
    opts: dict[str, Any] = {"rooms": ["room"], "except": [], "flags": {}}
    heard: list[Any] = []
    io.on("sse", lambda *args: heard.append(args))
    for kind, data in (
        (3, {"packet": packet, "opts": opts}),
        (9, {"packet": ["sse", 1, 2]}),
        (4, {"opts": opts, "rooms": ["joined"]}),
    ):
        words = ("uid", "emitter", "nsp", "/", "type", str(kind), "data", json.dumps(data))
        broker.command("XADD", "socket.io", "*", *words)
    assert await client.wait_for("hello") == 1
    await eventually(lambda: heard == [(1, 2)] and io.room_size("joined") == 1)


DATA: Final = [
    *MESSAGES_DATA,
    (12, {"packet": 1, "requestId": "1"}),
    (203, {"packet": PACKET, "opts": OPTIONS | {"all_of": ["room"]}}),
    (301, {}),
]


def entries() -> list[dict[bytes, bytes]]:
    """Return entries as nodes write them, and the same with values of the wrong type in every place."""
    bodies: list[tuple[int, bytes]] = []
    pack = Notepack().pack
    for kind, data in DATA:
        bodies.append((kind, json.dumps(data).encode()))
        bodies.append((kind, base64.b64encode(pack(data))))
        bodies += [
            (kind, json.dumps(data | {name: each}).encode()) for name in data for each in STRANGE
        ]
    return [
        {
            b"uid": b"0123456789abcdef",
            b"nsp": b"/",
            b"type": b"%d" % kind,
            b"data": body,
            b"seq": b"%d" % number,
        }
        for number, (kind, body) in enumerate(bodies)
    ]


@pytest.mark.parametrize("recovers", [False, True])
async def test_entries_of_nobody_do_no_harm(
    broker: RunningBroker, start_node: NewNode, connect: Connect, caplog: Any, recovers: bool
) -> None:
    io, adapter = await start_node(connection_state_recovery=recovers)
    client = await connect(io, auth={"rooms": ["room"]})
    heard: list[Any] = []
    client.on("end", heard.append)
    valid = entries()
    randomly = random.Random(20)
    bad = []
    for _ in range(MESSAGES):
        entry = dict(randomly.choice(valid))
        name = randomly.choice([*entry])
        match randomly.randrange(6):
            case 0:
                del entry[name]
            case 1:
                entry[randomly.randbytes(3)] = randomly.randbytes(5)
            case _:
                entry[name] = mutated(randomly, entry[name])
        bad.append(entry)
    own = io.adapter.bus.uid.encode()
    bad += [{b"uid": own, b"nsp": b"/", b"type": each} for each in (b"3", b"x", b"")]
    bad += [{b"uid": own, b"nsp": b"/", b"type": b"3", b"seq": each} for each in (b"", b"x", b"9")]

    def add() -> None:
        import socket  # noqa: PLC0415  beside the package of that name

        with socket.create_connection(("127.0.0.1", broker.port)) as line:
            reader = line.makefile("rb")
            for begin in range(0, len(bad) + len(valid), 500):
                part = [*valid, *bad][begin : begin + 500]
                line.sendall(
                    b"".join(
                        packed(
                            ["XADD", "socket.io", "MAXLEN", "100000", "*"]
                            + [word for field in (entry or {b"x": b"y"}).items() for word in field]
                        )
                        for entry in part
                    )
                )
                for _ in part:
                    assert reader.readline()[:1] == b"$"
                    reader.readline()

    before = adapter.counters["received"]
    await asyncio.to_thread(add)
    await eventually(lambda: adapter.counters["received"] >= before + len(bad) + len(valid))
    assert adapter.counters["failed"] == 0
    assert adapter.counters["invalid"] > MESSAGES / 4
    bus: Any = io.adapter.bus
    pack = Notepack().pack
    for number in range(MESSAGES):
        kind, data = randomly.choice(DATA)
        whole = {"type": kind, "data": data, "uid": "0123456789abcdef", "nsp": "/"}
        message = mutated(randomly, pack(whole))
        bus.on_message(randomly.choice([*bus._subscribed["channels"]]), message)
        if number % 500 == 0:
            await asyncio.sleep(0)
    await eventually(lambda: adapter.health.ok)
    assert adapter.counters["failed"] == 0
    assert client.connected
    packet = {"type": 2, "data": ["end", 1]}
    data = json.dumps({"packet": packet, "opts": {"rooms": [], "except": [], "flags": {}}})
    words = ("uid", "somebody", "nsp", "/", "type", "3", "data", data)
    await asyncio.to_thread(broker.command, "XADD", "socket.io", "*", *words)
    await eventually(lambda: heard == [1])
    assert adapter.counters["readings"] == 1
    assert len([record for record in caplog.records if "dropped" in record.message]) < 10


async def test_entry_without_a_schema_has_no_effect(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    io, adapter = await start_node()
    client = await connect(io)
    heard: list[Any] = []
    client.on_any(lambda *args: heard.append(args))
    opts = {"rooms": [], "except": [], "flags": {}}
    cases: list[tuple[str, Any]] = [
        ("3", {"packet": {"type": 5, "data": ["x"]}, "opts": opts}),
        ("3", {"packet": {"type": 2, "data": []}, "opts": opts}),
        ("3", {"packet": {"type": 2, "data": [["x"]]}, "opts": opts}),
        ("3", {"packet": {"type": 2, "data": ["x"]}, "opts": []}),
        ("3", {"packet": {"type": 2, "data": ["x"]}, "opts": {"rooms": "room"}}),
        ("3", {"packet": {"type": 2, "data": ["disconnect"]}, "opts": opts}),
        ("3", []),
        ("99", {}),
        ("-3", {}),
        ("8", {"requestId": "1", "sockets": []}),
        ("9", {"packet": [1]}),
    ]
    for kind, data in cases:
        words = ("uid", "u", "nsp", "/", "type", kind, "data", json.dumps(data))
        await asyncio.to_thread(broker.command, "XADD", "socket.io", "*", *words)
    counters = adapter.counters
    await eventually(lambda: counters["invalid"] + counters["undeliverable"] == len(cases))
    assert (heard, client.connected, counters["failed"]) == ([], True, 0)

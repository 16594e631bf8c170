"""Messages on the bus that no node has sent: dropped and counted, and the next one is read as ever."""

import asyncio
import json
import pickle
import random
from typing import Any, Final

import msgpack
import pytest

from roomcast.testing import Connect
from support.broker import RunningBroker, missing_broker
from support.broker_fixtures import NewNode
from support.process import watch_memory
from support.served import eventually

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(120),
]

MESSAGES: Final = 100_000

CHANNELS: Final = (
    "socket.io#/#",
    "socket.io#/#room#",
    "socket.io#/#room",
    "socket.io#/#\xff\xfe#",
    "socket.io-request#/#",
    "socket.io-response#/#",
    "socket.io-roomcast#/#",
)


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed


def publish(broker: RunningBroker, messages: list[tuple[str, bytes]]) -> None:
    """Publish messages on one line."""
    broker.publish_all([(channel.encode("latin-1"), data) for channel, data in messages])


PACKET: Final = {"type": 2, "data": ["hello", 1, {"a": [None, b"x"]}], "nsp": "/"}
OPTIONS: Final[dict[str, Any]] = {"rooms": ["room"], "except": ["x"], "flags": {"volatile": True}}
REQUESTS: Final[list[dict[str, Any]]] = [
    {"uid": "abcdef", "type": 2, "opts": {"rooms": ["room"], "except": []}, "rooms": ["x"]},
    {"uid": "abcdef", "type": 3, "opts": {"rooms": [], "except": []}, "rooms": ["x"], "seq": 4},
    {"uid": "abcdef", "type": 5, "requestId": "1", "opts": {"rooms": [], "except": []}},
    {"uid": "abcdef", "type": 6, "requestId": "1", "data": ["sum", 1]},
    {"uid": "abcdef", "type": 7, "requestId": "1", "packet": PACKET, "opts": OPTIONS},
    {"type": 8, "requestId": "1", "clientCount": 3},
    {"type": 9, "requestId": "1", "packet": 3, "sid": "x", "args": [1]},
    {"uid": "abcdef", "type": 11, "seq": 17},
]


def good() -> list[bytes]:
    """Return messages as nodes send them."""
    messages = [
        pack(["abcdef", PACKET, OPTIONS]),
        pack(["emitter", PACKET, OPTIONS | {"rooms": []}]),
    ]
    messages += [pack(request) for request in REQUESTS]
    messages += [json.dumps(request, default=lambda _: None).encode() for request in REQUESTS]
    return messages


def bad(randomly: random.Random, valid: list[bytes]) -> bytes:
    """Return something that is not, or mostly not, what a node sends."""
    message = bytearray(randomly.choice(valid))
    match randomly.randrange(5):
        case 0:
            return randomly.randbytes(randomly.randrange(60))
        case 1:
            return bytes(message[: randomly.randrange(len(message))])
        case 2:
            return pickle.dumps({"method": "emit", "event": "hello"})
        case 3:
            for _ in range(randomly.randrange(1, 4)):
                message[randomly.randrange(len(message))] = randomly.randrange(256)
        case _:
            begin = randomly.randrange(len(message))
            message[begin:begin] = randomly.randbytes(randomly.randrange(1, 9))
    return bytes(message)


async def test_hundred_thousand_messages_of_nobody_do_no_harm(
    broker: RunningBroker, start_node: NewNode, connect: Connect, caplog: Any
) -> None:
    io, adapter = await start_node()
    client = await connect(io)
    heard = asyncio.Event()
    client.on("end", heard.set)
    io.sockets[client.id].join("room")
    randomly = random.Random(20)
    valid = good()
    messages = [(randomly.choice(CHANNELS), bad(randomly, valid)) for _ in range(MESSAGES)]
    before = adapter.counters["received"]
    await asyncio.to_thread(publish, broker, messages)
    await eventually(lambda: adapter.counters["received"] >= before + MESSAGES - 20_000)
    await asyncio.to_thread(
        publish,
        broker,
        [("socket.io#/#", pack(["x", {"type": 2, "data": ["end"], "nsp": "/"}, {}]))],
    )
    await asyncio.wait_for(heard.wait(), 60)
    assert adapter.counters["failed"] == 0
    assert adapter.counters["invalid"] > MESSAGES / 3
    assert adapter.counters["subscriptions"] == 1
    assert adapter.health.ok
    assert len([record for record in caplog.records if "dropped" in record.message]) < 10


CASES: Final[dict[str, tuple[str, Any]]] = {
    "type 5": ("#/#", ["u", {"type": 5, "data": ["hello"], "nsp": "/"}, {}]),
    "type as text": ("#/#", ["u", {"type": "2", "data": ["hello"], "nsp": "/"}, {}]),
    "no data": ("#/#", ["u", {"type": 2, "nsp": "/"}, {}]),
    "empty data": ("#/#", ["u", {"type": 2, "data": [], "nsp": "/"}, {}]),
    "name is a list": ("#/#", ["u", {"type": 2, "data": [["hello"]], "nsp": "/"}, {}]),
    "name is true": ("#/#", ["u", {"type": 2, "data": [True], "nsp": "/"}, {}]),
    "reserved name": ("#/#", ["u", {"type": 2, "data": ["disconnect"], "nsp": "/"}, {}]),
    "other namespace": ("#/#", ["u", {"type": 2, "data": ["hello"], "nsp": "/other"}, {}]),
    "two items": ("#/#", ["u", {"type": 2, "data": ["hello"], "nsp": "/"}]),
    "options are a list": ("#/#", ["u", {"type": 2, "data": ["hello"], "nsp": "/"}, []]),
    "rooms are a text": ("#/#", ["u", {"type": 2, "data": ["hello"]}, {"rooms": "room"}]),
    "a room is a map": ("#/#", ["u", {"type": 2, "data": ["hello"]}, {"rooms": [{}]}]),
    "binary key": ("#/#", ["u", {"type": 2, "data": ["hello", {b"\xff": 1}]}, {}]),
    "no broadcast": ("#/#", 17),
    "request without a type": ("-request#/#", {"uid": "u"}),
    "request of a strange type": ("-request#/#", {"uid": "u", "type": 99}),
    "request whose type is true": ("-request#/#", {"uid": "u", "type": True}),
    "join without options": ("-request#/#", {"uid": "u", "type": 2, "rooms": ["x"]}),
    "join with a sid that is none": ("-request#/#", {"type": 2, "sid": 3, "room": "x"}),
    "event that is no text": ("-request#/#", {"uid": "u", "type": 6, "data": [1]}),
    "fetch without an id": ("-request#/#", {"uid": "u", "type": 5, "opts": {}}),
    "sequence number is a text": ("-request#/#", {"uid": "u", "type": 2, "opts": {}, "seq": "1"}),
    "answer without an id": ("-response#/#", {"type": 8, "clientCount": 1}),
}


@pytest.mark.parametrize("name", CASES)
async def test_message_that_is_none_has_no_effect(
    broker: RunningBroker, start_node: NewNode, connect: Connect, name: str
) -> None:
    io, adapter = await start_node()
    client = await connect(io)
    heard: list[Any] = []
    client.on_any(lambda *args: heard.append(args))
    channel, message = CASES[name]
    before = adapter.counters.copy()
    await asyncio.to_thread(broker.publish, f"socket.io{channel}", pack(message))
    await asyncio.to_thread(
        broker.publish, "socket.io#/#", pack(["u", {"type": 2, "data": ["end"]}, {}])
    )
    await eventually(lambda: heard)
    assert heard == [("end",)]
    assert client.connected
    counted = adapter.counters - before
    counted.subtract({"received": 2})
    assert sum(+counted[name] for name in ("invalid", "undeliverable", "foreign_namespaces")) == 1
    assert not counted["failed"]


@pytest.mark.parametrize(
    "announced",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x00",
        b"\xdd\x00\x0f\xff\xff" * 100,
        b"\x91" * 100_000,
        b'{"a":' * 50_000,
        b"\xc1",
        b"",
    ],
)
async def test_what_is_announced_is_not_allocated(
    broker: RunningBroker, start_node: NewNode, connect: Connect, announced: bytes
) -> None:
    io, adapter = await start_node()
    await connect(io)
    async with watch_memory() as memory:
        for channel in ("socket.io#/#", "socket.io-request#/#", "socket.io-roomcast#/#"):
            message = b"\x93\xa1u" + announced if channel == "socket.io#/#" else announced
            await asyncio.to_thread(broker.publish, channel, message)
        await eventually(lambda: adapter.counters["invalid"] >= 3)
    assert memory.rise < 4_000_000
    assert adapter.health.ok


async def test_huge_messages_are_not_read(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    io, adapter = await start_node()
    await connect(io)
    huge = pack(["u", {"type": 2, "data": ["hello", b"x" * 33_000_000]}, {}])
    # One by one: the broker itself cuts a subscriber that is 32 MB behind.
    for number, channel in enumerate(("socket.io#/#", "socket.io-request#/#"), start=1):
        await asyncio.to_thread(publish, broker, [(channel, huge)])
        await eventually(
            lambda: adapter.counters["too_large"] + adapter.counters["invalid"] == number  # noqa: B023  awaited here
        )
    assert io.sockets


async def test_repeated_messages_have_one_effect(
    broker: RunningBroker, start_node: NewNode, connect: Connect
) -> None:
    io, adapter = await start_node()
    client = await connect(io)
    heard: list[int] = []
    client.on("n", heard.append)

    def message(number: int) -> bytes:
        parts = ("sender", {"type": 2, "data": ["n", number]}, {})
        body = b"".join(pack(part) for part in parts)
        return b"\x94" + body + b"\xcf" + number.to_bytes(8, "big")

    sequence = [5, 6, 6, 5, 7, 2**63, 8, 9]
    await asyncio.to_thread(publish, broker, [("socket.io#/#", message(n)) for n in sequence])
    await eventually(lambda: 9 in heard)
    assert heard == [5, 6, 7, 8, 9]
    assert (adapter.counters["repeated"], adapter.counters["missed"]) == (3, 0)

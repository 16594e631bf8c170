"""The row of hardening.md about MessagePack, on a server: sizes that are announced, and what is no packet."""

import tracemalloc

import msgpack
import pytest

import roomcast.msgpack
from roomcast import Limits, Server

EVENT = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data"
ANNOUNCED = {"bin32": "c6", "ext32": "c9", "str32": "db", "array32": "dd", "map32": "df"}


def packet(**fields) -> bytes:
    return msgpack.packb({"nsp": "/", **fields})


GOOD = packet(type=2, data=["x", 1])

HOSTILE = {
    **{
        f"{name}, {where}": front + bytes.fromhex(marker) + b"\xff" * 4
        for name, marker in ANNOUNCED.items()
        for where, front in (
            ("whole", b""),
            ("data", EVENT),
            ("argument", EVENT + b"\x92\xa1x"),
            ("key", EVENT + b"\x92\xa1x\x81"),
        )
    },
    "trailing bytes": GOOD + b"\xc0",
    "two packets": GOOD * 2,
    "a half": GOOD[:-1],
    "c1": b"\xc1",
    "c1 inside": EVENT + b"\x92\xa1x\xc1",
    "nil": b"\xc0",
    "empty": b"",
    "text": "40",
    "a list": msgpack.packb([2, "/", ["x"]]),
    "deep": EVENT + b"\x91" * 1_000,
    "reserved": packet(type=2, data=["connect"]),
    "a name that is a map": packet(type=2, data=[{"toString": "x"}]),
    "a name that is true": packet(type=2, data=[True]),
    "no name": packet(type=2, data=[]),
    "no data": packet(type=2),
    "an unknown type": packet(type=7, data=["x"]),
    "a type with a fraction": packet(type=2.5, data=["x"]),
    "an id below zero": packet(type=2, data=["x"], id=-1),
    "an id that is a text": packet(type=2, data=["x"], id="1"),
    "a namespace that is a number": msgpack.packb({"type": 2, "nsp": 1, "data": ["x"]}),
}


@pytest.fixture
def io():
    return Server(parser=roomcast.msgpack)


@pytest.fixture
async def join(io, log, connect):
    """Let a client join a server that logs what arrives and why sockets end."""
    io.event("x")(lambda socket, *args: log.append(args))
    io.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))

    async def start():
        raw = await connect(io)
        await raw.send(packet(type=0))
        assert msgpack.unpackb(await raw.recv())["type"] == 0
        return raw

    return start


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE)
async def test_what_is_no_packet_ends_its_connection_only(io, join, log, message):
    bystander = await join()
    raw = await join()
    await raw.send(message)
    await raw.closed()
    await log.count(1)
    assert [reason for reason, _ in log] == ["forced close"]
    await bystander.send(GOOD)
    await log.until((1,))
    io.emit("still here")
    assert msgpack.unpackb(await bystander.recv())["data"] == ["still here"]


@pytest.mark.parametrize("name", ANNOUNCED)
async def test_an_announced_size_allocates_nothing(io, join, log, name):
    raws = [await join() for _ in range(20)]
    message = HOSTILE[f"{name}, argument"]
    tracemalloc.start()
    try:
        for raw in raws:
            await raw.send(message)
        for raw in raws:
            await raw.closed()
        await log.count(len(raws))
        # Both ends of twenty connections that are closed, and the events of the log, but nothing of 4 GB.
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


async def test_limits_are_those_of_the_server(log, connect):
    io = Server(parser=roomcast.msgpack, limits=Limits(max_depth=4, max_ack_id=7))
    io.event("x")(lambda socket, *args: log.append(args))
    for allowed, refused in (
        (packet(type=2, data=["x", [[1]]]), packet(type=2, data=["x", [[[[1]]]]])),
        (packet(type=2, data=["x", 1], id=7), packet(type=2, data=["x", 1], id=8)),
    ):
        raw = await connect(io)
        await raw.send(packet(type=0))
        await raw.recv()
        log.clear()
        await raw.send(allowed)
        await log.count(1)
        await raw.send(refused)
        await raw.closed()
        assert len(log) == 1

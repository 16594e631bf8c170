"""What `ShardedRedisAdapter` writes, byte for byte, beside what createShardedAdapter writes; and the numbers of channels."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from roomcast import EncodeError, Server, ShardedRedisAdapter
from roomcast.adapters import numbering
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.numbering import Numbering
from support.served import eventually

NOWHERE = "redis://127.0.0.1:1"

Written = list[tuple[str, bytes]]


@pytest.fixture
def written() -> Written:
    """What the server of the fixture ``new_io`` has published, in order."""
    return []


@pytest.fixture
def new_io(written: Written, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Server]:
    def make(**options: Any) -> Server:
        adapter = ShardedRedisAdapter(NOWHERE, **options)
        io = Server(adapter=adapter)

        def publish(channel: bytes, payload: bytes, *, sharded: bool = False) -> bool:
            assert sharded
            written.append((channel.decode(), payload))
            return True

        monkeypatch.setattr(adapter.publisher, "publish", publish)
        adapter._closed = True  # it connects to nobody
        return io

    return make


async def test_broadcast_is_that_of_the_official_adapter(
    new_io: Callable[..., Server], written: Written
) -> None:
    io = new_io()
    uid = io.adapter.bus.uid
    io.to("r1").emit("hi")
    io.emit("bin", b"\x01\x02\x03", None)
    io.of("/chat").compress(False).emit("é")
    assert written[0] == (
        "socket.io#/#r1#",
        b'{"type":3,"data":{"packet":{"type":2,"data":["hi"]},"opts":{"rooms":["r1"],"except":[],"flags":{}}},'
        b'"uid":"%b","nsp":"/","seq":1,"first":true}' % uid.encode(),
    )
    channel, data = written[1]
    assert channel == "socket.io#/#"
    packed = Notepack().unpack(data)
    assert list(packed) == ["type", "data", "uid", "nsp", "seq", "first"]
    assert packed["data"]["packet"] == {"type": 2, "data": ["bin", b"\x01\x02\x03", None]}
    channel, data = written[2]
    assert (channel, json.loads(data)["nsp"]) == ("socket.io#/chat#", "/chat")
    assert json.loads(data)["data"]["opts"]["flags"] == {"compress": False}


@pytest.mark.parametrize(
    ("mode", "room", "channel"),
    [
        ("dynamic", "r", "socket.io#/#r#"),
        ("dynamic", "x" * 20, "socket.io#/#"),
        ("dynamic", "🎉" * 10, "socket.io#/#"),
        ("dynamic", "🎉" * 20, f"socket.io#/#{'🎉' * 20}#"),
        ("dynamic-private", "x" * 20, f"socket.io#/#{'x' * 20}#"),
        ("static", "r", "socket.io#/#"),
    ],
)
async def test_room_has_the_channel_that_its_mode_gives_it(
    new_io: Callable[..., Server], written: Written, mode: str, room: str, channel: str
) -> None:
    io = new_io(subscription_mode=mode)
    io.to(room).emit("hello")
    io.to(room, "other").emit("hello")
    assert [name for name, _ in written] == [channel, "socket.io#/#"]


async def test_what_cannot_travel_takes_no_number(
    new_io: Callable[..., Server], written: Written
) -> None:
    io = new_io(channel_prefix="mine")
    io.emit("n")
    with pytest.raises(EncodeError):
        io.server_side_emit("n", object())
    io.server_side_emit("n", 1)
    assert [json.loads(data)["seq"] for _, data in written] == [1, 2]
    assert {channel for channel, _ in written} == {"mine#/#"}


def test_numbers_of_a_channel_that_was_forgotten_begin_behind_the_old_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(numbering, "MAX_CHANNELS", 2)
    numbers = Numbering(b"main", lambda channel, position: None)
    assert [numbers.next(b"a")[0] for _ in range(3)] == [1, 2, 3]
    assert numbers.next(b"b") == (4, True)
    assert numbers.next(b"c") == (5, True)  # "a" is forgotten
    assert numbers.next(b"a") == (6, True)
    assert numbers.next(b"a") == (7, False)


async def test_numbers_that_were_reached_are_said_of_rooms_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(numbering, "POSITION_DELAY", 0.01)
    monkeypatch.setattr(numbering, "POSITION_INTERVAL", 0.02)
    said: list[tuple[bytes, int]] = []
    numbers = Numbering(b"main", lambda *what: said.append(what))
    numbers.next(b"room")
    await eventually(lambda: said.count((b"main", 0)) >= 6)
    numbers.stop()
    assert said.count((b"room", 1)) == numbering.REPETITIONS

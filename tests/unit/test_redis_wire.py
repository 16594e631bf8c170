"""What `RedisAdapter` and the emitters write, byte for byte, beside what @socket.io/redis-adapter and the official emitter write."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from roomcast import (
    Emitter,
    EncodeError,
    MissingDependencyError,
    RedisAdapter,
    ReservedEventError,
    Server,
    SyncEmitter,
    UsageError,
)
from roomcast.adapters.gaps import NONSENSE, REPEATED, Gaps
from roomcast.adapters.notepack import Notepack, UnpackError
from roomcast.adapters.subscriber import glob_escaped
from roomcast.msgpack import Ext

NOWHERE = "redis://127.0.0.1:1"

Written = list[tuple[str, bytes]]


def hexed(data: bytes) -> str:
    return data.hex()


@pytest.fixture
def written() -> Written:
    """What the server of the fixture ``io`` has published, in order."""
    return []


@pytest.fixture
def io(written: Written, monkeypatch: pytest.MonkeyPatch) -> Server:
    adapter = RedisAdapter(NOWHERE)
    io = Server(adapter=adapter)

    def publish(channel: bytes, payload: bytes, *, sharded: bool = False) -> bool:
        written.append((channel.decode(), payload))
        return True

    monkeypatch.setattr(adapter.publisher, "publish", publish)
    adapter._closed = True  # it connects to nobody
    io.adapter.bus.uid = "5n6tq3"
    io.adapter.bus._head = b"\x94\xa65n6tq3" + io.adapter.bus._head[8:]
    return io


async def test_broadcast_is_that_of_the_official_adapter(io: Server, written: Written) -> None:
    io.emit("hello", "world", 1)
    ((channel, data),) = written
    assert channel == "socket.io#/#"
    assert data[0] == 0x94
    # The fourth item, which others do not look at, is the sequence number.
    assert data[-9:] == b"\xcf" + (1).to_bytes(8, "big")
    assert b"\x93" + data[1:-9] == bytes.fromhex(
        "93 a6356e36747133 83 a474797065 02 a464617461 93 a568656c6c6f a5776f726c64 01 a36e7370 a12f"
        " 83 a5726f6f6d73 90 a6657863657074 90 a5666c616773 80"
    )


@pytest.mark.parametrize(
    ("emit", "channel", "options"),
    [
        (lambda io: io.to("r1"), "socket.io#/#r1#", {"rooms": ["r1"], "except": [], "flags": {}}),
        (
            lambda io: io.to("a", "b").except_("c"),
            "socket.io#/#",
            {"rooms": ["a", "b"], "except": ["c"], "flags": {}},
        ),
        (
            lambda io: io.volatile.compress(False),
            "socket.io#/#",
            {"rooms": [], "except": [], "flags": {"volatile": True, "compress": False}},
        ),
        (
            lambda io: io.to("r").all_of("a", "b"),
            "socket.io-roomcast#/#",
            {"rooms": ["r"], "except": [], "all_of": ["a", "b"], "flags": {}},
        ),
    ],
)
async def test_choice_travels_as_it_was_made(
    io: Server,
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
    emit: Callable[[Server], Any],
    channel: str,
    options: dict[str, Any],
) -> None:
    monkeypatch.setattr("roomcast.adapters.publisher.Publisher.connected", True)
    emit(io).emit("hello")
    assert written[0][0] == channel
    assert Notepack().unpack(written[0][1])[2] == options


def test_requests_are_those_of_the_official_adapter(io: Server, written: Written) -> None:
    io.to("r1").sockets_join("j1", "j2")
    io.to("r1").sockets_leave("j1")
    io.to("r1").disconnect_sockets(True)
    io.server_side_emit("sse", 1, {"a": 2})
    assert [channel for channel, _ in written] == 4 * ["socket.io-request#/#"]
    opts = '"opts":{"rooms":["r1"],"except":[]},'
    assert [data.decode() for _, data in written] == [
        '{"uid":"5n6tq3","type":2,' + opts + '"rooms":["j1","j2"],"seq":1}',
        '{"uid":"5n6tq3","type":3,' + opts + '"rooms":["j1"],"seq":2}',
        '{"uid":"5n6tq3","type":4,' + opts + '"close":true,"seq":3}',
        '{"uid":"5n6tq3","type":6,"data":["sse",1,{"a":2}],"seq":4}',
    ]


async def test_local_leaves_no_trace(io: Server, written: Written) -> None:
    io.local.emit("hello")
    io.local.sockets_join("room")
    io.local.sockets_leave("room")
    io.local.disconnect_sockets()
    assert written == []


def test_bytes_and_what_json_lacks_go_as_messagepack(io: Server, written: Written) -> None:
    io.server_side_emit("sse", b"\x01", float("nan"))
    request = Notepack().unpack(written[0][1])
    assert request["data"][:2] == ["sse", b"\x01"]
    with pytest.raises(EncodeError):
        io.server_side_emit("sse", object())
    with pytest.raises(ReservedEventError):
        io.server_side_emit("connection", 1)
    assert len(written) == 1


def test_what_has_no_json_form_is_nowhere(io: Server, written: Written) -> None:
    with pytest.raises(EncodeError):
        io.emit("hello", object())
    with pytest.raises(ReservedEventError):
        io.emit("disconnect")
    assert written == []


async def test_other_key_and_namespace(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    adapter = RedisAdapter(NOWHERE, key="mine")
    io = Server(adapter=adapter)
    adapter._closed = True
    monkeypatch.setattr(adapter.publisher, "publish", lambda *message: written.append(message))
    io.of("/chat").to("r1").emit("x")
    io.of("/chat").sockets_join("x")
    assert [channel for channel, _ in written] == [b"mine#/chat#r1#", b"mine-request#/chat#"]


def test_official_emitter_is_matched_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    emitter = SyncEmitter(NOWHERE)
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        emitter._client._client, "execute_command", lambda *words: sent.append(words)
    )
    emitter.emit("e1", 1, b"\x09")
    emitter.of("chat").to("r1").emit("e2")
    emitter.to("a").sockets_join("j1", "j2")
    emitter.to("a").sockets_leave("j1")
    emitter.except_("a").disconnect_sockets(True)
    emitter.server_side_emit("sse", 1)
    assert sent[0] == (
        "PUBLISH",
        b"socket.io#/#",
        bytes.fromhex(
            "93 a7656d6974746572 83 a474797065 02 a464617461 93 a26531 01 c40109 a36e7370 a12f"
            " 83 a5726f6f6d73 90 a5666c616773 80 a6657863657074 90"
        ),
    )
    assert sent[1][1] == b"socket.io#/chat#r1#"
    assert [json.loads(words[2]) for words in sent[2:]] == [
        {"type": 2, "opts": {"rooms": ["a"], "except": []}, "rooms": ["j1", "j2"]},
        {"type": 3, "opts": {"rooms": ["a"], "except": []}, "rooms": ["j1"]},
        {"type": 4, "opts": {"rooms": [], "except": ["a"]}, "close": True},
        {"uid": "emitter", "type": 6, "data": ["sse", 1]},
    ]
    with pytest.raises(ReservedEventError):
        emitter.emit("connect")
    with pytest.raises(EncodeError):
        emitter.emit("e", object())
    with pytest.raises(EncodeError):
        emitter.server_side_emit("e", object())
    with pytest.raises(ReservedEventError):
        emitter.server_side_emit("connection")
    emitter.close()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("c0", None),
        ("d40000", None),
        ("d700 0000018bcfe5687b", "2023-11-14 22:13:20.123000+00:00"),
        ("d6ff 00000000", "1970-01-01 00:00:00+00:00"),
        ("c70200 0102", b"\x01\x02"),
        ("a3 eda0bd", "\ufffd"),
        ("81 01 02", {"1": 2}),
        ("d40700", Ext(7, b"\0")),
    ],
)
def test_values_of_both_notepacks_are_read(data: str, value: object) -> None:
    read = Notepack().unpack(bytes.fromhex(data))
    assert (str(read) if isinstance(value, str) and len(value) > 1 else read) == value


@pytest.mark.parametrize("data", ["", "c1", "9301", "0102", "81 90 01", "c40501", "dd 7fffffff c0"])
def test_what_is_no_value_is_refused(data: str) -> None:
    with pytest.raises(UnpackError):
        Notepack().unpack(bytes.fromhex(data))


def test_default_hook_and_ready_types_travel() -> None:
    class Point:
        pass

    def default(value: object) -> object:
        if isinstance(value, Point):
            return {"x": 1}
        raise TypeError

    notepack = Notepack(default)
    data = notepack.pack_event("/", "e", (Point(), {1.0}.__class__.__name__))
    assert notepack.unpack(data) == ["e", {"x": 1}, "set"]
    huge = notepack.unpack(notepack.pack_event("/", "e", (2**70, [-(2**70)], b"x")))
    assert huge == ["e", float(2**70), [float(-(2**70))], b"x"]


def test_gaps_are_found_and_nonsense_is_not_believed() -> None:
    gaps = Gaps()
    assert [gaps.heard(b"a", position) for position in (7, 8, 11, 11, 10, 2**60, 12)] == [
        0,
        0,
        2,
        REPEATED,
        REPEATED,
        NONSENSE,
        0,
    ]
    assert [gaps.reached(b"a", position) for position in (12, 15, 15, 3)] == [0, 3, 0, 0]
    assert gaps.heard(b"a", 16) == 0
    assert gaps.reached(b"new", 5) == 0
    assert gaps.heard(b"new", 6) == 0
    for number in range(5000):
        gaps.heard(b"%d" % number, 1)
    assert len(gaps) == 4096


def test_namespace_is_no_pattern() -> None:
    assert glob_escaped(b"a*b?[c]\\") == b"a\\*b\\?\\[c\\]\\\\"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"redis": 17}, TypeError),
        ({"redis": "http://x"}, ValueError),
        ({"redis": NOWHERE, "requests_timeout": 0}, ValueError),
        ({"redis": NOWHERE, "queue_size": 0}, ValueError),
        ({"redis": NOWHERE, "queue_policy": "drop"}, ValueError),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        RedisAdapter(**options)


def test_adapter_belongs_to_one_server() -> None:
    adapter = RedisAdapter(NOWHERE)
    Server(adapter=adapter)
    with pytest.raises(UsageError):
        Server(adapter=adapter)


@pytest.mark.parametrize(
    ("missing", "make"),
    [
        ("redis", RedisAdapter),
        ("redis", Emitter),
        ("redis", SyncEmitter),
        ("hiredis", RedisAdapter),
        ("hiredis", Emitter),
    ],
)
def test_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, missing: str, make: Callable[[str], Any]
) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingDependencyError, match=r'pip install "roomcast\[redis\]"'):
        make(NOWHERE)


def test_emitter_takes_a_client_or_a_url() -> None:
    import redis  # noqa: PLC0415

    client = redis.Redis.from_url(NOWHERE)
    SyncEmitter(client).close()
    with pytest.raises(TypeError):
        SyncEmitter(17)
    with pytest.raises(TypeError):
        Emitter(client)

"""`roomcast.msgpack`: bytes on the wire, values both ways, limits, and what a peer must not be able to do."""

import dataclasses
import enum
import time
import tracemalloc
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any

import msgpack
import pytest

from roomcast.codec import Packet, PacketType, RawJSON
from roomcast.errors import EncodeError, PacketError, PacketErrorKind, ReservedEventError
from roomcast.msgpack import Decoder, Encoder, Ext
from roomcast.types import RESERVED_EVENTS, Limits

EVENT = PacketType.EVENT


def encode(data: Any, **options: Any) -> bytes:
    (message,) = Encoder(**options).encode(Packet(EVENT, ["x", data]))
    assert isinstance(message, bytes)
    return message


def carried(data: Any, **options: Any) -> Any:
    return Decoder().feed(encode(data, **options)).data[1]


def refused(message: Any, limits: Limits | None = None) -> PacketErrorKind:
    decoder = Decoder(limits)
    with pytest.raises(PacketError) as raised:
        decoder.feed(message)
    with pytest.raises(PacketError) as again:
        decoder.feed(encode(1))
    assert again.value.kind == PacketErrorKind.DECODER_CLOSED
    return raised.value.kind


def event(data: bytes) -> bytes:
    """Return an event whose data is these bytes."""
    return b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data" + data


ROOT = "a36e7370a12f"


@pytest.mark.parametrize(
    ("packet", "wire"),
    [
        (Packet(PacketType.CONNECT), "82a47479706500" + ROOT),
        (Packet(PacketType.CONNECT, {"t": 1}), "83a47479706500a46461746181a17401" + ROOT),
        (Packet(PacketType.DISCONNECT), "82a47479706501" + ROOT),
        (
            Packet(EVENT, ["echo", 1, b"\x01\x02", None], id=0),
            "84a47479706502a46461746194a46563686f01c4020102c0a2696400" + ROOT,
        ),
        (Packet(PacketType.ACK, [], id=300), "84a47479706503a46461746190a26964cd012c" + ROOT),
        (
            Packet(EVENT, ["b", datetime(1970, 1, 1, tzinfo=UTC)]),
            "83a47479706502a46461746192a162d7000000000000000000" + ROOT,
        ),
        (
            Packet(PacketType.CONNECT_ERROR, {"message": "no"}),
            "83a47479706504a46461746181a76d657373616765a26e6f" + ROOT,
        ),
        (Packet(EVENT, ["a"], "/é"), "83a47479706502a46461746191a161a36e7370a32fc3a9"),
    ],
)
def test_bytes_on_the_wire(packet, wire):
    encoder = Encoder()
    assert encoder.encode(packet) == [bytes.fromhex(wire)]
    encoded = encoder.encode_packet(packet.type, packet.nsp, packet.data, packet.id)
    assert encoded.messages == (bytes.fromhex(wire),)
    assert encoded.text is None
    assert encoded.size == len(wire) // 2
    if packet.type == EVENT:
        name, *args = packet.data
        encoded = encoder.encode_event(packet.nsp, name, tuple(args), packet.id, False)
        assert encoded.messages == (bytes.fromhex(wire),)
        assert not encoded.compress
    assert Decoder().feed(bytes.fromhex(wire)) == packet


@pytest.mark.parametrize(
    "wire",
    [
        # `options` of a client, `undefined` as an argument, python-socketio's nil, any order, a float as the type.
        "85a47479706502a46461746193a46563686f01d40000a76f7074696f6e7381a8636f6d7072657373c3a2696400"
        + ROOT,
        "84a47479706502a46461746193a46563686f01c0a36e7370a12fa2696400",
        "84a36e7370a12fa2696400a46461746193a46563686f01c0a474797065cb4000000000000000",
    ],
)
def test_what_other_encoders_write_is_read(wire):
    assert Decoder().feed(bytes.fromhex(wire)) == Packet(EVENT, ["echo", 1, None], id=0)


def test_absent_has_three_forms():
    for nothing in ("c0", "d40000"):
        wire = f"84a47479706500a464617461{nothing}a26964{nothing}{ROOT}"
        assert Decoder().feed(bytes.fromhex(wire)) == Packet(PacketType.CONNECT)
    pid = bytes.fromhex("82a3736964a178a3706964d40000")
    wire = b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data" + pid
    assert Decoder().feed(wire).data == {"sid": "x", "pid": None}


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    when: date


class Subclass(dict):
    pass


NEW_YEAR = datetime(2024, 1, 1, 12, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        *((number, number) for number in (0, 127, 128, 255, 256, 65535, 65536, 2**32, 2**53 + 1)),
        *((-number, -number) for number in (1, 32, 33, 128, 129, 32769, 2**31 + 1, 2**63)),
        (2**64 - 1, 2**64 - 1),
        (1.0, 1.0),
        (1e300, 1e300),
        (True, True),
        ("é漢😀", "é漢😀"),
        ("x" * 70_000, "x" * 70_000),
        ("é" * 40, "é" * 40),
        ("cut \ud83d", "cut \ufffd"),
        (b"", b""),
        (b"x" * 70_000, b"x" * 70_000),
        (bytearray(b"a"), b"a"),
        (memoryview(b"abcd")[::2], b"ac"),
        ((1, [2, (3,)]), [1, [2, [3]]]),
        (list(range(70_000)), list(range(70_000))),
        ({"a": {}}, {"a": {}}),
        (Subclass(b=1, a=2), {"b": 1, "a": 2}),
        ({1: 1, 1.5: 2, False: 3, None: 4}, {"1": 1, "1.5": 2, "false": 3, "null": 4}),
        (Ext(5, b"abc"), Ext(5, b"abc")),
        (NEW_YEAR, datetime(2024, 1, 1, 10, 0, 0, 123_000, tzinfo=UTC)),
        (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
        (date(2024, 1, 1), "2024-01-01"),
        (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (Decimal("1.50"), "1.50"),
        (Colour.RED, "red"),
        (Point(1, date(2024, 1, 1)), {"x": 1, "when": "2024-01-01"}),
        ({"__proto__": {"a": 1}, "_placeholder": True, "num": 0},) * 2,
    ],
)
def test_values_arrive(given, arrives):
    got = carried(given)
    assert got == arrives
    assert type(got) is type(arrives)


def test_a_date_without_zone_is_local():
    given = datetime(2024, 1, 1, 12)  # noqa: DTZ001  that is what is tested
    assert carried(given) == given.astimezone(UTC)


FIRST, LAST = (
    edge.replace(tzinfo=timezone(timedelta(hours=hours)))
    for edge, hours in ((datetime.min, 1), (datetime.max, -1))  # noqa: DTZ901  replaced at once
)
"""Times that Python cannot say in UTC."""


@pytest.mark.parametrize("edge", [FIRST, LAST])
def test_dates_at_the_ends_of_the_calendar_are_written(edge):
    milliseconds = (edge - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert b"\xd7\x00" + milliseconds.to_bytes(8, signed=True) in encode(edge)


@pytest.mark.parametrize("zone", ["XXX-1", "XXX+1"])
def test_a_date_that_is_no_utc_of_python_has_no_form(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        with pytest.raises(EncodeError, match=r"data\[1\]: datetime has no MessagePack form"):
            encode((FIRST if zone == "XXX-1" else LAST).replace(tzinfo=None))
    finally:
        monkeypatch.undo()
        time.tzset()


def test_bytes_are_those_of_another_library():
    data = ["x", {"a": [1, -1, 1.5, None, True, "é", b"b", 2**63]}, list(range(20))]
    (message,) = Encoder().encode(Packet(EVENT, data))
    assert message == msgpack.packb({"type": 2, "data": data, "nsp": "/"})
    assert Decoder().feed(msgpack.packb({"nsp": "/", "type": 2, "data": data})).data == data


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("d40000", None),
        ("d40007", None),
        ("d7000000018bcfe5687b", datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)),
        ("d700ffffffffffffffff", datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("c702000102", b"\x01\x02"),
        ("c8000800" + "00" * 8, bytes(8)),
        ("c90000000000", b""),
        ("d6ff00000001", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("d7ff0000000400000001", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("c70cff00000bb8ffffffffffffffff", datetime(1969, 12, 31, 23, 59, 59, 3, tzinfo=UTC)),
        ("d5000102", Ext(0, b"\x01\x02")),
        ("d80500000000000000000000000000000000", Ext(5, bytes(16))),
        ("ca3fc00000", 1.5),
        ("81c30a", {"true": 10}),
        ("8207c0c0c3", {"7": None, "null": True}),
        ("81cb3ff8000000000000c0", {"1.5": None}),
    ],
)
def test_extensions_and_odd_keys(wire, value):
    got = Decoder().feed(event(b"\x92\xa1x" + bytes.fromhex(wire))).data[1]
    assert got == value
    assert type(got) is type(value)


def test_default_comes_before_the_ready_support():
    seen = []

    def default(value):
        seen.append(value)
        if isinstance(value, datetime):
            return "a date"
        if isinstance(value, set):
            return sorted(value)
        raise TypeError("not mine")

    assert carried([{2, 1}, NEW_YEAR, Colour.RED], default=default) == [[1, 2], "a date", "red"]
    with pytest.raises(EncodeError, match="object has no MessagePack form") as raised:
        encode(object(), default=default)
    assert isinstance(raised.value.__cause__, TypeError)
    with pytest.raises(ZeroDivisionError):
        encode(object(), default=lambda _: 1 / 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (2**64, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        ({2**64: 1}, "64 bits"),
        (object(), "no MessagePack form"),
        ({b"key": 1}, "a key must be"),
        (RawJSON("1"), "RawJSON"),
        (Ext(128, b""), "Ext"),
        (Ext(0, "text"), "Ext"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_sent_is_named(data, reason):
    with pytest.raises(EncodeError, match=reason) as raised:
        encode({"a": [data]})
    assert raised.value.path.startswith("data[1].a[0]")


def test_what_changes_while_it_is_walked_is_refused():
    class Meddling:
        def __init__(self, act):
            self.act = act

    items: list[Any] = [Meddling(lambda: items.append(1)), 2]
    shrinking: list[Any] = [Meddling(lambda: shrinking.pop(1)), 2]
    entries: dict[str, Any] = {"a": Meddling(lambda: entries.update(b=1))}
    fewer: dict[str, Any] = {"a": Meddling(lambda: fewer.pop("b")), "b": 1}
    for data in (items, shrinking, entries, fewer):
        with pytest.raises(EncodeError, match="changed"):
            encode(data, default=lambda value: value.act() and None)


def test_depth_is_limited_both_ways():
    limits = Limits(max_depth=4)
    data = [[[1]]]
    message = encode(data, limits=limits)
    assert Decoder(limits).feed(message).data == ["x", data]
    deeper = encode([data])
    with pytest.raises(EncodeError, match="4 levels"):
        encode([data], limits=limits)
    assert refused(deeper, limits) == PacketErrorKind.TOO_DEEP
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(EncodeError, match="cycle"):
        encode(cycle)
    assert refused(event(b"\x91" * 100_000)) == PacketErrorKind.TOO_DEEP
    assert refused(event(b"\x81\xa1a" * 30_000)) == PacketErrorKind.TOO_DEEP


def test_values_ids_names_and_bytes_are_limited():
    limits = Limits(max_values=6, max_ack_id=7, max_namespace_length=3, max_packet_size=40)

    def feed(data, nsp="/", id=None):
        (message,) = Encoder().encode(Packet(EVENT, data, nsp, id))
        return Decoder(limits).feed(message)

    assert feed(["x", 1, 2, 3, 4], "/ab", 7)
    for data, nsp, id_, kind in (
        (["x", 1, 2, 3, 4, 5], "/", None, PacketErrorKind.TOO_MANY_VALUES),
        (["x"], "/abc", None, PacketErrorKind.NAMESPACE_TOO_LONG),
        (["x"], "/", 8, PacketErrorKind.ID_TOO_LARGE),
        (["x" * 22], "/", None, PacketErrorKind.PACKET_TOO_LARGE),
    ):
        with pytest.raises(PacketError) as raised:
            feed(data, nsp, id_)
        assert raised.value.kind == kind


@pytest.mark.parametrize("announced", ["c6", "c9", "db", "dd", "df"])
def test_an_announced_size_allocates_nothing(announced):
    for message in (
        event(b"\x92\xa1x" + bytes.fromhex(announced + "ffffffff")),
        bytes.fromhex(announced + "ffffffff"),
        bytes.fromhex("df0fffffff") + b"\xa1a" * 100,
    ):
        decoder = Decoder()
        tracemalloc.start()
        try:
            with pytest.raises(PacketError):
                decoder.feed(message)
            assert tracemalloc.get_traced_memory()[1] < 4096
        finally:
            tracemalloc.stop()
        assert refused(message) == PacketErrorKind.INVALID_MSGPACK


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc0",
        b"\x90",
        b"\xc1",
        b"40",
        encode(1) + b"\xc0",
        encode(1)[:-1],
        event(b"\x92\xa1x\xc1"),
        event(b"\x92\xa1x\xa1\xff"),
        event(b"\x92\xa1x\xd7\x00\x7f" + bytes(7)),
        event(b"\x92\xa1x\xc7\x0c\xff\x00\x00\x00\x00\x7f" + bytes(7)),
        event(b"\x92\xa1x\x81\x90\x01"),
        event(b"\x92\xa1x\x81\xc4\x01a\x01"),
        b"\x81\x01\x01",
        "40",
        "",
    ],
    ids=repr,
)
def test_what_is_no_msgpack_is_refused(message):
    assert refused(message) == PacketErrorKind.INVALID_MSGPACK


def test_what_is_no_message_is_the_callers_mistake():
    with pytest.raises(TypeError):
        Decoder().feed(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
def test_reserved_names_are_refused_both_ways(name):
    assert refused(event(b"\x91" + msgpack.packb(name))) == PacketErrorKind.RESERVED_EVENT
    with pytest.raises(ReservedEventError):
        Encoder().encode(Packet(EVENT, [name]))
    with pytest.raises(ReservedEventError):
        Encoder().encode_event("/", name, ())


@pytest.mark.parametrize("data", [[], {}, "x", 1, [None], [True], [{}], [["x"]], [b"x"]])
def test_an_event_needs_a_name(data):
    assert refused(event(msgpack.packb(data))) == PacketErrorKind.INVALID_PAYLOAD
    with pytest.raises(EncodeError):
        Encoder().encode(Packet(EVENT, data))


def test_numbers_may_be_names():
    assert Decoder().feed(event(b"\x91\x07")).data == [7]
    assert carried(None) is None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (PacketType.CONNECT, []),
        (PacketType.CONNECT, "x"),
        (PacketType.DISCONNECT, {}),
        (PacketType.ACK, {}),
        (PacketType.CONNECT_ERROR, 7),
    ],
)
def test_data_fits_its_type_both_ways(kind, data):
    wire = msgpack.packb({"type": int(kind), "nsp": "/", "data": data, "id": 1})
    assert refused(wire) == PacketErrorKind.INVALID_PAYLOAD
    with pytest.raises(EncodeError):
        Encoder().encode(Packet(kind, data, id=1))


def test_a_closed_decoder_takes_nothing():
    decoder = Decoder()
    decoder.close()
    with pytest.raises(PacketError, match="closed"):
        decoder.feed(encode(1))


def test_other_buffers_are_read_from_a_place():
    message = encode(1)
    assert Decoder().feed(memoryview(b"4" + message), 1).data == ["x", 1]


ALIKE = [
    letter * length + end
    for letter in ("a", "\0", "é", "語", "🎉")
    for length in (0, 1, 2, 3, 5, 7, 8, 9, 14, 15, 16, 17, 24, 25, 63, 64, 65)
    for end in ("", "b", "\0", "é", "é\0")
]
"""Texts of which many begin or end alike, on both sides of every length at which the reader does something else."""


def test_strings_that_come_again_are_those_that_have_come():
    random = Random(1)
    for _ in range(
        4
    ):  # a value is made at first, kept then, and found afterwards; keys are kept at once
        texts = random.sample(ALIKE, len(ALIKE))
        values = [texts, dict(zip(texts, reversed(texts), strict=True))]
        assert carried(values) == values


def test_strings_that_push_each_other_out_stay_themselves():
    random = Random(2)
    texts = [f"{number:x}{random.choice(ALIKE)}" for number in range(20_000)]
    for _ in range(3):
        random.shuffle(texts)
        values = [texts, {text: text for text in texts}]
        assert carried(values) == values


def test_a_short_value_that_comes_again_is_not_made_again():
    def value(text: str) -> Any:
        return carried([text])[0]

    for text in ("status", "fifteen letters", "café"):
        assert value(text) == value(text) == text
        assert value(text) is value(text)
    token = "0123456789abcdef"  # so long a value is in memory only as long as somebody has it
    assert [value(token) == token for _ in range(4)] == [True] * 4
    assert value(token) is not value(token)


def test_the_token_of_a_connect_is_not_kept():
    (message,) = Encoder().encode(Packet(PacketType.CONNECT, {"token": "0123456789abcdef"}))
    first, second = (Decoder().feed(message).data["token"] for _ in range(2))
    assert first == second == "0123456789abcdef"
    assert first is not second

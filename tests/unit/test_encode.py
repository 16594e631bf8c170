"""The wire form of packets: socketio.md 1.1 and 1.2, and the JSON table of stack.md."""

import math
from array import array
from collections import OrderedDict, defaultdict
from datetime import date
from enum import Enum
from typing import Any, NamedTuple

import pytest

from roomcast.codec import (
    EncodedPacket,
    EncodeError,
    Encoder,
    Limits,
    Packet,
    PacketType,
    RawJSON,
    ReservedEventError,
    encode,
)

EVENT = PacketType.EVENT
ACK = PacketType.ACK
PLACEHOLDER = '{"_placeholder":true,"num":0}'


def text_of(value: Any, **options: Any) -> str:
    """Return the JSON text of one value."""
    text, *attachments = encode(Packet(ACK, [value], "/", 0), **options)
    assert not attachments
    assert isinstance(text, str)
    assert text.startswith("30[")
    return text[3:-1]


@pytest.mark.parametrize(
    ("packet", "wire"),
    [
        (Packet(PacketType.CONNECT), ["0"]),
        (Packet(PacketType.CONNECT, {"token": "123"}, "/admin"), ['0/admin,{"token":"123"}']),
        (Packet(PacketType.CONNECT, None, "/a"), ["0/a,"]),
        (Packet(PacketType.CONNECT, {}, "/a"), ["0/a,{}"]),
        (Packet(PacketType.DISCONNECT, None, "/admin"), ["1/admin,"]),
        (Packet(PacketType.DISCONNECT), ["1"]),
        (Packet(EVENT, ["a"], "/", 0), ['20["a"]']),
        (Packet(EVENT, ["foo"], "/admin", 13), ['2/admin,13["foo"]']),
        (Packet(EVENT, [1, "x"]), ['2[1,"x"]']),
        (Packet(EVENT, [1.5]), ["2[1.5]"]),
        (Packet(ACK, ["bar"], "/admin", 13), ['3/admin,13["bar"]']),
        (Packet(ACK, [], "/", 13), ["313[]"]),
        (Packet(ACK, (), "/", 13), ["313[]"]),
        (Packet(EVENT, ["baz", b"\x01"]), ['51-["baz",' + PLACEHOLDER + "]", b"\x01"]),
        (Packet(ACK, [b"\x01"], "/n", 1), ["61-/n,1[" + PLACEHOLDER + "]", b"\x01"]),
        (
            Packet(EVENT, ["bin", b"\x01\x02", b"\x03"]),
            ['52-["bin",' + PLACEHOLDER + ',{"_placeholder":true,"num":1}]', b"\x01\x02", b"\x03"],
        ),
        (
            Packet(PacketType.CONNECT_ERROR, {"message": "Not authorized", "data": {"code": 7}}),
            ['4{"message":"Not authorized","data":{"code":7}}'],
        ),
        (Packet(PacketType.CONNECT_ERROR, "no", "/a"), ['4/a,"no"']),
        # The two binary types are chosen by the encoder, whatever the packet was made of.
        (Packet(PacketType.BINARY_EVENT, ["a"]), ['2["a"]']),
        (Packet(PacketType.BINARY_ACK, [b""], "/", 1), ["61-1[" + PLACEHOLDER + "]", b""]),
    ],
)
def test_encode_writes_the_packets_of_the_protocol(packet: Packet, wire: list[str | bytes]) -> None:
    assert encode(packet) == wire
    assert Encoder().encode(packet) == wire


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-1, "-1"),
        (2**63, "9223372036854775808"),
        (-(2**63), "-9223372036854775808"),
        (2**64, "18446744073709551616"),
        (10**29 + 1, "1" + "0" * 28 + "1"),  # in full; JavaScript peers round above 2^53
        (1.5, "1.5"),
        (0.1, "0.1"),
        (1.0, "1.0"),  # JavaScript has no integral floats and writes 1
        (-0.0, "-0.0"),  # JavaScript writes 0
        (math.nan, "null"),
        (math.inf, "null"),
        (-math.inf, "null"),
        ("", '""'),
        ("é漢😀", '"é漢😀"'),  # nothing beyond ASCII is escaped
        ("\u2028\u2029\x7f\ufeff", '"\u2028\u2029\x7f\ufeff"'),
        ('"\\/', '"\\"\\\\/"'),
        ("\b\t\n\f\r", r'"\b\t\n\f\r"'),
        ("\x00\x0b\x1f", r'"\u0000\u000b\u001f"'),
        ("\ud800", r'"\ud800"'),  # the escape, as JavaScript
        ("a\udfffé", r'"a\udfffé"'),
        ([], "[]"),
        ((), "[]"),
        ({}, "{}"),
        ([1, (2, [3])], "[1,[2,[3]]]"),
        ({"a": 1, "b": {"c": [None]}}, '{"a":1,"b":{"c":[null]}}'),
    ],
)
def test_encode_writes_json_as_javascript(value: Any, json: str) -> None:
    assert text_of(value) == json


@pytest.mark.parametrize("position", range(20))
def test_encode_escapes_at_every_alignment(position: int) -> None:
    for character, escape in (('"', '\\"'), ("\\", "\\\\"), ("\x1f", "\\u001f"), ("\n", "\\n")):
        clean = "x" * position
        assert text_of(clean + character + "y" * 9) == f'"{clean}{escape}{"y" * 9}"'
        assert text_of(clean + character + "é") == f'"{clean}{escape}é"'


@pytest.mark.parametrize(
    ("key", "spelling"),
    [
        ("", ""),
        ('"', '\\"'),
        ("\ud800", "\\ud800"),
        (1, "1"),
        (-7, "-7"),
        (2**70, str(2**70)),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.25e300, "1.25e+300"),
        (0.000001, "0.000001"),
        (0.00000123, "0.00000123"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"),
        (-1e21, "-1e+21"),
        (123456789.125, "123456789.125"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
    ],
)
def test_encode_spells_keys_as_javascript(key: Any, spelling: str) -> None:
    assert text_of({key: 0}) == f'{{"{spelling}":0}}'


@pytest.mark.parametrize("key", [b"a", (1,), frozenset(), 1j])
def test_encode_refuses_other_keys(key: Any) -> None:
    with pytest.raises(EncodeError) as info:
        encode(Packet(EVENT, ["e", {"a": {key: 1}}]))
    assert info.value.path.startswith("data[1].a")


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class Text(str):
    """A kind of text."""

    __slots__ = ()


class Whole(int):
    """A kind of integer."""


class Real(float):
    """A kind of float."""


class Yes(Enum):
    """What becomes true on the way."""

    YES = True


class Items(list[Any]):
    """A kind of list."""


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (Point(1, 2), "[1,2]"),
        (Text("a"), '"a"'),
        (Whole(7), "7"),
        (Real(0.5), "0.5"),
        (Items([1]), "[1]"),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (defaultdict(int, a=1), '{"a":1}'),
        ({Text("k"): 1, Whole(3): 2, Real(0.5): 3}, '{"k":1,"3":2,"0.5":3}'),
    ],
)
def test_encode_takes_subclasses_of_json_types(value: Any, json: str) -> None:
    assert text_of(value) == json


@pytest.mark.parametrize(
    "buffer",
    [
        b"\x01\x02",
        bytearray(b"\x01\x02"),
        memoryview(b"\x01\x02"),
        memoryview(b"\x01\xff\x02\xff")[::2],
        array("B", [1, 2]),
        memoryview(array("H", [0x0201])),
    ],
)
def test_encode_takes_every_buffer_as_an_attachment(buffer: Any) -> None:
    assert encode(Packet(EVENT, ["e", buffer])) == ['51-["e",' + PLACEHOLDER + "]", b"\x01\x02"]


def test_encode_numbers_placeholders_depth_first() -> None:
    data = ["e", {"b": b"0", "a": [b"1", {"x": b"2"}]}, b"3"]
    text, *attachments = encode(Packet(EVENT, data))
    a, b, c, d = (f'{{"_placeholder":true,"num":{i}}}' for i in range(4))
    assert text == f'54-["e",{{"b":{a},"a":[{b},{{"x":{c}}}]}},{d}]'
    assert attachments == [b"0", b"1", b"2", b"3"]


def test_encode_attaches_the_same_buffer_twice() -> None:
    data = b"same"
    text, first, second = encode(Packet(EVENT, ["e", data, data]))
    assert str(text).startswith("52-")
    assert first is second is data  # bytes cannot change, so they are not copied


def test_encode_copies_what_can_change() -> None:
    data = bytearray(b"before")
    _, attachment = encode(Packet(EVENT, ["e", data]))
    data[:] = b"after!"
    assert attachment == b"before"


def test_encode_sends_a_lookalike_placeholder_as_it_is() -> None:
    look = {"_placeholder": True, "num": 0}
    assert encode(Packet(EVENT, ["e", look])) == ['2["e",' + PLACEHOLDER + "]"]
    assert encode(Packet(ACK, [look], "/", 1)) == ["31[" + PLACEHOLDER + "]"]


@pytest.mark.parametrize(
    "data",
    [
        ["e", {"_placeholder": True, "num": 0}, b"x"],
        ["e", b"x", [{"_placeholder": True}]],
        ["e", b"x", {Text("_placeholder"): True}],
        ["e", b"x", OrderedDict(_placeholder=True)],
        ["e", b"x", {"_placeholder": RawJSON(" true ")}],
        ["e", b"x", {"_placeholder": Yes.YES}],
    ],
)
def test_encode_refuses_a_lookalike_placeholder_beside_binary(data: Any) -> None:
    # Differs from socket.io-parser, whose receiver puts the attachment in its place.
    with pytest.raises(EncodeError, match="_placeholder"):
        encode(Packet(EVENT, data))
    look = {"_placeholder": False, "num": 0}
    text, _ = encode(Packet(EVENT, ["e", look, b"x"]))
    assert str(text).startswith('51-["e",{"_placeholder":false,"num":0},')


def test_encode_leaves_the_data_alone() -> None:
    inner = {"b": b"x", "l": [1, (2,)]}
    data = ["e", inner, bytearray(b"y")]
    encode(Packet(EVENT, data))
    assert data == ["e", {"b": b"x", "l": [1, (2,)]}, bytearray(b"y")]
    assert data[1] is inner


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (["e", object()], "data[1]"),
        (["e", {"user": {"avatar": object()}}], "data[1].user.avatar"),
        (["e", [0, [1, {2}]]], "data[1][1][1]"),
        (["e", {"a": [{"b": (0, 1j)}]}], "data[1].a[0].b[1]"),
        (["e", {7: {None: object()}}], 'data[1]["7"].None'),
        (["e", {"": {"a b": object()}}], 'data[1][""]["a b"]'),
        (["e", {"k" * 100: object()}], "data[1]." + "k" * 32),
    ],
)
def test_encode_names_the_path_of_what_has_no_json_form(data: Any, path: str) -> None:
    with pytest.raises(EncodeError) as info:
        encode(Packet(EVENT, data))
    assert info.value.path == path
    assert str(info.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "event",
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"],
)
def test_encode_refuses_reserved_events(event: str) -> None:
    with pytest.raises(ReservedEventError) as info:
        encode(Packet(EVENT, [event]))
    assert info.value.event == event
    with pytest.raises(ReservedEventError):
        Encoder().encode_event("/", event, ())
    assert encode(Packet(ACK, [event], "/", 1)) == [f'31["{event}"]']  # only events have names


@pytest.mark.parametrize(
    "event", ["error", "connection", "reconnect", "message", "ping", "", "Connect"]
)
def test_encode_takes_names_that_only_sound_reserved(event: str) -> None:
    assert encode(Packet(EVENT, [event])) == [f'2["{event}"]']


@pytest.mark.parametrize("data", [None, [], {}, "e", [None], [True], [{}], [b"e"], [["e"]], 1, ()])
def test_encode_refuses_an_event_without_a_name(data: Any) -> None:
    with pytest.raises(EncodeError):
        encode(Packet(EVENT, data))


@pytest.mark.parametrize("data", [{}, "x", 1, b"", True])
def test_encode_refuses_an_ack_without_a_list(data: Any) -> None:
    with pytest.raises(EncodeError):
        encode(Packet(ACK, data, "/", 1))


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        (PacketType.CONNECT, []),
        (PacketType.CONNECT, "x"),
        (PacketType.DISCONNECT, {}),
        (PacketType.CONNECT, 5),  # would be an id behind the header
        (PacketType.CONNECT, True),
        (PacketType.CONNECT, RawJSON("null")),
        (PacketType.CONNECT, RawJSON(" {}")),  # a blank is a digit to JavaScript
        (PacketType.CONNECT, date(2026, 7, 4)),
        (PacketType.CONNECT_ERROR, []),
        (PacketType.CONNECT_ERROR, 1),
        (PacketType.CONNECT_ERROR, False),
    ],
)
def test_encode_refuses_what_a_decoder_would_refuse(type_: PacketType, data: Any) -> None:
    with pytest.raises(EncodeError):
        encode(Packet(type_, data))


@pytest.mark.parametrize("nsp", ["", "admin", "/a,b", "/é,", "/漢,", "/😀,", "/\ud800"])
def test_encode_refuses_namespaces_that_would_be_read_otherwise(nsp: str) -> None:
    for refused in (
        lambda: encode(Packet(EVENT, ["e"], nsp)),
        lambda: Encoder().encode_event(nsp, "e", ()),
        lambda: Encoder().encode_packet(PacketType.DISCONNECT, nsp),
    ):
        with pytest.raises(EncodeError) as info:
            refused()
        assert info.value.path == "nsp"


def test_encode_refuses_cycles() -> None:
    cycle: list[Any] = ["e"]
    cycle.append(cycle)
    with pytest.raises(EncodeError):
        encode(Packet(EVENT, cycle))
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    with pytest.raises(EncodeError):
        encode(Packet(EVENT, ["e", ring]))


def test_encode_event_makes_an_engine_io_message() -> None:
    packet = Encoder().encode_event("/chat", "photo", ({"jpeg": b"\xff\xd8"},), 7)
    assert isinstance(packet, EncodedPacket)
    assert packet.text == '451-/chat,7["photo",{"jpeg":' + PLACEHOLDER + "}]"
    assert packet.attachments == (b"\xff\xd8",)
    assert packet.size == len(packet.text) + 2


def test_encode_event_counts_the_bytes_of_its_text() -> None:
    packet = Encoder().encode_event("/ä", "漢", ("😀",))
    assert packet.text == '42/ä,["漢","😀"]'
    assert packet.size == len(packet.text.encode())


@pytest.mark.parametrize(("event", "text"), [(1, "42[1]"), (1.5, "42[1.5]"), ("a", '42["a"]')])
def test_encode_event_takes_numbers_as_names(event: Any, text: str) -> None:
    assert Encoder().encode_event("/", event, ()).text == text


def test_encode_event_names_paths_as_if_the_event_were_the_first_item() -> None:
    with pytest.raises(EncodeError) as info:
        Encoder().encode_event("/", "e", (1, {"a": object()}))
    assert info.value.path == "data[2].a"


@pytest.mark.parametrize(
    ("type_", "nsp", "data", "id_", "text"),
    [
        (0, "/", {"sid": "x"}, None, '40{"sid":"x"}'),
        (1, "/a", None, None, "41/a,"),
        (2, "/", ["a"], 0, '420["a"]'),
        (3, "/", [], 12, "4312[]"),
        (4, "/a", {"message": "no"}, None, '44/a,{"message":"no"}'),
    ],
)
def test_encode_packet_writes_every_type(
    type_: int, nsp: str, data: Any, id_: int | None, text: str
) -> None:
    assert Encoder().encode_packet(type_, nsp, data, id_).text == text


def test_encode_packet_makes_binary_acks() -> None:
    packet = Encoder().encode_packet(PacketType.ACK, "/", [b"\x01\x02"], 13)
    assert packet.text == "461-13[" + PLACEHOLDER + "]"
    assert packet.attachments == (b"\x01\x02",)


@pytest.mark.parametrize("json", [b'{"a":[1,2]}', '"\\ud83d\\ude00"', " 1 ", "null", "1e5"])
def test_raw_json_is_copied_as_it_is(json: bytes | str) -> None:
    raw = RawJSON(json)
    expected = json if isinstance(json, bytes) else json.encode()
    assert bytes(raw).strip() == expected.strip()
    assert text_of({"raw": raw}) == '{"raw":' + bytes(raw).decode() + "}"


@pytest.mark.parametrize(
    "json", [b"", b"{", b"1 2", b"nul", b"NaN", b"\xff", b'"\xff"', b"[1,]", b"'a'", b'"\n"']
)
def test_raw_json_refuses_what_is_not_one_value(json: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the words are free
        RawJSON(json)


def test_encoders_do_not_share_options() -> None:
    small = Encoder(Limits(max_attachments=1))
    large = Encoder(Limits(max_attachments=2))
    packet = Packet(EVENT, ["e", b"a", b"b"])
    with pytest.raises(EncodeError):
        small.encode(packet)
    assert len(large.encode(packet)) == 3

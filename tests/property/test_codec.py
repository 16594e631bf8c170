"""What holds for every packet and for every sequence of messages."""

import copy
import json
import math
from typing import Any

from hypothesis import example, given, strategies as st

from roomcast.codec import (
    Decoder,
    EncodeError,
    Encoder,
    Limits,
    Packet,
    PacketError,
    PacketErrorKind,
    PacketType,
    RawJSON,
    encode,
)
from roomcast.types import RESERVED_EVENTS

EVENT = PacketType.EVENT

# With surrogates: Python programs hold them, JSON carries them.
# Two strategies, since one of all characters hardly ever meets one of 2 048 among a million.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20) | st.text(
    st.sampled_from('aé漢😀\ud800\udfff"\\\n\x00'), max_size=6
)
CLEAN_TEXTS = st.text(max_size=20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers() | st.integers(-(2**70), 2**70)
BUFFERS = st.binary(max_size=20).flatmap(
    lambda data: st.sampled_from([data, bytearray(data), memoryview(data)])
)
KEYS = TEXTS | INTEGERS | FLOATS | st.booleans() | st.none()


def payloads(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> Any:
    return st.recursive(
        leaves,
        lambda children: (
            st.lists(children, max_size=4)
            | st.lists(children, max_size=4).map(tuple)
            | st.dictionaries(keys, children, max_size=4)
        ),
        max_leaves=15,
    )


SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS
ANYTHING = payloads(SCALARS | TEXTS | BUFFERS, KEYS)
CLEAN = payloads(SCALARS | CLEAN_TEXTS, CLEAN_TEXTS)
EVENTS = CLEAN_TEXTS.filter(lambda name: name not in RESERVED_EVENTS)
NAMESPACES = st.just("/") | CLEAN_TEXTS.map(lambda name: "/" + name.replace(",", ""))
IDS = st.none() | st.integers(0, 2**53 - 1)
LIMITS = Limits(max_attachments=100)


def carried(value: Any) -> Any:
    """Return a payload as JSON carries it.

    The keys are spelled by the encoder itself here; `test_encode` holds their spelling.
    """
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, list | tuple):
        return [carried(item) for item in value]
    if isinstance(value, dict):
        return {spelled(key): carried(item) for key, item in value.items()}
    return value


def readable(text: str) -> str:
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in joined)


def spelled(key: Any) -> str:
    if isinstance(key, str):
        return readable(key)
    packet = Decoder().feed(encode(Packet(PacketType.ACK, [{key: 0}], "/", 0))[0])
    assert packet is not None
    (text,) = packet.data[0]
    assert isinstance(text, str)
    return text


def looks_like_a_placeholder(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("_placeholder") is True or any(
            map(looks_like_a_placeholder, value.values())
        )
    return isinstance(value, list | tuple) and any(map(looks_like_a_placeholder, value))


def decoded(messages: list[str | bytes]) -> Packet:
    decoder = Decoder(LIMITS)
    *first, last = messages
    text = messages[0]
    assert isinstance(text, str)
    # A string that is stored wider than it needs to be is equal to no other.
    assert text == text.encode().decode()
    for message in first:
        assert decoder.feed(message) is None
    packet = decoder.feed(last)
    assert packet is not None
    assert decoder.pending_size == 0
    return packet


@given(EVENTS | INTEGERS | FLOATS, st.lists(ANYTHING, max_size=4), NAMESPACES, IDS)
def test_events_come_back(name: Any, args: list[Any], nsp: str, id_: int | None) -> None:
    packet = Packet(EVENT, [name, *args], nsp, id_)
    assert decoded(encode(packet, limits=LIMITS)) == Packet(EVENT, carried([name, *args]), nsp, id_)


@given(st.lists(ANYTHING, max_size=4), NAMESPACES, st.integers(0, 2**53 - 1))
def test_acks_come_back(args: list[Any], nsp: str, id_: int) -> None:
    packet = Packet(PacketType.ACK, tuple(args), nsp, id_)
    assert decoded(encode(packet, limits=LIMITS)) == Packet(PacketType.ACK, carried(args), nsp, id_)


@given(TEXTS, TEXTS)
def test_texts_come_back(text: str, key: str) -> None:
    for value in (text, [text], {key: text}):
        packet = Packet(PacketType.ACK, [value], "/", 0)
        assert decoded(encode(packet)) == Packet(PacketType.ACK, carried([value]), "/", 0)


@given(st.none() | st.dictionaries(CLEAN_TEXTS, CLEAN, max_size=4), NAMESPACES)
def test_connects_come_back(data: Any, nsp: str) -> None:
    for type_ in (PacketType.CONNECT, PacketType.CONNECT_ERROR):
        assert decoded(encode(Packet(type_, data, nsp))) == Packet(type_, carried(data), nsp)


@given(st.lists(ANYTHING, max_size=4))
def test_encode_event_says_what_encode_says(args: list[Any]) -> None:
    text, *attachments = encode(Packet(EVENT, ["e", *args], "/n", 3), limits=LIMITS)
    packet = Encoder(LIMITS).encode_event("/n", "e", tuple(args), 3)
    assert isinstance(text, str)
    assert packet.text == f"4{text}"
    assert list(packet.attachments) == attachments
    assert packet.size == len(packet.text.encode()) + sum(map(len, attachments))
    whole = Decoder(LIMITS).feed(packet.text, 1)
    assert (whole is None) == bool(attachments)


@given(st.lists(ANYTHING, max_size=4))
def test_encode_leaves_its_input_alone(args: list[Any]) -> None:
    data = ["e", *args]
    before = copy.deepcopy(
        [bytes(item) if isinstance(item, memoryview) else item for item in map(frozen, data)]
    )
    encode(Packet(EVENT, data), limits=LIMITS)
    assert list(map(frozen, data)) == before


def frozen(value: Any) -> Any:
    """Return a copy that keeps types apart and holds no memoryview, which cannot be copied."""
    if isinstance(value, list | tuple):
        return (type(value), [frozen(item) for item in value])
    if isinstance(value, dict):
        return [(key, frozen(item)) for key, item in value.items()]
    if isinstance(value, bytes | bytearray | memoryview):
        return (type(value), bytes(value))
    return value


@given(CLEAN)
def test_json_is_what_the_standard_library_reads(value: Any) -> None:
    (text,) = encode(Packet(PacketType.ACK, [value], "/", 0))
    assert isinstance(text, str)
    assert json.loads(text[2:]) == [carried(value)]


@given(CLEAN)
def test_json_of_the_standard_library_is_read(value: Any) -> None:
    expected = [carried(value)]
    for text in (
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        json.dumps(value, indent=1, separators=(" , ", " : ")),
    ):
        packet = Decoder().feed(f"3[{text}]")
        assert packet is not None
        assert packet.data == expected
        assert repr(packet.data) == repr(json.loads(f"[{text}]"))  # tells 1 from 1.0, and -0.0
        assert bytes(RawJSON(text)).decode().strip() == text.strip()


@given(FLOATS)
@example(5e-324)
@example(1.7976931348623157e308)
def test_floats_come_back_exactly(number: float) -> None:
    packet = decoded(encode(Packet(PacketType.ACK, [number], "/", 0)))
    assert packet.data == [number]
    assert math.copysign(1, packet.data[0]) == math.copysign(1, number)
    assert type(packet.data[0]) is float


# Pieces of the grammar and free text, in any order: most of it is refused, at every stage.
GRAMMAR = st.sampled_from(
    [
        *'0123456789-,/[]{}":\\ ',
        "51-",
        "52-",
        "510-",
        "/nsp,",
        '["a"',
        ",",
        "]",
        '{"_placeholder":true,"num":0}',
        '{"_placeholder":true,"num":1}',
        '{"_placeholder":true,"num":',
        "\\ud800",
        "\\ude00",
        "\ud800",
        "1e400",
        "null",
        "true",
        "[" * 201,
        "9" * 4301,
        "é",
        "😀",
    ]
)
MESSAGES = st.one_of(
    TEXTS,
    st.lists(GRAMMAR, max_size=10).map("".join),
    st.lists(GRAMMAR | TEXTS, max_size=6).map(lambda parts: '2["a",' + "".join(parts) + "]"),
    st.lists(GRAMMAR | TEXTS, max_size=6).map(lambda parts: '51-["a",' + "".join(parts) + "]"),
    st.binary(max_size=8),
    st.binary(max_size=8).map(bytearray),
)


@given(st.lists(MESSAGES, max_size=6), st.integers(0, 3))
def test_any_messages_give_packets_or_a_packet_error(messages: list[Any], start: int) -> None:
    decoder = Decoder()
    errors: list[PacketError] = []
    for message in messages:
        # `start` is the caller's, and is promised to stand behind ASCII.
        text = isinstance(message, str)
        try:
            result = decoder.feed("4" * start + message if text else message, start if text else 0)
        except PacketError as error:
            errors.append(error)
        else:
            assert not errors
            assert result is None or isinstance(result, Packet)
            assert (result is None) == (decoder.pending_size > 0)
            continue
        size = len(message.encode("utf-8", "surrogatepass")) if text else 0
        assert 0 <= errors[-1].offset <= size
        assert decoder.pending_size == 0
    assert all(error.kind is PacketErrorKind.DECODER_CLOSED for error in errors[1:])


@given(st.lists(st.tuples(EVENTS, st.lists(ANYTHING, max_size=3)), max_size=6), st.data())
def test_packets_of_one_connection_come_out_in_order(
    events: list[tuple[str, list[Any]]], data: st.DataObject
) -> None:
    packets = [Packet(EVENT, [name, *args]) for name, args in events]
    messages = [message for packet in packets for message in encode(packet, limits=LIMITS)]
    cut = data.draw(st.integers(0, len(messages)))
    decoder = Decoder(LIMITS)
    first = [decoder.feed(message) for message in messages[:cut]]
    pending = bool(first) and first[-1] is None
    assert (decoder.pending_size > 0) == pending
    rest = [decoder.feed(message) for message in messages[cut:]]
    assert [packet for packet in first + rest if packet is not None] == [
        Packet(EVENT, carried(packet.data)) for packet in packets
    ]
    # A connection that is cut in the middle leaves nothing to the next one: decoders share nothing.
    if pending and messages[cut:]:
        assert Decoder(LIMITS).feed('2["fresh"]') == Packet(EVENT, ["fresh"])


@given(st.recursive(st.none(), lambda children: st.lists(children, max_size=2), max_leaves=8))
def test_what_passes_the_depth_limit_out_passes_it_in(value: Any) -> None:
    for depth in range(1, 7):
        limits = Limits(max_depth=depth)
        try:
            (text,) = encode(Packet(EVENT, ["e", value]), limits=limits)
        except EncodeError:
            (text,) = encode(Packet(EVENT, ["e", value]))
            refused = True
        else:
            refused = False
        try:
            Decoder(limits).feed(text)
        except PacketError:
            assert refused
        else:
            assert not refused

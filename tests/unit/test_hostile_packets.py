"""The rows of hardening.md, "Hostile input: packets", that the codec alone decides; one test per row."""

import math
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from roomcast.codec import (
    Decoder,
    Limits,
    Packet,
    PacketError,
    PacketErrorKind as Kind,
    PacketType,
    encode,
)
from roomcast.types import RESERVED_EVENTS

EVENT = PacketType.EVENT
PLACEHOLDER = '{"_placeholder":true,"num":%s}'


def refused(text: str) -> Kind:
    """Return why a text is refused at once."""
    decoder = Decoder()
    with pytest.raises(PacketError) as info:
        decoder.feed(text)
    assert decoder.pending_size == 0
    return info.value.kind


@pytest.mark.parametrize(
    "text",
    ['5999999999-["a"]', '511-["a"]', '5a-["a"]', '51.23-["a"]', "5", "51", "5" + "9" * 100_000],
)
def test_attachments_are_refused_at_the_header(text: str) -> None:
    assert refused(text) in {Kind.ILLEGAL_ATTACHMENTS, Kind.TOO_MANY_ATTACHMENTS}


@pytest.mark.parametrize(
    "num",
    [
        '"splice"', '"__class__"', "-1", "1.0", "1e400", "true", "null", "[]", "1", "2",
        "9223372036854775808", "4294967296", "18446744073709551616",
    ],
)  # fmt: skip
def test_placeholder_numbers_are_checked(num: str) -> None:
    assert refused('51-["a",' + PLACEHOLDER % num + "]") is Kind.ILLEGAL_PLACEHOLDER


def test_placeholder_without_number_is_refused() -> None:
    assert refused('51-["a",{"_placeholder":true}]') is Kind.ILLEGAL_PLACEHOLDER


@pytest.mark.parametrize("flag", ["1", '"true"', "{}", "[true]", "null"])
def test_placeholder_flag_is_literally_true(flag: str) -> None:
    decoder = Decoder()
    assert decoder.feed(f'51-["a",{{"_placeholder":{flag},"num":7}}]') is None
    packet = decoder.feed(b"x")
    assert packet is not None
    assert packet.data[1]["num"] == 7


def test_placeholder_may_repeat_and_attachments_may_be_unused() -> None:
    decoder = Decoder()
    assert decoder.feed('52-["a",' + PLACEHOLDER % 1 + "," + PLACEHOLDER % 1 + "]") is None
    assert decoder.feed(b"0") is None
    assert decoder.feed(b"1") == Packet(EVENT, ["a", b"1", b"1"])
    # The decoder is clean afterwards.
    assert decoder.pending_size == 0
    assert decoder.feed('2["b"]') == Packet(EVENT, ["b"])


@pytest.mark.parametrize("type_", [PacketType.EVENT, PacketType.ACK])
@pytest.mark.parametrize(
    "look",
    [{"_placeholder": True, "num": 0}, {"_placeholder": True, "num": "x"}, {"_placeholder": True}],
)
def test_user_placeholder_comes_back_unchanged(type_: PacketType, look: dict[str, Any]) -> None:
    packet = Packet(type_, ["a", look, [look]], "/", 1)
    (text,) = encode(packet)
    assert isinstance(text, str)
    assert text[0] == str(int(type_))
    assert Decoder().feed(text) == packet


def test_interleaved_text_is_refused() -> None:
    decoder = Decoder()
    decoder.feed('52-["a"]')
    decoder.feed(b"0")
    with pytest.raises(PacketError) as info:
        decoder.feed('2["b"]')
    assert info.value.kind is Kind.UNEXPECTED_TEXT
    assert decoder.pending_size == 0


def test_attachment_without_header_is_refused() -> None:
    with pytest.raises(PacketError) as info:
        Decoder().feed(b"x")
    assert info.value.kind is Kind.UNEXPECTED_BINARY


@pytest.mark.parametrize("payload", ['[{"toString":"x"}]', "[true]", "[null]", "[]", '[["a"]]'])
def test_event_name_is_a_text_or_a_number(payload: str) -> None:
    assert refused("2" + payload) is Kind.INVALID_PAYLOAD
    assert refused("51-" + payload) is Kind.INVALID_PAYLOAD


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
def test_event_name_is_not_reserved(name: str) -> None:
    assert refused(f'2["{name}"]') is Kind.RESERVED_EVENT
    escaped = "".join(f"\\u{ord(character):04x}" for character in name)
    assert refused(f'2["{escaped}"]') is Kind.RESERVED_EVENT


@pytest.mark.parametrize("name", ["__init__", "\x00", "x" * 1_000_000, "connect\x00", "CONNECT"])
def test_event_name_may_be_anything_else(name: str) -> None:
    (text,) = encode(Packet(EVENT, [name]))
    assert Decoder().feed(text) == Packet(EVENT, [name])


@pytest.mark.parametrize("text", ["0[]", "0null", '0"x"', "0/a,[]", "0true", "01"])
def test_connect_data_is_an_object(text: str) -> None:
    if text == "01":  # an id, which is ignored
        assert Decoder().feed(text) == Packet(PacketType.CONNECT, None, "/", 1)
    else:
        assert refused(text) is Kind.INVALID_PAYLOAD


@pytest.mark.parametrize(
    "id_", [str(2**53), str(2**64), str(2**64 + 1), "9" * 100, "9" * 1_000_000]
)
def test_ack_id_is_exact(id_: str) -> None:
    assert refused(f'2{id_}["a"]') is Kind.ID_TOO_LARGE
    assert refused(f"3{id_}[]") is Kind.ID_TOO_LARGE


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ("1," * 10_000_000 + "1", Kind.TOO_MANY_VALUES),
        ("[]," * 333_333 + "[]", Kind.TOO_MANY_VALUES),
        ("{}," * 333_333 + "{}", Kind.TOO_MANY_VALUES),
        ("[" * 201 + "]" * 201, Kind.TOO_DEEP),
        ("[" * 5_000 + "]" * 5_000, Kind.TOO_DEEP),
        ("[" * 100_000, Kind.TOO_DEEP),
        ('{"a":' * 100_000, Kind.TOO_DEEP),
    ],
    ids=["values", "lists", "objects", "201", "5000", "open", "open objects"],
)
def test_values_and_depth_are_refused_before_an_object_is_made(payload: str, kind: Kind) -> None:
    text = '2["a",' + payload + "]"
    if len(text) > 11_000_000:
        assert refused(text) in {kind, Kind.PACKET_TOO_LARGE}
        return
    assert refused(text) is kind


def test_refusing_many_values_makes_no_objects() -> None:
    # A process of its own, since the high-water mark of memory cannot be taken back.
    program = (
        "import resource\n"
        "from roomcast.codec import Decoder, PacketError\n"
        "text = '2[\"a\"' + ',[]' * 3_300_000 + ']'\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    Decoder().feed(text)\n"
        "except PacketError as error:\n"
        "    print(error.kind)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20
    )
    kind, rise = done.stdout.splitlines()
    assert Kind(kind) is Kind.TOO_MANY_VALUES
    assert int(rise) < 4 * 1024  # KiB; the 3.3 M lists would be 180 MB


@pytest.mark.parametrize("number", ["9" * 5_000, "-" + "9" * 5_000])
def test_numbers_of_too_many_digits_are_refused(number: str) -> None:
    assert refused(f'2["a",{number}]') is Kind.INTEGER_TOO_LONG


def test_numbers_beyond_a_double_are_infinite() -> None:
    packet = Decoder().feed('2["a",1e400,-1e400]')
    assert packet is not None
    assert packet.data[1:] == [float("inf"), float("-inf")]
    assert refused('2["a",NaN]') is Kind.INVALID_JSON
    assert refused('2["a",Infinity]') is Kind.INVALID_JSON


def test_surrogates_never_disconnect() -> None:
    cut = "\\ud83d"
    packet = Decoder().feed(f'2["{cut}",{{"{cut}":"{cut}"}}]')
    assert packet is not None
    assert packet.data == ["\ufffd", {"\ufffd": "\ufffd"}]


def best_of(repeats: int, action: Callable[[], Any]) -> float:
    """Return the shortest of several times: noise only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        action()
        times.append(time.thread_time() - start)
    return min(times)


# The default limit on values is looked at from 500 kB on only. With this one both sizes are counted through, or the step
# between them would look like a square.
COUNTED = Limits(max_values=40_000)


def attempt(text: str, limits: Limits = COUNTED) -> None:
    try:
        Decoder(limits).feed(text)
    except PacketError:
        pass


@pytest.mark.parametrize(
    ("head", "unit", "tail"),
    [
        ("5", "1", ""),
        ("5", "1", '-["a"]'),
        ("2/", "a", ""),
        ("2/", "a", ',["a"]'),
        ("2", "9", ""),
        ("2", "9", '["a"]'),
        ("2", "[", ""),
        ('2["a"', ",[", ""),
        ('2["a",', "{", ""),
        ('2["', '\\"', '"]'),
        ('2["', "\\\\", '"]'),
        ('2["', '"', ""),
        ('2["a"', ',""', "]"),
        ('2["', "\\ud800", '"]'),
        ('2["', "\\u0000", '"]'),
        ('2["', "é", '"]'),
        ('2["', "é\\ud800", '"]'),
        ('2["a",', "1", "]"),
        ('2["a",', "1", ".5]"),
        ('2["a",0.', "1", "]"),
        ('2["a",1e', "1", "]"),
        ('2["a"', ",1", "]"),
        ('2["a"', ',{"a":1}', "]"),
        ('2["a",{"a":1', ',"a":1', "}]"),
        ('2["a"', " ", "]"),
        ('51-["a"', "," + PLACEHOLDER % 0, "]"),
    ],
)
def test_cost_is_linear(head: str, unit: str, tail: str) -> None:
    small = head + unit * (100_000 // len(unit)) + tail
    large = head + unit * (1_000_000 // len(unit)) + tail
    ratio = math.inf
    for _ in range(3):  # a noisy neighbour may spoil a try, not three
        # Below 20 us the clock measures itself.
        small_time = max(best_of(5, lambda: attempt(small)), 20e-6)
        ratio = min(ratio, best_of(3, lambda: attempt(large)) / small_time)
        if ratio < 15:
            break
    assert ratio < 15
    # The longest a packet may hold the loop.
    assert best_of(9, lambda: attempt(large, Limits())) < 0.02


def test_hash_seeds_differ_between_processes() -> None:
    # The keys become Python strings, whose hash CPython seeds; nothing of ours stands in between. Colliding keys cost
    # a dict its speed only if a peer can know the seed.
    program = 'from roomcast.codec import Decoder; print(hash(next(iter(Decoder().feed(\'2["a",{"key":1}]\').data[1]))))'
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20
        ).stdout
        for _ in range(3)
    }
    assert len(hashes) > 1


@pytest.mark.parametrize("cut", range(8))
def test_cut_line_leaves_a_new_decoder_empty(cut: int) -> None:
    packet = Packet(EVENT, ["a", b"0", {"b": b"1"}, [b"2"]])
    messages = encode(packet)
    first = Decoder()
    for message in messages[:cut][:3]:
        assert first.feed(message) is None
    first.close()
    assert first.pending_size == 0
    again = Decoder()
    assert again.pending_size == 0
    assert [again.feed(message) for message in messages][-1] == packet

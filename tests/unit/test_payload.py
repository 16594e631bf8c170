"""Polling payloads: splitting, writing within a limit, and the base64 in them."""

import gc
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from roomcast._core import (
    EncodedPacket,
    Encoder,
    decode_base64,
    decode_payload,
    encode_payload,
)

NO_LIMIT = 1 << 30


def event(*args: Any) -> EncodedPacket:
    return Encoder().encode_event("/", "e", args)


def drained(packets: list[EncodedPacket | str], limit: int) -> list[bytes]:
    """Return the payloads that bring a queue to its end, as a transport does it."""
    queue = deque(packets)
    skip = 0
    payloads = []
    while queue:
        payload, done, skip = encode_payload(queue, skip, limit)
        payloads.append(payload)
        for _ in range(done):
            queue.popleft()
    assert skip == 0
    return payloads


# Splitting


@pytest.mark.parametrize(
    ("body", "packets"),
    [
        (b"4hello\x1ebAQIDBA==\x1e2", ["4hello", b"\x01\x02\x03\x04", "2"]),
        (b"4hello", ["4hello"]),
        (b"2", ["2"]),
        (b"4", ["4"]),
        (b"0\x1e1\x1e2\x1e3probe\x1e4\x1e5\x1e6", ["0", "1", "2", "3probe", "4", "5", "6"]),
        ("4é\x1e4漢\x1e4😀\x1e4a".encode(), ["4é", "4漢", "4😀", "4a"]),
        (b"4\x00\x1f", ["4\x00\x1f"]),
        (b"b", [b""]),
        (b"b\x1e2", [b"", "2"]),
        (b"b@@@@\x1e2", [b"", "2"]),
        ("bAQé😀IDBA\x1e2".encode(), [b"\x01\x02\x03\x04", "2"]),
    ],
)
def test_payload_is_split_into_its_packets(body: bytes, packets: list[str | bytes]) -> None:
    assert decode_payload(body) == packets


@pytest.mark.parametrize(
    ("body", "packets"),
    [
        (b"", [""]),
        (b"4a\x1e", ["4a", ""]),
        (b"4a\x1e\x1e4b", ["4a", ""]),
        (b"4a\x1e7b\x1e4c", ["4a", "7b"]),
        (b"4a\x1eB\x1e4c", ["4a", "B"]),
        ("4a\x1eé4\x1e4c".encode(), ["4a", "é4"]),
        (b"4a\x1e4\xff\x1e4c", ["4a", ""]),
        (b"4a\x1e\xed\xa0\x80\x1e4c", ["4a", ""]),
        (b"4a\x1ebQU\xffJD\x1e4c", ["4a", ""]),
        (b"\xef\xbb\xbf4a", ["\ufeff4a"]),
    ],
)
def test_payload_ends_at_what_is_no_packet(body: bytes, packets: list[str | bytes]) -> None:
    assert decode_payload(body) == packets


def test_payload_of_separators_is_one_item() -> None:
    assert decode_payload(b"\x1e" * 1_000_000) == [""]


def test_payload_has_no_limit_on_packets() -> None:
    packets: list[str | bytes] = [f"4{number}" for number in range(5_000)]
    assert decode_payload("\x1e".join(map(str, packets)).encode()) == packets


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_payload_may_be_any_bytes(kind: Any) -> None:
    assert decode_payload(kind(b"4a\x1ebQUI=")) == ["4a", b"AB"]


@pytest.mark.parametrize("body", ["4a", None, 4, [b"4a"]])
def test_payload_must_be_bytes(body: Any) -> None:
    with pytest.raises(TypeError, match="a payload is bytes, not"):
        decode_payload(body)


# Writing


def test_payload_is_the_documented_one() -> None:
    packet = event(b"\x01\x02\x03\x04")
    payload, done, messages = encode_payload(["4hello", packet, "2"], 0, NO_LIMIT)
    text = packet.text.encode()
    assert payload == b"4hello\x1e" + text + b"\x1ebAQIDBA==\x1e2"
    assert (done, messages) == (3, 0)


@pytest.mark.parametrize("limit", [0, 10, NO_LIMIT])
@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("packets", [[], deque()])
def test_payload_of_nothing_is_empty(packets: Any, skip: int, limit: int) -> None:
    assert encode_payload(packets, skip, limit) == (b"", 0, 0)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (0, (b"4aa", 1, 0)),
        (3, (b"4aa", 1, 0)),
        (6, (b"4aa", 1, 0)),
        (7, (b"4aa\x1e4bb", 2, 0)),
        (8, (b"4aa\x1e4bb", 2, 0)),
        (9, (b"4aa\x1e4bb\x1e6", 3, 0)),
        (10, (b"4aa\x1e4bb\x1e6", 3, 0)),
    ],
)
def test_payload_keeps_to_its_limit(limit: int, expected: tuple[bytes, int, int]) -> None:
    assert encode_payload(["4aa", "4bb", "6"], 0, limit) == expected


def test_payload_counts_bytes_not_characters() -> None:
    assert encode_payload(["4é", "4😀"], 0, 8) == ("4é".encode(), 1, 0)
    assert encode_payload(["4é", "4😀"], 0, 9) == ("4é\x1e4😀".encode(), 2, 0)
    packet = event("漢")
    size = len(packet.text.encode())
    assert encode_payload(["2", packet], 0, size + 1) == (b"2", 1, 0)
    assert encode_payload(["2", packet], 0, size + 2) == (f"2\x1e{packet.text}".encode(), 2, 0)


def test_payload_counts_base64() -> None:
    packet = event(b"four", b"5 byt")  # 9 bytes each in a payload
    text = packet.text.encode()
    first, second = b"bZm91cg==", b"bNSBieXQ="
    whole = b"\x1e".join([text, first, second])
    for limit, expected in [
        (0, (text, 0, 1)),
        (len(text) + 9, (text, 0, 1)),
        (len(text) + 10, (text + b"\x1e" + first, 0, 2)),
        (len(whole) - 1, (text + b"\x1e" + first, 0, 2)),
        (len(whole), (whole, 1, 0)),
        (len(whole) + 1, (whole, 1, 0)),
        (len(whole) + 2, (whole + b"\x1e2", 2, 0)),
    ]:
        assert encode_payload([packet, "2"], 0, limit) == expected


def test_payload_goes_on_where_the_last_one_stopped() -> None:
    packet = event(b"a", b"b", b"c")
    a, b, c = b"bYQ==", b"bYg==", b"bYw=="
    assert encode_payload([packet, "2"], 1, 5) == (a, 0, 2)
    assert encode_payload([packet, "2"], 2, 5) == (b, 0, 3)
    assert encode_payload([packet, "2"], 3, 5) == (c, 1, 0)
    assert encode_payload([packet, "2"], 1, 11) == (a + b"\x1e" + b, 0, 3)
    assert encode_payload([packet, "2"], 1, NO_LIMIT) == (b"\x1e".join([a, b, c, b"2"]), 2, 0)
    # Only the first packet is meant.
    payload, done, messages = encode_payload([packet, packet], 3, NO_LIMIT)
    assert payload == b"\x1e".join([c, packet.text.encode(), a, b, c])
    assert (done, messages) == (2, 0)


def test_payload_skips_a_whole_packet() -> None:
    packet = event(b"a")
    for skip in (2, 3, 100):
        assert encode_payload([packet, "2"], skip, 0) == (b"2", 2, 0)
        assert encode_payload([packet], skip, 0) == (b"", 1, 0)
    assert encode_payload(["2", "3"], 1, 0) == (b"3", 2, 0)
    assert encode_payload([event("a"), "3"], 1, 0) == (b"3", 2, 0)


def test_payload_takes_an_empty_message_for_one() -> None:
    assert encode_payload(["", "2"], 0, 0) == (b"", 1, 0)
    assert encode_payload(["", "2"], 0, 2) == (b"\x1e2", 2, 0)


@pytest.mark.parametrize("limit", [0, 1, 9, 10, 40, 100, NO_LIMIT])
def test_payloads_bring_every_message_in_order(limit: int) -> None:
    packets = ["0{}", event("é", b"x" * 5), "6", event(), event(b"y" * 40, b"", b"z"), "2"]
    payloads = drained(packets, limit)
    messages: list[str | bytes] = []
    for packet in packets:
        if isinstance(packet, str):
            messages.append(packet)
        else:
            messages += [packet.text, *packet.attachments]
    assert [item for payload in payloads for item in decode_payload(payload)] == messages
    for payload in payloads:
        assert len(payload) <= limit or b"\x1e" not in payload


def test_payload_leaves_its_queue_alone() -> None:
    packets: list[EncodedPacket | str] = ["4a", event(b"b"), "2"]
    queue = deque(packets)
    first = encode_payload(queue, 0, NO_LIMIT)
    assert list(queue) == packets
    assert encode_payload(queue, 0, NO_LIMIT) == first


def test_payload_does_not_look_beyond_its_end() -> None:
    taken = 0

    def packets() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "4a"

    assert encode_payload(packets(), 0, 8) == (b"4a\x1e4a\x1e4a", 3, 0)
    assert taken == 4


def test_payload_passes_on_what_its_packets_raise() -> None:
    def packets() -> Iterator[str]:
        yield "4a"
        raise LookupError("queue")

    with pytest.raises(LookupError, match="queue"):
        encode_payload(packets(), 0, NO_LIMIT)
    assert encode_payload(["2"], 0, 0) == (b"2", 1, 0)


def test_payload_is_written_while_another_one_is() -> None:
    inner = []

    def packets() -> Iterator[str]:
        yield "4a"
        inner.append(encode_payload(["4b", event("c")], 0, 2))
        yield "4d"

    assert encode_payload(packets(), 0, NO_LIMIT) == (b"4a\x1e4d", 2, 0)
    assert inner == [(b"4b", 1, 0)]


@pytest.mark.parametrize("packet", [b"4a", None, 4, ["4a"]])
def test_payload_is_made_of_packets(packet: Any) -> None:
    with pytest.raises(TypeError, match="a payload is made of EncodedPacket and str, not"):
        encode_payload(["4a", packet], 0, NO_LIMIT)


def test_payload_refuses_lone_surrogates() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_payload(["4\ud800"], 0, NO_LIMIT)
    (text,) = decode_payload(encode_payload([event("\ud800")], 0, NO_LIMIT)[0])
    assert text == event("\ud800").text


@pytest.mark.parametrize("arguments", [(["2"], -1, 0), (["2"], 0, -1)])
def test_payload_refuses_negative_numbers(arguments: Any) -> None:
    with pytest.raises(OverflowError):
        encode_payload(*arguments)


def test_payload_keeps_no_references() -> None:
    packet, text = event("é", b"x" * 100), "4" + "a" * 100
    encode_payload([packet, text], 0, NO_LIMIT)  # makes what the packet keeps
    gc.collect()
    before = [sys.getrefcount(item) for item in (packet, text, packet.text, *packet.attachments)]
    for limit in (0, 50, 200, NO_LIMIT) * 50:
        encode_payload([packet, text], 0, limit)
    after = [sys.getrefcount(item) for item in (packet, text, packet.text, *packet.attachments)]
    assert after == before


# Base64. What Node.js 20 makes of each.


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("AQIDBA==", b"\x01\x02\x03\x04"),
        ("AQIDBA", b"\x01\x02\x03\x04"),
        ("AQIDBA=", b"\x01\x02\x03\x04"),
        ("AQIDB", b"\x01\x02\x03"),
        ("A", b""),
        ("A===", b""),
        ("QR", b"A"),
        ("-_-_", b"\xfb\xff\xbf"),
        ("+/+/", b"\xfb\xff\xbf"),
        ("@@@@", b""),
        ("=bad", b""),
        ("Q=UJD", b""),
        ("QQ=Q", b"A"),
        ("QQ==QQ==", b"A"),
        ("QUJD===QUJD", b"ABC"),
        ("Q U\nJ D", b"ABC"),
        ("Q\x00UJD", b"ABC"),
        ("é", b""),
        ("QUéJD", b"ABC"),
    ],
)
def test_base64_is_as_lenient_as_in_node(text: str, data: bytes) -> None:
    assert decode_base64(text) == data
    assert decode_base64("b" + text, 1) == data
    assert decode_payload(b"b" + text.encode()) == [data]


# Node.js makes bytes of the low half of some of these.
@pytest.mark.parametrize("wide", ["Ł", "漢", "\ud800", "😀"])
def test_base64_skips_wide_characters(wide: str) -> None:
    for at in range(7):
        text = "AQIDBA"[:at] + wide + "AQIDBA"[at:]
        assert decode_base64(text) == b"\x01\x02\x03\x04"
        assert decode_base64("b" + text, 1) == b"\x01\x02\x03\x04"
        assert decode_base64(wide + "b" + text, 2) == b"\x01\x02\x03\x04"


@pytest.mark.parametrize("text", ["bQUJD", "bQUéJD", "bQU漢JD", "bQU😀JD"])
def test_base64_may_start_behind_its_end(text: str) -> None:
    for start in (len(text), len(text) + 1, sys.maxsize):
        assert decode_base64(text, start) == b""


@pytest.mark.parametrize("arguments", [(b"QQ==",), (None,), ("QQ==", "1"), ()])
def test_base64_takes_text(arguments: Any) -> None:
    with pytest.raises(TypeError):
        decode_base64(*arguments)

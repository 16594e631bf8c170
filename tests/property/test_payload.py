"""What holds for every payload."""

import base64
from collections import deque
from typing import Any

from hypothesis import example, given, strategies as st

from roomcast._core import (
    EncodedPacket,
    Encoder,
    decode_base64,
    decode_payload,
    encode_payload,
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.text(
    st.sampled_from('aé漢😀"\x1e\x00'), max_size=6
)
BINARY = st.binary(max_size=30)
EVENTS = st.lists(TEXTS | BINARY, max_size=4).map(
    lambda args: Encoder().encode_event("/", "e", tuple(args))
)
# A packet of Engine.IO's own; U+001E is the one character that it cannot hold.
ENGINE_PACKETS = st.builds(
    lambda digit, text: digit + text.replace("\x1e", ""), st.sampled_from("0123456"), TEXTS
)
PACKETS = st.lists(EVENTS | ENGINE_PACKETS, max_size=8)


def messages(packets: list[EncodedPacket | str]) -> list[str | bytes]:
    result: list[str | bytes] = []
    for packet in packets:
        if isinstance(packet, str):
            result.append(packet)
        else:
            result += [packet.text, *packet.attachments]
    return result


@given(PACKETS)
def test_packets_come_back(packets: list[EncodedPacket | str]) -> None:
    payload, done, more = encode_payload(packets, 0, 1 << 30)
    assert (done, more) == (len(packets), 0)
    if packets:
        assert decode_payload(payload) == messages(packets)
        assert decode_payload(bytearray(payload)) == messages(packets)
    else:
        assert payload == b""


@given(PACKETS, st.integers(0, 200))
def test_packets_come_back_from_several_payloads(
    packets: list[EncodedPacket | str], limit: int
) -> None:
    queue = deque(packets)
    skip = 0
    back: list[str | bytes] = []
    while queue:
        payload, done, skip = encode_payload(queue, skip, limit)
        assert payload
        assert len(payload) <= limit or b"\x1e" not in payload
        back += decode_payload(payload)
        for _ in range(done):
            queue.popleft()
    assert skip == 0
    assert back == messages(packets)


def plain_payload(body: bytes) -> list[str | bytes]:
    result: list[str | bytes] = []
    for piece in body.split(b"\x1e"):
        try:
            text = piece.decode()
        except UnicodeDecodeError:
            text = ""
        if text.startswith("b"):
            result.append(plain_base64(text[1:]))
            continue
        result.append(text)
        if not text or text[0] not in "0123456":
            break
    return result


def plain_base64(text: str) -> bytes:
    text, *_ = text.split("=")
    text = "".join(char for char in text if char.isascii() and (char.isalnum() or char in "+/-_"))
    text = text[: len(text) - (len(text) % 4 == 1)]
    return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "==")


PIECES = st.one_of(
    st.sampled_from([b"\x1e", b"4", b"b", b"=", b"2probe", b"7", "é".encode(), b"\xff", b"-_+/"]),
    st.binary(max_size=12),
    st.binary(max_size=40).map(lambda data: b"b" + base64.b64encode(data)),
    ENGINE_PACKETS.map(str.encode),
)


@given(st.lists(PIECES, max_size=12).map(b"".join) | st.lists(PIECES, max_size=6).map(b"\x1e".join))
@example(b"")
@example(b"4a\x1e")
def test_any_bytes_are_split_as_the_plain_splitting_does_it(body: bytes) -> None:
    packets = decode_payload(body)
    assert packets == plain_payload(body)
    # A string that is stored wider than it needs to be is equal to no other.
    for packet in packets:
        assert isinstance(packet, bytes) or packet == packet.encode().decode()


@given(st.binary(max_size=100), st.data())
def test_base64_comes_back(content: bytes, data: st.DataObject) -> None:
    text = data.draw(
        st.sampled_from([base64.b64encode(content), base64.urlsafe_b64encode(content)])
    ).decode()
    assert decode_base64(text) == content
    assert decode_base64(text.rstrip("=")) == content
    packet: Any = Encoder().encode_event("/", "e", (content,))
    written, done, _ = encode_payload([packet], 1, 0)
    assert (written, done) == (b"b" + base64.b64encode(content), 1)


@given(
    st.text(
        st.characters(exclude_categories=()) | st.sampled_from("ABCabc019+/-_=\n 漢é😀"),
        max_size=40,
    ),
    st.integers(0, 45),
)
def test_any_text_is_read_as_the_plain_reading_does_it(text: str, start: int) -> None:
    assert decode_base64(text, start) == plain_base64(text[start:])

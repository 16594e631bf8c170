"""`roomcast.msgpack` beside socket.io-msgpack-parser 3.0.2, in both directions."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from roomcast.codec import Packet, PacketType
from roomcast.errors import PacketError, PacketErrorKind
from roomcast.msgpack import Decoder, Encoder, Ext
from support import generate
from support.reference import UNDEFINED, Reference, missing_reference

pytestmark = pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference()))

SEEDS = range(8)
BATCH = 250


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    with Reference("socket.io-msgpack-parser") as process:
        yield process


def arrived(value: Any) -> Any:
    """Return a value as it arrives: equal values where types differ between the languages."""
    if value is UNDEFINED:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value) if math.isnan(value) else float(value)
    if isinstance(value, list | tuple):
        return [arrived(item) for item in value]
    if isinstance(value, dict):
        # The reference assigns that one, which sets a prototype.
        return {arrived(key): arrived(value[key]) for key in value if key != "__proto__"}
    return value


def whole(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def writable(value: Any) -> Any:
    """Return a value without what the reference writes wrong.

    It takes a lone surrogate for the first half of a pair, whatever follows, and writes whole numbers from 2^63 on as others.
    """
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, float) and value.is_integer() and abs(value) >= 2**63:
        return 0.5
    if isinstance(value, list | tuple):
        return [writable(item) for item in value]
    if isinstance(value, dict):
        return {writable(key): writable(item) for key, item in value.items()}
    return value


def packets(seed: int) -> list[Packet]:
    random = Random(seed)
    return [generate.packet(random) for _ in range(BATCH)]


def facts(packet: Any) -> Any:
    if isinstance(packet, Packet):
        packet = (packet.type, packet.nsp, packet.id, packet.data)
    type_, nsp, id_, data = packet
    return type_, nsp, id_, arrived(data)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_we_write_the_reference_reads(reference: Reference, seed: int) -> None:
    given = packets(seed)
    encoder = Encoder()
    outcomes = reference.decode([encoder.encode(packet) for packet in given])
    for packet, outcome in zip(given, outcomes, strict=True):
        assert outcome.error is None, (packet, outcome)
        (got,) = outcome.packets
        assert facts(got) == facts(packet)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_reference_writes_we_read(reference: Reference, seed: int) -> None:
    given = [Packet(each.type, writable(each.data), each.nsp, each.id) for each in packets(seed)]
    for packet, messages in zip(given, reference.encode(given), strict=True):
        (message,) = messages
        assert facts(Decoder().feed(message)) == facts(packet)


def test_dates_and_undefined(reference: Reference) -> None:
    then = datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    given = Packet(
        PacketType.EVENT, ["at", then, {"before": datetime(1, 1, 1, tzinfo=UTC)}, UNDEFINED]
    )
    ((message,),) = reference.encode([given])
    assert bytes.fromhex("d4 00 00") in message
    got = Decoder().feed(message)
    assert got.data == ["at", then, {"before": datetime(1, 1, 1, tzinfo=UTC)}, None]
    (outcome,) = reference.decode([Encoder().encode(got)])
    assert outcome.packets == [(2, "/", None, got.data)]


def test_extensions_of_others(reference: Reference) -> None:
    given = Packet(PacketType.EVENT, ["x", Ext(5, b"abc"), Ext(-1, b"\x00\x00\x00\x01")])
    message = Encoder().encode(given)
    (outcome,) = reference.decode([message])
    assert outcome.packets[0][3] == ["x", [5, b"abc"], [-1, b"\x00\x00\x00\x01"]]
    assert Decoder().feed(message[0]).data == [
        "x",
        Ext(5, b"abc"),
        datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    ]


def test_large_integers_keep_their_digits_here_and_are_rounded_there(reference: Reference) -> None:
    given = Packet(PacketType.EVENT, ["x", 2**53 + 1, -(2**53) - 1, 2**64 - 1, -(2**63)])
    message = Encoder().encode(given)
    assert Decoder().feed(message[0]) == given
    (outcome,) = reference.decode([message])
    assert list(map(float, outcome.packets[0][3][1:])) == [2**53, -(2**53), 2**64, -(2**63)]


def test_both_refuse_the_same(reference: Reference) -> None:
    """Bytes with something wrong: what we take the reference takes too, and the other way round but for what is listed."""
    random = Random(7)
    given = [Encoder().encode(packet)[0] for packet in packets(7)]
    changed = []
    for message in given * 4:
        copy = bytearray(message)
        for _ in range(random.choice((1, 1, 2))):
            copy[random.randrange(len(copy))] = random.randrange(256)
        changed.append(
            bytes(copy[: random.choice((len(copy), len(copy), random.randrange(1, len(copy) + 1)))])
        )
    outcomes = reference.decode([[message] for message in changed])
    agreed = 0
    for message, outcome in zip(changed, outcomes, strict=True):
        try:
            got = Decoder().feed(message)
        except PacketError as error:
            if outcome.error is None and not is_stricter(outcome.packets[0], error):
                pytest.fail(f"{error}, but {outcome} for {message!r}")
            continue
        agreed += outcome.error is None
        # nil is nothing, and an acknowledgement may have nothing.
        assert outcome.error is None or got.data is None or got.id is None, (message, outcome)
    assert agreed > 100


def is_stricter(packet: Any, error: PacketError) -> bool:
    """Return whether we refuse on purpose what the reference has taken."""
    kind, nsp, id_, data = packet
    match error.kind:
        case PacketErrorKind.INVALID_NAMESPACE:
            return not nsp.startswith("/") or "\ufffd" in nsp
        case PacketErrorKind.NAMESPACE_TOO_LONG:
            return len(nsp) > 256
        case PacketErrorKind.INVALID_ID:
            return id_ < 0
        case PacketErrorKind.INVALID_PAYLOAD:
            return kind == PacketType.EVENT and not isinstance(data[0], str | int)
        case PacketErrorKind.INVALID_MSGPACK:
            return not repr(packet).isascii()  # text that is no UTF-8
    return False

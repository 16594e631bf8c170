"""Each limit of the codec: one below, at, one above; and `Limits` itself."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from roomcast.codec import (
    Decoder,
    EncodeError,
    Limits,
    Packet,
    PacketError,
    PacketErrorKind as Kind,
    PacketType,
    encode,
)

EVENT = PacketType.EVENT


def kind_of(text: str, limits: Limits | None = None, *attachments: bytes) -> Kind | None:
    """Return why messages are refused, or ``None`` if they are taken."""
    decoder = Decoder(limits)
    try:
        decoder.feed(text)
        for attachment in attachments:
            decoder.feed(attachment)
    except PacketError as error:
        return error.kind
    return None


@pytest.mark.parametrize(("count", "kind"), [(2, None), (3, None), (4, Kind.TOO_MANY_ATTACHMENTS)])
def test_max_attachments_in(count: int, kind: Kind | None) -> None:
    assert kind_of(f'5{count}-["a"]', Limits(max_attachments=3)) is kind
    assert kind_of(f"6{count}-1[]", Limits(max_attachments=3)) is kind


def test_max_attachments_of_the_decoder_overrides_the_limits() -> None:
    assert Decoder(Limits(max_attachments=1), max_attachments=2).feed('52-["a"]') is None
    assert Decoder(max_attachments=11).feed('511-["a"]') is None
    with pytest.raises(PacketError) as info:
        Decoder(Limits(max_attachments=5), max_attachments=2).feed('53-["a"]')
    assert info.value.kind is Kind.TOO_MANY_ATTACHMENTS
    with pytest.raises(PacketError):
        Decoder(max_attachments=0).feed('51-["a"]')


def test_max_attachments_is_ten_as_in_the_reference() -> None:
    assert kind_of('510-["a"]') is None
    assert kind_of('511-["a"]') is Kind.TOO_MANY_ATTACHMENTS
    assert len(encode(Packet(EVENT, ["a", *[b""] * 10]))) == 11
    with pytest.raises(EncodeError) as info:
        encode(Packet(EVENT, ["a", *[b""] * 11]))
    assert info.value.path == "data[11]"


@pytest.mark.parametrize("count", [2, 3])
def test_max_attachments_out_takes(count: int) -> None:
    data = ["a", *[b"x"] * count]
    assert len(encode(Packet(EVENT, data), limits=Limits(max_attachments=3))) == count + 1


def test_max_attachments_out_refuses() -> None:
    with pytest.raises(EncodeError):
        encode(Packet(EVENT, ["a", *[b"x"] * 4]), limits=Limits(max_attachments=3))


def test_max_packet_size_counts_header_and_attachments() -> None:
    header = '52-["a"]'
    limits = Limits(max_packet_size=len(header) + 10)
    assert kind_of(header, limits, b"x" * 4, b"y" * 5) is None
    assert kind_of(header, limits, b"x" * 5, b"y" * 5) is None
    assert kind_of(header, limits, b"x" * 5, b"y" * 6) is Kind.PACKET_TOO_LARGE
    # Told as soon as it is known, though another attachment is missing.
    assert kind_of(header, limits, b"x" * 11) is Kind.PACKET_TOO_LARGE


@pytest.mark.parametrize(("more", "kind"), [(-1, None), (0, None), (1, Kind.PACKET_TOO_LARGE)])
def test_max_packet_size_counts_text_alone(more: int, kind: Kind | None) -> None:
    limits = Limits(max_packet_size=100)
    text = '2["é' + "x" * (100 - 7 + more) + '"]'
    assert len(text.encode()) == 100 + more
    assert kind_of(text, limits) is kind


@pytest.mark.parametrize(("levels", "kind"), [(4, None), (5, None), (6, Kind.TOO_DEEP)])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_max_depth_in(levels: int, kind: Kind | None, pair: str) -> None:
    inner = pair[:-1] * (levels - 1) + ("1" if pair != "[]" else "") + pair[-1] * (levels - 1)
    assert kind_of(f'2["a",{inner}]', Limits(max_depth=5)) is kind


@pytest.mark.parametrize("levels", [4, 5, 6])
@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_max_depth_out(levels: int, kind: str) -> None:
    value: Any = 1
    for _ in range(levels - 1):
        value = {"list": [value], "tuple": (value,), "dict": {"k": value}}[kind]
    packet = Packet(EVENT, ["a", value])
    if levels <= 5:
        assert encode(packet, limits=Limits(max_depth=5))
    else:
        with pytest.raises(EncodeError):
            encode(packet, limits=Limits(max_depth=5))


def test_what_is_encoded_at_the_depth_limit_can_be_decoded() -> None:
    value: Any = []
    for _ in range(198):
        value = [value]
    text, *_ = encode(Packet(EVENT, ["a", value]))
    assert Decoder().feed(text) == Packet(EVENT, ["a", value])
    with pytest.raises(EncodeError):
        encode(Packet(EVENT, ["a", [value]]))


DEEPEST = """
import threading
from collections import OrderedDict
import subprocess
import sys
from dataclasses import dataclass
from roomcast.codec import Decoder, Limits, Packet, encode

@dataclass
class Box:
    value: object

def run():
    limits = Limits(max_depth=500)
    for wrap, levels in (
        (lambda value: [value], 499),
        (lambda value: {"a": value}, 499),
        (lambda value: OrderedDict(a=value), 499),
        (Box, 249),  # a dataclass takes two: itself, and the dict that stands for it
    ):
        value = 1
        for _ in range(levels):
            value = wrap(value)
        text, = encode(Packet(2, ["a", value]), limits=limits)
        packet = Decoder(limits).feed(text)
        assert encode(packet, limits=limits) == [text]
    print("done")

threading.stack_size(512 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def test_the_deepest_setting_does_not_end_the_stack_of_a_thread() -> None:
    # 512 KiB is what macOS gives a thread. A process of its own, since there is no exception to catch.
    done = subprocess.run(
        [sys.executable, "-c", DEEPEST], capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


@pytest.mark.parametrize(("count", "kind"), [(9, None), (10, None), (11, Kind.TOO_MANY_VALUES)])
@pytest.mark.parametrize("item", ["1", "[]", "{}", '"a,b[{"', "true"])
def test_max_values(count: int, kind: Kind | None, item: str) -> None:
    # The payload itself is a value, and so is the name.
    text = '2["a"' + f",{item}" * (count - 2) + "]"
    assert kind_of(text, Limits(max_values=10)) is kind


@pytest.mark.parametrize(("count", "kind"), [(9, None), (10, None), (11, Kind.TOO_MANY_VALUES)])
def test_max_values_does_not_count_keys(count: int, kind: Kind | None) -> None:
    items = ",".join(f'"{i}":1' for i in range(count - 3))
    assert kind_of('2["a",{' + items + "}]", Limits(max_values=10)) is kind


def test_max_values_is_not_fooled_by_commas_in_a_text() -> None:
    assert kind_of('2["a","' + ",[{" * 100_000 + '"]') is None


def test_max_values_by_default() -> None:
    assert kind_of('2["a"' + ",1" * (250_000 - 2) + "]") is None
    assert kind_of('2["a"' + ",1" * (250_000 - 1) + "]") is Kind.TOO_MANY_VALUES


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(("digits", "kind"), [(19, None), (20, None), (21, Kind.INTEGER_TOO_LONG)])
def test_max_int_digits_in(digits: int, kind: Kind | None, sign: str) -> None:
    assert kind_of(f'2["a",{sign}{"9" * digits}]', Limits(max_int_digits=20)) is kind


@pytest.mark.parametrize("sign", [1, -1])
def test_max_int_digits_out(sign: int) -> None:
    limits = Limits(max_int_digits=20)
    assert encode(Packet(EVENT, ["a", sign * (10**20 - 1)]), limits=limits)
    with pytest.raises(EncodeError) as info:
        encode(Packet(EVENT, ["a", sign * 10**20]), limits=limits)
    assert info.value.path == "data[1]"


def test_max_int_digits_by_default_is_that_of_cpython() -> None:
    largest = int("9" * 4300)
    text, *_ = encode(Packet(EVENT, ["a", largest]))
    assert Decoder().feed(text) == Packet(EVENT, ["a", largest])
    with pytest.raises(EncodeError):
        encode(Packet(EVENT, ["a", largest + 1]))
    assert kind_of('2["a",' + "9" * 4301 + "]") is Kind.INTEGER_TOO_LONG


def test_max_int_digits_is_for_integers_only() -> None:
    assert kind_of('2["a",' + "9" * 5000 + ".0]") is None
    assert kind_of('2["a",0.' + "9" * 5000 + "]") is None


@pytest.mark.parametrize(("id_", "kind"), [(98, None), (99, None), (100, Kind.ID_TOO_LARGE)])
def test_max_ack_id(id_: int, kind: Kind | None) -> None:
    limits = Limits(max_ack_id=99)
    assert kind_of(f'2{id_}["a"]', limits) is kind
    assert kind_of(f"3{id_}[]", limits) is kind


def test_max_ack_id_by_default_is_what_javascript_counts_to() -> None:
    packet = Decoder().feed(f'2{2**53 - 1}["a"]')
    assert packet is not None
    assert packet.id == 2**53 - 1
    assert kind_of(f'2{2**53}["a"]') is Kind.ID_TOO_LARGE
    assert (
        kind_of('2000000000000000000000000000001["a"]') is None
    )  # the number counts, not its digits


@pytest.mark.parametrize(("length", "kind"), [(7, None), (8, None), (9, Kind.NAMESPACE_TOO_LONG)])
def test_max_namespace_length(length: int, kind: Kind | None) -> None:
    limits = Limits(max_namespace_length=8)
    assert kind_of("0/" + "n" * (length - 1), limits) is kind
    assert kind_of("0/" + "n" * (length - 1) + ",", limits) is kind
    assert kind_of("0/é" + "n" * (length - 3) + ',{"a":1}', limits) is kind  # bytes, not characters


def test_limits_have_the_documented_defaults() -> None:
    limits = Limits()
    assert limits.max_attachments == 10
    assert limits.max_depth == 200
    assert limits.max_values == 250_000
    assert limits.max_int_digits == 4_300
    assert limits.max_ack_id == 2**53 - 1
    assert limits.max_namespace_length == 256
    assert limits.max_packet_size == 11_000_000


def test_limits_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Limits().max_depth = 3  # type: ignore[misc]  # what must fail


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, ValueError),
        (float("inf"), (TypeError, ValueError)),
        (float("nan"), (TypeError, ValueError)),
        (True, TypeError),
        ("1", TypeError),
        (None, TypeError),
    ],
)
def test_limits_refuse_what_is_no_measure(name: str, value: Any, error: Any) -> None:
    if value is None and getattr(Limits(), name) is None:
        return  # a limit that is off
    with pytest.raises(error, match=name):
        Limits(**{name: value})


@pytest.mark.parametrize(
    ("name", "ceiling"),
    [("max_depth", 500), ("max_attachments", 65_535), ("max_ack_id", 2**63 - 1)],
)
def test_limits_have_ceilings(name: str, ceiling: int) -> None:
    assert getattr(Limits(**{name: ceiling}), name) == ceiling
    with pytest.raises(ValueError, match=name):
        Limits(**{name: ceiling + 1})


@pytest.mark.parametrize("name", [field.name for field in fields(Limits) if field.type is int])
def test_limits_want_whole_numbers(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        Limits(**{name: 1.5})  # type: ignore[arg-type]  # what must fail


def test_limits_may_be_zero() -> None:
    limits = Limits(**{field.name: 0 for field in fields(Limits)})
    with pytest.raises(PacketError):
        Decoder(limits).feed('2["a"]')
    with pytest.raises(EncodeError):
        encode(Packet(EVENT, ["a"]), limits=limits)


def test_limits_larger_than_a_machine_word_are_taken() -> None:
    limits = Limits(max_values=2**40, max_packet_size=2**70, max_int_digits=2**70)
    assert Decoder(limits).feed('2["a"]') == Packet(EVENT, ["a"])

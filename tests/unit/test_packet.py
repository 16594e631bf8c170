"""`Packet`: an immutable value."""

from typing import Any

import pytest

from roomcast.codec import Packet, PacketType


def test_packet_has_four_fields() -> None:
    data = ["a", 1]
    packet = Packet(PacketType.EVENT, data, "/n", 7)
    assert (packet.type, packet.nsp, packet.id) == (PacketType.EVENT, "/n", 7)
    assert packet.data is data  # kept as it is, not copied


def test_packet_has_defaults() -> None:
    packet = Packet(PacketType.CONNECT)
    assert (packet.type, packet.data, packet.nsp, packet.id) == (0, None, "/", None)


def test_packet_takes_keywords() -> None:
    packet = Packet(type=2, data=["a"], nsp="/n", id=1)
    assert packet == Packet(PacketType.EVENT, ["a"], "/n", 1)


def test_packet_type_is_the_enumeration() -> None:
    for type_ in range(5):
        assert Packet(type_).type is PacketType(type_)


def test_packet_takes_the_binary_types_as_plain_ones() -> None:
    assert Packet(PacketType.BINARY_EVENT, ["a"]).type is PacketType.EVENT
    assert Packet(6, []).type is PacketType.ACK


@pytest.mark.parametrize("type_", [-1, 7, 256, 2**70])
def test_packet_refuses_unknown_types(type_: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the words are free
        Packet(type_)


@pytest.mark.parametrize("id_", [0, 1, 2**53, 2**63 - 1])
def test_packet_takes_ids(id_: int) -> None:
    assert Packet(2, ["a"], "/", id_).id == id_


@pytest.mark.parametrize("id_", [-1, 2**63, 2**70, -(2**70)])
def test_packet_refuses_ids_out_of_range(id_: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the words are free
        Packet(2, ["a"], "/", id_)


@pytest.mark.parametrize(
    "arguments", [(), ("2",), (2, [], b"/"), (2, [], "/", "1"), (2, [], "/", 1.5)]
)
def test_packet_refuses_other_types_of_arguments(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        Packet(*arguments)


@pytest.mark.parametrize("field", ["type", "data", "nsp", "id", "other"])
def test_packet_cannot_change(field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Packet(2, ["a"]), field, 1)


def test_packet_matches_by_position() -> None:
    match Packet(2, ["a", 1], "/n", 3):
        case Packet(PacketType.EVENT, [name, *args], nsp, id_):
            assert (name, args, nsp, id_) == ("a", [1], "/n", 3)
        case _:
            pytest.fail("no match")


def test_packets_are_equal_by_value() -> None:
    packet = Packet(2, ["a", {"b": b"c"}], "/n", 1)
    assert packet == Packet(2, ["a", {"b": b"c"}], "/n", 1)
    for other in (
        Packet(3, ["a", {"b": b"c"}], "/n", 1),
        Packet(2, ["a", {"b": b"d"}], "/n", 1),
        Packet(2, ["a", {"b": b"c"}], "/", 1),
        Packet(2, ["a", {"b": b"c"}], "/n", 2),
        Packet(2, ["a", {"b": b"c"}], "/n"),
    ):
        assert packet != other
    assert packet != ("a",)
    assert packet != None  # noqa: E711  the operator is what is tested


def test_packet_hash_follows_its_data() -> None:
    assert hash(Packet(2, ("a", 1), "/n", 1)) == hash(Packet(2, ("a", 1), "/n", 1))
    assert len({Packet(0), Packet(0), Packet(1)}) == 2
    with pytest.raises(TypeError):
        hash(Packet(2, ["a"]))


def test_packet_shows_its_fields() -> None:
    shown = repr(Packet(2, ["a", 1], "/n", 7))
    for part in ("Packet", "EVENT", "['a', 1]", "'/n'", "7"):
        assert part in shown


def test_packet_survives_comparison_that_raises() -> None:
    class Unequal:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        __hash__ = None  # type: ignore[assignment]  # a value that cannot be hashed

    with pytest.raises(RuntimeError, match="compared"):
        _ = Packet(2, [Unequal()]) == Packet(2, [Unequal()])

"""`MsgPackValues`: values that are no packets, beside the library ``msgpack``."""

import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given, strategies as st

from roomcast._core import MsgPackValues
from roomcast.errors import EncodeError, PacketError
from roomcast.types import Limits

VALUES = MsgPackValues()

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)

ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(ANYTHING)
def test_values_are_what_the_library_writes_and_reads(value: Any) -> None:
    packed = VALUES.pack(value)
    assert msgpack.unpackb(packed) == value
    assert VALUES.unpack(msgpack.packb(value)) == value
    assert packed == msgpack.packb(value)


@given(st.lists(ANYTHING, max_size=5), st.integers(0, 6))
def test_an_item_is_that_of_the_whole(items: list[Any], index: int) -> None:
    packed = VALUES.pack(items)
    if index < len(items):
        assert VALUES.unpack_item(packed, index) == items[index]
    else:
        with pytest.raises(PacketError):
            VALUES.unpack_item(packed, index)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    for read in (VALUES.unpack, lambda data: VALUES.unpack_item(data, 0)):
        try:
            read(data)
        except PacketError:
            pass


def test_announced_sizes_allocate_nothing() -> None:
    tracemalloc.start()
    for data in (
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
    ):
        for read in (VALUES.unpack, lambda data: VALUES.unpack_item(data, 0)):
            with pytest.raises(PacketError):
                read(data)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_limits_hold_both_ways() -> None:
    values = MsgPackValues(Limits(max_depth=2, max_values=4))
    assert values.unpack(values.pack([[1, 2]])) == [[1, 2]]
    with pytest.raises(EncodeError, match="nested deeper than 2 levels"):
        values.pack([[[1]]])
    for data in (b"\x91\x91\x91\x01", b"\x94\x01\x01\x01\x01"):
        with pytest.raises(PacketError):
            values.unpack(data)


def test_hook_comes_before_the_ready_support() -> None:
    class Point:
        pass

    def default(value: object) -> object:
        if isinstance(value, Point):
            return [1, 2]
        raise TypeError("no idea")

    values = MsgPackValues(default=default)
    assert values.unpack(values.pack({"at": Point()})) == {"at": [1, 2]}
    with pytest.raises(
        EncodeError, match=r"data\.x\[0\]: object has no MessagePack form"
    ) as raised:
        values.pack({"x": [object()]})
    assert isinstance(raised.value.__cause__, TypeError)
    with pytest.raises(TypeError, match="default must be callable, not int"):
        MsgPackValues(default=17)  # type: ignore[arg-type]

"""Whatever JSON a client sends: it reaches the handler as what the annotations say, or it is a misfit."""

import dataclasses
import string
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal, NamedTuple, TypedDict, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import example, given, strategies as st

from roomcast import ValidationError
from roomcast.validation import validated


@dataclass
class Point:
    x: int
    tags: "set[str]" = dataclasses.field(default_factory=set)
    next: "Point | None" = None


class Struct(msgspec.Struct):
    a: float
    b: list[bool] = []


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    a: int
    b: dict[str, float] = {}


class Typed(TypedDict):
    a: str


class Pair(NamedTuple):
    a: int
    b: bytes


class Colour(Enum):
    A = "a"


class Number(IntEnum):
    ONE = 1


HINTS = [
    Any,
    None,
    bool,
    int,
    float,
    str,
    bytes,
    Literal["a", 1],
    Colour,
    Number,
    UUID,
    Decimal,
    date,
    datetime,
    time,
    timedelta,
    int | None,
    int | str | list[int] | None,
    list[Any],
    set[Any],
    set[int],
    frozenset[str],
    tuple[int, str],
    tuple[float, ...],
    dict[str, int],
    dict[int, str],
    Point,
    Struct,
    Model,
    list[Model],
    Model | None,
    Typed,
    Pair,
]

keys = st.sampled_from(["a", "b", "x", "tags", "next", "1"]) | st.text(string.printable, max_size=3)
json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from(
        ["a", "1", "2026-01-02", "03:04:05", "2026-01-02T03:04:05Z", "P1D", "9e999999999"]
    )
    | st.just("12345678-1234-5678-1234-567812345678")
    | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type all the way down, by rules that share nothing with what is tested."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if hint in (None, type(None)):
        return value is None
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in args)
    if origin in (list, set, frozenset):
        return type(value) is origin and all(fits(each, args[0]) for each in value)
    if origin is dict:
        return type(value) is dict and all(
            fits(k, args[0]) and fits(v, args[1]) for k, v in value.items()
        )
    if origin is tuple:
        hints = args[:1] * len(value) if args[-1] is Ellipsis else args
        return type(value) is tuple and len(hints) == len(value) and all(map(fits, value, hints))
    if origin is not None:
        return any(fits(value, each) for each in args)
    if hint is Typed:
        return type(value) is dict and fits(value["a"], str)
    if type(value) is not hint:
        return False
    if isinstance(value, Point | Struct | Model | Pair):
        return all(
            fits(getattr(value, name), each)
            for name, each in get_type_hints(hint).items()
            if name in ["a", "b", "x", "tags", "next"]
        )
    return True


@pytest.mark.parametrize("hint", HINTS, ids=str)
@given(args=st.lists(json, max_size=3))
@example(args=[[[1]]])
@example(args=[{"a": 1}])
@example(args=[{"x": 1, "next": {"x": "1"}}])
def test_any_json_fits_or_is_a_misfit(hint, args):
    calls = []

    def handler(first, second=None, *rest):
        calls.append((first, second, *rest))

    handler.__annotations__ = {"first": hint, "second": hint, "rest": hint}
    call = validated(handler, "e", with_socket=False)
    try:
        call(*args)
    except ValidationError as misfit:
        error = misfit
    else:
        error = None
    if error is not None:
        assert calls == []
        assert error.path.startswith("args")
        assert error.message
        return
    (got,) = calls
    assert len(got) == max(len(args), 2)
    assert all(fits(value, hint) for value in got[: len(args)]), got

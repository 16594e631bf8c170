"""What stands for objects that JSON does not know: the ``default`` hook, then the ready support."""

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest

from roomcast.codec import EncodeError, Encoder, Packet, PacketType, RawJSON, encode

EVENT = PacketType.EVENT


def text_of(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Return the JSON text of one value."""
    text, *_ = encode(Packet(PacketType.ACK, [value], "/", 0), default=default)
    assert isinstance(text, str)
    return text[text.index("[") + 1 : -1]


@dataclass
class User:
    """A plain dataclass."""

    name: str
    tags: list[str] = field(default_factory=list)
    avatar: bytes | None = None


@dataclass(frozen=True, slots=True)
class Slotted:
    """Without a ``__dict__``."""

    at: datetime
    user: User


class Struct(msgspec.Struct):
    """A msgspec Struct."""

    x: int
    y: list[int]


class Renamed(msgspec.Struct, rename="camel", tag="r", omit_defaults=True):
    """With most of what a Struct can be told."""

    first_name: str
    nick_names: list[str] = msgspec.field(default_factory=list)
    age: int = 7
    gone: Any = msgspec.UNSET


class Row(msgspec.Struct, array_like=True, tag=3):
    """Written as a list."""

    x: int
    at: date


class Model(pydantic.BaseModel):
    """A Pydantic model."""

    x: int
    at: datetime


class Colour(Enum):
    """Enum with a text."""

    RED = "red"


class Shape(Enum):
    """Enum with an object that is converted in turn."""

    SQUARE = UUID(int=4)


class Level(IntEnum):
    """Enum that is an int."""

    HIGH = 3


class Word(StrEnum):
    """Enum that is a str."""

    YES = "yes"


class Unknown:
    """Nobody knows it."""


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (date(2026, 7, 4), '"2026-07-04"'),
        (datetime(2026, 7, 4, 12, 30, 5), '"2026-07-04T12:30:05"'),  # noqa: DTZ001  naive on purpose
        (datetime(2026, 7, 4, 12, 30, 5, 250_000, UTC), '"2026-07-04T12:30:05.250000Z"'),
        (datetime(2026, 7, 4, 12, 30, 5, tzinfo=UTC), '"2026-07-04T12:30:05Z"'),
        (
            datetime(2026, 7, 4, 12, tzinfo=timezone(timedelta(hours=2))),
            '"2026-07-04T12:00:00+02:00"',
        ),
        (datetime(2026, 7, 4, 12, tzinfo=timezone(timedelta(0), "X")), '"2026-07-04T12:00:00Z"'),
        (time(12, 30), '"12:30:00"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        # As a string: a JavaScript number is a double and would lose digits.
        (Decimal("1.10"), '"1.10"'),
        (Decimal("1E+30"), '"1E+30"'),
        (Colour.RED, '"red"'),
        (Shape.SQUARE, '"00000000-0000-0000-0000-000000000004"'),
        (Level.HIGH, "3"),
        (Word.YES, '"yes"'),
        (User("a", ["b"]), '{"name":"a","tags":["b"],"avatar":null}'),
        (
            Slotted(datetime(2026, 1, 1, tzinfo=UTC), User("a")),
            '{"at":"2026-01-01T00:00:00Z","user":{"name":"a","tags":[],"avatar":null}}',
        ),
        (Struct(1, [2]), '{"x":1,"y":[2]}'),
        (Renamed("a"), '{"type":"r","firstName":"a"}'),
        (
            Renamed("a", ["b"], 8, None),
            '{"type":"r","firstName":"a","nickNames":["b"],"age":8,"gone":null}',
        ),
        (Row(1, date(2026, 7, 4)), '[3,1,"2026-07-04"]'),
        (Model(x=1, at=datetime(2026, 1, 1, tzinfo=UTC)), '{"x":1,"at":"2026-01-01T00:00:00Z"}'),
    ],
)
def test_convert_has_ready_support(value: Any, json: str) -> None:
    assert text_of(value) == json
    assert text_of({"deep": [value]}) == '{"deep":[' + json + "]}"


def test_convert_attaches_the_binary_of_a_dataclass() -> None:
    text, attachment = encode(Packet(EVENT, ["e", User("a", [], b"jpeg")]))
    assert text == '51-["e",{"name":"a","tags":[],"avatar":{"_placeholder":true,"num":0}}]'
    assert attachment == b"jpeg"


@pytest.mark.parametrize(
    "value", [Unknown(), {1}, frozenset(), 1j, range(3), timedelta(1), User, object, len]
)
def test_convert_refuses_what_nobody_knows(value: Any) -> None:
    with pytest.raises(EncodeError) as info:
        encode(Packet(EVENT, ["e", {"a": value}]))
    assert info.value.path == "data[1].a"
    assert type(value).__name__ in info.value.reason


@pytest.mark.parametrize("value", [Renamed("a", ["b"], 8), Renamed("a"), Row(1, date(2026, 7, 4))])
def test_convert_writes_a_struct_as_msgspec_does(value: msgspec.Struct) -> None:
    assert json.loads(text_of(value)) == json.loads(msgspec.json.encode(value))


def test_convert_leaves_what_a_struct_holds_to_the_hook() -> None:
    value = Struct(1, [User("a"), Unknown()])  # type: ignore[list-item]  # nothing checks at run time
    with pytest.raises(EncodeError) as info:
        text_of(value)
    assert info.value.path == "data[0].y[1]"
    assert text_of(value, default_by_name) == '{"x":1,"y":["User","Unknown"]}'


def default_by_name(value: Any) -> Any:
    if isinstance(value, Struct):
        raise TypeError
    return type(value).__name__


def test_default_is_asked_first() -> None:
    assert text_of(date(2026, 7, 4), lambda value: {"day": value.day}) == '{"day":4}'
    assert text_of(User("a"), lambda value: value.name) == '"a"'


def test_default_is_not_asked_for_what_json_knows() -> None:
    asked: list[Any] = []
    known = [None, True, 1, 1.5, "a", [1], (2,), {"a": 1}, b"b", bytearray(b"c"), RawJSON("1")]
    encode(Packet(EVENT, ["e", *known]), default=asked.append)
    assert asked == []


def test_default_may_leave_a_type_to_the_ready_support() -> None:
    def default(value: Any) -> Any:
        if isinstance(value, Unknown):
            return "known here"
        raise TypeError

    assert text_of([Unknown(), date(2026, 7, 4)], default) == '["known here","2026-07-04"]'
    with pytest.raises(EncodeError) as info:
        text_of({1}, default)
    assert isinstance(info.value.__cause__, TypeError)


def test_default_may_return_what_is_converted_in_turn() -> None:
    steps: dict[type, Any] = {Unknown: User("a"), User: [date(2026, 7, 4)], date: {"bytes": b"x"}}
    text, attachment = encode(
        Packet(EVENT, ["e", Unknown()]), default=lambda value: steps[type(value)]
    )
    assert text == '51-["e",[{"bytes":{"_placeholder":true,"num":0}}]]'
    assert attachment == b"x"


def test_default_may_return_raw_json() -> None:
    assert text_of(Unknown(), lambda _: RawJSON('{"raw":[1]}')) == '{"raw":[1]}'


def test_default_that_returns_none_means_null() -> None:
    assert text_of(Unknown(), lambda _: None) == "null"


def test_default_that_raises_is_the_cause() -> None:
    def default(value: Any) -> Any:
        raise LookupError("no such thing")

    with pytest.raises((EncodeError, LookupError)) as info:
        encode(Packet(EVENT, ["e", Unknown()]), default=default)
    error: BaseException | None = info.value
    while error is not None and not isinstance(error, LookupError):
        error = error.__cause__
    assert error is not None


def test_default_may_be_interrupted() -> None:
    def default(value: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(Packet(EVENT, ["e", Unknown()]), default=default)


def test_default_that_returns_its_argument_ends_at_the_depth_limit() -> None:
    asked = 0

    def default(value: Any) -> Any:
        nonlocal asked
        asked += 1
        return value

    with pytest.raises(EncodeError):
        encode(Packet(EVENT, ["e", Unknown()]), default=default)
    assert asked <= 1_000


def test_default_that_always_finds_something_new_ends_at_the_depth_limit() -> None:
    with pytest.raises(EncodeError):
        encode(Packet(EVENT, ["e", Unknown()]), default=lambda _: [Unknown()])
    with pytest.raises(EncodeError):
        encode(Packet(EVENT, ["e", Unknown()]), default=lambda _: Unknown())


def test_default_may_encode_again() -> None:
    encoder: Encoder

    def default(value: Any) -> Any:
        return encoder.encode(Packet(EVENT, ["inner", 1]))[0]

    encoder = Encoder(default=default)
    assert encoder.encode(Packet(EVENT, ["e", [Unknown(), "after"]])) == [
        '2["e",["2[\\"inner\\",1]","after"]]'
    ]


@pytest.mark.parametrize("action", ["clear", "grow", "shrink", "replace"])
def test_default_may_change_the_list_that_is_being_walked(action: str) -> None:
    data: list[Any] = ["e", Unknown(), *[[i] for i in range(50)]]

    def default(value: Any) -> Any:
        if action == "clear":
            data.clear()
        elif action == "grow" and len(data) < 1_000:
            data.extend([[0]] * 100)
        elif action == "shrink":
            del data[3:]
        else:
            data[:] = [[1]] * 3
        gc.collect()
        return "changed"

    # A value or an error, never a crash: what was read before the change may be gone.
    try:
        messages = encode(Packet(EVENT, data), default=default)
    except EncodeError:
        return
    assert str(messages[0]).startswith('2["e","changed"')


@pytest.mark.parametrize("action", ["clear", "grow", "replace", "same size"])
def test_default_may_change_the_dict_that_is_being_walked(action: str) -> None:
    data: dict[Any, Any] = {"first": Unknown(), **{str(i): [i] for i in range(50)}}

    def default(value: Any) -> Any:
        if action == "clear":
            data.clear()
        elif action == "grow":
            data.update({f"new {len(data)} {i}": [i] for i in range(100)})
        elif action == "replace":
            for key in data:
                data[key] = 1
        else:
            data.pop("7", None)
            data["other"] = [1]
        gc.collect()
        return "changed"

    try:
        messages = encode(Packet(EVENT, ["e", data]), default=default)
    except (EncodeError, RuntimeError):
        return
    assert str(messages[0]).startswith('2["e",{"first":"changed"')


def test_default_may_drop_the_last_reference_to_what_is_being_walked() -> None:
    data: list[Any] = ["e", [Unknown(), "a" * 100, [1, 2]]]

    def default(value: Any) -> Any:
        data[1] = None
        gc.collect()
        return "x"

    assert encode(Packet(EVENT, data), default=default) == [
        '2["e",["x","' + "a" * 100 + '",[1,2]]]'
    ]


def test_default_may_release_and_resize_a_buffer_that_was_attached() -> None:
    buffer = bytearray(b"attached")

    def default(value: Any) -> Any:
        buffer.clear()
        return 1

    _, attachment = encode(Packet(EVENT, ["e", buffer, Unknown()]), default=default)
    assert attachment == b"attached"


def test_keys_that_re_enter_are_harmless() -> None:
    class Key(str):
        """A text whose own methods change the dict."""

        __slots__ = ()

        def __str__(self) -> str:
            data.clear()
            return "other"

        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            data.clear()
            return str.__eq__(self, other)

    data: dict[Any, Any] = {Key("a"): 1, Key("b"): 2}
    assert text_of(data) == '{"a":1,"b":2}'


def test_default_must_be_callable() -> None:
    with pytest.raises(TypeError):
        Encoder(default=3)  # type: ignore[arg-type]  # what must fail


def test_default_belongs_to_its_encoder() -> None:
    one = Encoder(default=lambda _: 1)
    two = Encoder(default=lambda _: 2)
    packet = Packet(EVENT, ["e", Unknown()])
    assert one.encode(packet) == ['2["e",1]']
    assert two.encode(packet) == ['2["e",2]']
    with pytest.raises(EncodeError):
        Encoder().encode(packet)

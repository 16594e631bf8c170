"""What handlers with annotations make of arguments, without a server."""

import dataclasses
import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from pydantic_core import PydanticCustomError

from roomcast import HandlerError, MissingDependencyError, UsageError, ValidationError
from roomcast.validation import handlers, validated

if TYPE_CHECKING:
    from roomcast import Socket


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0

    def __post_init__(self):
        if self.x == 13:
            raise ValueError("secret")
        if self.x == 666:
            raise KeyError("bug")


class User(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=5)]
    age: int | None = None
    friends: list["User"] = []


class Message(TypedDict):
    text: str


class Pair(NamedTuple):
    one: int
    two: str


class Colour(Enum):
    RED = "red"


class Account(pydantic.BaseModel):
    name: str
    age: int = 0

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, name):
        if name == "root":
            raise ValueError("secret")
        if name == "taken":
            raise PydanticCustomError("taken", "the name is taken")
        return name


@pydantic.dataclasses.dataclass
class Model:
    x: int


@dataclasses.dataclass
class Holder:
    account: Account


def returned(hint: Any) -> Callable[..., Any]:
    """Return a handler of one argument of a type, which gives it back."""

    def handler(value):
        return value

    handler.__annotations__ = {"value": hint}
    return validated(handler, "e", with_socket=False)


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 1, 1),
        (float, 1, 1.0),
        (str, "é", "é"),
        (bool, True, True),
        (None, None, None),
        (int | None, None, None),
        (Any, {"a": [1]}, {"a": [1]}),
        (object, [1], [1]),
        (bytes, b"\x00", b"\x00"),
        (bytearray, b"\x00", bytearray(b"\x00")),
        (Sequence[int], [1], [1]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 1], {1}),
        (dict[str, Any], {"a": b"b"}, {"a": b"b"}),
        (Mapping[int, str], {"1": "a"}, {1: "a"}),
        (list[object], [{}], [{}]),
        (Literal["a", 1], 1, 1),
        (datetime, "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (
            UUID,
            "12345678-1234-5678-1234-567812345678",
            UUID(int=0x12345678123456781234567812345678),
        ),
        (Colour, "red", Colour.RED),
        (Pair, [1, "a"], Pair(1, "a")),
        (Message, {"text": "a"}, {"text": "a"}),
        (Point, {"x": 1}, Point(1, 0)),
        (list[Point], [{"x": 1, "y": 2}], [Point(1, 2)]),
        (User, {"name": "a", "friends": [{"name": "b"}]}, User("a", None, [User("b")])),
        (Account, {"name": "a", "age": "7"}, Account(name="a", age=7)),
        (Account | None, None, None),
        (dict[str, list[Account]], {"a": [{"name": "b"}]}, {"a": [Account(name="b")]}),
        (Holder, {"account": {"name": "b"}}, Holder(Account(name="b"))),
        (Model, {"x": 1}, Model(1)),
        (pydantic.PositiveInt, 1, 1),
        (list[Annotated[int, pydantic.Field(gt=0)]], [1], [1]),
    ],
    ids=str,
)
def test_argument_that_fits_is_converted(hint, value, expected):
    result = returned(hint)(value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("hint", "value", "path", "message"),
    [
        (int, "1", "args[0]", "Expected `int`, got `str`"),
        (int, True, "args[0]", "Expected `int`, got `bool`"),
        (int, 1.5, "args[0]", "Expected `int`, got `float`"),
        (str, b"a", "args[0]", "Expected `str`, got `bytes`"),
        (bytes, "aGk=", "args[0]", "Expected `bytes`, got `str`"),
        (set[Any], [[1]], "args", "Invalid value"),
        (
            dict[str, dict[str, int]],
            {"k": {"l": "x"}},
            "args[0][...][...]",
            "Expected `int`, got `str`",
        ),
        (dict[int, int], {"k": 1}, "args[0]", "Expected `int`, got `str`"),
        (Literal["a"], "b", "args[0]", "Invalid enum value 'b'"),
        (Literal["a"], "b - at `$.x`", "args[0]", "Invalid enum value 'b - at `$.x`'"),
        (Message, {}, "args[0]", "Object missing required field `text`"),
        (list[Point], [{"x": 1}, {"x": "1"}], "args[0][1].x", "Expected `int`, got `str`"),
        (Point, {"x": 13}, "args[0]", "Invalid value"),
        (User, {"name": "Frederick"}, "args[0].name", "Expected `str` of length <= 5"),
        (
            User,
            {"name": "a", "friends": [{"name": 1}]},
            "args[0].friends[0].name",
            "Expected `str`, got `int`",
        ),
        (Account, {}, "args[0].name", "Field required"),
        (Account, 1, "args[0]", "Input should be an object"),
        (Model, [], "args[0]", "Input should be an object"),
        (Account, {"name": "root"}, "args[0].name", "Invalid value"),
        (Account, {"name": "taken"}, "args[0].name", "the name is taken"),
        (
            list[Account],
            [{"name": "a"}, {"name": "b", "age": "x"}],
            "args[0][1].age",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        (pydantic.PositiveInt, 0, "args[0]", "Input should be greater than 0"),
        (
            dict[str, Account],
            {"k" * 100: {}},
            f"args[0].{'k' * 32}.name",
            "Field required",
        ),
    ],
    ids=str,
)
def test_argument_that_does_not_fit_is_located(hint, value, path, message):
    with pytest.raises(ValidationError) as caught:
        returned(hint)(value)
    assert (caught.value.path, caught.value.message, caught.value.event) == (path, message, "e")
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize("value", [{"x": 13}, {"name": "root"}])
def test_words_of_a_validator_stay_on_the_server(value):
    with pytest.raises(ValidationError) as caught:
        returned(Point if "x" in value else Account)(value)
    assert "secret" not in str(caught.value)
    assert "secret" in str(caught.value.__cause__)


def test_message_is_cut():
    with pytest.raises(ValidationError) as caught:
        returned(Literal["a"])("b" * 1_000)
    assert caught.value.message == f"Invalid enum value '{'b' * 180}"


def test_mistake_of_a_validator_is_no_misfit():
    with pytest.raises(KeyError, match="bug"):
        returned(Point)({"x": 666})


def one(a: int):
    return (a,)


def two(a: int, b: str = "default"):
    return a, b


def any_number(a: int, *rest: str):
    return a, *rest


def accounts(*rest: Account):
    return rest


def mixed(a: Account, b: int, c, d: Account | None = None):
    return a, b, c, d


def by_position(a: int, /, b: int = 0, *, c: int = 3):
    return a, b, c


def nothing():
    return ()


ADA = Account(name="Ada")


@pytest.mark.parametrize(
    ("handler", "args", "expected"),
    [
        (one, (1,), (1,)),
        (two, (1,), (1, "default")),
        (two, (1, "b"), (1, "b")),
        (any_number, (1,), (1,)),
        (any_number, (1, "a", "b"), (1, "a", "b")),
        (accounts, (), ()),
        (accounts, ({"name": "Ada"}, {"name": "Ada"}), (ADA, ADA)),
        (mixed, ({"name": "Ada"}, 1, None), (ADA, 1, None, None)),
        (mixed, ({"name": "Ada"}, 1, {}, {"name": "Ada"}), (ADA, 1, {}, ADA)),
        (by_position, (1,), (1, 0, 3)),
        (nothing, (), ()),
    ],
)
@pytest.mark.parametrize("with_socket", [False, True])
def test_arguments_that_fit_reach_the_handler(handler, args, expected, with_socket):
    if with_socket:
        plain = handler

        @functools.wraps(plain)
        def handler(socket, *args, **keywords):
            assert socket == "socket"
            return plain(*args, **keywords)

        handler.__signature__ = _with_socket(plain)
    call = validated(handler, "e", with_socket=with_socket)
    assert call(*("socket",) * with_socket, *args) == expected


def _with_socket(function):
    signature = inspect.signature(function)
    socket = inspect.Parameter("socket", inspect.Parameter.POSITIONAL_ONLY)
    return signature.replace(parameters=[socket, *signature.parameters.values()])


@pytest.mark.parametrize(
    ("handler", "args", "path", "message"),
    [
        (one, (), "args", "Expected 1 argument, got 0"),
        (one, (1, 2), "args", "Expected 1 argument, got 2"),
        (two, (), "args", "Expected 1 to 2 arguments, got 0"),
        (two, (1, "b", None), "args", "Expected 1 to 2 arguments, got 3"),
        (two, (1, 2), "args[1]", "Expected `str`, got `int`"),
        (nothing, (1,), "args", "Expected 0 arguments, got 1"),
        (any_number, (), "args", "Expected at least 1 argument, got 0"),
        (any_number, ("a", "b"), "args[0]", "Expected `int`, got `str`"),
        (any_number, (1, "a", 2), "args[2]", "Expected `str`, got `int`"),
        (accounts, ({"name": "Ada"}, {}), "args[1].name", "Field required"),
        (mixed, ({"name": "Ada"}, 1, None, {}), "args[3].name", "Field required"),
        (mixed, ({}, "1", None), "args[1]", "Expected `int`, got `str`"),
    ],
)
def test_arguments_that_do_not_fit_do_not(handler, args, path, message):
    with pytest.raises(ValidationError) as caught:
        validated(handler, "e", with_socket=False)(*args)
    assert (caught.value.path, caught.value.message) == (path, message)


def test_socket_may_be_known_to_the_checkers_only():
    def handler(socket: "Socket", text: "str"):
        return socket, text

    assert validated(handler, "e", with_socket=True)(None, "a") == (None, "a")
    with pytest.raises(ValidationError):
        validated(handler, "e", with_socket=True)(None, 1)


def test_every_kind_of_callable_is_validated():
    class Handler:
        def method(self, a: int):
            return a

        @classmethod
        def of_class(cls, a: int):
            return a

        @staticmethod
        def static(a: int):
            return a

        def __call__(self, a: int):
            return a

    def wrapped(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    handler = Handler()
    partial = functools.partial(two, b="x")
    for each in (handler.method, handler.of_class, handler.static, handler, wrapped(one), partial):
        call = validated(each, "e", with_socket=False)
        call(1)
        with pytest.raises(ValidationError):
            call("1")


def test_closures_of_one_function_share_what_is_compiled(monkeypatch):
    compiled = []
    compile_ = handlers._compile
    monkeypatch.setattr(
        handlers, "_compile", lambda parameters: compiled.append(1) or compile_(parameters)
    )

    def make(hint, default=None):
        if default is None:

            def handler(a: hint):
                return a

        else:

            def handler(a: hint = default):
                return a

        return validated(handler, "e", with_socket=False)

    assert [make(int)(each) for each in range(3)] == [0, 1, 2]
    assert len(compiled) == 1
    assert make(str)("a") == "a"
    assert len(compiled) == 2
    assert make(int)(1) == 1
    assert make(int, 7)() == 7


def test_function_that_is_written_anew_is_compiled_anew():
    source = "from __future__ import annotations\ndef handler(a: Alias): return a"
    names = {"Alias": int}
    calls = []
    for hint in (int, str):
        names["Alias"] = hint
        exec(source, names)
        calls.append(validated(names["handler"], "e", with_socket=False))
    assert (calls[0](1), calls[1]("1")) == (1, "1")


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (complex, "the type of 'value': no client can send a complex"),
        (list[Callable], "the type of 'value': no client can send a Callable"),
        (dict[str, int] | Point, "the type of 'value': Type unions may not contain"),
        ("Unknown", "the annotation of 'value': name 'Unknown' is not defined"),
        (list["Nobody"], "the annotation of 'value': name 'Nobody' is not defined"),  # noqa: F821
    ],
    ids=str,
)
def test_type_that_no_client_can_send_is_refused(hint, message):
    with pytest.raises(HandlerError, match=re.escape(message)) as caught:
        returned(hint)
    assert str(caught.value).startswith("returned.<locals>.handler cannot be validated for 'e': ")
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, UsageError)


def test_type_that_pydantic_does_not_know_is_refused():
    class Struct(msgspec.Struct):
        account: Account

    class Unfinished(pydantic.BaseModel):
        x: "Nowhere"  # noqa: F821

    with pytest.raises(HandlerError, match="'value': Unable to generate pydantic-core schema"):
        returned(Struct)
    with pytest.raises(HandlerError, match="'value': name 'Nowhere' is not defined"):
        returned(list[Unfinished])


def test_unpacked_rest_is_refused():
    def handler(*rest: *tuple[int, str]): ...

    with pytest.raises(HandlerError, match="give 'rest' the type of one item"):
        validated(handler, "e", with_socket=False)


def test_callable_without_a_signature_is_refused():
    with pytest.raises(HandlerError, match="min cannot be validated for 'e': it has no signature"):
        validated(min, "e", with_socket=False)


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "roomcast\[validation\]"'):
        returned(dict[str, bool])
    assert returned(Any)(1) == 1
    assert returned(list[Account])([]) == []
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "pydantic>=2"'):
        returned(pydantic.NegativeInt)

"""Nanoseconds an event that its handler's validation takes: python benches/validation.py

What is registered is called as a socket calls it, with the socket and the arguments as they were decoded.
"""

import gc
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pydantic

from roomcast import Server
from roomcast.validation import validated
from timing import Call, interleave, ratios, spread, timers

ROUNDS = 21
MILLISECONDS = 6.0
USER = {"name": "Ada", "age": 36, "tags": ["a", "b"]}


@dataclass
class Dataclass:
    name: str
    age: int
    tags: list[str]


class Struct(msgspec.Struct):
    name: str
    age: int
    tags: list[str]


class Typed(TypedDict):
    name: str
    age: int
    tags: list[str]


class Model(pydantic.BaseModel):
    name: str
    age: int
    tags: list[str]


def plain(socket: Any, text: str, number: int) -> None: ...
def a_struct(socket: Any, user: Struct) -> None: ...
def a_dataclass(socket: Any, user: Dataclass) -> None: ...
def a_typed_dict(socket: Any, user: Typed) -> None: ...
def a_model(socket: Any, user: Model) -> None: ...
def text_and_bytes(socket: Any, text: str, raw: bytes) -> None: ...


CASES = {
    "str, int": (plain, ("hello", 7)),
    "str, bytes": (text_and_bytes, ("hello", b"\x00")),
    "msgspec Struct": (a_struct, (USER,)),
    "dataclass": (a_dataclass, (USER,)),
    "TypedDict": (a_typed_dict, (USER,)),
    "Pydantic model": (a_model, (USER,)),
}


def calls_of(handler: Any, args: tuple[Any, ...]) -> dict[str, Call]:
    """Return the handler as it is, and validated."""

    def caller(function: Any) -> Any:
        return lambda args: function(None, *args)

    call = validated(handler, "event", with_socket=True)
    return {"unvalidated": Call(caller(handler), args), "validated": Call(caller(call), args)}


def main() -> None:
    """Print a line for each kind of annotation, and one for what a server spends on registering."""
    gc.collect()
    gc.freeze()
    for name, (handler, args) in CASES.items():
        samples = interleave(timers(calls_of(handler, args), MILLISECONDS), ROUNDS)
        plain_, checked = samples["unvalidated"], samples["validated"]
        added = spread([after - before for before, after in zip(plain_, checked, strict=True)])
        ratio = ratios(checked, plain_)
        print(
            f"{name:<16} unvalidated {spread(plain_).median:6.0f} ns │ validated {spread(checked).median:6.0f} ns"
            f" │ {added.median:6.0f} ns more ({added.q1:.0f} to {added.q3:.0f}), {ratio.median:.1f}x",
            flush=True,
        )
    io = Server()
    closures = {
        name: Call(lambda _, validate=validate: _register(io, validate), None)
        for name, validate in (("unvalidated", False), ("validated", True))
    }
    samples = interleave(timers(closures, MILLISECONDS), ROUNDS)
    for name, values in samples.items():
        print(f"registering a closure, {name}: {spread(values).median:,.0f} ns", flush=True)


def _register(io: Server, validate: bool) -> None:
    def handler(socket: Any, user: Struct) -> None: ...

    io.event("event", validate=validate)(handler)
    io.shared_handlers.clear()


main()

"""What a function can be called with: looked at once, where it is registered, so that a wrong one is an error there."""

import inspect
import sys
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple

__all__ = ["MANY", "accepted", "check_takes"]

MANY: Final = sys.maxsize
"""So many arguments as a client likes to send."""


class Shape(NamedTuple):
    """How many positional arguments a function needs, how many it takes, and whether it needs others besides."""

    needed: int
    taken: int
    others: bool


def check_takes(function: Callable[..., Any], least: int, most: int, what: str) -> None:
    """Refuse what cannot be called, or not with the arguments that it will get.

    Args:
        function: What is registered.
        least: The positional arguments that it must be able to take.
        most: Those that it gets at most.
        what: What it is, for the error.

    Raises:
        TypeError: If it takes fewer than ``least``, needs more than ``most``, or needs arguments by keyword.
    """
    if not callable(function):
        raise TypeError(f"{what} must be callable, not {type(function).__name__}")
    shape = _shape_of(function)
    if shape is None:
        return
    needed, taken, others = shape
    if others:
        raise TypeError(f"{what} gets positional arguments, but {_name(function)} needs keywords")
    if taken < least:
        raise TypeError(f"{what} gets {_count(least)}, but {_name(function)} takes {taken}")
    if needed > most:
        raise TypeError(f"{what} gets {_count(most)}, but {_name(function)} needs {needed}")


def accepted(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return as many of the arguments as a function takes.

    JavaScript drops what a function has no parameter for; so do we where an event has an optional last argument, as in
    ``disconnect(reason, details)``.
    """
    shape = _shape_of(function)
    return args if shape is None else args[: shape.taken]


def _shape_of(function: Callable[..., Any]) -> Shape | None:
    """Return what a function takes; ``None`` for one written in C that does not say."""
    plain = function.__func__ if isinstance(function, MethodType) else function
    if isinstance(plain, FunctionType):
        code = plain.__code__
        bound = plain is not function
        optional = len(plain.__defaults__ or ())
        others = code.co_kwonlyargcount > len(plain.__kwdefaults__ or ())
        taken = MANY if code.co_flags & inspect.CO_VARARGS else max(code.co_argcount - bound, 0)
        return Shape(max(code.co_argcount - optional - bound, 0), taken, others)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    needed = sum(parameter.default is parameter.empty for parameter in positional)
    many = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    others = any(
        parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
        for parameter in parameters
    )
    return Shape(needed, MANY if many else len(positional), others)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _count(number: int) -> str:
    return "one argument" if number == 1 else f"{number} arguments"

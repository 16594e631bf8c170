"""The types of a handler's parameters, as its annotations say."""

import inspect
import sys
import typing
from collections.abc import Callable
from inspect import Parameter
from types import GenericAlias
from typing import Any, Final, NamedTuple

from roomcast.errors import HandlerError
from roomcast.events import Listener

__all__ = ["Parameters", "name_of", "parameters_of"]

POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Parameters(NamedTuple):
    """What a handler takes of an event.

    Attributes:
        names: The names of its parameters, that of ``*args`` at the end.
        hints: Their types, for ``*args`` a list; ``Any`` where there is no annotation.
        required: How many of them have no default.
        endless: Whether there is an ``*args``.
    """

    names: tuple[str, ...]
    hints: tuple[Any, ...]
    required: int
    endless: bool


def parameters_of(handler: Listener, *, with_socket: bool) -> Parameters:
    """Read the types of a handler's parameters.

    Args:
        handler: A function, a method, or anything that has a signature.
        with_socket: Whether its first argument is the socket; that parameter's annotation is not looked at.

    Raises:
        HandlerError: If it has no signature, or an annotation means nothing.
    """
    try:
        signature = _signature(handler)
    except (TypeError, ValueError) as error:
        raise HandlerError("it has no signature") from error
    parameters = [each for each in signature.parameters.values() if each.kind in POSITIONAL]
    parameters = parameters[with_socket:]
    hint_of = _resolver(handler)
    names = [each.name for each in parameters]
    hints = [hint_of(each) for each in parameters]
    endless = False
    for each in signature.parameters.values():
        if each.kind is Parameter.VAR_POSITIONAL:
            endless = True
            hint = hint_of(each)
            names.append(each.name)
            hints.append(Any if hint is Any else GenericAlias(list, (hint,)))
    required = sum(each.default is Parameter.empty for each in parameters)
    return Parameters(tuple(names), tuple(hints), required, endless)


def name_of(handler: Listener) -> str:
    """Return what a function is called in messages."""
    name: str = getattr(handler, "__qualname__", type(handler).__qualname__)
    return name


def _signature(handler: Listener) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        # The type of a parameter that is not looked at, as that of the socket, may be known to the checkers only.
        from annotationlib import Format  # noqa: PLC0415  new in 3.14

        return inspect.signature(handler, annotation_format=Format.FORWARDREF)
    return inspect.signature(handler)


def _resolver(handler: Listener) -> Callable[[Parameter], Any]:
    """Return what makes a type of the annotation of a parameter."""
    function = inspect.unwrap(handler)
    function = getattr(function, "func", function)  # of functools.partial
    if not hasattr(function, "__globals__"):
        function = getattr(function, "__func__", type(function).__call__)
    names: dict[str, Any] = getattr(function, "__globals__", {})

    def hint_of(parameter: Parameter) -> Any:
        if parameter.annotation is Parameter.empty:
            return Any

        def probe() -> None: ...

        probe.__annotations__ = {"hint": parameter.annotation}
        try:
            hint = typing.get_type_hints(probe, names, include_extras=True)["hint"]
        except Exception as error:
            raise HandlerError(f"the annotation of {parameter.name!r}: {error}") from error
        if getattr(hint, "__unpacked__", False) or typing.get_origin(hint) is typing.Unpack:
            raise HandlerError(f"give {parameter.name!r} the type of one item")
        return hint

    return hint_of

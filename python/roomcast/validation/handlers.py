"""Handlers whose arguments are validated: a function that stands for a handler converts them, and calls it.

What the annotations say is compiled when the handler is registered, once for all closures of one function.
"""

from collections.abc import Callable, Sequence
from types import CodeType, FunctionType, MethodType
from typing import Any, Final
from weakref import WeakKeyDictionary

from roomcast.errors import HandlerError, ValidationError
from roomcast.events import STANDS_FOR, Listener
from roomcast.validation.annotations import Parameters, name_of, parameters_of
from roomcast.validation.models import mentions_model, validator_of
from roomcast.validation.structs import Uses, converter_of, uses_of

__all__ = ["validated"]

ToTypes = Callable[[Sequence[Any]], tuple[Any, ...]]
"""Makes values of the right types of those that it is given, or raises `ValidationError`."""

Convert = Callable[[tuple[Any, ...], str], Sequence[Any]]
"""Makes the arguments of a handler of those of an event, or raises `ValidationError`; the text is the event's name."""

MAX_MESSAGE: Final = 200
"""Characters of what a client is told: there may be a value of its own in it. The rest is cut."""

_ANYTHING: Final = (Any, object)

_compiled: WeakKeyDictionary[CodeType, tuple[object, Convert]] = WeakKeyDictionary()
"""What was compiled for the newest closure of a function, and what it depends on."""


def validated(handler: Listener, event: str, *, with_socket: bool) -> Listener:
    """Return what calls a handler with arguments that fit its annotations, converted to their types.

    Args:
        handler: A function, a coroutine function, or anything else that has a signature.
        event: The event's name.
        with_socket: Whether the first argument is the socket, which is none of the event's.

    Returns:
        A function that raises `ValidationError` where the arguments do not fit, and then does not call the handler.

    Raises:
        HandlerError: If the annotations cannot be validated.
        MissingDependencyError: If the library is missing that they need.
    """
    convert = _converter(handler, event, with_socket=with_socket)

    def with_it(socket: Any, *args: Any) -> Any:
        return handler(socket, *convert(args, event))

    def without(*args: Any) -> Any:
        return handler(*convert(args, event))

    call = with_it if with_socket else without
    setattr(call, STANDS_FOR, handler)
    return call


def _converter(handler: Listener, event: str, *, with_socket: bool) -> Convert:
    """Return what converts the arguments of a handler: what is known already, or made now."""
    function: Any = handler.__func__ if isinstance(handler, MethodType) else handler
    key = _key(function, with_socket=with_socket)
    if key is not None:
        known = _compiled.get(function.__code__)
        if known is not None and known[0] == key:
            return known[1]
    try:
        convert = _compile(parameters_of(handler, with_socket=with_socket))
    except HandlerError as error:
        raise HandlerError(
            f"{name_of(handler)} cannot be validated for {event!r}: {error}"
        ) from error
    if key is not None:
        _compiled[function.__code__] = key, convert
    return convert


def _key(function: Any, *, with_socket: bool) -> object:
    """Return what a converter depends on beside the code of a function; ``None`` where that cannot be told cheaply.

    Sockets register closures of one function by the thousand, and the children of a dynamic namespace methods.
    """
    if (
        not isinstance(function, FunctionType)
        or {"__wrapped__", "__signature__"} & vars(function).keys()
    ):
        return None
    try:
        annotations = function.__annotations__
    except NameError:  # from Python 3.14 on, of one that only the checkers know
        return None
    # Equal code is the same key of a dict, but written anew, as in a notebook, its annotations may mean something else.
    code = id(function.__code__), id(function.__globals__)
    return code, dict(annotations), len(function.__defaults__ or ()), with_socket


def _compile(parameters: Parameters) -> Convert:
    """Return what converts the arguments that a handler takes.

    Raises:
        HandlerError: If a type cannot be validated; the message names the parameter.
        MissingDependencyError: If the library is missing that it needs.
    """
    names, hints, required, endless = parameters
    size = len(names) - endless
    most = None if endless else size
    for_msgspec, uses, validators = _divide(names, hints)
    converted = converter_of(for_msgspec, uses) if uses else None

    def convert(args: tuple[Any, ...], event: str) -> Sequence[Any]:
        count = len(args)
        if count < required or (most is not None and count > most):
            raise ValidationError(_expected(required, most, count), "args", event)
        values: Sequence[Any] = args
        if count > size:
            values = (*args[:size], list(args[size:]))
        try:
            if converted is not None:
                left = len(values)
                values = converted(values)
                if left < len(values):
                    values = values[:left]
            if validators:
                values = _by_models(values, validators)
        except ValidationError as error:
            path = _flat(error.path, size) if count > size else error.path
            raise ValidationError(error.message[:MAX_MESSAGE], f"args{path}", event) from (
                error.__cause__ or error
            )
        return (*values[:size], *values[size]) if count > size else values

    if converted is None or validators or endless:
        return convert
    return _short_cut(converted, size, convert)


def _short_cut(converted: ToTypes, size: int, convert: Convert) -> Convert:
    """Return what converts an argument for each parameter, as nearly every event has, in as few steps as there can be."""

    def short_cut(args: tuple[Any, ...], event: str) -> Sequence[Any]:
        if len(args) == size:
            try:
                return converted(args)
            except ValidationError:
                pass
        return convert(args, event)

    return short_cut


def _divide(
    names: Sequence[str], hints: Sequence[Any]
) -> tuple[list[Any], list[Uses], list[tuple[int, Callable[[Any], Any]]]]:
    """Return the types for msgspec, ``Any`` for the others, what is in them, and the validators of Pydantic with their places."""
    for_msgspec: list[Any] = []
    uses: list[Uses] = []
    validators: list[tuple[int, Callable[[Any], Any]]] = []
    for index, (name, hint) in enumerate(zip(names, hints, strict=True)):
        try:
            used = None
            if hint not in _ANYTHING and not mentions_model(hint):
                used = uses_of(hint)
            if used is not None and not used.models:
                uses.append(used)
            elif hint not in _ANYTHING:
                validators.append((index, validator_of(hint)))
            for_msgspec.append(Any if used is None or used.models else hint)
        except HandlerError as error:
            raise HandlerError(f"the type of {name!r}: {error}") from error
    return for_msgspec, uses, validators


def _by_models(
    values: Sequence[Any], validators: Sequence[tuple[int, Callable[[Any], Any]]]
) -> Sequence[Any]:
    result = list(values)
    for index, validate in validators:
        if index >= len(result):
            break
        try:
            result[index] = validate(result[index])
        except ValidationError as error:
            raise ValidationError(error.message, f"[{index}]{error.path}") from error.__cause__
    return result


def _flat(path: str, size: int) -> str:
    """Return a path into the arguments, of one into the arguments whose rest is a list at the end."""
    head, tail = f"[{size}][", path.removeprefix(f"[{size}][")
    if not path.startswith(head):
        return path
    index, _, tail = tail.partition("]")
    return f"[{size + int(index)}]{tail}"


def _expected(required: int, most: int | None, count: int) -> str:
    if most is None:
        expected = f"at least {required}"
    elif required == most:
        expected = str(required)
    else:
        expected = f"{required} to {most}"
    plural = "" if expected in ("1", "at least 1") else "s"
    return f"Expected {expected} argument{plural}, got {count}"

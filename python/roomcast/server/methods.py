"""Handlers that are methods of a class: which there are, and which events they handle."""

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple, overload

from roomcast.events import Listener
from roomcast.typed import Event

if TYPE_CHECKING:
    from roomcast.server.socket import Socket

__all__ = ["event", "methods_of"]

PREFIX: Final = "on_"
MARK: Final = "__roomcast_event__"

HandlerT = TypeVar("HandlerT", bound=Listener)
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


@overload
def event(
    name: Event[R, *Ts], *, validate: bool | None = None
) -> Callable[
    [Callable[[Any, "Socket", *Ts], R | Awaitable[R]]],
    Callable[[Any, "Socket", *Ts], R | Awaitable[R]],
]: ...
@overload
def event(name: str, *, validate: bool | None = None) -> Callable[[HandlerT], HandlerT]: ...
def event(name: Any, *, validate: bool | None = None) -> Any:
    """Name the event that a method of a `Namespace` subclass handles, where ``on_`` and the method's name cannot.

    Args:
        name: The event's name, as in ``@event("chat message")``, or its declaration in an event map (`roomcast.typed`).
        validate: As for `Namespace.event`.
    """
    if not isinstance(name, str):  # used without parentheses
        raise TypeError('event takes the name of an event: @event("chat message")')

    def mark(handler: HandlerT) -> HandlerT:
        setattr(handler, MARK, (name, validate))
        return handler

    return mark


def methods_of(instance: object, base: type) -> Iterator[tuple[str, Listener, bool | None]]:
    """Yield what the class of an instance adds to a base, base classes first, in their order.

    Each is an event, the bound method that handles it, and whether it is validated.
    """
    seen: set[str] = set()
    for cls in reversed(type(instance).__mro__):
        if cls in base.__mro__:
            continue
        for attribute, value in vars(cls).items():
            name, validate = getattr(value, MARK, (None, None))
            if name is None and attribute.startswith(PREFIX) and not hasattr(base, attribute):
                name = attribute.removeprefix(PREFIX)
            if name is not None and callable(value) and attribute not in seen:
                seen.add(attribute)
                yield name, getattr(instance, attribute), validate

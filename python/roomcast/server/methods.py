"""Handlers that are methods of a class: which there are, and which events they handle."""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from roomcast.events import Listener

__all__ = ["event", "methods_of"]

PREFIX: Final = "on_"
MARK: Final = "__roomcast_event__"

HandlerT = TypeVar("HandlerT", bound=Listener)


def event(name: str) -> Callable[[HandlerT], HandlerT]:
    """Name the event that a method of a `Namespace` subclass handles, where ``on_`` and the method's name cannot.

    Args:
        name: The event's name, as in ``@event("chat message")``.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  used without parentheses
        raise TypeError('event takes the name of an event: @event("chat message")')

    def mark(handler: HandlerT) -> HandlerT:
        setattr(handler, MARK, name)
        return handler

    return mark


def methods_of(instance: object, base: type) -> Iterator[tuple[str, Listener]]:
    """Yield the events and bound methods that the class of an instance adds to a base, base classes first, in their order."""
    seen: set[str] = set()
    for cls in reversed(type(instance).__mro__):
        if cls in base.__mro__:
            continue
        for attribute, value in vars(cls).items():
            name: Any = getattr(value, MARK, None)
            if name is None and attribute.startswith(PREFIX) and not hasattr(base, attribute):
                name = attribute.removeprefix(PREFIX)
            if name is not None and callable(value) and attribute not in seen:
                seen.add(attribute)
                yield name, getattr(instance, attribute)

"""Event maps: classes that declare which events there are and what they bring, so that mypy and pyright check who emits and handles.

A map is a Protocol with a method for each event, as in TypeScript it is an interface. Its parameters are the arguments, and what it
returns is the acknowledgement::

    class ClientToServer(Protocol):
        @Event
        def say(self, text: str) -> int: ...

To the checkers ``ClientToServer.say`` is an `Event`, which `emit`, `on` and their siblings take in the place of a name. To Python it
*is* the name, a plain ``str``: nothing is looked up or compared while a program runs, and programs without maps stay as they are.
"""

from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar, TypeVarTuple, cast

from roomcast.errors import ReservedEventError
from roomcast.types import RESERVED_EVENTS

__all__ = ["Event", "NamedEvent"]

Ts = TypeVarTuple("Ts")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Event(Generic[R_co, *Ts]):
    """Declares an event of an event map: a decorator of its method, whose name is that of the event.

    For the checkers it makes an ``Event[R, *Ts]``, where ``Ts`` are the types of the arguments and ``R`` that of the acknowledgement.
    For Python it makes the name of the event, a ``str``; there are no objects of this class.

    Arguments are known by their places only, so handlers may call them otherwise. A default makes none optional; ``*args`` does.

    Source:
        socket.io, ``EventsMap`` of its types for TypeScript.
    """

    def __new__(cls, method: Callable[[Any, *Ts], R_co]) -> Self:
        """Declare an event that is called as the method is.

        Raises:
            ReservedEventError: If the event belongs to the library.
        """
        return cast("Self", _checked(method.__name__))

    @staticmethod
    def named(name: str) -> "NamedEvent":
        """Declare an event whose name is no word of Python, as in ``@Event.named("chat message")``.

        Raises:
            ReservedEventError: If the event belongs to the library.
        """
        checked = _checked(name)
        return cast("NamedEvent", lambda method: checked)  # pyright: ignore[reportUnknownLambdaType]


class NamedEvent(Protocol):
    """The decorator that `Event.named` returns."""

    def __call__(self, method: Callable[[Any, *Ts], R], /) -> Event[R, *Ts]:
        """Declare an event."""
        ...


def _checked(name: str) -> str:
    if name in RESERVED_EVENTS:
        raise ReservedEventError(name)
    return name

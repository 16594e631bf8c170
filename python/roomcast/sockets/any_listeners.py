"""Listeners for every event, whatever its name."""

from abc import ABC, abstractmethod
from typing import Generic, Literal, TypeVar

from roomcast.events import Listener
from roomcast.sockets.signatures import MANY, check_takes

__all__ = ["AnyListeners", "AnyState"]

ListenerT = TypeVar("ListenerT", bound=Listener)
StateT = TypeVar("StateT", bound="AnyState")

Direction = Literal["incoming", "outgoing"]


class AnyState:
    """Who listens. Both tuples are replaced, never changed.

    Attributes:
        incoming: Listeners for every event of the other side.
        outgoing: Listeners for every event that is sent to it.
    """

    __slots__ = ("incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming: tuple[Listener, ...] = ()
        self.outgoing: tuple[Listener, ...] = ()


class AnyListeners(ABC, Generic[StateT]):
    """Listeners for every event, whatever its name; a socket's on either side.

    Source:
        socket.io, ``Socket.onAny``, ``Socket.onAnyOutgoing`` and their siblings.
    """

    __slots__ = ()

    _extras: StateT | None

    def on_any(self, listener: ListenerT) -> ListenerT:
        """Call a listener with ``(event, *args)`` for every event of the other side, before its middlewares; also a decorator.

        Args:
            listener: A function or a coroutine function, called after those that are there already. What it returns is no
                acknowledgement.

        Returns:
            The listener.
        """
        self._listen("incoming", listener, first=False)
        return listener

    def prepend_any(self, listener: ListenerT) -> ListenerT:
        """Call a listener as `on_any` does, before those that are there already."""
        self._listen("incoming", listener, first=True)
        return listener

    def off_any(self, listener: Listener | None = None) -> None:
        """Remove a listener of `on_any`, or all of them; one that is not there is ignored."""
        self._forget("incoming", listener)

    def listeners_any(self) -> list[Listener]:
        """Return the listeners of `on_any` in the order in which they are called; a new list."""
        return [] if self._extras is None else list(self._extras.incoming)

    def on_any_outgoing(self, listener: ListenerT) -> ListenerT:
        """Call a listener with ``(event, *args)`` for every event sent to the other side, broadcasts included; also a decorator.

        Acknowledgements are no events. Otherwise as `on_any`.
        """
        self._listen("outgoing", listener, first=False)
        return listener

    def prepend_any_outgoing(self, listener: ListenerT) -> ListenerT:
        """Call a listener as `on_any_outgoing` does, before those that are there already."""
        self._listen("outgoing", listener, first=True)
        return listener

    def off_any_outgoing(self, listener: Listener | None = None) -> None:
        """Remove a listener of `on_any_outgoing`, or all of them; one that is not there is ignored."""
        self._forget("outgoing", listener)

    def listeners_any_outgoing(self) -> list[Listener]:
        """Return the listeners of `on_any_outgoing` in the order in which they are called; a new list."""
        return [] if self._extras is None else list(self._extras.outgoing)

    @abstractmethod
    def _observe_outgoing(self, observed: bool) -> None:
        """Learn whether there are listeners for what is sent."""

    @abstractmethod
    def _get_extras(self) -> StateT:
        """Return the state, made at the first call."""

    def _listen(self, direction: Direction, listener: Listener, *, first: bool) -> None:
        check_takes(listener, 1, MANY, "a listener for every event")
        extras = self._get_extras()
        there: tuple[Listener, ...] = getattr(extras, direction)
        setattr(extras, direction, (listener, *there) if first else (*there, listener))
        if direction == "outgoing":
            self._observe_outgoing(True)

    def _forget(self, direction: Direction, listener: Listener | None) -> None:
        extras = self._extras
        if extras is None:
            return
        there: list[Listener] = list(getattr(extras, direction))
        if listener is None:
            there.clear()
        elif listener in there:
            there.remove(listener)
        setattr(extras, direction, tuple(there))
        if direction == "outgoing" and not there:
            self._observe_outgoing(False)

"""`on` and `once` of a client's socket, also for events that are declared in an event map."""

from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar, TypeVarTuple, overload

from roomcast.events import EventEmitter, Listener
from roomcast.typed import Event

__all__ = ["ClientEmitter"]

ListenerT = TypeVar("ListenerT", bound=Listener)
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class ClientEmitter(EventEmitter):
    """An emitter whose events may be declared; `roomcast.typed`."""

    @overload
    def on(self, event: str) -> Callable[[ListenerT], ListenerT]: ...
    @overload
    def on(self, event: str, listener: Listener) -> Self: ...
    @overload
    def on(
        self, event: Event[R, *Ts]
    ) -> Callable[[Callable[[*Ts], R | Awaitable[R]]], Callable[[*Ts], R | Awaitable[R]]]: ...
    @overload
    def on(self, event: Event[R, *Ts], listener: Callable[[*Ts], R | Awaitable[R]]) -> Self: ...
    def on(self, event: Any, listener: Listener | None = None) -> Any:
        """Call a listener for every event of a name, after those that are there already.

        Args:
            event: The event's name, or its declaration.
            listener: A function or a coroutine function; what it returns is the acknowledgement, if the server asks for one.

        Returns:
            The socket itself; without a listener, a decorator that adds one and gives it back.
        """
        return super().on(event) if listener is None else super().on(event, listener)

    @overload
    def once(self, event: str) -> Callable[[ListenerT], ListenerT]: ...
    @overload
    def once(self, event: str, listener: Listener) -> Self: ...
    @overload
    def once(
        self, event: Event[R, *Ts]
    ) -> Callable[[Callable[[*Ts], R | Awaitable[R]]], Callable[[*Ts], R | Awaitable[R]]]: ...
    @overload
    def once(self, event: Event[R, *Ts], listener: Callable[[*Ts], R | Awaitable[R]]) -> Self: ...
    def once(self, event: Any, listener: Listener | None = None) -> Any:
        """Call a listener for the next event of a name only; otherwise as `on`."""
        return super().once(event) if listener is None else super().once(event, listener)

"""`on`, `once` and `off` of a socket: those of every emitter, with events of event maps, and with validation."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar, TypeVarTuple, overload

from roomcast.events import EventEmitter, Listener
from roomcast.server.registration import prepared
from roomcast.typed import Event

__all__ = ["SocketEmitter"]

ListenerT = TypeVar("ListenerT", bound=Listener)
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class SocketEmitter(EventEmitter):
    """The listeners of a socket, for the events of its client and those about itself."""

    __slots__ = ()

    @property
    @abstractmethod
    def _validates(self) -> bool:
        """Whether handlers are validated that do not say it."""

    @overload
    def on(
        self, event: str, *, validate: bool | None = None
    ) -> Callable[[ListenerT], ListenerT]: ...
    @overload
    def on(self, event: str, listener: Listener, *, validate: bool | None = None) -> Self: ...
    @overload
    def on(
        self, event: Event[R, *Ts], *, validate: bool | None = None
    ) -> Callable[[Callable[[*Ts], R | Awaitable[R]]], Callable[[*Ts], R | Awaitable[R]]]: ...
    @overload
    def on(
        self,
        event: Event[R, *Ts],
        listener: Callable[[*Ts], R | Awaitable[R]],
        *,
        validate: bool | None = None,
    ) -> Self: ...
    def on(
        self, event: Any, listener: Listener | None = None, *, validate: bool | None = None
    ) -> Any:
        """Call a listener for every event of a name, after those that are there already.

        Args:
            event: The event's name, or its declaration in an event map (`roomcast.typed`).
            listener: A function or a coroutine function. The same one may be added twice and is then called twice.
            validate: Whether the event's arguments are validated by the listener's annotations; the server's option ``validate``
                unless told otherwise.

        Returns:
            The socket itself; without a listener, a decorator that adds one and gives it back.

        Raises:
            HandlerError: If the listener's annotations cannot be validated.
            MissingDependencyError: If a library is missing that they need.
            TypeError: If the listener cannot be called.
            UsageError: If an event of the library is to be validated.
        """
        if listener is None:
            return self._decorator(event, validate, self.on)
        return super().on(event, self._prepared(event, listener, validate))

    @overload
    def once(
        self, event: str, *, validate: bool | None = None
    ) -> Callable[[ListenerT], ListenerT]: ...
    @overload
    def once(self, event: str, listener: Listener, *, validate: bool | None = None) -> Self: ...
    @overload
    def once(
        self, event: Event[R, *Ts], *, validate: bool | None = None
    ) -> Callable[[Callable[[*Ts], R | Awaitable[R]]], Callable[[*Ts], R | Awaitable[R]]]: ...
    @overload
    def once(
        self,
        event: Event[R, *Ts],
        listener: Callable[[*Ts], R | Awaitable[R]],
        *,
        validate: bool | None = None,
    ) -> Self: ...
    def once(
        self, event: Any, listener: Listener | None = None, *, validate: bool | None = None
    ) -> Any:
        """Call a listener for the next event of a name only, also if that does not fit it; otherwise as `on`."""
        if listener is None:
            return self._decorator(event, validate, self.once)
        return super().once(event, self._prepared(event, listener, validate))

    def off(
        self,
        event: str | Event[Any, *tuple[Any, ...]] | None = None,
        listener: Listener | None = None,
    ) -> Self:
        """Remove listeners.

        Args:
            event: The event's name or declaration; ``None`` removes every listener of every event.
            listener: The one to remove, added by `on` or `once`; of several additions the newest goes. ``None`` removes
                all of this event. One that is not there is ignored.

        Returns:
            The socket itself.
        """
        name: Any = event
        return super().off(name, listener)

    def _decorator(
        self, event: str, validate: bool | None, add: Callable[..., Any]
    ) -> Callable[[ListenerT], ListenerT]:
        def decorator(listener: ListenerT) -> ListenerT:
            add(event, listener, validate=validate)
            return listener

        return decorator

    def _prepared(self, event: str, listener: Listener, validate: bool | None) -> Listener:
        return prepared(listener, event, validate, default=self._validates, with_socket=False)

"""What few sockets have: listeners for every event, middlewares for packets, error hooks of their own."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from roomcast.events import Listener
from roomcast.server.handlers import ErrorHook
from roomcast.server.signatures import MANY, check_takes

if TYPE_CHECKING:
    from collections import deque

    from roomcast._core import Packet

__all__ = ["AnyListeners", "CatchAll", "Extras", "PacketMiddleware"]

PacketMiddleware = Callable[[list[Any]], Awaitable[Any] | None]
"""Called with an event as the list of its name and its arguments, which it may change; raising drops it. A function or a
coroutine function."""

ListenerT = TypeVar("ListenerT", bound=Listener)
HookT = TypeVar("HookT", bound=ErrorHook)
PacketMiddlewareT = TypeVar("PacketMiddlewareT", bound=PacketMiddleware)

Direction = Literal["incoming", "outgoing"]


class Extras:
    """The state behind both, made when it is needed first. All tuples are replaced, never changed.

    Attributes:
        incoming: Listeners for every event of the client.
        outgoing: Listeners for every event that is sent to it.
        middlewares: Asked about every event of the client.
        hooks: Error hooks of the socket.
        waiting: The events that wait for the middlewares, the one that they are asked about first; ``None`` if there is none.
    """

    __slots__ = ("hooks", "incoming", "middlewares", "outgoing", "waiting")

    def __init__(self) -> None:
        self.incoming: tuple[Listener, ...] = ()
        self.outgoing: tuple[Listener, ...] = ()
        self.middlewares: tuple[PacketMiddleware, ...] = ()
        self.hooks: tuple[ErrorHook, ...] = ()
        self.waiting: deque[Packet] | None = None


class AnyListeners(ABC):
    """Listeners for every event, whatever its name; a socket's on either side.

    Source:
        socket.io, ``Socket.onAny``, ``Socket.onAnyOutgoing`` and their siblings.
    """

    __slots__ = ()

    _extras: Extras | None

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
    def _get_extras(self) -> Extras:
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


class CatchAll(AnyListeners):
    """What the sockets of a server have beside them.

    Source:
        socket.io, ``Socket.use``.
    """

    __slots__ = ()

    def use(self, middleware: PacketMiddlewareT) -> PacketMiddlewareT:
        """Ask a middleware about every event of the client before its handlers; also a decorator.

        Args:
            middleware: Called with the list of the event's name and arguments, after those that are there already. It may
                change the list. What it raises goes to the ``error`` listeners of the socket and to the error hooks, and the
                event is dropped: no handler gets it, and an acknowledgement that it asks for is not sent. Events wait for the
                middlewares of those before them, so that their order holds.

        Returns:
            The middleware.

        Source:
            socket.io, ``Socket.use``. Differs from it: there an event may overtake another whose middleware waits.
        """
        check_takes(middleware, 1, 1, "a middleware")
        extras = self._get_extras()
        extras.middlewares = (*extras.middlewares, middleware)
        return middleware

    def on_error(self, hook: HookT) -> HookT:
        """Call a hook for every exception that concerns this socket, before those of its namespace; as `Server.on_error`."""
        check_takes(hook, 3, 3, "an error hook")
        extras = self._get_extras()
        extras.hooks = (*extras.hooks, hook)
        return hook

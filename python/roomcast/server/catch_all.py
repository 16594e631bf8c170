"""What few sockets have: listeners for every event, middlewares for packets, error hooks of their own."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from roomcast.server.handlers import ErrorHook
from roomcast.sockets.any_listeners import AnyListeners, AnyState
from roomcast.sockets.signatures import check_takes

if TYPE_CHECKING:
    from collections import deque

    from roomcast._core import Packet

__all__ = ["CatchAll", "Extras", "PacketMiddleware"]

PacketMiddleware = Callable[[list[Any]], Awaitable[Any] | None]
"""Called with an event as the list of its name and its arguments, which it may change; raising drops it. A function or a
coroutine function."""

HookT = TypeVar("HookT", bound=ErrorHook)
PacketMiddlewareT = TypeVar("PacketMiddlewareT", bound=PacketMiddleware)


class Extras(AnyState):
    """The state behind all of them, made when it is needed first. All tuples are replaced, never changed.

    Attributes:
        middlewares: Asked about every event of the client.
        hooks: Error hooks of the socket.
        waiting: The events that wait for the middlewares, the one that they are asked about first; ``None`` if there is none.
    """

    __slots__ = ("hooks", "middlewares", "waiting")

    def __init__(self) -> None:
        super().__init__()
        self.middlewares: tuple[PacketMiddleware, ...] = ()
        self.hooks: tuple[ErrorHook, ...] = ()
        self.waiting: deque[Packet] | None = None


class CatchAll(AnyListeners[Extras]):
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

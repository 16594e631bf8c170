"""A namespace: its sockets, its rooms, its middlewares and its handlers."""

from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from roomcast.errors import ConnectError, EncodeError
from roomcast.events import EventEmitter, Listener
from roomcast.server.adapter import Adapter
from roomcast.server.broadcast import BroadcastOperator, Emitter
from roomcast.server.socket import Socket

if TYPE_CHECKING:
    from roomcast.server.client import Client
    from roomcast.server.server import Server

__all__ = ["Middleware", "Namespace"]

ListenerT = TypeVar("ListenerT", bound=Listener)

Middleware = Callable[[Socket], Awaitable[Any] | None]
"""Called with a socket that wants to connect; raising refuses it. A function or a coroutine function."""

MiddlewareT = TypeVar("MiddlewareT", bound=Middleware)

CONNECT_EVENTS: Final = ("connect", "connection")

INTERNAL_ERROR: Final = {"message": "Internal server error"}
"""What a client learns of a middleware that failed."""


class Namespace(EventEmitter, Emitter):
    """A namespace of a server. It belongs to the server's event loop.

    Events: ``connect`` and ``connection``, both with the new socket.

    Attributes:
        name: Its name, with the leading slash.
        server: Its server.
        adapter: Who is in which room.

    Source:
        socket.io, ``Namespace``.
    """

    def __init__(self, server: "Server", name: str) -> None:
        """Make a namespace; programs use `Server.of`."""
        super().__init__()
        self.name = name
        self.server = server
        self.adapter = Adapter(self)
        self._middlewares: tuple[Middleware, ...] = ()
        self._handlers: dict[str, tuple[Listener, ...]] = {}
        self._next_ack_id = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    @property
    def sockets(self) -> dict[str, Socket]:
        """The connected sockets by id. A new dict."""
        return {socket.id: socket for socket in self.adapter.rooms.select()}

    def use(self, middleware: MiddlewareT) -> MiddlewareT:
        """Ask a middleware about every client that wants to connect; also a decorator.

        Args:
            middleware: Called with the socket, after those that are there already. `ConnectError` refuses the client with
                its message and data, any other exception with a generic text. Until the last one has returned, nothing is
                dispatched to the socket and no broadcast reaches it; what a middleware emits to it arrives.

        Returns:
            The middleware.
        """
        if not callable(middleware):
            raise TypeError(f"a middleware must be callable, not {type(middleware).__name__}")
        self._middlewares = (*self._middlewares, middleware)
        return middleware

    @overload
    def event(self, handler: ListenerT, /) -> ListenerT: ...
    @overload
    def event(self, name: str, /) -> Callable[[ListenerT], ListenerT]: ...
    def event(self, handler: ListenerT | str, /) -> ListenerT | Callable[[ListenerT], ListenerT]:
        """Handle an event of every socket of the namespace: a decorator, bare or with the event's name.

        The handler gets ``(socket, *args)`` and is called after the socket's own. Bare, the function's name is the event.
        ``connect``, ``connection``, ``disconnecting`` and ``disconnect`` work too, the latter two with
        ``(socket, reason, details)`` or fewer parameters.
        """
        if isinstance(handler, str):
            name = handler

            def add(handler: ListenerT) -> ListenerT:
                self._handle(name, handler)
                return handler

            return add
        self._handle(handler.__name__, handler)
        return handler

    # What follows is for the other parts of the server.

    def next_ack_id(self) -> int:
        """Return the next id for an acknowledgement, from 0; all sockets and broadcasts share the counter."""
        id = self._next_ack_id
        self._next_ack_id += 1
        return id

    def handlers_of(self, event: str) -> tuple[Listener, ...]:
        """Return the handlers of an event that all sockets share."""
        return self._handlers.get(event, ())

    def connect(self, client: "Client", auth: Mapping[str, Any]) -> Socket:
        """Make a socket for a client; it is pending until `admit`."""
        return Socket(self, client, auth)

    def admit(self, socket: Socket) -> None:
        """Let a pending socket in, if all middlewares agree."""
        if self._middlewares:
            self.server.handlers.run(self._ask(socket))
        else:
            self._accept(socket)

    async def _ask(self, socket: Socket) -> None:
        for middleware in self._middlewares:
            try:
                result = middleware(socket)
                if isawaitable(result):
                    await result
            except ConnectError as error:
                payload = {"message": error.message}
                if error.data is not None:
                    payload["data"] = error.data
                self._refuse(socket, payload)
                return
            except BaseException as error:
                self._refuse(socket, INTERNAL_ERROR)
                self.server.handlers.report(error, socket, "middleware")
                if not isinstance(error, Exception):
                    raise
                return
            if not socket.client.is_pending(socket):
                return
        self._accept(socket)

    def _refuse(self, socket: Socket, payload: dict[str, Any]) -> None:
        if not socket.client.is_pending(socket):
            return
        try:
            socket.client.refused(socket, payload)
        except EncodeError as error:
            socket.client.refused(socket, INTERNAL_ERROR)
            self.server.handlers.report(error, socket, "middleware")

    def _accept(self, socket: Socket) -> None:
        socket.client.joined(socket)
        socket.accept()
        call = self.server.handlers.call
        for event in CONNECT_EVENTS:
            for listener in self._take(event):
                call(listener, (socket,), socket=socket, event=event)

    def _handle(self, name: str, handler: Listener) -> None:
        if not callable(handler):
            raise TypeError(f"a handler must be callable, not {type(handler).__name__}")
        if name in CONNECT_EVENTS:
            # Apart from the events that clients send, because a client may send one of this name.
            self.on(name, handler)
        else:
            self._handlers[name] = (*self._handlers.get(name, ()), handler)

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self)

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        self.server.handlers.call(listener, (event, subject), socket=None, event=event)

"""A namespace: its sockets, its rooms, its middlewares and its handlers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple, overload

from roomcast.errors import ConnectError, EncodeError, ReservedEventError, UsageError
from roomcast.events import EventEmitter, Listener
from roomcast.server.adapter import Adapter
from roomcast.server.broadcast import BroadcastOperator, Emitter
from roomcast.server.handlers import ErrorHook
from roomcast.server.methods import methods_of
from roomcast.server.recoverable import RecoverableSocket, SessionAwareAdapter
from roomcast.server.recovery import RecoveryFailure
from roomcast.server.registration import prepared
from roomcast.server.sessions import Session
from roomcast.server.socket import LIBRARY_EVENTS, Socket
from roomcast.sockets.acks import Done, checked_timeout, settler
from roomcast.sockets.answers import Answer, Answering
from roomcast.sockets.handlers import is_contained
from roomcast.sockets.signatures import MANY, check_takes
from roomcast.typed import Event

if TYPE_CHECKING:
    from roomcast.server.client import Client
    from roomcast.server.parent import ParentNamespace
    from roomcast.server.server import Server

__all__ = ["Middleware", "Namespace"]

ListenerT = TypeVar("ListenerT", bound=Listener)
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

Middleware = Callable[[Socket], Awaitable[Any] | None]
"""Called with a socket that wants to connect; raising refuses it. A function or a coroutine function."""

MiddlewareT = TypeVar("MiddlewareT", bound=Middleware)
ErrorHookT = TypeVar("ErrorHookT", bound=ErrorHook)

SERVER_TIMEOUT: Final = 5.0
"""Seconds that the other servers of a cluster have for an answer, unless told otherwise. The reference's."""

CONNECT_EVENTS: Final = ("connect", "connection")

SERVER_EVENTS: Final = frozenset({*CONNECT_EVENTS, "new_namespace"})
"""Events of a namespace that belong to the library (socket.io, ``RESERVED_EVENTS`` of a namespace)."""

INTERNAL_ERROR: Final = {"message": "Internal server error"}
"""What a client learns of a middleware that failed."""


class Namespace(EventEmitter, Emitter):
    """A namespace of a server. It belongs to the server's event loop.

    Events: ``connect`` and ``connection``, both with the new socket.

    Attributes:
        name: Its name, with the leading slash.
        server: Its server.
        adapter: Who is in which room.
        middlewares: Asked about every client that wants to connect.
        shared_handlers: The handlers of `event`.
        error_hooks: The hooks of `on_error`.
        parent: The dynamic namespace that it was made by; ``None`` for one of its own.
        outgoing_observers: The sockets that listen for everything that is sent to them.

    A subclass has its handlers as methods: ``on_message(self, socket, text)`` handles ``message``, ``on_connection(self,
    socket)`` and ``on_disconnect(self, socket, reason, details)`` the events of the library, and `roomcast.event` names those
    whose name is no word of Python. Give the class to `Server.of`.

    Source:
        socket.io, ``Namespace``.
    """

    def __init__(self, server: "Server", name: str) -> None:
        """Make a namespace; programs use `Server.of`."""
        super().__init__()
        self.name = name
        self.server = server
        self.adapter = self._new_adapter()
        self.parent: ParentNamespace | None = None
        self.error_hooks: tuple[ErrorHook, ...] = ()
        self.outgoing_observers: set[Socket] = set()
        self.middlewares: tuple[Middleware, ...] = ()
        self.shared_handlers: dict[str, tuple[Listener, ...]] = {}
        self._joining = 0
        self._next_ack_id = 0
        for event, handler, validate in methods_of(self, Namespace):
            self._handle(event, handler, validate)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    @property
    def sockets(self) -> dict[str, Socket]:
        """The connected sockets of this server by id. A new dict; to count them there is `sockets_count`."""
        return {socket.id: socket for socket in self.adapter.rooms.select()}

    @property
    def sockets_count(self) -> int:
        """How many sockets are connected to this server."""
        return len(self.adapter.rooms)

    @property
    def rooms(self) -> set[str]:
        """The rooms that have members on this server, the sockets' own not among them. A new set."""
        return set(self.adapter.rooms.room_names())

    def room_size(self, room: str) -> int:
        """Return how many sockets of this server are in a room; 0 for one that does not exist."""
        return self.adapter.rooms.members(room)

    def use(self, middleware: MiddlewareT) -> MiddlewareT:
        """Ask a middleware about every client that wants to connect; also a decorator.

        Args:
            middleware: Called with the socket, after those that are there already. `ConnectError` refuses the client with
                its message and data, any other exception with a generic text. Until the last one has returned, nothing is
                dispatched to the socket and no broadcast reaches it; what a middleware emits to it arrives.

        Returns:
            The middleware.
        """
        check_takes(middleware, 1, 1, "a middleware")
        self.middlewares = (*self.middlewares, middleware)
        return middleware

    @overload
    def event(
        self, event: Event[R, *Ts], /, *, validate: bool | None = None
    ) -> Callable[
        [Callable[[Socket, *Ts], R | Awaitable[R]]], Callable[[Socket, *Ts], R | Awaitable[R]]
    ]: ...
    @overload
    def event(self, handler: ListenerT, /) -> ListenerT: ...
    @overload
    def event(
        self, name: str | None = None, /, *, validate: bool | None = None
    ) -> Callable[[ListenerT], ListenerT]: ...
    def event(self, handler: Any = None, /, *, validate: bool | None = None) -> Any:
        """Handle an event of every socket of the namespace: a decorator, bare or with the event's name or declaration.

        The handler gets ``(socket, *args)`` and is called after the socket's own. Bare, the function's name is the event.
        ``connect``, ``connection``, ``disconnecting`` and ``disconnect`` work too, the latter two with
        ``(socket, reason, details)`` or fewer parameters.

        Args:
            handler: The handler, the event's name, or its declaration in an event map (`roomcast.typed`).
            validate: Whether the event's arguments are validated by the handler's annotations; the server's option ``validate``
                unless told otherwise.

        Raises:
            HandlerError: If the handler's annotations cannot be validated.
            MissingDependencyError: If a library is missing that they need.
            TypeError: If the handler cannot be called with what the event brings.
            UsageError: If an event of the library is to be validated.
        """
        if handler is not None and not isinstance(handler, str):
            self._handle(handler.__name__, handler, validate)
            return handler

        def add(function: ListenerT) -> ListenerT:
            self._handle(handler or function.__name__, function, validate)
            return function

        return add

    def on_error(self, hook: ErrorHookT) -> ErrorHookT:
        """Call a hook for every exception that concerns a socket of this namespace; also a decorator.

        Args:
            hook: As for `Server.on_error`; it is called before those of the server.

        Returns:
            The hook.
        """
        check_takes(hook, 3, 3, "an error hook")
        self.error_hooks = (*self.error_hooks, hook)
        return hook

    def server_side_emit(
        self, event: str, *args: Any, ack: Listener | None = None, timeout: float = SERVER_TIMEOUT
    ) -> Awaitable[None]:
        """Send an event to this namespace of the other servers in the cluster, where `on` listens for it.

        Args:
            event: The event's name; none of ``connect``, ``connection`` and ``new_namespace``.
            args: Its arguments.
            ack: Called with ``(error, responses)``: of each other server the first argument of its answer.
            timeout: Seconds to wait for those.

        Returns:
            Something to await until it has been handed to the cluster, or to ignore.

        Raises:
            ReservedEventError: If the event belongs to the library.

        Source:
            socket.io, ``serverSideEmit``.
        """
        if ack is None:
            return self._server_side_emit(event, args, None, timeout)

        def done(error: Exception | None, answer: tuple[Any, ...]) -> None:
            self.server.handlers.call(ack, (error, *answer), None, event)

        return self._server_side_emit(event, args, done, timeout)

    def server_side_emit_with_ack(
        self, event: str, *args: Any, timeout: float = SERVER_TIMEOUT
    ) -> Awaitable[list[Any]]:
        """Send an event as `server_side_emit` does, and get the answers of the other servers.

        Returns:
            A future of the answers; alone, an empty list. It raises `AckTimeoutError`, whose ``responses`` are the answers so
            far, if a server does not answer in time.

        Raises:
            ReservedEventError: If the event belongs to the library.
        """
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._server_side_emit(event, args, settler(future), timeout)
        return future

    # What follows is for the other parts of the server.

    def next_ack_id(self) -> int:
        """Return the next id for an acknowledgement, from 0; all sockets and broadcasts share the counter."""
        id = self._next_ack_id
        self._next_ack_id += 1
        return id

    def handlers_of(self, event: str) -> tuple[Listener, ...]:
        """Return the handlers of an event that all sockets share."""
        return self.shared_handlers.get(event, ())

    def connect(
        self,
        client: "Client",
        auth: Mapping[str, Any],
        restored: Session | RecoveryFailure | None = None,
    ) -> Socket:
        """Make a socket for a client; it is pending until `admit`.

        Args:
            client: The client.
            auth: What it sent.
            restored: What came of its wish for a session, if it had one.
        """
        self.joining_began()
        if self.adapter.recovers:
            return RecoverableSocket(self, client, auth, restored)
        return Socket(self, client, auth)

    def joining_began(self) -> None:
        """Learn that there will be a socket, so that the child of a dynamic namespace stays."""
        self._joining += 1

    def joining_ended(self) -> None:
        """Learn that a pending socket was accepted, or is gone."""
        self._joining -= 1
        self.socket_left()

    def inherit(self, parent: "ParentNamespace") -> None:
        """Begin as the child of a dynamic namespace, with what that has at this moment."""
        self.parent = parent
        self.error_hooks = parent.error_hooks
        self.middlewares = parent.middlewares
        for name, handlers in parent.shared_handlers.items():
            self.shared_handlers[name] = (*self.shared_handlers.get(name, ()), *handlers)
        for event in CONNECT_EVENTS:
            for listener in parent.listeners(event):
                self.on(event, listener)

    def on_server_side_emit(
        self, event: str, args: tuple[Any, ...], answering: Answering | None = None
    ) -> None:
        """Call the listeners of an event that another server of the cluster has sent.

        Args:
            event: The event; those that belong to the library are ignored.
            args: Its arguments.
            answering: Gets the first result that is not ``None``, as a client would; with the id 0.
        """
        if event in SERVER_EVENTS:
            return
        listeners = self._take(event)
        answer = None if answering is None else Answer(answering, 0, len(listeners))
        for listener in listeners:
            self.server.handlers.call(listener, args, None, event, answer)

    def socket_left(self) -> None:
        """Learn that there may be nobody left: the child of a dynamic namespace goes then."""
        if self.parent is not None and self.is_empty:
            self.server.child_is_empty(self)

    @property
    def is_empty(self) -> bool:
        """Whether there is no socket, connected or pending, and none that may come back."""
        adapter = self.adapter
        return not self._joining and not len(adapter.rooms) and not adapter.has_sessions

    def admit(self, socket: Socket) -> None:
        """Let a pending socket in, if all middlewares agree."""
        if self.middlewares and not (socket.recovered and self.server.skips_middlewares):
            self.server.handlers.run(self._ask(socket))
        else:
            self._accept(socket)

    async def _ask(self, socket: Socket) -> None:
        for middleware in self.middlewares:
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
                if not is_contained(error):
                    raise
                return
            if not socket.client.is_pending(socket):
                return
        if isinstance(socket, RecoverableSocket) and not socket.can_recover():
            socket.conn.close("forced close", "missed too much while its middlewares were asked")
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
        self.joining_ended()
        call = self.server.handlers.call
        for event in CONNECT_EVENTS:
            for listener in self._take(event):
                call(listener, (socket,), socket, event)

    def _handle(self, name: str, handler: Listener, validate: bool | None = None) -> None:
        if name in CONNECT_EVENTS:
            # Apart from the events that clients send, because a client may send one of this name.
            if validate:
                raise UsageError(
                    f"{name!r} is an event of the library: there is nothing to validate"
                )
            self.on(name, handler)
            return
        args = LIBRARY_EVENTS.get(name)
        if args is None:
            check_takes(handler, 1, MANY, f"a handler of {name}")
        else:
            check_takes(handler, 0, 1 + args, f"a handler of {name}")
        default = self.server.options.validate
        handler = prepared(handler, name, validate, default=default, with_socket=True)
        self.shared_handlers[name] = (*self.shared_handlers.get(name, ()), handler)

    def _check_listener(self, event: str, listener: Listener) -> None:
        if event in SERVER_EVENTS:
            check_takes(listener, 1, 1, f"a listener of {event}")
        else:
            check_takes(listener, 0, MANY, "a listener")

    def _server_side_emit(
        self, event: str, args: tuple[Any, ...], done: Done | None, timeout: float
    ) -> Awaitable[None]:
        if event in SERVER_EVENTS:
            raise ReservedEventError(event)
        return self.adapter.server_side_emit(event, args, done, checked_timeout(timeout))

    def _new_adapter(self) -> Adapter:
        factory = self.server.options.adapter
        if factory is not None:
            return factory.new_adapter(self)
        sessions = self.server.sessions
        return Adapter(self) if sessions is None else SessionAwareAdapter(self, sessions)

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self)

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        self.server.handlers.call(listener, (event, subject), None, event)

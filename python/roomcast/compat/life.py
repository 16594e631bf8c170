"""The life of a client as handlers see it: ``connect``, its events, ``disconnect``.

A ``connect`` handler decides as a middleware of roomcast does, before the client is let in; with ``always_connect`` afterwards, and
until it has decided events wait. Whoever was let in by it gets its ``disconnect`` handler, also where the line broke meanwhile.
"""

import logging
from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from typing import Any, Final, Literal

from roomcast.compat.exceptions import ConnectionRefusedError as Refused
from roomcast.compat.members import Member, Members
from roomcast.compat.reasons import Reason, reason_of
from roomcast.compat.routes import CATCH_ALL, CONNECT, DISCONNECT, Handler, Routes
from roomcast.errors import ConnectError
from roomcast.events import Listener
from roomcast.logs import printable
from roomcast.server import Namespace, Server, Socket
from roomcast.sockets.signatures import accepted

__all__ = ["IO", "Life", "Route", "RoutedNamespace"]

Route = Callable[[str, str], tuple[Listener, ...]]
"""Returns what handles an event of a namespace: called with the namespace's name and the event."""

Namespaces = list[str] | Literal["*"]

INVALID_NAMESPACE: Final = "Invalid namespace"
"""What clients of the reference get. Differs from python-socketio, whose bare text official clients read as an empty message."""


class IO(Server):
    """roomcast's server with python-socketio's way to a handler.

    Attributes:
        route: That way.
    """

    def __init__(self, route: Route, **options: Any) -> None:
        """Take the way and the options of a `roomcast.Server`."""
        self.route = route
        super().__init__(**options)

    def handlers_of(self, event: str) -> tuple[Listener, ...]:
        """Return the handlers of an event."""
        return self.route(self.name, event)


class RoutedNamespace(Namespace):
    """A namespace with that way."""

    def handlers_of(self, event: str) -> tuple[Listener, ...]:
        """Return the handlers of an event."""
        assert isinstance(self.server, IO)
        return self.server.route(self.name, event)


class Life:
    """Calls the handlers for the clients of one server.

    Attributes:
        members: The clients.
        routes: The handlers.
        namespaces: The namespaces that clients may join beside those that have handlers; ``"*"`` for all.
    """

    def __init__(
        self,
        routes: Routes,
        namespaces: Namespaces,
        *,
        always_connect: bool,
        async_handlers: bool,
        logger: logging.Logger,
    ) -> None:
        self.members = Members()
        self.routes = routes
        self.namespaces = namespaces
        self._always_connect = always_connect
        self._async_handlers = async_handlers
        self._logger = logger

    def follow(self, nsp: Namespace) -> None:
        """Call the handlers for the clients of a namespace, or of all children of a dynamic one."""
        nsp.use(self._admit)
        nsp.on(CONNECT, self._connected)

    def accepts(self, nsp: str) -> bool:
        """Say whether clients may join a namespace."""
        return nsp in self.routes or self.namespaces == CATCH_ALL or nsp in self.namespaces

    def route(self, nsp: str, event: str) -> tuple[Listener, ...]:
        """Return what handles an event of a client."""
        if event == DISCONNECT:
            return (self._left,)
        if event == "disconnecting":
            return (self._leaving,)
        handler = self.routes.find(event, nsp)
        return () if handler is None else (partial(self._handle, handler, event),)

    async def _admit(self, socket: Socket) -> None:
        """Let a client in unless its ``connect`` handler refuses it."""
        if not self.accepts(socket.nsp.name):
            raise ConnectError(INVALID_NAMESPACE)
        if self._always_connect:
            return
        member = self.members.add(socket, pending=True)
        try:
            refusal = await self._ask(member)
        except BaseException:
            self.members.remove(member)
            raise
        if refusal is not None:
            self.members.remove(member)
            raise ConnectError(refusal["message"], refusal.get("data"))
        if not socket.client.is_pending(socket):  # its line broke meanwhile
            member.leave()
            member.decided.set()
            await self._bid_farewell(member, Reason.TRANSPORT_CLOSE)

    async def _connected(self, socket: Socket) -> None:
        """Learn that a namespace has let a client in."""
        member = self.members.get(socket.id, socket.nsp.name)
        if member is not None:
            self.members.connected(member)
            member.decided.set()
            return
        member = self.members.add(socket, pending=False)
        try:
            refusal = await self._ask(member)
            if refusal is not None:
                member.refused = True
                socket.disconnect()
        finally:
            member.decided.set()

    async def _ask(self, member: Member) -> dict[str, Any] | None:
        """Call the ``connect`` handler; return what the client is told if it is refused."""
        socket = member.socket
        handler = self.routes.find(CONNECT, socket.nsp.name)
        if handler is None:
            return None
        auth = dict(socket.handshake.auth) or None
        try:
            result = await _call(handler, (socket.id, member.line.environ(socket), auth))
        except Refused as error:
            return error.error_args
        except ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        return Refused().error_args if result is False else None

    def _handle(self, handler: Handler, event: str, socket: Socket, *args: Any) -> Any:
        """Call the handler of an event; return what the client gets for it."""
        if event == "error" and args and isinstance(args[0], Exception):
            return None  # roomcast's own, which no client can send
        if self._logger.isEnabledFor(logging.INFO):
            self._logger.info(
                'received event "%s" from %s [%s]', printable(event), socket.id, socket.nsp.name
            )
        member = self.members.get(socket.id, socket.nsp.name)
        if member is not None and not (self._async_handlers and member.decided.is_set()):
            return self._handle_in_turn(member, handler, args)
        return handler(socket.id, *args)

    async def _handle_in_turn(self, member: Member, handler: Handler, args: tuple[Any, ...]) -> Any:
        await member.decided.wait()
        if self._async_handlers:
            return await _result(handler(member.socket.id, *args))
        async with member.line.turn:
            return await _result(handler(member.socket.id, *args))

    def _leaving(self, socket: Socket) -> None:
        member = self.members.get(socket.id, socket.nsp.name)
        if member is not None:
            member.leave()

    async def _left(self, socket: Socket, reason: str, details: str | None) -> None:
        member = self.members.get(socket.id, socket.nsp.name)
        if member is not None:
            await self._bid_farewell(member, reason_of(reason, details))

    async def _bid_farewell(self, member: Member, reason: str) -> None:
        """Call the ``disconnect`` handler of a client, and forget it."""
        try:
            if not member.refused:
                await member.decided.wait()
            socket = member.socket
            handler = self.routes.find(DISCONNECT, socket.nsp.name)
            if handler is not None and not member.refused:
                await _call(handler, (socket.id, reason))
        finally:
            self.members.remove(member)
            member.gone.set()


async def _call(handler: Handler, args: tuple[Any, ...]) -> Any:
    """Call a handler with as many of the arguments as it takes: older ones have no ``auth``, and no reason.

    Differs from python-socketio, which calls again without the last one after any `TypeError`.
    """
    return await _result(handler(*accepted(handler, args)))


async def _result(result: Any) -> Any:
    return await result if isawaitable(result) else result

"""python-socketio's ``AsyncServer`` on a `roomcast.Server`."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar, Final, NoReturn, TypeVar, Unpack

from roomcast.compat.emitting import Emitting
from roomcast.compat.environ import Environ, current_scope
from roomcast.compat.life import IO, Life, Namespaces, RoutedNamespace
from roomcast.compat.manager import Manager
from roomcast.compat.members import Member
from roomcast.compat.namespace import AsyncNamespace
from roomcast.compat.options import (
    EngineIOOptions,
    read_client_manager,
    read_json,
    read_logger,
    read_options,
)
from roomcast.compat.reasons import Reason
from roomcast.compat.registration import Registration
from roomcast.compat.rooms import Room, room_name
from roomcast.compat.routes import CATCH_ALL
from roomcast.engine.asgi import Receive, Scope, Send
from roomcast.errors import UsageError

__all__ = ["AsyncServer"]

T = TypeVar("T")

ROOT: Final = "/"


class AsyncServer(Registration, Emitting):
    """A server with python-socketio's API: clients are their ids. It belongs to the event loop of its first connection.

    Attributes:
        io: The server underneath, for what python-socketio has no word for.
        manager: Questions about the clients.
        logger: Where it says what it does.
        always_connect: Whether clients are let in before their ``connect`` handler has decided.
        async_handlers: Whether a client's next event is handled while a handler of it waits.
        async_mode: ``asgi``.
        namespaces: The namespaces that clients may join beside those that have handlers.

    Source:
        python-socketio, ``AsyncServer``.
    """

    reason: ClassVar = Reason
    reserved_events: ClassVar = ["connect", "disconnect"]
    async_mode: ClassVar = "asgi"

    def __init__(
        self,
        client_manager: None = None,
        logger: bool | logging.Logger = False,
        json: None = None,
        async_handlers: bool = True,
        namespaces: Namespaces | None = None,
        **options: Unpack[EngineIOOptions],
    ) -> None:
        """Make a server.

        Args:
            client_manager: Not there: a cluster has the option ``adapter``, as `roomcast.Server` has.
            logger: Whether to say what it does, or where.
            json: Not there: roomcast's core writes and reads JSON.
            async_handlers: Whether a client's next event is handled while a handler of it waits.
            namespaces: The namespaces that clients may join beside those that have handlers, ``["/"]`` unless told otherwise;
                ``"*"`` for all.
            options: python-socketio's other options, and ``adapter``, ``default``, ``limits``, ``per_message_deflate`` and
                ``trusted_proxies`` of `roomcast.Server`.

        Raises:
            TypeError: If an option is unknown, or has the wrong type.
            UsageError: If an option cannot be honoured; the message says what to do instead.
            ValueError: If a value is out of its range.
        """
        read_client_manager(client_manager)
        read_json(json)
        Registration.__init__(self)
        self.logger = read_logger(logger)
        self.async_handlers = async_handlers
        self.always_connect = bool(options.get("always_connect", False))
        self.namespaces: Namespaces = namespaces or [ROOT]
        self._life = Life(
            self._routes,
            self.namespaces,
            always_connect=self.always_connect,
            async_handlers=async_handlers,
            logger=self.logger,
        )
        self.manager = Manager(self._life.members)
        self.io = IO(self._life.route, **read_options(options))
        self._hides_origin = options.get("cors_allowed_origins") in ([], ())
        self._tasks: set[asyncio.Future[Any]] = set()
        Emitting.__init__(self, self.io, self._life.members, self.logger, async_handlers)
        self._life.follow(self.io)
        if self.namespaces == CATCH_ALL:
            self._life.follow(self.io.of(lambda name, auth: True, RoutedNamespace))
        else:
            for name in self.namespaces:
                self._namespace_added(name)

    def register_namespace(self, namespace_handler: AsyncNamespace) -> None:
        """Let an object handle the events of its namespace.

        Raises:
            ValueError: If it is no `AsyncNamespace` of ``roomcast.compat``.
        """
        super().register_namespace(namespace_handler)
        namespace_handler.server = self

    def is_asyncio_based(self) -> bool:
        """Return ``True``."""
        return True

    async def enter_room(self, sid: str, room: Room, namespace: str | None = None) -> None:
        """Put a client into a room.

        Raises:
            KeyError: If there is no such client.
            TypeError: If the room is neither a ``str`` nor an ``int``.
            ValueError: If the room is that of another client, or nobody is in the namespace.
        """
        nsp = namespace or ROOT
        name = room_name(room)
        self.logger.info("%s is entering room %s [%s]", sid, room, nsp)
        if sid != room and self._member(room, nsp) is not None:
            raise ValueError("cannot enter a sid room")
        member = self._member(sid, nsp)
        if member is not None:
            await member.socket.join(name)
        elif not self._is_clustered:
            if nsp not in self.manager.get_namespaces():
                raise ValueError("sid is not connected to requested namespace")
            raise KeyError(sid)
        else:
            await self._reach(nsp).in_(sid).sockets_join(name)

    async def leave_room(self, sid: str, room: Room, namespace: str | None = None) -> None:
        """Take a client out of a room; one that it is not in is ignored."""
        nsp = namespace or ROOT
        self.logger.info("%s is leaving room %s [%s]", sid, room, nsp)
        member = self._member(sid, nsp)
        if member is not None:
            await member.socket.leave(room_name(room))
        elif self._is_clustered:
            await self._reach(nsp).in_(sid).sockets_leave(room_name(room))

    async def close_room(self, room: Room, namespace: str | None = None) -> None:
        """Take everybody out of a room.

        Raises:
            ValueError: If the room is that of a client.
        """
        nsp = namespace or ROOT
        name = room_name(room)
        self.logger.info("room %s is closing [%s]", room, nsp)
        if self._member(room, nsp) is not None:
            raise ValueError("cannot close a sid room")
        for member in self._life.members.pending(nsp):
            await member.socket.leave(name)
        reached = self._namespace(nsp)
        if reached is not None:
            await reached.in_(name).sockets_leave(name)

    def rooms(self, sid: str, namespace: str | None = None) -> list[Room]:
        """Return the rooms of a client, its own first; none for a client that is not here."""
        return self.manager.get_rooms(sid, namespace or ROOT)

    async def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return the session of a client: a dict for the application's own use, the same each time.

        Raises:
            KeyError: If there is no such client.
        """
        nsp = namespace or ROOT
        return self._known(sid, nsp).line.sessions.setdefault(nsp, {})

    async def save_session(
        self, sid: str, session: Mapping[str, Any], namespace: str | None = None
    ) -> None:
        """Keep a session in the place of what there was.

        Raises:
            KeyError: If there is no such client.
        """
        nsp = namespace or ROOT
        kept = session if isinstance(session, dict) else dict(session)
        self._known(sid, nsp).line.sessions[nsp] = kept

    def session(
        self, sid: str, namespace: str | None = None
    ) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Return the session of a client in an ``async with``, and keep it at the end of that.

        Raises:
            KeyError: If there is no such client, at the beginning of the block or at its end.
        """
        return self._session(sid, namespace)

    async def disconnect(
        self, sid: str, namespace: str | None = None, ignore_queue: bool = False
    ) -> None:
        """Make a client leave a namespace, and wait until its ``disconnect`` handler is done; no such client is ignored.

        Args:
            sid: Its id.
            namespace: The namespace.
            ignore_queue: Whether only clients of this server are meant.
        """
        nsp = namespace or ROOT
        member = self._member(sid, nsp)
        if member is None:
            if self._is_clustered and not ignore_queue:
                await self._reach(nsp).in_(sid).disconnect_sockets()
        elif member.socket.connected and not member.leaving:
            self.logger.info("Disconnecting %s [%s]", sid, nsp)
            member.socket.disconnect()
            await member.gone.wait()

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """Return what carries a client at the moment: ``polling`` or ``websocket``.

        Raises:
            KeyError: If there is no such client.
        """
        return self._known(sid, namespace or ROOT).socket.conn.transport.name

    def get_environ(self, sid: str, namespace: str | None = None) -> Environ | None:
        """Return the environment of the request that opened a client's connection; ``None`` if there is no such client."""
        member = self._member(sid, namespace or ROOT)
        return None if member is None else member.line.environ(member.socket)

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request that is for the server; `ASGIApp` calls it."""
        current_scope.set(scope)
        if self._hides_origin:
            headers = [header for header in scope["headers"] if header[0] != b"origin"]
            scope = {**scope, "headers": headers}
        await self.io.engine.handle(scope, receive, send)

    async def shutdown(self) -> None:
        """Close all connections, and accept no more."""
        self.logger.info("Socket.IO is shutting down")
        await self.io.close()

    def start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[T]:
        """Start a coroutine function; return its task, which is kept until it ends."""
        task = asyncio.ensure_future(target(*args, **kwargs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def sleep(self, seconds: float = 0) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def attach(self, app: Any, socketio_path: str = "socket.io") -> NoReturn:
        """Refuse: the frameworks that this is for speak no ASGI.

        Raises:
            UsageError: Always.
        """
        raise UsageError("attach: roomcast speaks ASGI only; serve ASGIApp(sio, other_asgi_app)")

    def instrument(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: there is no Admin UI.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "instrument: roomcast has no Admin UI; sio.io.metrics has the numbers of what goes on"
        )

    def _namespace_added(self, nsp: str) -> None:
        # A name without a slash is one that no client can ask for.
        if nsp.startswith(ROOT) and self.io.namespace_of(nsp) is None:
            self._life.follow(self.io.of(nsp, RoutedNamespace))

    def _known(self, sid: str, nsp: str) -> Member:
        member = self._member(sid, nsp)
        if member is None:
            raise KeyError("Session not found")
        return member

    @asynccontextmanager
    async def _session(self, sid: str, namespace: str | None) -> AsyncGenerator[dict[str, Any]]:
        session = await self.get_session(sid, namespace)
        try:
            yield session
        finally:
            await self.save_session(sid, session, namespace)

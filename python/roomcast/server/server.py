"""The server: its namespaces, and everything that they share."""

import asyncio
import re
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar, Unpack, overload

from roomcast.asgi import ASGIApp, ASGIApplication
from roomcast.codec.parser import encoder_of
from roomcast.engine.connection import Connection
from roomcast.engine.outbox import DONE
from roomcast.engine.server import CLOSE_TIMEOUT, Engine
from roomcast.errors import UsageError
from roomcast.server.adapter import OF_WORKERS, AdapterFactory, PassingAdapter
from roomcast.server.client import Client, Parked
from roomcast.server.handlers import ErrorHook, ServerHandlers
from roomcast.server.metrics import Metrics, metrics_of
from roomcast.server.namespace import Namespace
from roomcast.server.options import ServerOptions, read_options
from roomcast.server.parent import NamespacePredicate, ParentNamespace
from roomcast.server.sessions import Sessions
from roomcast.serving import Listening, listen, run
from roomcast.sockets.handlers import is_contained
from roomcast.sockets.signatures import check_takes

__all__ = ["Server"]

SHUTDOWN: Final = "server shutting down"

ErrorHookT = TypeVar("ErrorHookT", bound=ErrorHook)
NamespaceT = TypeVar("NamespaceT", bound=Namespace)


class Server(Namespace):
    """A Socket.IO server, and at once its own namespace ``/``: ``io.emit``, ``io.on``, ``io.use`` mean that one.

    It belongs to the event loop of its first connection. Beside the events of a namespace it has ``new_namespace``, with each that
    is made.

    Attributes:
        options: What it was made with.
        engine: The Engine.IO server underneath.

    Source:
        socket.io, ``Server``. Differs from it: there the methods of ``/`` are copied, here the server is that namespace.
    """

    def __init__(self, **options: Unpack[ServerOptions]) -> None:
        """Make a server.

        Args:
            options: `ServerOptions`; their meanings and defaults are those of `Options`. Times in seconds, sizes in bytes.

        Raises:
            TypeError: If an option is unknown, and then it names the nearest right one, or has the wrong type.
            ValueError: If a value is out of its range, or two options contradict each other.
        """
        self.options = read_options(options)
        self.handlers = ServerHandlers()
        if self.options.workers is not None and self.options.adapter is None:
            self.options = replace(self.options, adapter=OF_WORKERS.make(self.options.workers))
        self.parked = Parked(self.options.limits.max_pending_size)
        self.warned_of_own_room = False
        adapter: object = self.options.adapter
        way = adapter.way if isinstance(adapter, PassingAdapter) else None
        self.engine: Engine = Engine(self._on_connection, self.options, way)
        self.encoder = encoder_of(
            self.options.parser, self.options.limits, self.options.default, self.engine.traffic
        )
        recovery = self.options.connection_state_recovery
        self.skips_middlewares = recovery is not None and recovery.skip_middlewares
        self.sessions = (
            None if recovery is None else Sessions(recovery, self.options.patience, self.engine)
        )
        self._namespaces: dict[str, Namespace] = {"/": self}
        self._parents: list[ParentNamespace] = []
        self._kept: set[str] = set()
        self._listening: list[Listening] = []
        self._closing: asyncio.Task[None] | None = None
        self._factory = self.options.adapter
        super().__init__(self, "/")

    @overload
    def of(self, name: str) -> Namespace: ...
    @overload
    def of(self, name: str, kind: type[NamespaceT]) -> NamespaceT: ...
    @overload
    def of(
        self, name: re.Pattern[str] | NamespacePredicate, kind: type[Namespace] = ...
    ) -> ParentNamespace: ...
    def of(
        self, name: str | re.Pattern[str] | NamespacePredicate, kind: type[Namespace] = Namespace
    ) -> Namespace:
        """Return a namespace, made at its first use; or, for a pattern or a predicate, a new dynamic one.

        Args:
            name: Its name; a missing leading slash is added. Or a pattern that is searched for in the names that clients ask
                for, or a function or coroutine function that gets the name and the client's auth and says whether it may have
                it. Dynamic namespaces are asked in the order in which they were made, after all that have a name.
            kind: The class of the namespace, or of the children, whose methods are handlers; see `Namespace`.

        Raises:
            UsageError: If the namespace is there already, and of another class.

        Source:
            socket.io, ``Server.of``. Differs from it: a predicate returns its answer.
        """
        if not isinstance(name, str):
            parent = ParentNamespace(self, name, kind)
            self._parents.append(parent)
            return parent
        if not name.startswith("/"):
            name = f"/{name}"
        nsp = self._namespaces.get(name)
        if nsp is None:
            found = next((each for each in self._parents if each.matches_pattern(name)), None)
            if found is not None and kind is Namespace:  # as if a client had been the first to ask
                kind = found.kind
            nsp = self._make(name, kind, found)
            self._kept.add(name)
        elif not isinstance(nsp, kind):
            raise UsageError(f"{name} is there already, as {type(nsp).__name__}")
        return nsp

    def on_error(self, hook: ErrorHookT) -> ErrorHookT:
        """Call a hook for every exception that leaves a handler, a middleware or an ack callback; also a decorator.

        Args:
            hook: Gets ``(exception, socket, event)``; the socket is ``None`` where no single one is concerned. A function or
                a coroutine function. It is called after the exception has been logged.

        Returns:
            The hook.

        Source:
            roomcast. Not ``io.on("error")``: clients may send an event of that name.
        """
        check_takes(hook, 3, 3, "an error hook")
        self.handlers.add_hook(hook)
        return hook

    @property
    def metrics(self) -> Metrics:
        """What goes on and what has gone on, in numbers that are always counted; `roomcast.metrics` exports them.

        Cost:
            Linear in the connections and rooms.
        """
        return metrics_of(self)

    def asgi(self, other_app: ASGIApplication | None = None) -> ASGIApp:
        """Return an ASGI application that serves this server.

        Args:
            other_app: Gets every request that is not for the server, and the lifespan; without it those get a 404.
        """
        return ASGIApp(self.engine, other_app, on_startup=self._startup, on_shutdown=self._shutdown)

    async def listen(
        self, port: int, *, host: str = "127.0.0.1", other_app: ASGIApplication | None = None
    ) -> Listening:
        """Serve on a port of one's own, in the running event loop; returns when connections are accepted.

        Args:
            port: The port; 0 takes a free one, and the result says which.
            host: The address.
            other_app: As for `asgi`.

        Raises:
            MissingDependencyError: If uvicorn is not installed.
            OSError: If the address cannot be used.
        """
        listening = await listen(
            self.asgi(other_app), host, port, max_size=self.options.limits.max_http_buffer_size
        )
        self._listening.append(listening)
        return listening

    def run(
        self, port: int, *, host: str = "127.0.0.1", other_app: ASGIApplication | None = None
    ) -> None:
        """Serve until SIGINT or SIGTERM, in an event loop of one's own (uvloop where it is installed).

        Args:
            port: The port.
            host: The address.
            other_app: As for `asgi`.

        Raises:
            MissingDependencyError: If uvicorn is not installed.
            OSError: If the address cannot be used.
        """
        run(lambda: self.listen(port, host=host, other_app=other_app), self.close)

    def close(self, *, timeout: float = CLOSE_TIMEOUT) -> Awaitable[None]:
        """Stop: refuse new connections, send what waits, close all (``server shutting down``), listen no more.

        Args:
            timeout: Seconds until the lines that have not ended are cut off.

        Returns:
            Something to await until the lines have ended, or to ignore.
        """
        self.engine.close(SHUTDOWN)
        if self._closing is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # nothing was served yet
                return DONE
            self._closing = loop.create_task(self._finish(timeout))
        return asyncio.shield(self._closing)

    # What follows is for the other parts of the server.

    @property
    def namespaces(self) -> list[Namespace]:
        """The namespaces that there are now."""
        return list(self._namespaces.values())

    @property
    def adapters(self) -> AdapterFactory | None:
        """The option ``adapter``."""
        return self._factory

    def namespace_of(self, name: str) -> Namespace | None:
        """Return the namespace of a name, if it is there."""
        return self._namespaces.get(name)

    @property
    def is_dynamic(self) -> bool:
        """Whether there are dynamic namespaces."""
        return bool(self._parents)

    async def child_for(self, name: str, auth: Mapping[str, Any]) -> Namespace | None:
        """Return the child of a dynamic namespace that a client asks for, made for it if need be; ``None`` if none wants it."""
        for parent in list(self._parents):
            try:
                allowed = await parent.matches(name, auth)
            except BaseException as error:
                self.handlers.report(error, None, "namespace")
                if not is_contained(error):
                    raise
                continue
            if allowed:
                # Another client may have been faster while this one was asked about.
                nsp = self._namespaces.get(name)
                return self._make(name, parent.kind, parent) if nsp is None else nsp
        return None

    def child_is_empty(self, child: Namespace) -> None:
        """Let the child of a dynamic namespace go, if that is wanted."""
        if self.options.cleanup_empty_child_namespaces and child.name not in self._kept:
            self._namespaces.pop(child.name, None)
            if child.parent is not None:
                child.parent.children.pop(child.name, None)
            child.adapter.close()

    def _make(self, name: str, kind: type[Namespace], parent: ParentNamespace | None) -> Namespace:
        nsp = kind(self, name) if parent is None else parent.make_child(name, kind)
        self._namespaces[name] = nsp
        for listener in self._take("new_namespace"):
            self.handlers.call(listener, (nsp,), None, "new_namespace")
        return nsp

    async def _startup(self) -> None:
        if self._factory is not None:
            await self._factory.start()

    async def _shutdown(self) -> None:
        # Not `close`: that waits for the HTTP server, which is waiting for this.
        self.engine.close(SHUTDOWN)
        await self.engine.wait_closed()
        if self._factory is not None:
            await self._factory.close()

    async def _finish(self, seconds: float) -> None:
        # The ports stay open until then: a client on polling comes back for its last packets.
        await self.engine.wait_closed(seconds)
        if self._factory is not None:
            await self._factory.close()
        for listening in self._listening:
            listening.stop()
        for listening in self._listening:
            await listening.wait_closed()

    def _on_connection(self, conn: Connection) -> Client:
        if self._factory is not None:
            self.handlers.run(self._factory.start())
        return Client(self, conn)

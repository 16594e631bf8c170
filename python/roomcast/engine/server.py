"""The Engine.IO server: takes requests from ASGI, refuses or accepts them, and keeps the connections.

It knows nothing of Socket.IO: whoever is above gives a function that gets each new connection and returns its receiver.
The loop it belongs to is the one of its first request; once that is closed, the one of the next request.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from inspect import isawaitable
from typing import Any, Final, TypeVar

from roomcast._core import Flusher, Outbox, Traffic
from roomcast.engine.answers import TAKEOVER, Answers
from roomcast.engine.asgi import Receive, Scope, Send
from roomcast.engine.checks import (
    ORIGIN_REFUSED,
    ConnectionRefusal,
    Refusal,
    forbidden,
    head_limit,
    id_generation_error,
    middleware_failure,
    refusal,
    unknown_sid,
)
from roomcast.engine.connection import (
    Connection,
    ConnectionState,
    Receiver,
    Settings,
    Timed,
)
from roomcast.engine.direct import DirectWebSocket
from roomcast.engine.exchange import Exchanges
from roomcast.engine.heartbeat import Timers
from roomcast.engine.histogram import Histogram
from roomcast.engine.ids import generate_id
from roomcast.engine.options import EngineOptions
from roomcast.engine.outbox import new_flusher
from roomcast.engine.places import Place, Places
from roomcast.engine.polling import Polling
from roomcast.engine.reads import keep_reads_on_heap
from roomcast.engine.requests import Request
from roomcast.engine.unix import UnixWay
from roomcast.engine.upgrade import Probe
from roomcast.engine.ways import UnreachableError, Way, WorkerLostError
from roomcast.engine.websocket import ASGIWebSocket
from roomcast.engine.workers import Workers
from roomcast.errors import ConnectError
from roomcast.events import EventEmitter, Listener
from roomcast.logs import Once, printable

__all__ = ["CLOSE_TIMEOUT", "Engine", "EngineMiddleware"]

EngineMiddleware = Callable[[Request], Awaitable[None] | None]
"""Called with every request for the server; raising refuses it. A function or a coroutine function."""

MiddlewareT = TypeVar("MiddlewareT", bound=EngineMiddleware)

WebSocket = ASGIWebSocket | DirectWebSocket

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that a server that closes waits for its lines to end, unless told otherwise."""

log = logging.getLogger("roomcast.engine")


class Engine(EventEmitter):
    """Accepts connections over ASGI and keeps them alive. It belongs to one event loop.

    Events; a listener is a function or a coroutine function, which is awaited:

    - ``initial_headers``: ``(headers, request)`` before the first answer to a connection; ``headers`` is a dict to change.
    - ``headers``: The same before every answer that is not an error, and before the 101 of a WebSocket.
    - ``connection_error``: A `ConnectionRefusal`, for every request that was refused.
    - ``slow_client``: ``(connection, dropped)`` when the send buffer of a connection is full: how many packets were dropped in
      this tick, or 0 where the connection is closed. Not awaited.

    Attributes:
        options: What it was made with.
        path: What the path of every request for it begins with.
        connections: The open connections by their id.
        counters: How often each limit was hit, by its name, and what else is counted rather than logged.
        traffic: What has gone through it.
        opened: How many connections there were.
        ended_by: How many of them have ended, by reason.
        loop_lag: How late the event loop was, each time that a deadline was due.

    Source:
        engine.io, ``Server``.
    """

    def __init__(
        self,
        on_connection: Callable[[Connection], Receiver],
        options: EngineOptions,
        way: Way | None = None,
    ) -> None:
        """Take the settings.

        Args:
            on_connection: Called with every new connection; returns who gets its messages.
            options: The options.
            way: A way to workers beside that of the option ``workers``.
        """
        super().__init__()
        keep_reads_on_heap()
        self.options = options
        self.connections: dict[str, Connection] = {}
        self.counters: Counter[str] = Counter()
        self.traffic = Traffic()
        self.opened = 0
        self.ended_by: Counter[str] = Counter()
        self.loop_lag = Histogram()
        self._lingering: dict[str, Connection] = {}
        self._websockets: set[WebSocket] = set()
        self._on_connection = on_connection
        self._settings = Settings(
            options.ping_interval,
            options.ping_timeout,
            options.upgrade_timeout,
            options.limits.max_http_buffer_size,
            options.upgrades,
        )
        self.path = options.prefix
        self._middlewares: tuple[EngineMiddleware, ...] = ()
        self._places = Places(options.limits)
        self._once = Once()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: Timers | None = None
        self._flusher: Flusher | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self._idle: asyncio.Future[None] | None = None
        self._closed: str | None = None
        self._answers = Answers(options, self)
        ways: list[Way] = [] if options.workers is None else [UnixWay(options.workers)]
        if way is not None:
            ways.append(way)
        self._workers = Workers(ways, self._serve, self.count) if ways else None
        self._exchanges = Exchanges(
            options, self._answers, self._find, self.count, lambda: self.loop
        )

    @property
    def timers(self) -> Timers:
        """The deadlines of the server; made in the loop that asks first."""
        if self._timers is None:
            self._timers = Timers(self.loop, self.loop_lag)
        return self._timers

    @property
    def flusher(self) -> Flusher:
        """What flushes the outboxes; made in the loop that asks first."""
        if self._flusher is None:
            options = self.options
            self._flusher = new_flusher(
                self.loop, options.limits, options.send_buffer_policy, self.traffic
            )
        return self._flusher

    @property
    def congested(self) -> int:
        """How many connections have a send buffer that is above the mark."""
        return 0 if self._flusher is None else self._flusher.congested

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the first request.

        Raises:
            RuntimeError: If there was none yet and no loop is running.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def use(self, middleware: MiddlewareT) -> MiddlewareT:
        """Ask a middleware about every request for the server; also a decorator.

        Args:
            middleware: Called with the `Request`, after those that are there already and before any other check. What it
                raises is logged, and the request is refused with code 3, ``Bad request``. It may leave what it found out in
                ``request.state``; that of the first request stays with the connection.

        Returns:
            The middleware.

        Source:
            engine.io, ``Server.use``. Differs from it: it does not answer by itself; for that there is the whole of ASGI.
        """
        if not callable(middleware):
            raise TypeError(f"a middleware must be callable, not {type(middleware).__name__}")
        self._middlewares = (*self._middlewares, middleware)
        return middleware

    def takes(self, scope: Scope) -> bool:
        """Say whether a request is for this server.

        Mounted under a prefix, the path may stand before or behind it: ``app.mount("/ws", …)`` serves ``/ws/socket.io/``,
        and ``app.mount("/socket.io", …)`` serves ``/socket.io/``.
        """
        path: str = scope["path"]
        if not path.startswith("/"):
            path = f"/{path}"  # Litestar, mounted at its root
        root: str = scope.get("root_path", "")
        prefix = self.path
        return (
            path.startswith(prefix)
            or _below(path, root).startswith(prefix)
            or (root + path).startswith(prefix)
        )

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Return what serves one request, from its ASGI scope of type ``http`` or ``websocket`` to its end."""
        if self._loop is not None and self._loop.is_closed():
            self._leave_loop()
        if self._workers is not None and self._closed is None:
            self._workers.start(self.loop)
        return self._serve(scope, receive, send, may_pass=self._workers)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, *, may_pass: Workers | None = None
    ) -> None:
        """Serve a request, or pass it on to the worker whose session it is for."""
        is_http = scope["type"] == "http"
        if is_http and not self._middlewares:
            visit = self._exchanges.usual(scope)
            if visit is not None:
                polling = self._exchanges.polling_of(visit[0])
                if polling is not None:
                    await self._exchanges.serve_usual(polling, visit, scope, receive, send)
                    return
                owner = None if may_pass is None else self._owner_of(may_pass, visit[0])
                if owner is not None:
                    await self._pass_on(owner, scope, None, receive, send)
                    return
        request = Request.from_scope(scope, self.options.trusted_proxies)
        if may_pass is not None and head_limit(request, self.options.limits) is None:
            owner = self._owner_of(may_pass, request.query.get("sid", ""))
            if owner is not None:
                await self._pass_on(owner, scope, request, receive, send)
                return
        if is_http:
            await self._serve_http(scope, request, receive, send)
        elif (await receive())["type"] == "websocket.connect":  # the client may be gone before it
            await self._serve_websocket(scope, request, receive, send)

    def now(self) -> float:
        """Return the loop's time."""
        return self.loop.time()

    def schedule(self, item: Timed) -> None:
        """Call an item at its deadline."""
        self.timers.add(item)

    def unschedule(self, item: Timed) -> None:
        """Forget the deadline of an item."""
        self.timers.remove(item)

    def forget(self, connection: Connection) -> None:
        """Drop a connection that is closed."""
        self.timers.remove(connection)
        if self.connections.pop(connection.id, None) is not None:
            self._places.leave(connection.request.address)
            self.ended_by[connection.close_reason or ""] += 1

    def linger(self, connection: Connection) -> None:
        """Keep a closed connection on polling for the requests that still come for it."""
        self._lingering[connection.id] = connection

    def ended(self, connection: Connection) -> None:
        """Drop it altogether."""
        self._lingering.pop(connection.id, None)
        self._settle()

    def call(self, listener: Listener, args: tuple[Any, ...]) -> None:
        """Run a listener; what it raises is logged, and a coroutine goes on by itself."""
        try:
            result = listener(*args)
        except Exception:
            log.exception("a listener failed")
            return
        if isawaitable(result):
            task = asyncio.ensure_future(_log_failure(result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def count(self, name: str) -> None:
        """Add one to a counter."""
        self.counters[name] += 1

    def slow(self, connection: Connection, dropped: int) -> None:
        """Count a send buffer that is full, and tell who wants to know."""
        self.counters["send_buffer_size"] += 1
        if dropped:
            self.counters["dropped_packets"] += dropped
        for listener in self._take("slow_client"):
            self.call(listener, (connection, dropped))

    def close(self, reason: str) -> None:
        """Close every connection, after sending what waits for it, and refuse new ones."""
        self._closed = reason
        for connection in list(self.connections.values()):
            connection.close(reason)

    async def wait_closed(self, seconds: float = CLOSE_TIMEOUT) -> None:
        """Wait until the lines of all connections have ended.

        Args:
            seconds: What has not ended by then is cut off.
        """
        if not await self._wait_idle(seconds):
            for websocket in list(self._websockets):
                websocket.abort()
            for connection in list(self._lingering.values()):
                assert isinstance(connection.transport, Polling)
                connection.transport.abort()
            await self._wait_idle(1.0)
        if self._workers is not None:
            await self._workers.close()
        if self._timers is not None and not self.connections:
            self._timers.close()

    def _leave_loop(self) -> None:
        """Forget a loop that is closed, and the connections in it: tests have one loop after the other, and one server."""
        if self._timers is not None:
            self._timers.close()
        self._loop = self._timers = self._flusher = self._idle = None
        for connection in [*self.connections.values(), *self._lingering.values()]:
            connection.lost("transport close", "the event loop has ended")
        self._websockets.clear()

    async def _wait_idle(self, seconds: float) -> bool:
        if not self._websockets and not self._lingering:
            return True
        self._idle = self.loop.create_future()
        done, _ = await asyncio.wait((self._idle,), timeout=seconds)
        self._idle = None
        return bool(done)

    def _settle(self) -> None:
        """Tell who waits for the end that it has come."""
        idle = self._idle
        if idle is not None and not idle.done() and not self._websockets and not self._lingering:
            idle.set_result(None)

    def _find(self, sid: str) -> Connection | None:
        return self.connections.get(sid) or self._lingering.get(sid)

    async def _check(
        self, request: Request, query: Mapping[str, str], *, websocket: WebSocket | None
    ) -> Refusal | int | None:
        """Say with which error or status a request is refused, or ``None`` if it may go on.

        Args:
            request: The request.
            query: Its query.
            websocket: What it asks for, if that is a WebSocket.
        """
        options = self.options
        passed = head_limit(request, options.limits)
        if passed is not None:
            status, limit = passed
            self.counters[limit] += 1
            return status
        for middleware in self._middlewares:
            try:
                result = middleware(request)
                if isawaitable(result):
                    await result
            except Exception as error:
                if self._is_news(request, error):
                    log.exception("a middleware of the engine failed")
                return middleware_failure()
        refused = refusal(
            request,
            query,
            websocket=websocket is not None,
            transports=options.transports,
            upgrades=bool(options.upgrades),
            cors=options.cors,
            find=self._find,
        )
        if refused is None and websocket is not None:
            return self._answers.negotiate(request, websocket)
        return refused

    async def _admit(
        self, request: Request, query: Mapping[str, str], *, websocket: WebSocket | None
    ) -> Refusal | int | str:
        """Say whether a request may open a connection: the id of that, or why not."""
        refused = await self._check(request, query, websocket=websocket)
        if refused is not None:
            return refused
        try:
            if not await self._is_allowed(request):
                return forbidden()
        except ConnectError as error:
            return forbidden(error.message)
        except Exception as error:
            if self._is_news(request, error):
                log.exception("allow_request failed")
            return forbidden()
        outcome = await self._new_id(request)
        return outcome if self._closed is None else 503

    def _is_full(self, request: Request) -> bool:
        """Say whether there is no place for another connection, and count it."""
        limit = self._places.full(request.address)
        if limit is not None:
            self.counters[limit] += 1
        return limit is not None

    async def _is_allowed(self, request: Request) -> bool:
        if self._closed is not None or self.options.allow_request is None:
            return True
        allowed = self.options.allow_request(request)
        return bool(await allowed if isawaitable(allowed) else allowed)

    def _owner_of(self, workers: Workers, sid: str) -> tuple[Way, str] | None:
        """Return the other worker that has a session, and the way there; ``None`` where it is here, or nobody has it."""
        return None if not sid or self._find(sid) is not None else workers.owner_of(sid)

    async def _pass_on(
        self,
        owner: tuple[Way, str],
        scope: Scope,
        request: Request | None,
        receive: Receive,
        send: Send,
    ) -> None:
        """Let another worker serve a request that is for a session of its."""
        assert self._workers is not None
        try:
            await self._workers.pass_on(owner, scope, receive, send)
        except (WorkerLostError, UnreachableError) as error:
            if request is None:
                request = Request.from_scope(scope, self.options.trusted_proxies)
            sid = request.query["sid"]
            refused = unknown_sid(sid) if isinstance(error, WorkerLostError) else 503
            await self._refused(request, refused)
            await self._refuse(scope, send, request, refused)

    async def _refuse(
        self, scope: Scope, send: Send, request: Request, refused: Refusal | int
    ) -> None:
        if scope["type"] != "http":
            await self._answers.refuse_websocket(scope, send, request, refused)
        elif isinstance(refused, int):
            await self._answers.status(send, request, refused)
        else:
            await self._answers.refuse(send, request, refused)

    @property
    def _name(self) -> str:
        """What the ids of connections end with, so that other workers know whose they are."""
        return "" if self._workers is None else self._workers.name

    async def _new_id(self, request: Request) -> Refusal | str:
        if self._workers is not None:
            await self._workers.ready()
        make = self.options.generate_id
        if make is None:
            return generate_id() + self._name
        try:
            made = make(request)
            sid: Any = await made if isawaitable(made) else made
            if not isinstance(sid, str) or not sid:
                raise TypeError(f"generate_id must return a str, not {sid!r}")
            named: str = sid + self._name
            if self._find(named) is not None:
                raise ValueError("generate_id returned the id of another connection")
        except Exception as error:
            if self._is_news(request, error):
                log.exception("generate_id failed")
            return id_generation_error()
        return named

    def _is_news(self, request: Request, error: Exception) -> bool:
        """Say whether a client is the first time the cause of such an error: whoever is refused by one may come back."""
        return self._once.is_first(request.address, type(error).__name__)

    async def _refused(self, request: Request, refused: Refusal | int) -> None:
        address = request.address
        if isinstance(refused, int):
            if self._once.is_first(address, str(refused)):
                log.info("refused %s: status %d", printable(address), refused)
            return
        foreign = refused.context.get("message") == ORIGIN_REFUSED
        name = "refused_origin" if foreign else f"refused_{refused.code}"
        self.counters[name] += 1
        if self._once.is_first(address, name):
            context = printable(dict(refused.context))
            log.info("refused %s: %s %s", printable(address), refused.message, context)
        if foreign and self.counters[name] == 1:
            log.warning(
                "refused a page of %s: only the same origin may connect, unless Server(cors=...) names it",
                printable(request.header(b"origin")),
            )
        await self.fire(
            "connection_error",
            ConnectionRefusal(request, refused.code, refused.message, refused.context),
        )

    async def _serve_http(
        self, scope: Scope, request: Request, receive: Receive, send: Send
    ) -> None:
        if request.method == "OPTIONS" and self.options.cors is not None:
            await self._answers.preflight(send, request)
            return
        query = request.query
        if query.get("sid"):
            refused = await self._check(request, query, websocket=None)
            if refused is None:
                connection = self._find(query["sid"])
                assert connection is not None  # the checks have seen to it
                await self._exchanges.serve(connection, request, receive, send)
        else:
            refused = await self._open_polling(request, query, send)
        if refused is not None:
            await self._refused(request, refused)
            await self._refuse(scope, send, request, refused)

    async def _open_polling(
        self, request: Request, query: Mapping[str, str], send: Send
    ) -> Refusal | int | None:
        """Open a connection on polling, or return why not."""
        if self._is_full(request):
            return 503
        with Place(self._places, request.address) as place:
            sid = await self._admit(request, query, websocket=None)
            if not isinstance(sid, str):
                return sid
            outbox = Outbox(self.flusher)
            self._open(sid, request, Polling(outbox), outbox, place)
        payload, compress = outbox.take_payload(self._settings.max_payload)
        await self._answers.payload(send, request, payload, compress=compress, sid=sid)
        return None

    def _open(
        self,
        sid: str,
        request: Request,
        transport: Polling | WebSocket,
        outbox: Outbox,
        place: Place,
    ) -> None:
        connection = Connection(
            sid,
            request,
            transport=transport,
            outbox=outbox,
            settings=self._settings,
            owner=self,
        )
        outbox.attach(connection)
        request.compact()
        self.connections[sid] = connection
        self.opened += 1
        place.keep()
        connection.open(self._on_connection(connection), self.loop.time())
        if self._closed is not None:  # while the handshake was on its way
            connection.close(self._closed, discard=True)

    async def _serve_websocket(
        self, scope: Scope, request: Request, receive: Receive, send: Send
    ) -> None:
        query = request.query
        websocket: WebSocket
        if TAKEOVER in (scope.get("extensions") or {}):
            websocket = DirectWebSocket(self.timers, self.options.limits, self)
        else:
            websocket = ASGIWebSocket(
                receive,
                send,
                timers=self.timers,
                max_size=self.options.limits.max_http_buffer_size,
                count=self.count,
            )
        begin = self._upgrade if query.get("sid") else self._open_websocket
        refused = await begin(scope, request, query, websocket, send)
        if refused is not None:
            await self._refused(request, refused)
            await self._refuse(scope, send, request, refused)
        elif websocket.peer is not None:  # otherwise it is closed, or the client has left
            self._websockets.add(websocket)
            if isinstance(websocket, ASGIWebSocket):
                try:
                    await websocket.run()
                finally:
                    self.line_ended(websocket)
            elif not scope["extensions"][TAKEOVER]["may_return"]:
                await websocket.run()

    def line_ended(self, websocket: WebSocket) -> None:
        """Learn that a WebSocket has ended."""
        self._websockets.discard(websocket)
        self._settle()

    async def _open_websocket(
        self,
        scope: Scope,
        request: Request,
        query: Mapping[str, str],
        websocket: WebSocket,
        send: Send,
    ) -> Refusal | int | None:
        """Open a connection on a WebSocket, or return why not."""
        if self._is_full(request):
            return 503
        with Place(self._places, request.address) as place:
            sid = await self._admit(request, query, websocket=websocket)
            if not isinstance(sid, str):
                return sid
            if await self._answers.accept_websocket(scope, send, request, websocket, sid):
                if self._find(sid) is None:
                    self._open(sid, request, websocket, Outbox(self.flusher), place)
                else:  # two were given the same id at the same moment
                    await self._turn_away(websocket, send)
        return None

    async def _upgrade(
        self,
        scope: Scope,
        request: Request,
        query: Mapping[str, str],
        websocket: WebSocket,
        send: Send,
    ) -> Refusal | int | None:
        """Let a connection on polling try a WebSocket, or return why not."""
        refused = await self._check(request, query, websocket=websocket)
        if refused is not None:
            return refused
        accepted = await self._answers.accept_websocket(scope, send, request, websocket)
        if accepted and not self._probe(self._find(query["sid"]), websocket):
            await self._turn_away(websocket, send)
        return None

    async def _turn_away(self, websocket: WebSocket, send: Send) -> None:
        """Close a WebSocket that was only accepted for that."""
        if isinstance(websocket, DirectWebSocket):
            websocket.end()
        else:
            # Differs from engine.io, which closes without a status.
            await self._answers.close_websocket(send, 1000)

    def _probe(self, connection: Connection | None, websocket: WebSocket) -> bool:
        """Let a connection try a WebSocket, unless it is trying one, has moved, or has closed."""
        if connection is None or connection.probe is not None:
            return False
        polling = connection.transport
        if not isinstance(polling, Polling) or connection.state is not ConnectionState.OPEN:
            return False
        websocket.peer = Probe(connection, polling, websocket, websocket, self.loop.time())
        return True

    async def fire(self, event: str, *args: Any) -> None:
        """Call the listeners of an event, and wait for those that are coroutines."""
        for listener in self._take(event):
            try:
                result = listener(*args)
                if isawaitable(result):
                    await result
            except Exception:
                log.exception("a listener of %r failed", event)

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        self.call(listener, (event, subject))


def _below(path: str, root: str) -> str:
    """Return a path without the prefix that it is mounted under.

    Servers differ in whether the path has the whole of ``root_path`` in it, or only what a framework has added to it.
    """
    while root:
        if path.startswith(root):
            return path[len(root) :]
        end = root.find("/", 1)
        root = root[end:] if end > 0 else ""
    return path


async def _log_failure(result: Awaitable[Any]) -> None:
    try:
        await result
    except Exception:
        log.exception("a listener failed")

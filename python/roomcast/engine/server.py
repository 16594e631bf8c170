"""The Engine.IO server: takes requests from ASGI, refuses or accepts them, and keeps the connections.

It knows nothing of Socket.IO: whoever is above gives a function that gets each new connection and returns its receiver.
The loop it belongs to is the one of its first request.
"""

import asyncio
import logging
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from json import dumps
from typing import Any, Final

from roomcast.engine.connection import Connection, Receiver, Timing
from roomcast.engine.heartbeat import Timers
from roomcast.engine.logs import printable
from roomcast.engine.outbox import Flusher
from roomcast.engine.requests import Refusal, Request, refusal
from roomcast.engine.transports import LINGER, ASGIWebSocket, Receive, Scope, Send
from roomcast.types import Limits

__all__ = ["Engine", "generate_id"]

ENABLED: Final = frozenset({"websocket"})
"""The transports that this server offers."""

log = logging.getLogger("roomcast.engine")


def generate_id() -> str:
    """Return a new id: 15 random bytes of the operating system as 20 URL-safe characters.

    Source:
        roomcast. Differs from engine.io, which mixes 12 random bytes with a counter of the process.
    """
    return urlsafe_b64encode(os.urandom(15)).decode("ascii")


class Engine:
    """Accepts connections over ASGI and keeps them alive. It belongs to one event loop.

    Attributes:
        connections: The open connections by their id.
    """

    def __init__(
        self,
        on_connection: Callable[[Connection], Receiver],
        *,
        path: str,
        ping_interval: float,
        ping_timeout: float,
        limits: Limits,
    ) -> None:
        """Take the settings.

        Args:
            on_connection: Called with every new connection; returns who gets its messages.
            path: Prefix of the requests that are meant, with a slash at both ends.
            ping_interval: Seconds from a pong to the next ping.
            ping_timeout: Seconds from a ping until its pong must be there.
            limits: The limits.
        """
        self.path = path
        self.connections: dict[str, Connection] = {}
        self._on_connection = on_connection
        self._limits = limits
        self._timing = Timing(ping_interval, ping_timeout, limits.max_http_buffer_size)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: Timers | None = None
        self._flusher: Flusher | None = None
        self._running: set[asyncio.Future[Any]] = set()
        self._closed = False

    @property
    def timers(self) -> Timers:
        """The deadlines of the server; made in the loop that asks first."""
        if self._timers is None:
            self._timers = Timers(self.loop)
        return self._timers

    @property
    def flusher(self) -> Flusher:
        """What flushes the outboxes; made in the loop that asks first."""
        if self._flusher is None:
            self._flusher = Flusher(self.loop, self._limits)
        return self._flusher

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the first request.

        Raises:
            RuntimeError: If there was none yet and no loop is running.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def takes(self, scope: Scope) -> bool:
        """Say whether a request is for this server.

        Mounted under a prefix, the path may stand before or behind it: ``app.mount("/ws", …)`` serves ``/ws/socket.io/``,
        and ``app.mount("/socket.io", …)`` serves ``/socket.io/``.
        """
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        below = path[len(root) :] if root and path.startswith(root) else path
        return (
            below.startswith(self.path)
            or path.startswith(self.path)
            or (root + path).startswith(self.path)
        )

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, from its ASGI scope of type ``http`` or ``websocket`` to its end."""
        request = Request.from_scope(scope)
        websocket = scope["type"] == "websocket"
        refused = refusal(request, websocket=websocket, transports=ENABLED, sids=self.connections)
        if refused is not None:
            log.info("refused %s: %s", printable(request.address), refused.message)
        if not websocket:
            # Only WebSockets are enabled, so every plain HTTP request is refused by the checks.
            assert refused is not None
            await _answer(send, 400, refused)
        elif await _is_connect(receive):
            if refused is not None or self._closed:
                await _refuse_websocket(scope, send, refused)
            else:
                await self._serve_websocket(scope, request, receive, send)

    def schedule(self, connection: Connection) -> None:
        """Call a connection at its deadline."""
        self.timers.add(connection)

    def forget(self, connection: Connection) -> None:
        """Drop a connection that is closed."""
        self.connections.pop(connection.id, None)
        self.timers.remove(connection)

    def close(self, reason: str) -> None:
        """Close every connection, after sending what waits for it, and refuse new ones."""
        self._closed = True
        for connection in list(self.connections.values()):
            connection.close(reason)

    async def wait_closed(self) -> None:
        """Wait until the lines of all connections have ended.

        Cost:
            At most some seconds: a client that does not let go is cut off.
        """
        if self._running:
            await asyncio.wait(self._running, timeout=2 * LINGER)
        if self._timers is not None and not self.connections:
            self._timers.close()

    async def _serve_websocket(
        self, scope: Scope, request: Request, receive: Receive, send: Send
    ) -> None:
        offered: list[str] = list(scope.get("subprotocols") or ())
        await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
        transport = ASGIWebSocket(
            receive,
            send,
            flusher=self.flusher,
            timers=self.timers,
            max_size=self._limits.max_http_buffer_size,
        )
        connection = Connection(
            generate_id(),
            request,
            transport=transport,
            outbox=transport.outbox,
            timing=self._timing,
            owner=self,
        )
        transport.outbox.attach(connection)
        ended: asyncio.Future[None] = self.loop.create_future()
        self._running.add(ended)
        try:
            self.connections[connection.id] = connection
            connection.open(self._on_connection(connection), self.loop.time())
            if self._closed:  # while the handshake was on its way
                connection.close("server shutting down", discard=True)
            await transport.run(connection)
        finally:
            self._running.discard(ended)
            ended.set_result(None)


async def _is_connect(receive: Receive) -> bool:
    """Take the first event of a WebSocket; the peer may be gone before it."""
    return bool((await receive())["type"] == "websocket.connect")


async def _answer(send: Send, status: int, refused: Refusal) -> None:
    body = dumps({"code": refused.code, "message": refused.message}, separators=(",", ":"))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


async def _refuse_websocket(scope: Scope, send: Send, refused: Refusal | None) -> None:
    """Refuse before the 101; where the server can say why, with the reference's text.

    Differs from engine.io: an unsupported revision is refused here too, and not after the 101.
    """
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    status, body = (503, b"") if refused is None else (400, refused.message.encode())
    headers = [
        (b"content-type", b"text/html"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})

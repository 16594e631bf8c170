"""A connection that another worker has accepted, and handed over as a file descriptor because the session of its client is here."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

from roomcast.engine.asgi import Message, Scope
from roomcast.engine.direct import DirectWebSocket, Registry
from roomcast.engine.handshake import OpeningHandshake, response
from roomcast.engine.http import Header

__all__ = ["PassedWebSocket"]


class PassedWebSocket(asyncio.Protocol):
    """A request for a WebSocket, until it is taken over or refused."""

    def __init__(
        self, scope: Scope, early: bytes, default_headers: list[Header], registry: Registry
    ) -> None:
        """Take the request.

        Args:
            scope: Its scope.
            early: What the client has sent behind it.
            default_headers: Headers that the HTTP server of the other worker adds to every answer.
            registry: Where the line is kept until it ends.
        """
        headers = scope["headers"]
        key = dict(headers)[b"sec-websocket-key"].strip()
        self._handshake = OpeningHandshake(scope["raw_path"], scope["query_string"], headers, key)
        self._early = early
        self._default_headers = default_headers
        self._registry = registry
        self._transport: Any = None
        self._refusal: Message | None = None
        self._is_over = False

    async def open(self, line: socket.socket) -> None:
        """Begin on a connected socket."""
        await asyncio.get_running_loop().connect_accepted_socket(lambda: self, line)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Belong to a connection, which is read when it has its answer."""
        self._transport = transport
        self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Keep what has come before reading was paused."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the client is gone."""
        self._is_over = True

    # What the engine calls.

    async def receive(self) -> Message:
        """Return the next event."""
        return {"type": "websocket.disconnect" if self._is_over else "websocket.connect"}

    async def send(self, message: Message) -> None:
        """Take an answer that refuses the WebSocket."""
        kind = message["type"]
        if kind == "websocket.http.response.start":
            self._refusal = message
        elif kind == "websocket.http.response.body" and self._refusal is not None:
            headers = [*self._default_headers, *self._refusal["headers"]]
            self._refuse(self._refusal["status"], headers, message["body"])

    def takeover(
        self, line: DirectWebSocket, subprotocol: str | None, headers: Iterable[Header]
    ) -> bool:
        """Finish the handshake and hand the connection over; say whether the client was still there."""
        transport = self._transport
        if self._is_over or transport.is_closing():
            return False
        self._is_over = True
        more = [*self._default_headers, *headers]
        if subprotocol:
            more.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
        transport.write(self._handshake.response(more))
        self._registry.add(line)
        line.take_over(transport, self._registry)
        # After the engine has made up its mind about the line, and before anything that comes now.
        asyncio.get_running_loop().call_soon(self._pass_on, line)
        return True

    def close(self) -> None:
        """End it, unless it was taken over."""
        if not self._is_over and self._transport is not None:
            self._refuse(500, self._default_headers, b"")

    def _pass_on(self, line: DirectWebSocket) -> None:
        if self._early:
            line.data_received(self._early)
        self._transport.resume_reading()

    def _refuse(self, status: int, headers: list[Header], body: bytes) -> None:
        self._is_over = True
        self._transport.write(response(status, headers, body))
        self._transport.close()

"""What the server answers to requests: statuses, headers and bodies, over HTTP and before the 101 of a WebSocket."""

import asyncio
import logging
from collections.abc import Sequence
from json import dumps
from typing import Any, Final, Protocol

from roomcast.engine import compression
from roomcast.engine.asgi import Scope, Send
from roomcast.engine.checks import Refusal, malformed_extensions
from roomcast.engine.direct import DirectWebSocket
from roomcast.engine.http import Header, respond
from roomcast.engine.options import EngineOptions
from roomcast.engine.origins import cors_headers, preflight_headers
from roomcast.engine.requests import Request
from roomcast.engine.websocket import ASGIWebSocket

__all__ = ["OK", "TAKEOVER", "Answers"]

TAKEOVER: Final = "roomcast.takeover"
"""The extension of a server that hands its connections over; see `roomcast.uvicorn`."""

PAYLOAD: Final = (b"content-type", b"text/plain; charset=UTF-8")
RECEIVED: Final = (b"content-type", b"text/html")
JSON: Final = (b"content-type", b"application/json")
NO_STORE: Final = (b"cache-control", b"no-store")

OK: Final = b"ok"
"""The body of the answer to a POST."""

OK_SIZE: Final = (b"content-length", b"%d" % len(OK))

COMPRESSED_IN_A_THREAD: Final = 32_768
"""Bytes from which on compressing would hold the loop for more than about a millisecond."""


log = logging.getLogger("roomcast.engine")


class Emitter(Protocol):
    """The engine, as far as its listeners add headers."""

    def has_listeners(self, event: str) -> bool:
        """Say whether an event has any."""
        ...

    async def fire(self, event: str, *args: Any) -> None:
        """Call the listeners of an event, and wait for them."""


class Answers:
    """Answers the requests of one server."""

    __slots__ = ("_cookie", "_cors", "_deflate", "_emitter", "_threshold", "_warned")

    def __init__(self, options: EngineOptions, emitter: Emitter) -> None:
        """Take the options, and who calls the listeners of ``initial_headers`` and ``headers``."""
        self._cors = options.cors
        self._cookie = options.cookie
        self._threshold = options.compression_threshold
        self._emitter = emitter
        deflate = options.per_message_deflate
        self._deflate = None if deflate is None else deflate.deflate()
        self._warned = False

    async def preflight(self, send: Send, request: Request) -> None:
        """Answer a browser that asks whether it may send a request."""
        assert self._cors is not None
        headers = preflight_headers(
            request.header(b"origin"), request.header(b"access-control-request-headers"), self._cors
        )
        await respond(send, 204, b"", headers)

    async def payload(
        self,
        send: Send,
        request: Request,
        payload: bytes,
        *,
        compress: bool,
        sid: str | None = None,
    ) -> None:
        """Answer a GET.

        Args:
            send: ASGI's ``send``.
            request: The GET.
            payload: The packets.
            compress: Whether they may be compressed: that is so if some packet among them may.
            sid: The id of the connection, in the answer to its first GET.

        Source:
            engine.io, ``Polling.send``.
        """
        headers: list[Header] = [PAYLOAD, NO_STORE]
        if compress and self._threshold is not None and len(payload) >= self._threshold:
            encoding = compression.negotiate(request.header(b"accept-encoding") or "")
            if encoding is not None:
                headers.append((b"content-encoding", encoding.encode()))
                if len(payload) < COMPRESSED_IN_A_THREAD:
                    payload = compression.compress(payload, encoding)
                else:
                    payload = await asyncio.to_thread(compression.compress, payload, encoding)
        headers += await self._more(request, sid)
        await respond(send, 200, payload, headers)

    async def received(self, send: Send, request: Request) -> None:
        """Answer a POST whose packets were processed."""
        await respond(send, 200, OK, [RECEIVED, NO_STORE, *await self._more(request, None)])

    @property
    def depend_on_requests(self) -> bool:
        """Whether the program wants to see each request that is answered."""
        return self._emitter.has_listeners("headers")

    def plain_headers(
        self, outcome: tuple[bytes, bool] | int, added: Sequence[Header]
    ) -> list[Header] | None:
        """Return all headers for a GET or a POST that went well.

        Args:
            outcome: The payload for a GET, and whether it may be compressed; the status for a POST.
            added: The headers for its page.

        Returns:
            ``None`` if more of the request than its page matters to the answer.
        """
        if isinstance(outcome, int):
            return [RECEIVED, NO_STORE, OK_SIZE, *added] if outcome == 200 else None
        payload, compress = outcome
        size = len(payload)
        if compress and self._threshold is not None and size >= self._threshold:
            return None
        return [PAYLOAD, NO_STORE, (b"content-length", b"%d" % size), *added]

    async def status(self, send: Send, request: Request, status: int) -> None:
        """Answer with nothing but a status."""
        await respond(send, status, b"", cors_headers(request.header(b"origin"), self._cors))

    async def refuse(self, send: Send, request: Request, refusal: Refusal) -> None:
        """Answer with an error of the protocol."""
        body = dumps({"code": refusal.code, "message": refusal.body}, separators=(",", ":"))
        headers = [JSON, *cors_headers(request.header(b"origin"), self._cors)]
        await respond(send, refusal.status, body.encode(), headers)

    def negotiate(
        self, request: Request, websocket: ASGIWebSocket | DirectWebSocket
    ) -> Refusal | None:
        """Agree on how a WebSocket is compressed, if both sides want that; refuse a malformed offer."""
        if self._deflate is None:
            return None
        if not isinstance(websocket, DirectWebSocket):
            if not self._warned:
                self._warned = True
                log.warning(
                    "per_message_deflate needs roomcast.uvicorn:WebSocketProtocol: this ASGI server decides by itself"
                    " what is compressed"
                )
            return None
        offer = request.header(b"sec-websocket-extensions")
        try:
            agreement = None if offer is None else self._deflate.negotiate(offer)
        except ValueError:
            return malformed_extensions()
        if agreement is not None:
            websocket.agree(agreement)
        return None

    async def refuse_websocket(
        self, scope: Scope, send: Send, request: Request, refusal: Refusal | int
    ) -> None:
        """Refuse a WebSocket before the 101; where the server underneath can say why, with the reference's text."""
        status, body = (refusal, "") if isinstance(refusal, int) else (400, refusal.body)
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await self.close_websocket(send, 1008)
            return
        headers = [
            (b"content-type", b"text/html"),
            (b"connection", b"close"),
            *cors_headers(request.header(b"origin"), self._cors),
        ]
        await respond(send, status, body.encode(), headers, kind="websocket.http")

    async def accept_websocket(
        self,
        scope: Scope,
        send: Send,
        request: Request,
        websocket: ASGIWebSocket | DirectWebSocket,
        sid: str | None = None,
    ) -> bool:
        """Send the 101; say whether the client was still there.

        Args:
            scope: The scope of the request.
            send: ASGI's ``send``.
            request: The request.
            websocket: What the WebSocket will be; a direct one takes the connection over.
            sid: The id of the connection that it opens, if it does.

        Source:
            engine.io answers with the first sub-protocol offered.
        """
        offered: list[str] = list(scope.get("subprotocols") or ())
        # uvicorn before 0.54 leaves a list as it stood in the header.
        subprotocol = offered[0].partition(",")[0].strip() if offered else None
        headers = await self._more(request, sid)
        if isinstance(websocket, DirectWebSocket):
            if websocket.agreement is not None:
                response = websocket.agreement.response.encode("ascii")
                headers.append((b"sec-websocket-extensions", response))
            takeover = scope["extensions"][TAKEOVER]["takeover"]
            return bool(takeover(websocket, subprotocol, headers))
        try:
            await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})
        except OSError:
            return False
        return True

    async def close_websocket(self, send: Send, code: int) -> None:
        """Close a WebSocket that carries nothing; a client that is gone meanwhile is not an error."""
        try:
            await send({"type": "websocket.close", "code": code})
        except OSError as error:
            log.debug("a client left before the close: %s", error)

    async def _more(self, request: Request, sid: str | None) -> list[Header]:
        """Return what the options and the program add to an answer; with the id of a connection, to its first one."""
        headers = cors_headers(request.header(b"origin"), self._cors)
        if self._emitter.has_listeners("initial_headers") or self._emitter.has_listeners("headers"):
            added: dict[str, Any] = {}
            if sid is not None:
                await self._emitter.fire("initial_headers", added, request)
            await self._emitter.fire("headers", added, request)
            headers += [
                (name.lower().encode("latin-1"), str(value).encode("latin-1"))
                for name, value in added.items()
            ]
        if (
            sid is not None
            and self._cookie is not None
            and request.query.get("transport") == "polling"
        ):
            headers.append((b"set-cookie", self._cookie.header(sid).encode("ascii")))
        return headers

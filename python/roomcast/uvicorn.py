"""WebSockets of uvicorn without ASGI in between: ``uvicorn --ws roomcast.uvicorn:WebSocketProtocol``.

uvicorn reads the request, and the application is called through all its middlewares as always. Where it is roomcast that accepts,
it takes the connection over, and from then on its bytes go to it directly:

    =====================================  ==================================================================================
    the request                            what happens
    =====================================  ==================================================================================
    has no ``EIO`` in its query, or is     uvicorn's own protocol gets it, and everything that follows
    no handshake of a WebSocket
    is taken over by the application       the 101 is written here, and the line goes to who takes it
    is refused by the application          the answer is written here
    is for a session of another worker     its file descriptor goes there
    is accepted by the application         as a WebSocket of ASGI: uvicorn's own protocol is put underneath
    =====================================  ==================================================================================

This leans on attributes that uvicorn does not promise; `tests/integration/test_uvicorn_contract.py` names them.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, cast
from urllib.parse import unquote

import uvicorn
from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from roomcast.engine.handshake import OpeningHandshake, read_handshake, response
from roomcast.engine.line import fileno

__all__ = ["NEEDED", "WebSocketProtocol"]

NEEDED: Final = {
    "config": ("asgi_version", "loaded_app", "root_path"),
    "server_state": ("connections", "default_headers", "tasks"),
}
"""What must be there of what uvicorn hands to a protocol."""

MAX_EARLY: Final = 65_536
"""Bytes that a client may send before it has its answer; beyond, no more is read until it has."""

log = logging.getLogger("roomcast.engine")
uvicorn_log = logging.getLogger("uvicorn.error")

_known: bool | None = None


class Line(Protocol):
    """What takes a connection over."""

    def take_over(self, transport: asyncio.Transport, registry: Any) -> None:
        """Read and write a transport from now on."""

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent."""

    def shutdown(self) -> None:
        """Let the client go: the server stops."""


class WebSocketProtocol(asyncio.Protocol):
    """A connection that asks for a WebSocket, with an extension ``roomcast.takeover`` in its scope."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take what uvicorn gives to each of its protocols."""
        self._config = config
        self._application: Any = cast("Any", config).loaded_app
        self._state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._uvicorns: WebSocketsSansIOProtocol | None = None
        self._handshake: OpeningHandshake | None = None
        self._head = b""
        self._early = b""
        self._scope: dict[str, Any] = {}
        self._refusal: dict[str, Any] | None = None
        self._body = b""
        self._asked = False
        self._answered = False
        self._taken = False
        self._gone = False
        self._application_ended: asyncio.Future[None] | None = None

    # What uvicorn and the transport call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Belong to a connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("Any", self))

    def data_received(self, data: bytes) -> None:
        """Take the head of the request, and what the client sends before it has an answer."""
        if self._uvicorns is not None:
            self._uvicorns.data_received(data)
        elif not self._head:
            self._head = data
            self._begin()
        else:
            self._early += data
            if len(self._early) > MAX_EARLY and self._transport is not None:
                self._transport.pause_reading()

    def eof_received(self) -> None:
        """Let the transport close."""
        if self._uvicorns is not None:
            self._uvicorns.eof_received()

    def pause_writing(self) -> None:
        """Write no more."""
        if self._uvicorns is not None:
            self._uvicorns.pause_writing()

    def resume_writing(self) -> None:
        """Write again."""
        if self._uvicorns is not None:
            self._uvicorns.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the client is gone."""
        self._gone = True
        if self._uvicorns is not None:
            self._uvicorns.connection_lost(exc)
        self._state.connections.discard(cast("Any", self))

    def shutdown(self) -> None:
        """Let the client go: the server stops."""
        if not self._answered:
            self._answer(503, (), b"")

    # What the application calls.

    async def receive(self) -> Any:
        """Return the next event for the application."""
        if not self._asked:
            self._asked = True
            return {"type": "websocket.connect"}
        if self._is_over():
            return {"type": "websocket.disconnect", "code": 1006}
        return await self._give_to_uvicorn().receive()

    async def send(self, message: Any) -> None:
        """Take a message of the application."""
        if self._uvicorns is not None:
            await self._uvicorns.send(message)
            return
        kind = message["type"]
        if kind == "websocket.http.response.start":
            self._refusal = message
        elif kind == "websocket.http.response.body" and self._refusal is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False) and not self._answered:
                self._answer(self._refusal["status"], self._refusal.get("headers", ()), self._body)
        elif kind == "websocket.close":
            if not self._answered:
                self._answer(403, (), b"")
        elif self._is_over():
            raise ClientDisconnected
        else:
            await self._give_to_uvicorn().send(message)

    def takeover(
        self, line: Line, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]
    ) -> bool:
        """Finish the handshake and hand the connection over; say whether the client was still there.

        Args:
            line: Who gets it.
            subprotocol: The sub-protocol that was chosen.
            headers: Headers for the 101.
        """
        transport, handshake = self._transport, self._handshake
        if self._answered or self._gone or handshake is None or transport is None:
            return False
        if transport.is_closing():
            return False
        self._answered = self._taken = True
        self._log("[accepted]")
        more = [*self._state.default_headers, *headers]
        if subprotocol:
            more.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
        transport.write(handshake.response(more))
        connections = self._state.connections
        connections.discard(cast("Any", self))
        connections.add(cast("Any", line))
        line.take_over(transport, connections)
        if self._early:
            # After the application has made up its mind about the line, and before anything that comes now.
            transport.pause_reading()
            self._loop.call_soon(self._pass_on, line, self._early)
        self._head = self._early = b""
        self._scope = {}
        self._handshake = None
        return True

    def detach(self, give: Callable[[int, bytes, list[tuple[bytes, bytes]]], None]) -> bool:
        """Let another process have the connection; say whether the client was still there.

        Args:
            give: Gives it away: gets the file descriptor, what the client has sent behind its request, and the headers that every
                answer has.

        Raises:
            OSError: What ``give`` has raised; the connection stays.
        """
        transport = self._transport
        if self._answered or self._gone or self._uvicorns is not None or transport is None:
            return False
        if transport.is_closing():
            return False
        transport.pause_reading()
        try:
            give(fileno(transport), self._early, self._state.default_headers)
        except OSError:
            transport.resume_reading()
            raise
        self._answered = self._taken = True
        self._log("[passed on]")
        self._state.connections.discard(cast("Any", self))
        transport.abort()  # closes this descriptor only: the connection goes on
        return True

    def _pass_on(self, line: Line, early: bytes) -> None:
        line.data_received(early)
        if self._transport is not None:
            self._transport.resume_reading()

    def _begin(self) -> None:
        """Call the application, or leave the request to uvicorn."""
        handshake = None
        if _is_known(self._config, self._state):
            handshake = read_handshake(self._head)
        if handshake is None or not handshake.is_engineio:
            self._uvicorns = self._new_uvicorns()
            self._state.connections.discard(cast("Any", self))
            self._replay(self._uvicorns)
            self._early = b""
            return
        self._handshake = handshake
        self._scope = self._new_scope(handshake)
        task = self._loop.create_task(self._call())
        task.add_done_callback(self._state.tasks.discard)
        self._state.tasks.add(task)

    def _new_scope(self, handshake: OpeningHandshake) -> dict[str, Any]:
        config, transport = self._config, self._transport
        assert transport is not None
        return {
            "type": "websocket",
            "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(transport) else "ws",
            "server": get_local_addr(transport),
            "client": get_remote_addr(transport),
            "root_path": config.root_path,
            "path": config.root_path + unquote(handshake.path.decode("latin-1")),
            "raw_path": config.root_path.encode("ascii") + handshake.path,
            "query_string": handshake.query,
            "headers": handshake.headers,
            "subprotocols": handshake.subprotocols,
            "state": self._app_state.copy(),
            "extensions": {
                "websocket.http.response": {},
                "roomcast.takeover": {
                    "takeover": self.takeover,
                    # What TLS knows of a connection is in this process.
                    "detach": None if is_ssl(transport) else self.detach,
                    # Nothing stands around the application that would miss it.
                    "may_return": getattr(self._application, "may_return", False),
                },
            },
        }

    async def _call(self) -> None:
        """Call the application, and end the connection with it where it has not been handed over."""
        error: BaseException | None = None
        try:
            await self._application(self._scope, self.receive, self.send)
        except BaseException as raised:  # noqa: BLE001  uvicorn says what becomes of it
            error = raised
        if self._taken or self._is_over():
            if error is not None and not isinstance(
                error, ClientDisconnected | asyncio.CancelledError
            ):
                uvicorn_log.error("Exception in ASGI application\n", exc_info=error)
            return
        self._give_to_uvicorn()
        ended = self._application_ended
        assert ended is not None
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        elif isinstance(error, asyncio.CancelledError):
            ended.cancel()
        else:
            ended.set_exception(error)

    def _is_over(self) -> bool:
        """Say whether the client has its answer, or is gone before it."""
        return self._uvicorns is None and (self._answered or self._gone)

    def _give_to_uvicorn(self) -> WebSocketsSansIOProtocol:
        """Put uvicorn's own protocol underneath an application that runs already."""
        if self._uvicorns is not None:
            return self._uvicorns
        ended = self._application_ended = self._loop.create_future()
        queued = self._asked

        async def application(scope: Any, receive: Any, send: Any) -> None:
            # In the task of uvicorn's: it lasts as long as the application, and ends as that does.
            await ended

        protocol = self._uvicorns = self._new_uvicorns()
        protocol.app = cast("Any", application)
        self._state.connections.discard(cast("Any", self))
        self._replay(protocol)
        if queued:  # the application has had it
            protocol.queue.get_nowait()
        early, self._early = self._early, b""
        if early:
            protocol.data_received(early)
        return protocol

    def _new_uvicorns(self) -> WebSocketsSansIOProtocol:
        return WebSocketsSansIOProtocol(
            config=self._config, server_state=self._state, app_state=self._app_state
        )

    def _replay(self, protocol: WebSocketsSansIOProtocol) -> None:
        assert self._transport is not None
        protocol.connection_made(self._transport)
        protocol.data_received(self._head)

    def _answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Write an HTTP response in place of the 101."""
        self._answered = True
        self._log(str(status))
        transport = self._transport
        if transport is None:
            return
        transport.write(response(status, [*self._state.default_headers, *headers], body))
        transport.close()

    def _log(self, outcome: str) -> None:
        if self._scope and uvicorn_log.isEnabledFor(logging.INFO):
            scope = cast("Any", self._scope)
            address, path = get_client_addr(scope), get_path_with_query_string(scope)
            uvicorn_log.info('%s - "WebSocket %s" %s', address, path, outcome)


def _is_known(config: uvicorn.Config, server_state: ServerState) -> bool:
    """Say whether uvicorn is as it was when this was written; if not, WebSockets go on through ASGI."""
    global _known  # noqa: PLW0603  looked at once for the process
    if _known is None:
        given = {"config": config, "server_state": server_state}
        missing = [
            f"{name}.{attribute}"
            for name, attributes in NEEDED.items()
            for attribute in attributes
            if not hasattr(given[name], attribute)
        ]
        _known = not missing
        if missing:
            log.warning(
                "this uvicorn is not known (no %s): WebSockets go through ASGI, which is slower",
                ", ".join(missing),
            )
    return _known

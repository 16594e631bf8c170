"""WebSockets of uvicorn without ASGI in between: ``uvicorn --ws roomcast.uvicorn:WebSocketProtocol``.

uvicorn reads the request, and the application is called through all its middlewares as always. Where it is roomcast that accepts,
it takes the connection over, and from then on its bytes go to it directly. Every other WebSocket of the same application goes
on as it was.

This leans on attributes that uvicorn does not promise; `tests/integration/test_uvicorn_contract.py` names them.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final, Protocol, cast

from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["NEEDED", "WebSocketProtocol"]

NEEDED: Final = (
    "connections",
    "default_headers",
    "handshake_complete",
    "logger",
    "response",
    "scope",
    "transport",
)
"""What must be there of uvicorn's protocol when the application is called."""

log = logging.getLogger("roomcast.engine")


_known: bool | None = None


class Line(Protocol):
    """What takes a connection over."""

    def take_over(self, transport: asyncio.Transport, registry: Any) -> None:
        """Read and write a transport from now on."""

    def shutdown(self) -> None:
        """Let the client go: the server stops."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, with an extension ``roomcast.takeover`` in the scope of each connection."""

    def data_received(self, data: bytes) -> None:
        """Take what the client sends, until the connection is taken over."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            # The head passes a limit. The answer is there, but uvicorn neither sends it nor closes.
            self.handshake_complete = self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    async def run_asgi(self) -> None:
        """Call the application."""
        if self._is_known():
            scope = cast("dict[str, Any]", self.scope)
            scope["extensions"]["roomcast.takeover"] = {"takeover": self.takeover}
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send a message of the application."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get(
            "more_body", False
        ):
            # A handshake that was refused with an answer is over too; else uvicorn logs an error for each, which lets peers
            # fill the log.
            self.handshake_complete = True

    def _is_known(self) -> bool:
        """Say whether uvicorn is as it was when this was written; if not, WebSockets go on through ASGI."""
        global _known  # noqa: PLW0603  looked at once for the process
        if _known is None:
            missing = [name for name in NEEDED if not hasattr(self, name)]
            _known = not missing
            if missing:
                log.warning(
                    "this uvicorn is not known (no %s): WebSockets go through ASGI, which is slower",
                    ", ".join(missing),
                )
        return _known

    def takeover(
        self, line: Line, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]
    ) -> bool:
        """Finish the handshake and hand the connection over; say whether the client was still there.

        Args:
            line: Who gets it.
            subprotocol: The sub-protocol that was chosen.
            headers: Headers for the 101.
        """
        if self.handshake_complete or self.transport.is_closing():
            return False
        response = self.response
        del response.headers["Date"]
        # uvicorn's answer to the offer: whoever reads and writes the frames has given its own in the headers.
        if "Sec-WebSocket-Extensions" in response.headers:
            del response.headers["Sec-WebSocket-Extensions"]
        for name, value in (*self.default_headers, *headers):
            response.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        if subprotocol:
            response.headers["Sec-WebSocket-Protocol"] = subprotocol
        self.logger.info(
            '%s - "WebSocket %s" [accepted]',
            get_client_addr(self.scope),
            get_path_with_query_string(self.scope),
        )
        self.handshake_complete = True
        self.transport.write(response.serialize())
        # What only uvicorn's own reading needs is a third of the memory of an idle connection.
        for unused in ("conn", "queue", "frames"):
            self.__dict__.pop(unused, None)
        self.connections.discard(self)
        self.connections.add(cast("Any", line))
        line.take_over(self.transport, self.connections)
        return True

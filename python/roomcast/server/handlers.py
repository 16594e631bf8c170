"""How a server runs the code of applications: as `roomcast.sockets.handlers` does, and with a word for what clients did wrong.

A `ValidationError` is the client's doing: of those of one address and event the first is logged, in a line.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from roomcast.errors import ValidationError
from roomcast.logs import Once, printable
from roomcast.sockets.handlers import Handlers

if TYPE_CHECKING:
    from roomcast.server.socket import Socket

__all__ = ["ErrorHook", "ServerHandlers"]

ErrorHook = Callable[[BaseException, "Socket | None", str], Any]
"""Called with the exception, the socket it concerns, and the event; a function or a coroutine function."""

log = logging.getLogger("roomcast.server")


class ServerHandlers(Handlers["Socket"]):
    """Runs handlers for one server."""

    def __init__(self) -> None:
        """Run none yet."""
        super().__init__(log)
        self._misfits = Once()

    def _write(self, error: BaseException, socket: "Socket | None", event: str) -> None:
        if not isinstance(error, ValidationError) or socket is None:
            super()._write(error, socket, event)
            return
        address = printable(socket.conn.request.address)
        if self._misfits.is_first(address, event):
            log.info(
                "%s does not fit its handler, from %s: %s at %s",
                printable(event),
                address,
                printable(error.message),
                printable(error.path),
            )

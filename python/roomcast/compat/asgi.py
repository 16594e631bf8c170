"""An `AsyncServer` in front of other ASGI applications, with files beside it, in python-socketio's way."""

import asyncio
import logging
from collections.abc import Callable
from inspect import isawaitable
from typing import Any, Final

from roomcast.compat.server import AsyncServer
from roomcast.compat.static import StaticFile, StaticFiles, find_static_file
from roomcast.engine.asgi import ASGIApplication, Receive, Scope, Send
from roomcast.engine.http import respond
from roomcast.errors import UsageError

__all__ = ["ASGIApp"]

Hook = Callable[[], Any]
"""A function or a coroutine function."""

log = logging.getLogger("roomcast.compat")


class ASGIApp:
    """An ASGI application: the server on its path, files and another application elsewhere.

    The other application gets the lifespan, too, unless there are hooks for it here. The server ends with it.

    Source:
        python-socketio, ``ASGIApp``.
    """

    may_return: Final = True
    """Whether a WebSocket that was handed over outlives the call; see `roomcast.asgi.ASGIApp`."""

    def __init__(
        self,
        socketio_server: AsyncServer,
        other_asgi_app: ASGIApplication | None = None,
        static_files: StaticFiles | None = None,
        socketio_path: str | None = "socket.io",
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        """Take the parts.

        Args:
            socketio_server: The server.
            other_asgi_app: Gets what is neither for the server nor a file; without it that gets a 404.
            static_files: URL paths, and the files or folders that they stand for.
            socketio_path: What the path of every request for the server begins with; ``None`` if all are for it.
            on_startup: Called at the beginning.
            on_shutdown: Called at the end.

        Raises:
            UsageError: If it is another server.
        """
        self._server = _checked(socketio_server)
        self._other_app = other_asgi_app
        self._static_files = static_files or {}
        self._prefix = None if socketio_path is None else f"/{socketio_path.strip('/')}/"
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown
        hooked = other_asgi_app is None or on_startup is not None or on_shutdown is not None
        self._lifespan = self._server.io.asgi(self._run_hooks if hooked else other_asgi_app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif kind in ("http", "websocket") and self._is_for_server(scope["path"]):
            await self._server.handle_request(scope, receive, send)
        else:
            await self._serve_other(scope, receive, send)

    def _is_for_server(self, path: str) -> bool:
        prefix = self._prefix
        return prefix is None or path.startswith(prefix) or path == prefix[:-1]

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_http = scope["type"] == "http"
        file = find_static_file(scope["path"], self._static_files) if is_http else None
        if file is not None:
            await _serve_file(file, send)
        elif self._other_app is not None:
            await self._other_app(scope, receive, send)
        elif is_http:
            await respond(send, 404, b"Not Found", [(b"content-type", b"text/plain")])
        elif (await receive())["type"] == "websocket.connect":
            await send({"type": "websocket.close", "code": 1000})

    async def _run_hooks(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the application whose lifespan it is."""
        for stage, hook in (("startup", self._on_startup), ("shutdown", self._on_shutdown)):
            await receive()
            try:
                result = None if hook is None else hook()
                if isawaitable(result):
                    await result
            except Exception as error:
                log.exception("on_%s failed", stage)
                await send({"type": f"lifespan.{stage}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{stage}.complete"})


async def _serve_file(file: StaticFile, send: Send) -> None:
    body = await asyncio.to_thread(file.path.read_bytes)
    await respond(send, 200, body, [(b"content-type", file.content_type.encode("latin-1"))])


def _checked(server: object) -> AsyncServer:
    """Return a server that is ours; half an import is changed sooner than both halves."""
    if not isinstance(server, AsyncServer):
        kind = type(server)
        raise UsageError(
            "ASGIApp takes a server of the same import, roomcast.compat.AsyncServer, "
            f"not {kind.__module__}.{kind.__qualname__}; a roomcast.Server has io.asgi(app)"
        )
    return server

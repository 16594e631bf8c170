"""Put an Engine.IO server in front of other ASGI applications; programs use `Server.asgi`."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from roomcast.engine.asgi import ASGIApplication, Message, Receive, Scope, Send
from roomcast.engine.http import respond
from roomcast.engine.server import Engine

__all__ = ["ASGIApp", "ASGIApplication"]

log = logging.getLogger("roomcast.server")


class ASGIApp:
    """An ASGI application: the server on its path, another application elsewhere.

    Mounted under a prefix it works too, whether the path of the server stands behind the prefix or is the prefix.
    """

    __slots__ = ("_engine", "_on_shutdown", "_on_startup", "_other_app")

    may_return: Final = True
    """Whether a WebSocket that was handed over outlives the call: where nothing stands around this application, nobody has to
    wait in it."""

    def __init__(
        self,
        engine: Engine,
        other_app: ASGIApplication | None = None,
        *,
        on_startup: Callable[[], Awaitable[None]],
        on_shutdown: Callable[[], Awaitable[None]],
    ) -> None:
        """Take the server, the other application, and what to await at the beginning and at the end of the lifespan."""
        self._engine = engine
        self._other_app = other_app
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif kind in ("http", "websocket") and self._engine.takes(scope):
            await self._engine.handle(scope, receive, send)
        elif self._other_app is not None:
            await self._other_app(scope, receive, send)
        elif kind == "http":
            await respond(send, 404, b"Not Found", [(b"content-type", b"text/plain")])
        elif (await receive())["type"] == "websocket.connect":
            await send({"type": "websocket.close", "code": 1000})

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the other application live, if it can: the server starts before that begins, and closes before that ends."""
        asked = False

        async def receive_before() -> Message:
            nonlocal asked
            asked = True
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._on_startup()
            elif message["type"] == "lifespan.shutdown":
                await self._on_shutdown()
            return message

        if self._other_app is not None:
            try:
                await self._other_app(scope, receive_before, send)
            except Exception as error:
                if asked:
                    raise
                # So an application says that it knows no lifespan; ours goes on all the same.
                log.debug("the other application has no lifespan: %s", error)
            else:
                return
        while (await receive_before())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

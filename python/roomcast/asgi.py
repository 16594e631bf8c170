"""Put an Engine.IO server in front of other ASGI applications; programs use `Server.asgi`."""

from collections.abc import Awaitable, Callable

from roomcast.engine.server import Engine
from roomcast.engine.transports import Receive, Scope, Send

__all__ = ["ASGIApp", "ASGIApplication"]

ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


class ASGIApp:
    """An ASGI application: the server on its path, another application elsewhere.

    Mounted under a prefix it works too, whether the path of the server stands behind the prefix or is the prefix.
    """

    __slots__ = ("_engine", "_on_shutdown", "_other_app")

    def __init__(
        self,
        engine: Engine,
        other_app: ASGIApplication | None = None,
        *,
        on_shutdown: Callable[[], Awaitable[None]],
    ) -> None:
        """Take the server, the other application, and what to await at the end of the lifespan."""
        self._engine = engine
        self._other_app = other_app
        self._on_shutdown = on_shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] in ("http", "websocket") and self._engine.takes(scope):
            await self._engine.handle(scope, receive, send)
        elif self._other_app is not None:
            await self._other_app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"9")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b"Not Found"})
        elif (await receive())["type"] == "websocket.connect":
            await send({"type": "websocket.close", "code": 1000})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._on_shutdown()
                await send({"type": "lifespan.shutdown.complete"})
                return

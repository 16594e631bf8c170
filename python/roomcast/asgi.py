"""Put an Engine.IO server in front of other ASGI applications, or serve it alone with an embedded uvicorn.

The layer below `roomcast.server`, which gives programs these functions as `Server.asgi`, `Server.listen` and `Server.run`.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Final

from roomcast.engine.server import Engine
from roomcast.engine.transports import Receive, Scope, Send
from roomcast.errors import MissingDependencyError

if TYPE_CHECKING:
    import uvicorn

__all__ = ["ASGIApp", "ASGIApplication", "Listening", "listen", "run"]

ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

GRACE: Final = 5
"""Seconds that the HTTP server waits at its end for requests that it is still serving."""


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


class Listening:
    """A port that is being listened on.

    Attributes:
        host: Its address.
        port: Its number, also where 0 was asked for.
    """

    def __init__(self, server: "uvicorn.Server", bound: socket.socket) -> None:
        """Start to serve on a bound socket."""
        address = bound.getsockname()
        self.host: str = address[0]
        self.port: int = address[1]
        self._server = server
        self._serving = asyncio.get_running_loop().create_task(server.serve([bound]))

    async def wait_started(self, started: asyncio.Future[None]) -> None:
        """Wait until connections are accepted; what kept the server from it is raised."""
        await asyncio.wait((started, self._serving), return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            await self._serving

    def stop(self) -> None:
        """Listen no more."""
        self._server.should_exit = True

    async def wait_closed(self) -> None:
        """Wait until the port is free and all requests are served."""
        await asyncio.shield(self._serving)


async def listen(app: ASGIApplication, host: str, port: int, *, max_size: int) -> Listening:
    """Serve an application on a port, in the running event loop.

    Args:
        app: The application.
        host: The address.
        port: The port, or 0 for a free one.
        max_size: Bytes of the largest WebSocket message.

    Raises:
        MissingDependencyError: If uvicorn is not installed.
        OSError: If the address cannot be used.
        RuntimeError: If the application fails in its lifespan startup.
    """
    try:
        import uvicorn  # noqa: PLC0415  an optional dependency
    except ImportError as error:
        command = 'pip install "roomcast[server]"'
        raise MissingDependencyError(f"serving needs uvicorn: {command}") from error
    started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Embedded(uvicorn.Server):
        """uvicorn as a guest: it tells when it is ready, and leaves the signals to the program."""

        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            try:
                await super().serve(sockets)
            except SystemExit:  # it would take the program along
                raise RuntimeError("the application failed in its lifespan startup") from None
            finally:
                bound.close()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set_result(None)

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws_max_size=max_size,
        ws_ping_interval=None,
        ws_ping_timeout=None,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACE,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=config.backlog)
    listening = Listening(Embedded(config), bound)
    await listening.wait_started(started)
    return listening


def run(start: Callable[[], Awaitable[Listening]], close: Callable[[], Awaitable[None]]) -> None:
    """Serve until SIGINT or SIGTERM, in an event loop of one's own.

    Args:
        start: Starts to listen.
        close: Closes everything.
    """

    async def main() -> None:
        listening = await start()
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await stop.wait()
        await close()
        await listening.wait_closed()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  an optional dependency
    except ImportError:
        return None
    return uvloop.new_event_loop

"""Serve an ASGI application on a port of one's own; programs use `Server.listen` and `Server.run`."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from roomcast.asgi import ASGIApplication
from roomcast.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from roomcast.embedded import Embedded

__all__ = ["Listening", "bind", "listen", "run"]


class Listening:
    """A port that is being listened on.

    Attributes:
        host: Its address.
        port: Its number, also where 0 was asked for.
    """

    def __init__(self, server: "Embedded", bound: socket.socket) -> None:
        """Start to serve on a bound socket."""
        address = bound.getsockname()
        self.host: str = address[0]
        self.port: int = address[1]
        self._server = server
        self._serving = asyncio.get_running_loop().create_task(server.serve([bound]))

    async def wait_started(self) -> None:
        """Wait until connections are accepted; what kept the server from it is raised."""
        ready = self._server.ready
        await asyncio.wait((ready, self._serving), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await self._serving

    def stop(self) -> None:
        """Listen no more."""
        self._server.stopping.set()

    async def wait_closed(self) -> None:
        """Wait until the port is free and all requests are served."""
        await asyncio.shield(self._serving)


BACKLOG: Final = 2_048
"""Connections that wait to be accepted. Source: uvicorn, ``backlog``."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a port.

    Raises:
        OSError: If the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    plain = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # asyncio turns Nagle's algorithm off only where the protocol is named: with it, an answer waits 40 ms for the client.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=plain.detach())


async def listen(
    app: ASGIApplication, host: str, port: int, *, max_size: int, bound: socket.socket | None = None
) -> Listening:
    """Serve an application on a port, in the running event loop.

    Args:
        app: The application.
        host: The address.
        port: The port, or 0 for a free one.
        max_size: Bytes of the largest WebSocket message.
        bound: A socket that listens already, as other processes do on the same one, in place of a new one.

    Raises:
        MissingDependencyError: If uvicorn is not installed.
        OSError: If the address cannot be used.
        RuntimeError: If the application fails in its lifespan startup.
    """
    try:
        import uvicorn  # noqa: PLC0415  an optional dependency

        from roomcast.embedded import Embedded  # noqa: PLC0415  imports it
        from roomcast.uvicorn import WebSocketProtocol  # noqa: PLC0415  as above
    except ImportError as error:
        command = 'pip install "roomcast[server]"'
        raise MissingDependencyError(f"serving needs uvicorn: {command}") from error
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws=WebSocketProtocol,
        ws_max_size=max_size,
        ws_ping_interval=None,
        ws_ping_timeout=None,
        ws_per_message_deflate=False,
        proxy_headers=False,  # `trusted_proxies` says whose are believed
    )
    listening = Listening(Embedded(config), bind(host, port) if bound is None else bound)
    await listening.wait_started()
    return listening


def run(start: Callable[[], Awaitable[Listening]], close: Callable[[], Awaitable[None]]) -> None:
    """Serve until SIGINT or SIGTERM, in an event loop of one's own.

    Args:
        start: Starts to listen.
        close: Closes everything.

    Raises:
        UsageError: If there is an event loop already.
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

    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        raise UsageError("run makes an event loop, and one runs already: await listen(...) instead")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  an optional dependency
    except ImportError:
        return None
    return uvloop.new_event_loop

"""Serve something until SIGINT or SIGTERM, and say where; what keeps the port from it is told in a line."""

import errno
import socket
from collections.abc import Awaitable, Callable

from roomcast.asgi import ASGIApplication
from roomcast.cli.errors import CommandError
from roomcast.cli.files import allow_most_connections
from roomcast.server import Server
from roomcast.serving import Listening, bind, listen, run

__all__ = ["bind_or_explain", "serve", "serve_bound", "url"]

MAX_SIZE = 16 * 1024 * 1024
"""Bytes of the largest message on WebSockets that are not roomcast's. Source: uvicorn, ``ws_max_size``."""


def url(host: str, port: int) -> str:
    """Return the URL of an address."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(
    app: Server | ASGIApplication, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM, as many connections as the system allows.

    Args:
        app: A server, or an application that has one in it.
        host: The address.
        port: The port, or 0 for a free one.
        announce: Called with the URL once connections are accepted.

    Raises:
        CommandError: If the address cannot be used, or the application does not start.
        MissingDependencyError: If uvicorn is not installed.
    """
    listening: list[Listening] = []

    async def start() -> Listening:
        if isinstance(app, Server):
            started = await app.listen(port, host=host)
        else:
            started = await listen(app, host, port, max_size=MAX_SIZE)
        listening.append(started)
        announce(url(started.host, started.port))
        return started

    async def stop() -> None:
        for started in listening:
            started.stop()

    allow_most_connections()
    close: Callable[[], Awaitable[None]] = app.close if isinstance(app, Server) else stop
    try:
        run(start, close)
    except OSError as error:
        if listening:
            raise
        raise CommandError(_why_not(error, host, port)) from error
    except RuntimeError as error:
        if listening:
            raise
        raise CommandError(str(error)) from error


def bind_or_explain(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a port.

    Raises:
        CommandError: If the address cannot be used.
    """
    try:
        return bind(host, port)
    except OSError as error:
        raise CommandError(_why_not(error, host, port)) from error


def serve_bound(
    app: Server | ASGIApplication, bound: socket.socket, announce: Callable[[], None]
) -> None:
    """Serve on a socket that listens already; as `serve`.

    Raises:
        CommandError: If the application does not start.
        MissingDependencyError: If uvicorn is not installed.
    """
    listening: list[Listening] = []
    served, max_size = (
        (app.asgi(), app.options.limits.max_http_buffer_size)
        if isinstance(app, Server)
        else (app, MAX_SIZE)
    )

    async def start() -> Listening:
        started = await listen(served, "", 0, max_size=max_size, bound=bound)
        listening.append(started)
        announce()
        return started

    async def stop() -> None:
        if isinstance(app, Server):
            await app.close()
        for started in listening:
            started.stop()

    allow_most_connections()
    try:
        run(start, stop)
    except RuntimeError as error:
        if listening:
            raise
        raise CommandError(str(error)) from error


def _why_not(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} of {host} is in use; --port takes another one"
        case errno.EACCES:
            return f"port {port} is not for this user; --port takes another one"
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine"
        case _:
            return f"cannot listen on {host}, port {port}: {error.strerror or error}"

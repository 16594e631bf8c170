"""The way between the workers of one host: Unix sockets in a directory that only their user may enter, one for each by its name.

==============================  ============================================================================================
a request for another's         is passed on
==============================  ============================================================================================
GET or POST                     as it is, body and all; the answer comes back the same way
WebSocket of roomcast.uvicorn   by its file descriptor, once: from then on it is the other worker's own
any other WebSocket             message by message, for as long as it lasts
==============================  ============================================================================================
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

from roomcast.engine import hops
from roomcast.engine.answers import TAKEOVER
from roomcast.engine.asgi import ASGIApplication, Receive, Scope, Send
from roomcast.engine.directory import Directory, is_own
from roomcast.engine.hops import Hop
from roomcast.engine.passed import PassedWebSocket
from roomcast.engine.passing import end_all, pass_request, serve_request
from roomcast.engine.ways import WorkerLostError

__all__ = ["UnixWay"]

log = logging.getLogger("roomcast.engine")


class UnixWay:
    """The directory of this host's workers, as a `Way`."""

    def __init__(self, directory: str) -> None:
        """Prepare the directory; listening begins with `start`.

        Raises:
            UsageError: If the directory is not this user's alone, or its name is too long.
        """
        self._directory = Directory(directory)
        self._name = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: socket.socket | None = None
        self._serve_here: ASGIApplication | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._lines: set[Any] = set()

    def start(self, loop: asyncio.AbstractEventLoop, name: str, serve: ASGIApplication) -> None:
        """Listen in an event loop, under a name."""
        self._loop, self._name, self._serve_here = loop, name, serve
        self._directory.sweep()
        self._listener = self._directory.listen(name)
        loop.add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Listen no more."""
        listener, self._listener = self._listener, None
        loop, self._loop = self._loop, None
        if listener is None or loop is None:
            return
        if not loop.is_closed():
            loop.remove_reader(listener)
        listener.close()
        self._directory.remove(self._name)

    async def ready(self) -> None:
        """Return at once: whoever sees a socket can connect to it."""

    async def close(self) -> None:
        """Listen no more, and end what other workers have passed on."""
        self.stop()
        await end_all(self._serving)

    def leads_to(self, name: str) -> bool:
        """Say whether there is a socket of that name."""
        return self._directory.has(name)

    async def pass_on(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let another worker serve a request; as `Way.pass_on`."""
        line = await hops.connect(self._directory.path(name))
        if line is None:
            raise WorkerLostError
        extensions: dict[str, dict[str, Any]] = scope.get("extensions") or {}
        detach: Callable[..., bool] | None = extensions.get(TAKEOVER, {}).get("detach")
        if detach is not None:
            try:
                await self._hand_over(line, scope, detach)
            finally:
                line.close()
            return
        try:
            await pass_request(await Hop.over(line), scope, receive, send)
        except OSError as error:
            raise WorkerLostError from error

    async def _hand_over(
        self, line: socket.socket, scope: Scope, detach: Callable[..., bool]
    ) -> None:
        assert self._loop is not None
        left = b""

        def give(fd: int, early: bytes, default_headers: list[Any]) -> None:
            nonlocal left
            left = hops.send_line(line, scope, early, default_headers, fd)

        try:
            detach(give)  # a client that has left meanwhile needs nothing more
        except OSError as error:
            raise WorkerLostError from error
        if left:
            with contextlib.suppress(OSError):  # the client's connection is gone with that worker
                await self._loop.sock_sendall(line, left)

    def _accept(self) -> None:
        assert self._listener is not None
        assert self._loop is not None
        while True:
            try:
                line, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no descriptor is left; the other worker waits
                log.warning("cannot take what another worker passes on: %s", error)
                return
            line.setblocking(False)
            if not is_own(line):
                line.close()
                continue
            task = self._loop.create_task(self._serve(line))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, line: socket.socket) -> None:
        try:
            scope, fd = await hops.read_head(line)
        except (OSError, ValueError, TimeoutError) as error:
            log.debug("another worker has said nothing: %s", error)
            line.close()
            return
        except BaseException:
            line.close()
            raise
        if fd is not None:
            with line:
                await self._serve_line(line, scope, socket.socket(fileno=fd))
            return
        assert self._serve_here is not None
        await serve_request(await Hop.over(line), scope, self._serve_here)

    async def _serve_line(
        self, line: socket.socket, scope: Scope, connection: socket.socket
    ) -> None:
        try:
            connection.setblocking(False)
            early, headers = await hops.read_early(line)
            passed = PassedWebSocket(scope, early, headers, self._lines)
            await passed.open(connection)
        except (OSError, ValueError, KeyError, TimeoutError) as error:
            log.debug("a connection has not arrived: %s", error)
            connection.close()
            return
        except BaseException:
            connection.close()
            raise
        assert self._serve_here is not None
        scope["extensions"][TAKEOVER] = {"takeover": passed.takeover, "may_return": True}
        try:
            await self._serve_here(scope, passed.receive, passed.send)
        finally:
            passed.close()

"""The way between the workers of one host: Unix sockets in a directory that only their user may enter, one for each by its name.

==============================  ============================================================================================
a request for another's         is passed on
==============================  ============================================================================================
GET or POST                     as it is, body and all; the answer comes back the same way
WebSocket of roomcast.uvicorn   by its file descriptor, once: from then on it is the other worker's own
any other WebSocket, or TLS     message by message, for as long as it lasts
==============================  ============================================================================================

What is not handed over travels on trunks (`trunk.py`): a worker that passes on has one to each that it has passed something to.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from roomcast.engine import handover
from roomcast.engine.answers import TAKEOVER
from roomcast.engine.asgi import ASGIApplication, Receive, Scope, Send
from roomcast.engine.directory import Directory, Listener
from roomcast.engine.passed import PassedWebSocket
from roomcast.engine.passing import end_all, pass_request, serve_request
from roomcast.engine.streams import Stream
from roomcast.engine.trunk import Trunk
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
        self._listener = Listener(self._directory, lambda line: self._begin(self._take(line)))
        self._serve_here: ASGIApplication | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._lines: set[Any] = set()
        self._trunks: dict[str, Trunk] = {}
        self._accepted: set[Trunk] = set()

    def start(self, loop: asyncio.AbstractEventLoop, name: str, serve: ASGIApplication) -> None:
        """Listen in an event loop, under a name."""
        self._serve_here = serve
        self._listener.start(loop, name)

    def stop(self) -> None:
        """Listen no more, and end what is on its way."""
        self._listener.stop()
        for trunk in (*self._trunks.values(), *self._accepted):
            trunk.abandon()

    async def ready(self) -> None:
        """Return at once: whoever sees a socket can connect to it."""

    async def close(self) -> None:
        """Listen no more, and end what other workers have passed on; what is passed to them may still be answered."""
        self._listener.stop()
        for trunk in self._accepted:
            trunk.refuse()
        await end_all(self._serving)
        for trunk in (*self._trunks.values(), *self._accepted):
            trunk.close()

    def leads_to(self, name: str) -> bool:
        """Say whether there is a socket of that name."""
        return name in self._trunks or self._directory.has(name)

    async def pass_on(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let another worker serve a request; as `Way.pass_on`."""
        extensions: dict[str, dict[str, Any]] = scope.get("extensions") or {}
        detach: Callable[..., bool] | None = extensions.get(TAKEOVER, {}).get("detach")
        if detach is not None:
            with await self._connect(name) as line:
                await self._hand_over(line, scope, detach)
            return
        trunk = self._trunks.get(name) or await self._new_trunk(name)
        stream = trunk.open()
        if not self._listener.is_open:  # this worker ends
            trunk.close()
        try:
            await pass_request(stream, scope, receive, send)
        except OSError as error:
            raise WorkerLostError from error

    async def _connect(self, name: str) -> socket.socket:
        line = await handover.connect(self._directory.path(name))
        if line is None:
            raise WorkerLostError
        return line

    async def _new_trunk(self, name: str) -> Trunk:
        line = await self._connect(name)
        known = self._trunks.get(name)
        if known is not None:  # of another request, meanwhile
            line.close()
            return known

        def ended(trunk: Trunk) -> None:
            if self._trunks.get(name) is trunk:
                del self._trunks[name]

        loop = asyncio.get_running_loop()
        trunk = self._trunks[name] = Trunk(loop, line, ended, greeting=handover.TRUNK)
        return trunk

    async def _hand_over(
        self, line: socket.socket, scope: Scope, detach: Callable[..., bool]
    ) -> None:
        left = b""

        def give(fd: int, early: bytes, default_headers: list[Any]) -> None:
            nonlocal left
            left = handover.send_line(line, scope, early, default_headers, fd)

        try:
            detach(give)  # a client that has left meanwhile needs nothing more
        except OSError as error:
            raise WorkerLostError from error
        if left:
            with contextlib.suppress(OSError):  # the client's connection is gone with that worker
                await asyncio.get_running_loop().sock_sendall(line, left)

    def _begin(self, serving: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(serving)
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _take(self, line: socket.socket) -> None:
        """Find out what a connection of another worker is for."""
        try:
            head = await handover.read_head(line)
        except (OSError, ValueError) as error:
            log.debug("another worker has said nothing: %s", error)
            line.close()
            return
        except BaseException:
            line.close()
            raise
        if head is not None:
            scope, fd = head
            with line:
                await self._serve_line(line, scope, socket.socket(fileno=fd))
        elif not self._listener.is_open:  # it has stopped meanwhile
            line.close()
        else:
            trunk = Trunk(asyncio.get_running_loop(), line, self._accepted.discard, self._on_stream)
            self._accepted.add(trunk)

    def _on_stream(self, stream: Stream) -> None:
        assert self._serve_here is not None
        self._begin(serve_request(stream, self._serve_here))

    async def _serve_line(
        self, line: socket.socket, scope: Scope, connection: socket.socket
    ) -> None:
        try:
            connection.setblocking(False)
            early, headers = await handover.read_early(line)
            passed = PassedWebSocket(scope, early, headers, self._lines)
            await passed.open(connection)
        except (OSError, ValueError, KeyError) as error:
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

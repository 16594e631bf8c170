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
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from roomcast.engine import hops
from roomcast.engine.answers import TAKEOVER
from roomcast.engine.asgi import ASGIApplication, Receive, Scope, Send
from roomcast.engine.hops import Hop
from roomcast.engine.passed import PassedWebSocket
from roomcast.engine.passing import end_all, pass_request, serve_request
from roomcast.engine.ways import NAME, NAME_LENGTH, WorkerLostError
from roomcast.errors import UsageError

__all__ = ["UnixWay"]

MAX_PATH: Final = 100
"""Bytes of the path of a socket: systems take 104 or 108."""

BACKLOG: Final = 4_096
"""Connections of other workers that wait to be accepted."""

log = logging.getLogger("roomcast.engine")


class UnixWay:
    """The directory of this host's workers, as a `Way`."""

    def __init__(self, directory: str) -> None:
        """Prepare the directory; listening begins with `start`.

        Raises:
            UsageError: If the directory is not this user's alone, or its name is too long.
        """
        self._directory = _private(directory)
        self._name = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: socket.socket | None = None
        self._serve_here: ASGIApplication | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._lines: set[Any] = set()

    def start(self, loop: asyncio.AbstractEventLoop, name: str, serve: ASGIApplication) -> None:
        """Listen in an event loop, under a name."""
        self._loop, self._name, self._serve_here = loop, name, serve
        self._sweep()
        self._listener = self._listen(name)
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
        (self._directory / self._name).unlink(missing_ok=True)

    async def ready(self) -> None:
        """Return at once: whoever sees a socket can connect to it."""

    async def close(self) -> None:
        """Listen no more, and end what other workers have passed on."""
        self.stop()
        await end_all(self._serving)

    def leads_to(self, name: str) -> bool:
        """Say whether there is a socket of that name: eight characters of the alphabet of names are never more of a path than that."""
        return (self._directory / name).exists()

    async def pass_on(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let another worker serve a request; as `Way.pass_on`."""
        line = await hops.connect(str(self._directory / name))
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
            if not _is_own(line):
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

    def _listen(self, name: str) -> socket.socket:
        path, begun = self._directory / name, self._directory / f".{name}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(str(begun))
        listener.listen(BACKLOG)
        # Whoever sees it under its name can connect to it: otherwise others would take it for one that is left over.
        begun.rename(path)
        return listener

    def _sweep(self) -> None:
        """Remove what workers have left that were killed."""
        for path in self._directory.iterdir():
            if not NAME.fullmatch(path.name):
                continue
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.setblocking(False)
                try:
                    line.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)
                except OSError:
                    continue


def _private(directory: str) -> Path:
    """Return a directory that is this user's alone, made if need be."""
    if sys.platform == "win32" or not hasattr(socket, "send_fds"):
        raise UsageError("workers: there are no Unix sockets here to pass connections over")
    path = Path(directory).absolute()
    if len(os.fsencode(path)) + NAME_LENGTH + 2 > MAX_PATH:
        raise UsageError(f"workers: {path} is too long for Unix sockets: take a shorter directory")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise UsageError(f"workers: {error}") from error
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(f"workers: others may enter {path}: chown it to this user, chmod 700")
    return path


def _is_own(line: socket.socket) -> bool:
    """Say whether the other end is of this user, or the system cannot tell: the directory keeps others away already."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(uid in (os.geteuid(), 0))

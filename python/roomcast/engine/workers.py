"""Several processes of one server behind one port: whoever gets a request for a session of another one passes it on.

Each worker listens on a Unix socket in a directory that only their user may enter. Its name, four random characters, ends the id of
each session that it opens, so that any worker knows whose a request is without asking anybody.

    ==============================  ============================================================================================
    a request for another's         is passed on
    ==============================  ============================================================================================
    GET or POST                     as it is, body and all; the answer comes back the same way
    WebSocket of roomcast.uvicorn   by its file descriptor, once: from then on it is the other worker's own
    any other WebSocket             message by message, for as long as it lasts
    ==============================  ============================================================================================

All checks are those of the worker that has the session. Who is passed on is not passed on again. Of a worker that is gone nothing is
left but the name: what is for it is answered ``Session ID unknown``, and its clients begin anew.
"""

import asyncio
import contextlib
import logging
import os
import re
import secrets
import socket
import stat
import struct
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from roomcast.engine import hops
from roomcast.engine.answers import TAKEOVER
from roomcast.engine.asgi import Message, Receive, Scope, Send
from roomcast.engine.hops import Hop
from roomcast.engine.passed import PassedWebSocket
from roomcast.errors import UsageError

__all__ = ["WorkerLostError", "Workers"]

NAME_BYTES: Final = 3
"""Random bytes of a name: four characters. It is no secret; what nobody can guess is the rest of an id."""

NAME: Final = re.compile(r"[A-Za-z0-9_-]{4}")

MAX_PATH: Final = 100
"""Bytes of the path of a socket: systems take 104 or 108."""

BACKLOG: Final = 4_096
"""Connections of other workers that wait to be accepted."""

DRAIN_TIMEOUT: Final = 1.0
"""Seconds that a worker which ends waits for requests that it was passed."""

GOING_AWAY: Final = 1001

log = logging.getLogger("roomcast.engine")


class WorkerLostError(Exception):
    """The worker that has the session is gone, or went before it answered."""


class Workers:
    """This worker among the others. It belongs to one event loop at a time.

    Attributes:
        name: Its name; empty before it has started.
    """

    def __init__(
        self,
        directory: str,
        serve: Callable[[Scope, Receive, Send], Awaitable[None]],
        count: Callable[[str], None],
    ) -> None:
        """Prepare the directory; listening begins with `start`.

        Args:
            directory: Where the sockets of all workers are.
            serve: Serves a request that was passed to this worker.
            count: Counts what happens.

        Raises:
            UsageError: If the directory is not this user's alone, or its name is too long.
        """
        self._directory = _private(directory)
        self._serve_here = serve
        self._count = count
        self.name = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: socket.socket | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._lines: set[Any] = set()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen, if it does not yet, in this event loop."""
        if self._loop is loop:
            return
        if self._loop is not None:
            self._stop()
        self._loop = loop
        self._sweep()
        self.name, self._listener = self._listen()
        loop.add_reader(self._listener, self._accept)

    async def close(self) -> None:
        """Listen no more, and end what other workers have passed on."""
        self._stop()
        if self._serving:
            _, late = await asyncio.wait(self._serving, timeout=DRAIN_TIMEOUT)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def owner_of(self, sid: str) -> str | None:
        """Return the path of the socket of the worker that has a session; ``None`` where that is this one, or nobody.

        What a client says is never more of a path than four characters of the alphabet of names.
        """
        name = sid[-4:]
        if name == self.name or not NAME.fullmatch(name):
            return None
        path = self._directory / name
        return str(path) if path.exists() else None

    async def pass_on(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let another worker serve a request.

        Raises:
            WorkerLostError: If that is gone. Nothing has been answered then, unless a WebSocket was.
        """
        line = await hops.connect(path)
        if line is None:
            raise WorkerLostError
        self._count("passed_on")
        extensions: dict[str, dict[str, Any]] = scope.get("extensions") or {}
        detach: Callable[..., bool] | None = extensions.get(TAKEOVER, {}).get("detach")
        if detach is not None:
            try:
                await self._hand_over(line, scope, detach)
            finally:
                line.close()
            return
        hop = await Hop.over(line)
        try:
            await hop.write(hops.pack_scope(scope))
            exchange = _exchange if scope["type"] == "http" else _relay
            await exchange(hop, receive, send)
        except OSError as error:
            raise WorkerLostError from error
        finally:
            hop.close()

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
        self._count("passed_here")
        if fd is not None:
            with line:
                await self._serve_line(line, scope, socket.socket(fileno=fd))
            return
        hop = await Hop.over(line)
        try:
            send = _Answer(hop).send if scope["type"] == "http" else hop.send
            await self._serve_here(scope, _receiver(hop, scope["type"]), send)
            await hop.end()
        except OSError as error:
            log.debug("another worker has left before the answer: %s", error)
        finally:
            hop.close()

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
        scope["extensions"][TAKEOVER] = {"takeover": passed.takeover, "may_return": True}
        try:
            await self._serve_here(scope, passed.receive, passed.send)
        finally:
            passed.close()

    def _listen(self) -> tuple[str, socket.socket]:
        while True:
            name = secrets.token_urlsafe(NAME_BYTES)
            path, begun = self._directory / name, self._directory / f".{name}"
            if path.exists() or begun.exists():
                continue
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.setblocking(False)
            listener.bind(str(begun))
            listener.listen(BACKLOG)
            # Whoever sees it under its name can connect to it: otherwise others would take it for one that is left over.
            begun.rename(path)
            return name, listener

    def _stop(self) -> None:
        listener, self._listener = self._listener, None
        loop, self._loop = self._loop, None
        if listener is None or loop is None:
            return
        if not loop.is_closed():
            loop.remove_reader(listener)
        listener.close()
        (self._directory / self.name).unlink(missing_ok=True)

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


class _Answer:
    """The answer to a request, which goes back as one frame: those of the engine are whole."""

    def __init__(self, hop: Hop) -> None:
        self._hop = hop
        self._start: Message = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            await self._hop.send({**self._start, "body": message["body"]})


def _receiver(hop: Hop, kind: str) -> Receive:
    async def receive() -> Message:
        message = await hop.read()
        if message is not None:
            return message
        return (
            {"type": "http.disconnect"}
            if kind == "http"
            else {"type": "websocket.disconnect", "code": 1006}
        )

    return receive


async def _exchange(hop: Hop, receive: Receive, send: Send) -> None:
    """Pass a request of HTTP on, and its answer back.

    Raises:
        OSError: If the other worker is gone before that.
    """
    answering = asyncio.ensure_future(hop.read())
    passing = asyncio.ensure_future(_pass_body(hop, receive))
    try:
        await asyncio.wait((answering, passing), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and passing.result():
            return  # the client has left
        answer = await answering
    finally:
        for task in (answering, passing):
            task.cancel()
        await asyncio.wait((answering, passing))
        if not passing.cancelled():
            passing.exception()
    if answer is None:
        raise ConnectionResetError
    body = answer.pop("body")
    try:
        await send(answer)
        await send({"type": "http.response.body", "body": body})
    except OSError as error:
        log.debug("a client left before its answer: %s", error)


async def _pass_body(hop: Hop, receive: Receive) -> bool:
    """Pass a body on; return at the end of the request, or where the other end listens no more: whether the client has left."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return True
        try:
            await hop.send(message)
        except OSError:
            return False  # it may have answered before, as to a body that is too large


async def _relay(hop: Hop, receive: Receive, send: Send) -> None:
    """Pass a WebSocket on, until either side ends it.

    Raises:
        OSError: If the other worker is gone before it has answered.
    """
    upwards = asyncio.ensure_future(_pass_up(hop, receive))
    accepted = refused = False
    try:
        while (message := await hop.read()) is not None:
            kind = message["type"]
            accepted |= kind == "websocket.accept"
            refused |= kind in ("websocket.close", "websocket.http.response.body")
            try:
                await send(message)
            except OSError as error:
                log.debug("a client left meanwhile: %s", error)
                return
            if refused:
                break
    finally:
        upwards.cancel()
        await asyncio.wait((upwards,))
    left = not upwards.cancelled() and upwards.exception() is None
    if refused or left:
        return
    if not accepted:
        raise ConnectionResetError
    with contextlib.suppress(OSError):
        await send({"type": "websocket.close", "code": GOING_AWAY})


async def _pass_up(hop: Hop, receive: Receive) -> None:
    while True:
        message = await receive()
        await hop.send(message)
        if message["type"] == "websocket.disconnect":
            return


def _private(directory: str) -> Path:
    """Return a directory that is this user's alone, made if need be."""
    if sys.platform == "win32" or not hasattr(socket, "send_fds"):
        raise UsageError("workers: there are no Unix sockets here to pass connections over")
    path = Path(directory).absolute()
    if len(os.fsencode(path)) + 6 > MAX_PATH:
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

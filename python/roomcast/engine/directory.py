"""The directory in which the workers of one host have their Unix sockets. Only their user may enter it."""

import asyncio
import logging
import os
import re
import socket
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from roomcast.engine.ways import NAME, NAME_LENGTH
from roomcast.errors import UsageError

__all__ = ["Directory", "Listener"]

MAX_PATH: Final = 100
"""Bytes of the path of a socket: systems take 104 or 108."""

BACKLOG: Final = 4_096
"""Connections of other workers that wait to be accepted."""

ACCEPT_PAUSE: Final = 0.5
"""Seconds until connections are taken again where no descriptor was left for one."""

log = logging.getLogger("roomcast.engine")


class Directory:
    """The sockets of one purpose: those whose file has a prefix in front of the name of its worker."""

    def __init__(self, directory: str, prefix: str = "") -> None:
        """Prepare the directory.

        Raises:
            UsageError: If it is not this user's alone, its name is too long, or there are no Unix sockets here.
        """
        self._directory = _private(directory, len(prefix) + NAME_LENGTH)
        self._prefix = prefix
        self._file = re.compile(re.escape(prefix) + NAME.pattern)

    def path(self, name: str) -> str:
        """Return the path of a worker's socket, whether that is there or not."""
        return str(self._directory / f"{self._prefix}{name}")

    def has(self, name: str) -> bool:
        """Say whether there is a socket of that name: eight characters of the alphabet of names are never more of a path than that."""
        return os.path.exists(self.path(name))

    def names(self) -> list[str]:
        """Return the names of all workers that have a socket, also of those that were killed."""
        begin = len(self._prefix)
        return [
            path.name[begin:]
            for path in self._directory.iterdir()
            if self._file.fullmatch(path.name)
        ]

    def listen(self, name: str) -> socket.socket:
        """Return a socket that listens under a name; whoever sees it can connect to it."""
        path = self.path(name)
        begun = str(self._directory / f".{self._prefix}{name}")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(begun)
        listener.listen(BACKLOG)
        # Only now: otherwise others would take it for one that is left over.
        os.rename(begun, path)
        return listener

    def remove(self, name: str) -> None:
        """Remove the socket of a worker that listens no more."""
        Path(self.path(name)).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what workers have left that were killed."""
        for name in self.names():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.setblocking(False)
                try:
                    line.connect(self.path(name))
                except ConnectionRefusedError:
                    self.remove(name)
                except OSError:
                    continue


class Listener:
    """The socket of a worker in a directory, at which others connect to it. It belongs to one event loop at a time."""

    def __init__(self, directory: Directory, on_line: Callable[[socket.socket], None]) -> None:
        """Prepare.

        Args:
            directory: Where others look for it.
            on_line: Called with each connection of another worker of this user; it does not block.
        """
        self._directory = directory
        self._on_line = on_line
        self._name = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: socket.socket | None = None
        self._pause: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether others can connect."""
        return self._socket is not None

    def start(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        """Listen in an event loop, under a name, and sweep away what killed workers have left."""
        self.stop()
        self._directory.sweep()
        self._loop, self._name = loop, name
        self._socket = self._directory.listen(name)
        self._resume(loop, self._socket)

    def stop(self) -> None:
        """Listen no more."""
        listening, self._socket = self._socket, None
        loop, self._loop = self._loop, None
        if listening is None or loop is None:
            return
        if self._pause is not None:
            self._pause.cancel()
        if not loop.is_closed():
            loop.remove_reader(listening)
        listening.close()
        self._directory.remove(self._name)

    def _accept(self) -> None:
        while self._socket is not None:
            try:
                line, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._wait(error)
                return
            if _is_own(line):
                line.setblocking(False)
                self._on_line(line)
            else:
                line.close()

    def _wait(self, error: OSError) -> None:
        """Take nothing for a while: no descriptor is left, and the loop would call again and again. The other worker waits."""
        log.warning("cannot take the connection of another worker yet: %s", error)
        loop, listening = self._loop, self._socket
        if loop is not None and listening is not None:
            loop.remove_reader(listening)
            self._pause = loop.call_later(ACCEPT_PAUSE, self._resume, loop, listening)

    def _resume(self, loop: asyncio.AbstractEventLoop, listening: socket.socket) -> None:
        loop.add_reader(listening, self._accept)


def _is_own(line: socket.socket) -> bool:
    """Say whether the other end is of this user, or the system cannot tell: the directory keeps others away already."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(uid in (os.geteuid(), 0))


def _private(directory: str, file_length: int) -> Path:
    """Return a directory that is this user's alone, made if need be."""
    if sys.platform == "win32" or not hasattr(socket, "send_fds"):
        raise UsageError("workers: there are no Unix sockets here to pass connections over")
    path = Path(directory).absolute()
    if len(os.fsencode(path)) + file_length + 2 > MAX_PATH:
        raise UsageError(f"workers: {path} is too long for Unix sockets: take a shorter directory")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise UsageError(f"workers: {error}") from error
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(f"workers: others may enter {path}: chown it to this user, chmod 700")
    return path

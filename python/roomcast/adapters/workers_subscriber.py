"""What comes in from the other workers of a host: each of them connects to this one, and says what it publishes and what it wants."""

import asyncio
import logging
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final

from roomcast.adapters.bus_frames import VERSION, Frame, FrameError, Frames, Kind
from roomcast.adapters.ends import NONE, Handler, Handlers, deliver
from roomcast.adapters.workers_publisher import WorkersPublisher
from roomcast.engine.directory import Directory, Listener
from roomcast.engine.ways import NAME, NAME_BYTES

__all__ = ["WorkersSubscriber"]

READ_SIZE: Final = 262_144
"""Bytes of one read; more has to wait until the loop has looked after the rest."""

log = logging.getLogger("roomcast.adapters")


class WorkersSubscriber:
    """The connections of the other workers, and what this one wants. It belongs to the event loop in which `start` was called."""

    def __init__(
        self,
        directory: Directory,
        counters: Counter[str],
        publisher: WorkersPublisher,
        *,
        on_change: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            directory: Where this worker is to be found.
            counters: Where to count.
            publisher: What goes out; it learns what the others want.
            on_change: Called when `listening` has changed.
        """
        self._directory = directory
        self._counters = counters
        self._publisher = publisher
        self._on_change = on_change
        self._handlers: dict[bytes, tuple[Handler, ...]] = {}
        self._listener = Listener(directory, self._take_line)
        self._ears: set[_Ear] = set()
        self._since = 0.0

    @property
    def listening(self) -> bool:
        """Whether other workers can connect to this one."""
        return self._listener.is_open

    @property
    def since(self) -> float:
        """The loop's time when it began to listen."""
        return self._since

    def start(self) -> None:
        """Let the other workers find this one, and connect to them, in the running event loop."""
        self._end()
        loop = asyncio.get_running_loop()
        name = secrets.token_urlsafe(NAME_BYTES)
        self._listener.start(loop, name)
        self._since = loop.time()
        others = [other for other in self._directory.names() if other != name]
        self._publisher.begin(name, others)
        self._counters["subscriptions"] += 1
        loop.call_soon(self._on_change)

    async def tried(self) -> None:
        """Return at once: it listens as soon as it has started."""

    def add(
        self, channels: Handlers = NONE, patterns: Handlers = NONE, shards: Handlers = NONE
    ) -> None:
        """Subscribe to channels; here all are alike, and there are no patterns."""
        assert not patterns
        for name, handler in (*channels.items(), *shards.items()):
            handlers = self._handlers.get(name, ())
            self._handlers[name] = (*handlers, handler)
            if not handlers:
                self._publisher.want(name)

    def remove(
        self, channels: Handlers = NONE, patterns: Handlers = NONE, shards: Handlers = NONE
    ) -> None:
        """Cancel subscriptions; with the same handlers as before."""
        assert not patterns
        for name, handler in (*channels.items(), *shards.items()):
            handlers = list(self._handlers.get(name, ()))
            if handler not in handlers:
                continue
            handlers.remove(handler)
            if handlers:
                self._handlers[name] = tuple(handlers)
            else:
                del self._handlers[name]
                self._publisher.unwant(name)

    async def close(self) -> None:
        """Hear nothing more."""
        self._end()

    # What follows is for the connections.

    def take(self, ear: "_Ear", frames: list[Frame]) -> None:
        """Do what another worker says.

        Raises:
            FrameError: If it is not what workers say.
        """
        publisher = self._publisher
        for kind, name, payload in frames:
            if kind is Kind.MESSAGE:
                deliver(self._handlers.get(name, ()), name, payload, self._counters)
            elif kind is Kind.HELLO:
                ear.peer = _peer(name, payload)
                publisher.connect(ear.peer)
            elif not ear.peer:
                raise FrameError("no HELLO")
            elif kind is Kind.WANT:
                publisher.wanted(ear.peer, name)
            elif kind is Kind.UNWANT:
                publisher.unwanted(ear.peer, name)
            elif kind is Kind.READY:
                publisher.answer_ready(ear.peer)
            else:
                publisher.was_heard(ear.peer)

    def lost(self, ear: "_Ear") -> None:
        """Learn that a connection has ended."""
        self._ears.discard(ear)
        if ear.peer:
            self._publisher.forget(ear.peer)

    def _take_line(self, line: socket.socket) -> None:
        self._ears.add(_Ear(asyncio.get_running_loop(), line, self))

    def _end(self) -> None:
        self._listener.stop()
        for ear in self._ears:
            ear.close()
        self._ears.clear()


class _Ear:
    """The connection of another worker.

    Attributes:
        peer: Its name, once it has said it.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, line: socket.socket, owner: WorkersSubscriber
    ) -> None:
        self.peer = ""
        self._loop = loop
        self._line = line
        self._owner = owner
        self._frames = Frames()
        loop.add_reader(line, self._read)

    def close(self) -> None:
        """Hear nothing more."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._line)
        self._line.close()

    def _read(self) -> None:
        try:
            data = self._line.recv(READ_SIZE)
            if data:
                self._owner.take(self, self._frames.feed(data))
                return
        except BlockingIOError:
            return
        except FrameError as error:
            log.warning("another worker is not understood, and not heard any more: %s", error)
        except OSError as error:
            log.debug("another worker is gone: %s", error)
        self.close()
        self._owner.lost(self)


def _peer(name: bytes, version: bytes) -> str:
    """Return the name that a worker says it has.

    Raises:
        FrameError: If it is none, or the worker is of another version.
    """
    if version != VERSION:
        raise FrameError(f"version {version[:8]!r} of the bus between workers, not {VERSION!r}")
    text = name.decode("ascii", "replace")
    if not NAME.fullmatch(text):
        raise FrameError("a worker without a name")
    return text

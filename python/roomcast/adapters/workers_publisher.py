"""What goes out to the other workers of a host: a connection to each of them, and who of them wants what.

Whom a message goes to is decided when it leaves, in the next iteration of the event loop. So a worker that has told everybody of its
new member of a room before it told that member is not forgotten by anybody who was told to emit by the member: what it wants has arrived
by then, and is read in the iteration before. Until the workers that were there before have been heard nothing leaves: nobody knows yet
what they want.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from math import inf
from typing import Final

from roomcast.adapters.backlog import Backlog
from roomcast.adapters.bus_frames import VERSION, Kind, frame
from roomcast.adapters.ends import DRAIN_PAUSE
from roomcast.adapters.publisher import BATCH_SIZE, ENTRY_SIZE, Publishing
from roomcast.engine.directory import Directory

__all__ = ["WorkersPublisher"]

PAUSE: Final = 0.1
"""Seconds until another attempt to connect to a worker that does not take connections."""

HEARD_TIMEOUT: Final = 1.0
"""Seconds that a new worker waits until the others have heard what it wants; one that hangs must not keep it from serving."""

UNDONE: Final = {Kind.WANT: Kind.UNWANT, Kind.UNWANT: Kind.WANT}
"""What is taken back by saying what."""

log = logging.getLogger("roomcast.adapters")


class WorkersPublisher:
    """The connections to the other workers. It belongs to the event loop in which `start` was called."""

    def __init__(self, directory: Directory, counters: Counter[str], how: Publishing) -> None:
        """Prepare; what is published before the start waits.

        Args:
            directory: Where the other workers listen.
            counters: Where to count.
            how: How it works; the queue of each of them may be that long.
        """
        self._directory = directory
        self._counters = counters
        self._how = how
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lines: dict[str, _Line] = {}
        self._wanting: dict[bytes, dict[str, _Line]] = {}
        self._own: dict[bytes, None] = {}
        self._early: Backlog[tuple[bytes, bytes]] = Backlog(how, counters)
        self._queue: list[tuple[bytes, bytes]] = []
        self._queued = 0
        self._is_scheduled = False
        self._name = b""
        self._heard: asyncio.Future[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._is_ready = False
        self._is_closed = False
        self._was_connected = True

    @property
    def connected(self) -> bool:
        """Whether all other workers hear this one, as far as anybody knows."""
        return self._loop is not None and all(line.is_open for line in self._lines.values())

    @property
    def size(self) -> int:
        """Bytes that wait, for all workers."""
        return self._early.size + self._queued + sum(line.size for line in self._lines.values())

    def start(self) -> None:
        """Begin to send, in the running event loop."""
        self._drop_all()
        self._loop = asyncio.get_running_loop()

    async def tried(self) -> None:
        """Wait until the workers that were there at the beginning have heard what this one wants; not for long."""
        if self._heard is not None:
            await asyncio.shield(self._heard)

    def publish(self, channel: bytes, payload: bytes, *, sharded: bool = False) -> bool:
        """Queue a message for the workers that want a channel; say whether it has found a place."""
        if self._is_closed:
            self._counters["dropped_outbound"] += 1
            return False
        if not self._is_ready or self._loop is None:
            return self._early.put((channel, payload), len(payload))
        self._queue.append((channel, payload))
        self._queued += len(payload) + ENTRY_SIZE
        if self._queued > BATCH_SIZE:
            self._send()
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)
        return True

    async def subscribers(self, channel: bytes, *, sharded: bool) -> int:
        """Return how many workers want a channel, this one included."""
        return len(self._wanting.get(channel, ())) + (channel in self._own)

    async def drained(self, seconds: float) -> None:
        """Wait until everything has been sent, or so long."""
        end = asyncio.get_running_loop().time() + seconds
        while self.size:
            if asyncio.get_running_loop().time() >= end:
                return
            await asyncio.sleep(DRAIN_PAUSE)

    async def close(self) -> None:
        """Close the connections, and drop what waits."""
        self._drop_all()
        self._early.clear()
        self._loop = None
        self._is_closed = True

    # What follows is for `workers_subscriber.py`, which hears what the others say.

    def begin(self, name: str, others: Iterable[str]) -> None:
        """Connect to all workers that there are, under a name."""
        self._name = name.encode()
        loop = asyncio.get_running_loop()
        self._heard = loop.create_future()
        self._patience = loop.call_later(HEARD_TIMEOUT, self._begin_to_send)
        for other in others:
            self.connect(other)
        self._look_heard()

    def connect(self, name: str) -> None:
        """Connect to a worker, unless there is a connection."""
        if name in self._lines or self._loop is None:
            return
        line = self._lines[name] = _Line(self._loop, name, self._how, self._counters)
        line.say(Kind.HELLO, self._name, VERSION)
        for channel in self._own:
            line.say(Kind.WANT, channel)
        line.say(Kind.READY)
        self._open(line)

    def forget(self, name: str) -> None:
        """Learn that a worker is gone."""
        line = self._lines.pop(name, None)
        if line is None:
            return
        line.close()
        for channel in line.wants:
            self._unlist(channel, name)
        self._look_heard()
        self._look_connected()

    def want(self, channel: bytes) -> None:
        """Tell all that this worker wants a channel, now: who wants it is told of the room only then."""
        self._own[channel] = None
        self._say(Kind.WANT, channel)

    def unwant(self, channel: bytes) -> None:
        """Tell all that it wants a channel no more."""
        del self._own[channel]
        self._say(Kind.UNWANT, channel)

    def wanted(self, name: str, channel: bytes) -> None:
        """Learn that another worker wants a channel."""
        line = self._lines.get(name)
        if line is not None:
            line.wants.add(channel)
            self._wanting.setdefault(channel, {})[name] = line

    def unwanted(self, name: str, channel: bytes) -> None:
        """Learn that another worker wants a channel no more."""
        line = self._lines.get(name)
        if line is not None and channel in line.wants:
            line.wants.discard(channel)
            self._unlist(channel, name)

    def answer_ready(self, name: str) -> None:
        """Tell another worker that this one knows what it wants."""
        line = self._lines.get(name)
        if line is not None:
            line.say(Kind.HEARD)

    def was_heard(self, name: str) -> None:
        """Learn that another worker knows what this one wants."""
        line = self._lines.get(name)
        if line is not None:
            line.was_heard = True
            self._look_heard()

    def _say(self, kind: Kind, channel: bytes) -> None:
        for line in list(self._lines.values()):
            line.say(kind, channel)

    def _unlist(self, channel: bytes, name: str) -> None:
        listed = self._wanting[channel]
        del listed[name]
        if not listed:
            del self._wanting[channel]

    def _look_heard(self) -> None:
        if all(line.was_heard for line in self._lines.values()):
            self._begin_to_send()

    def _begin_to_send(self) -> None:
        """Send what has waited until it was known who wants it; a worker that hangs is waited for once."""
        if self._is_ready or self._heard is None or self._heard.done():
            return
        self._heard.set_result(None)
        self._is_ready = True
        for channel, payload in self._early.take(inf):
            self.publish(channel, payload)

    def _look_connected(self) -> None:
        connected = self.connected
        if connected != self._was_connected:
            self._was_connected = connected
            self._how.on_change()

    def _open(self, line: "_Line") -> None:
        """Connect, or try it again later: a worker may be there, and busy, or out of descriptors."""
        if self._lines.get(line.name) is not line or self._loop is None:
            return
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(self._directory.path(line.name))
        except (ConnectionRefusedError, FileNotFoundError):
            connection.close()
            self.forget(line.name)
        except OSError as error:
            connection.close()
            log.debug("cannot connect to a worker yet: %s", error)
            self._loop.call_later(PAUSE, self._open, line)
        else:
            line.open(connection, lambda: self.forget(line.name))
        self._look_connected()

    def _flush(self) -> None:
        self._is_scheduled = False
        self._send()

    def _send(self) -> None:
        queue, self._queue = self._queue, []
        self._queued = 0
        wanting = self._wanting
        published = 0
        busy: dict[str, _Line] = {}
        for channel, payload in queue:
            lines = wanting.get(channel)
            if lines:
                published += 1
                message = frame(Kind.MESSAGE, channel, payload)
                for line in lines.values():
                    line.put(message)
                busy.update(lines)
        self._counters["published"] += published
        self._counters["unheard"] += len(queue) - published
        for line in busy.values():
            line.flush()

    def _drop_all(self) -> None:
        for line in self._lines.values():
            line.close()
        self._lines.clear()
        self._wanting.clear()
        self._queue.clear()
        self._queued = 0
        self._is_scheduled = self._is_ready = False
        if self._patience is not None:
            self._patience.cancel()
        heard, self._heard = self._heard, None
        if heard is not None and not heard.done() and not heard.get_loop().is_closed():
            heard.set_result(None)


class _Line:
    """What waits for one worker, and the connection to it.

    Attributes:
        name: The worker.
        wants: The channels that it wants.
        was_heard: Whether it knows what this one wants.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        how: Publishing,
        counters: Counter[str],
    ) -> None:
        self.name = name
        self.wants: set[bytes] = set()
        self.was_heard = False
        self._loop = loop
        # What this worker wants must arrive. It is no more than that, and what it wanted when the other one ceased to read.
        self._said: dict[tuple[Kind, bytes], bytes] = {}
        self._said_size = 0
        self._messages: Backlog[bytes] = Backlog(how, counters)
        self._rest = memoryview(b"")
        self._socket: socket.socket | None = None
        self._is_full = False
        self._on_lost: Callable[[], None] = lambda: None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return len(self._rest) + self._said_size + self._messages.size

    def open(self, connection: socket.socket, on_lost: Callable[[], None]) -> None:
        """Take the connection."""
        self._socket, self._on_lost = connection, on_lost
        self.flush()

    def say(self, kind: Kind, name: bytes = b"", payload: bytes = b"") -> None:
        """Send what must not be dropped, at once if it can be; of what takes back something that has not left yet neither leaves."""
        if kind in UNDONE:
            undone = self._said.pop((UNDONE[kind], name), None)
            if undone is not None:
                self._said_size -= len(undone)
                return
        said = self._said[kind, name] = frame(kind, name, payload)
        self._said_size += len(said)
        self.flush()

    def put(self, message: bytes) -> None:
        """Queue a message; something is dropped if there is no room."""
        self._messages.put(message, len(message))

    def flush(self) -> None:
        """Send what waits, as much as the worker takes."""
        connection = self._socket
        if connection is None or self._is_full:
            return
        try:
            while self._rest or self._said or self._messages:
                if not self._rest:
                    self._rest = memoryview(self._take())
                sent = connection.send(self._rest)
                self._rest = self._rest[sent:]
        except BlockingIOError:
            self._is_full = True
            self._loop.add_writer(connection, self._writable)
        except OSError as error:
            log.debug("a worker is gone: %s", error)
            self._on_lost()

    def close(self) -> None:
        """Close the connection, and drop what waits: nobody is there for it."""
        connection, self._socket = self._socket, None
        self._said.clear()
        self._said_size = 0
        self._messages.clear()
        self._rest = memoryview(b"")
        if connection is not None:
            if self._is_full and not self._loop.is_closed():
                self._loop.remove_writer(connection)
            connection.close()

    def _writable(self) -> None:
        if self._socket is not None:
            self._is_full = False
            self._loop.remove_writer(self._socket)
            self.flush()

    def _take(self) -> bytes:
        """Return what is to be sent next, in one piece."""
        piece = b"".join([*self._said.values(), *self._messages.take(BATCH_SIZE)])
        self._said.clear()
        self._said_size = 0
        return piece

"""What goes out to the broker: a bounded queue, and one connection that empties it.

An emit puts its message into the queue and is done. What one iteration of the event loop has put there leaves in the next one, in
one write. The order of the queue is that of the broker.

While there is no connection the queue keeps what it can, and what it cannot it drops by its policy, counted. When the broker is back
the other nodes may need a moment more, so what has waited waits for them. What was written when a
connection broke may have arrived or not. It is not sent again, since an event that comes twice is worse than one that is reported
as lost: receivers find the gap by the sequence numbers (`gaps.py`). Entries of a stream are another matter: there one can look
(`appender.py`).
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from roomcast.adapters.broker import Broker, command
from roomcast.adapters.ends import DRAIN_PAUSE
from roomcast.adapters.line import Line
from roomcast.adapters.link import MAX_REASON, Link
from roomcast.errors import BrokerError
from roomcast.logs import Once, printable

__all__ = [
    "ASKING",
    "DEFAULTS",
    "ENTRY_SIZE",
    "MOVED",
    "QUEUE_SIZE",
    "SWITCHED",
    "Append",
    "Entry",
    "Publisher",
    "Publishing",
    "QueuePolicy",
    "words_of",
]

QueuePolicy = Literal["drop_oldest", "drop_newest"]
"""What happens to messages that the queue has no room for."""

QUEUE_SIZE: Final = 16_000_000
"""Bytes that wait for the broker at most, unless told otherwise."""

BATCH_SIZE: Final = 256_000
"""Bytes of one write; one larger message goes alone."""

ENTRY_SIZE: Final = 200
"""Bytes that an entry of the queue takes beside its command."""

MAX_HOLDS: Final = 20
"""Times that a new connection asks whether the other nodes need a moment, before what has waited is sent, whoever hears it."""

MAX_FLYING: Final = 10_000
"""Messages that the broker may owe an answer for."""

SWITCHED: Final = ("READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "CLUSTERDOWN")
"""What answers begin with after which another connection may do better."""

MOVED: Final = ("MOVED", "ASK", "TRYAGAIN")
"""What answers of a member of a Redis Cluster begin with that does not have what a command is about, or not all of it."""

ELSEWHERE: Final = (*MOVED, *SWITCHED)
"""What answers of a member of a Redis Cluster begin with that has not taken a message, and where another one may, or this one later."""

ASKING: Final = b"ASKING"
"""The command in front of one that a member of a Redis Cluster takes for the time being only."""

LEADING: Final = 3
"""Words of a command up to what it is about."""

log = logging.getLogger("roomcast.adapters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """How a publisher keeps what waits, and whom it asks and tells.

    Attributes:
        queue_size: Bytes that may wait.
        queue_policy: What happens beyond.
        on_change: Called when `Publisher.connected` has changed.
        hold: Says with each connection, but for the first one, for how many seconds nothing is to be sent yet.

    Raises:
        ValueError: If the size is not positive, or there is no such policy.
    """

    queue_size: int = QUEUE_SIZE
    queue_policy: QueuePolicy = "drop_oldest"
    on_change: Callable[[], None] = lambda: None
    hold: Callable[[], float] = lambda: 0.0

    def __post_init__(self) -> None:
        if isinstance(self.queue_size, bool) or self.queue_size < 1:
            raise ValueError(f"queue_size must be at least 1, not {self.queue_size!r}")
        if self.queue_policy not in get_args(QueuePolicy):
            policies = ", ".join(get_args(QueuePolicy))
            raise ValueError(f"queue_policy: {self.queue_policy!r} is none of {policies}")


DEFAULTS: Final = Publishing()
"""How a publisher works unless told otherwise, asking and telling nobody."""


class Append:
    """The mark of an entry of a stream. It is kept until the broker has it for certain.

    Attributes:
        stream: The stream.
        uid: Whose entry it is.
        position: Its number among those of the same sender.
        is_unsure: Whether nobody knows if the broker has it: it was written to a connection that broke.
    """

    __slots__ = ("is_unsure", "position", "stream", "uid")

    def __init__(self, stream: bytes, uid: bytes, position: int) -> None:
        """Take what it is found by."""
        self.stream = stream
        self.uid = uid
        self.position = position
        self.is_unsure = False


Entry = tuple[bytes, "asyncio.Future[Any] | Append | None"]
"""A command; and who waits for its answer, or the mark of an entry of a stream."""


class Publisher:
    """The queue and its connection. It belongs to the event loop in which `start` was called."""

    def __init__(
        self,
        broker: Broker,
        counters: Counter[str],
        how: Publishing = DEFAULTS,
        *,
        redirect: Callable[[bytes, str], None] | None = None,
    ) -> None:
        """Prepare; what is published before `start` waits.

        Args:
            broker: Where to connect to.
            counters: Where to count.
            how: How it works.
            redirect: For a member of a Redis Cluster: called with a command that it has refused because another one has to take it, and
                with what it has said. Unless somebody waits for the answer, nothing is sent from then on until `resume`.
        """
        self._link = Link(
            broker,
            "publish",
            serve=self._serve,
            ping=self._ping,
            on_lost=self._lost,
            on_change=how.on_change,
        )
        self._hold = how.hold
        self._counters = counters
        self._limit = how.queue_size
        self._drops_oldest = how.queue_policy == "drop_oldest"
        self._queue: deque[Entry] = deque()
        self._size = 0
        self._flying: deque[Entry] = deque()
        self._redirect = redirect
        self._refused: list[Entry] = []
        self._paused = False
        self._rests = False
        self._rested: asyncio.Future[None] | None = None
        self._landed: asyncio.Future[None] | None = None
        self._line: Line | None = None
        self._is_scheduled = False
        self._once = Once()

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as anybody knows."""
        return self._link.working

    def reaches(self, channel: bytes, *, sharded: bool) -> bool:
        """Say whether what is published in a channel leaves at once, as far as anybody knows."""
        return self.connected

    @property
    def size(self) -> int:
        """Bytes that wait, what the broker has not confirmed not among them."""
        return self._size

    @property
    def limit(self) -> int:
        """Bytes that may wait."""
        return self._limit

    @property
    def refused(self) -> Sequence[Entry]:
        """The commands that another member has to take."""
        return self._refused

    def start(self) -> None:
        """Connect, now and whenever that is needed, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._line = None
        self._is_scheduled = False
        self._link.start()

    async def tried(self) -> None:
        """Wait until there is a connection, or the first attempt has failed."""
        await self._link.tried()

    def publish(self, channel: bytes, payload: bytes, *, sharded: bool = False) -> bool:
        """Queue a message for a channel, or for one of the sharded channels; say whether it has found a place.

        Cost:
            That of its bytes; no system call.
        """
        entry = b"*3\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            b"$8\r\nSPUBLISH" if sharded else b"$7\r\nPUBLISH",
            len(channel),
            channel,
            len(payload),
            payload,
        )
        return self.put((entry, None))

    def order(self, entry: bytes) -> bool:
        """Queue any other command, in RESP, whose answer nobody waits for; say whether it has found a place."""
        return self.put((entry, None))

    def ask(self, *words: bytes) -> asyncio.Future[Any]:
        """Queue any other command; the future has its answer, or fails with `BrokerError`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if not self.put((command(*words), future)):
            _fail(future, "the queue is full")
        return future

    async def subscribers(self, channel: bytes, *, sharded: bool) -> int:
        """Ask how many have subscribed to a channel.

        Raises:
            BrokerError: If the broker does not answer.
        """
        reply = await self.ask(b"PUBSUB", b"SHARDNUMSUB" if sharded else b"NUMSUB", channel)
        return int(reply[1])

    async def drained(self, seconds: float) -> None:
        """Wait until everything has been sent and confirmed, or so long."""
        end = asyncio.get_running_loop().time() + seconds
        with suppress(TimeoutError):
            await asyncio.wait_for(self.tried(), seconds)
        while (self._queue or self._flying) and self.connected:
            if asyncio.get_running_loop().time() >= end:
                return
            await asyncio.sleep(DRAIN_PAUSE)

    async def close(self) -> None:
        """Close the connection, and drop what waits."""
        await self._link.close()
        self._lose(self._queue, "dropped_outbound")
        self._size = 0

    # What follows is for `publishers.py`, which has several of these.

    async def pause(self) -> None:
        """Send nothing more until `resume`; returns when the broker owes no answer."""
        self._paused = True
        while self._flying:
            self._landed = asyncio.get_running_loop().create_future()
            await self._landed

    def resume(self, *, rest: bool) -> None:
        """Send again; before that, rest as after a new connection if those who are to hear it may not hear yet."""
        self._paused = False
        self._rests |= rest
        if rest or self._is_unsure:
            self._line = None
            if self._rested is not None and not self._rested.done():
                self._rested.set_result(None)
        self._schedule()

    def take_back(self) -> list[Entry]:
        """Give up all commands that nobody has taken and nobody waits for, in their order."""
        entries = [*self._refused]
        kept: deque[Entry] = deque()
        for entry in self._queue:
            (kept if isinstance(entry[1], asyncio.Future) else entries).append(entry)
        self._queue = kept
        self._size = sum(len(entry[0]) + ENTRY_SIZE for entry in self._queue)
        self._refused.clear()
        return entries

    def put(self, entry: Entry) -> bool:
        """Queue a command; say whether it has found a place."""
        size = len(entry[0]) + ENTRY_SIZE
        if self._size + size > self._limit and not self._make_room(size):
            self._counters["dropped_outbound"] += 1
            return False
        self._queue.append(entry)
        self._size += size
        self._schedule()
        return True

    def _schedule(self) -> None:
        if self._line is not None and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what waits, as much as the broker takes."""
        self._is_scheduled = False
        line, flying = self._line, self._flying
        if self._paused:
            return
        while line is not None and self._queue and len(flying) < MAX_FLYING:
            if not line.write(self._take()):
                return

    def _make_room(self, size: int) -> bool:
        if not self._drops_oldest or size > self._limit:
            return False
        while self._size + size > self._limit:
            entry, future = self._queue.popleft()
            self._size -= len(entry) + ENTRY_SIZE
            self._counters["dropped_outbound"] += 1
            _fail(future, "the queue is full")
        return True

    async def _serve(self, line: Line) -> None:
        self._link.works()
        beginning = asyncio.ensure_future(self._begin(line))
        try:
            await line.deliver(self._take_reply)
        finally:
            self._line = self._rested = None
            beginning.cancel()
            await asyncio.wait((beginning,))

    async def _begin(self, line: Line) -> None:
        """Begin to send, when those who are to hear it can."""
        self._rests |= self._link.connections > 1
        while True:
            self._rested = self._loop.create_future()
            await self._rest()
            if not await self._settled(line):
                return
            if self._rested.done():
                continue
            self._line = line
            line.on_writable = self._flush
            self._flush()
            await self._rested

    async def _rest(self) -> None:
        while self._rests:
            self._rests = False
            for _ in range(MAX_HOLDS):
                await asyncio.sleep(self._hold())

    @property
    def _is_unsure(self) -> bool:
        """Whether it has to find out what has become of something."""
        return False

    async def _settled(self, line: Line) -> bool:
        """Find out what has become of what the connection before has left behind; say whether that was possible."""
        return True

    def _appended(self, append: Append, reply: Any) -> None:
        """Learn that the broker has an entry of a stream."""
        self._counters["published"] += 1

    def _take_reply(self, reply: Any) -> None:
        """Take the answer to what was sent first.

        Raises:
            BrokerError: If it says that another connection may do better, or that the two do not understand each other.
        """
        if not self._flying:
            raise BrokerError("the broker has answered what was not asked")
        entry = self._flying.popleft()
        if len(self._flying) == MAX_FLYING - 1:
            self._schedule()
        future = entry[1]
        if not (isinstance(reply, Exception) and self._is_for_another(entry, str(reply))):
            self._take_answer(future, reply)
        if not self._flying:
            self._land()

    def _is_for_another(self, entry: Entry, refusal: str) -> bool:
        """Say whether what a member has refused is for another one, or for this one later; if so, see to it."""
        asked = isinstance(entry[1], asyncio.Future)
        if self._redirect is None or not refusal.startswith(MOVED if asked else ELSEWHERE):
            return False
        self._counters["redirected"] += 1
        if asked:
            _fail(entry[1], refusal)
        else:
            self._refused.append(entry)
            self._paused = True
        self._redirect(entry[0], refusal)
        return True

    def _take_answer(self, future: "asyncio.Future[Any] | Append | None", reply: Any) -> None:
        if not isinstance(reply, Exception):
            if future is None:
                self._counters["published"] += 1
            elif isinstance(future, Append):
                self._appended(future, reply)
            elif not future.done():
                future.set_result(reply)
            return
        text = str(reply)
        self._counters["refused_by_broker"] += 1
        _fail(future, text)
        if self._once.is_first("broker", text[:32]):
            log.warning("the broker has refused a message: %s", printable(text, MAX_REASON))
        if text.startswith(SWITCHED):
            raise BrokerError(text)

    def _take(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        queue = self._queue
        while queue and (not size or size + len(queue[0][0]) <= BATCH_SIZE):
            entry = queue.popleft()
            batch.append(entry[0])
            size += len(entry[0])
            self._flying.append(entry)
        self._size -= size + ENTRY_SIZE * len(batch)
        return batch

    def _lose(self, entries: deque[Entry], counter: str) -> None:
        while entries:
            _, future = entries.popleft()
            if future is None or isinstance(future, Append):
                self._counters[counter] += 1
            _fail(future, "the connection to the broker has broken")

    def _lost(self) -> None:
        """Learn that there is no connection any more, or none again."""
        self._lose(self._flying, "lost_in_flight")
        self._land()
        # Those who have asked something do not wait: nobody knows how long that would take.
        questions = [entry for entry in self._queue if isinstance(entry[1], asyncio.Future)]
        if questions:
            self._queue = deque(
                entry for entry in self._queue if not isinstance(entry[1], asyncio.Future)
            )
        for entry, future in questions:
            self._size -= len(entry) + ENTRY_SIZE
            _fail(future, "the broker cannot be reached")

    def _land(self) -> None:
        if self._landed is not None and not self._landed.done():
            self._landed.set_result(None)

    async def _ping(self, line: Line) -> None:
        """Let the broker say something, unless it owes an answer anyway."""
        if not self._flying:
            self.ask(b"PING")


def words_of(command: bytes) -> list[bytes]:
    """Return the first three words of a command, which say what it is about."""
    words: list[bytes] = []
    begin = command.index(b"\n") + 1
    while len(words) < LEADING and begin < len(command):
        end = command.index(b"\r", begin)
        size = int(command[begin + 1 : end])
        words.append(command[end + 2 : end + 2 + size])
        begin = end + 4 + size
    return words


def _fail(future: "asyncio.Future[Any] | Append | None", reason: str) -> None:
    if isinstance(future, asyncio.Future) and not future.done():
        future.set_exception(BrokerError(reason))
        future.exception()  # so that one who does not wait for it is not told off

"""What comes in from one stream: a connection that reads on where the one before has stopped.

So nothing is lost while the broker keeps what was not read yet. It keeps some ten thousand entries (``max_len``), and a broker that
forgets everything when it dies keeps none. Both are seen at the next look (`_look`): before the first read on a connection, and wherever a
read has brought as much as it may, as then there is more.

Where a replica takes the place of a master, or a broker comes back without what it had not written yet, the end of the stream is lost, and
what follows may have ids that were there before. So the reading goes on behind the last entry that is in both.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from roomcast.adapters.appender import fields_of
from roomcast.adapters.broker import command
from roomcast.adapters.entries import BEGINNING, id_of, number_of
from roomcast.adapters.line import Line
from roomcast.adapters.link import Lines, Link
from roomcast.adapters.publisher import ASKING, MOVED
from roomcast.adapters.wire import is_list
from roomcast.errors import BrokerError

__all__ = ["LonePlace", "StreamPlace", "StreamReader"]

BLOCK_TIME: Final = 500
"""Milliseconds after which the broker answers a read that finds nothing. Differs from the reference, whose default is 5 seconds: a
connection without a word for two seconds is given up (`link.py`)."""

REMEMBERED: Final = 500
"""Entries that were read last whose ids are remembered."""

log = logging.getLogger("roomcast.adapters")


class StreamPlace(Lines, Protocol):
    """Where a stream is."""

    def when_known(self, start: Callable[[], None] | None) -> None:
        """Call something as soon as that is known, once; ``None``: nothing any more."""

    async def tried(self) -> None:
        """Wait until that is known, or could not be found."""

    @property
    def is_detour(self) -> bool:
        """Whether it is there for the time being only, so that commands need ``ASKING``."""
        ...

    def refused(self, refusal: str) -> None:
        """Learn that it is somewhere else."""


class LonePlace:
    """A broker that has all streams; a `StreamPlace`."""

    is_detour = False

    def __init__(self, broker: Lines) -> None:
        """Take the broker."""
        self.line = broker.line

    def when_known(self, start: Callable[[], None] | None) -> None:
        """Call something at once."""
        if start is not None:
            start()

    async def tried(self) -> None:
        """Return at once."""

    def refused(self, refusal: str) -> None:
        """Do nothing: there is no other place."""


class StreamReader:
    """The connection. It belongs to the event loop in which `start` was called.

    Attributes:
        name: The stream.
        last: The id of the last entry that was read, or where the reading began; ``None`` before.
    """

    def __init__(
        self,
        place: StreamPlace,
        counters: Counter[str],
        name: bytes,
        *,
        count: int,
        take: Callable[[bytes, dict[bytes, bytes]], None],
        on_change: Callable[[], None],
        on_trimmed: Callable[[int], None],
    ) -> None:
        """Prepare.

        Args:
            place: Where the stream is.
            counters: Where to count.
            name: The stream.
            count: Entries of one read at most.
            take: Called with the id and the fields of each entry.
            on_change: Called when `listening` has changed.
            on_trimmed: Called with how many entries the broker has dropped before they were read.
        """
        self.name = name
        self.last: bytes | None = None
        self._place = place
        self._counters = counters
        self._count = count
        self._take = take
        self._on_trimmed = on_trimmed
        # How many entries of the stream, since its beginning, are behind `last`.
        self._behind = 0
        self._recent: deque[bytes] = deque(maxlen=REMEMBERED)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._link = Link(
            place,
            "read the cluster's stream",
            serve=self._serve,
            ping=self._ping,
            on_lost=lambda: None,
            on_change=on_change,
        )

    @property
    def listening(self) -> bool:
        """Whether it reads, as far as anybody knows."""
        return self._link.working

    @property
    def position(self) -> int:
        """The place of the last entry that was read in the order of all."""
        return 0 if self.last is None else _number(self.last)

    def start(self) -> None:
        """Connect, now and whenever that is needed, in the running event loop."""
        self._waiting.clear()
        self._place.when_known(self._link.start)

    async def tried(self) -> None:
        """Wait until it reads, or the first attempt has failed."""
        await self._place.tried()
        await self._link.tried()

    async def close(self) -> None:
        """Close the connection, and open no more."""
        self._place.when_known(None)
        await self._link.close()

    async def reached(self, position: int) -> None:
        """Wait until an entry has been read, by its place."""
        if position > self.position:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((position, future))
            try:
                await future
            finally:
                self._waiting = [each for each in self._waiting if each[1] is not future]

    async def _serve(self, line: Line) -> None:
        await self._rejoin(line)
        await self._look(line)
        self._counters["readings"] += 1
        self._link.works()
        words = (b"XREAD", b"COUNT", b"%d" % self._count, b"BLOCK", b"%d" % BLOCK_TIME)
        while True:
            assert self.last is not None
            reply = await self._ask(line, *words, b"STREAMS", self.name, self.last)
            if reply is None:
                continue
            entries = reply[0][1]
            for id, items in entries:
                self.last = id
                self._recent.append(id)
                self._behind += 1
                self._counters["received"] += 1
                try:
                    self._take(id, fields_of(items))
                except Exception:
                    self._counters["failed"] += 1
                    if self._counters["failed"] == 1:
                        log.exception("an entry of the cluster's stream has failed")
            for position, future in self._waiting:
                if position <= self.position and not future.done():
                    future.set_result(None)
            # A read that finds its reply in the buffer does not give the loop away.
            await asyncio.sleep(0)
            if len(entries) >= self._count:
                await self._look(line)

    async def _rejoin(self, line: Line) -> None:
        """Go back to the last entry that was read and is there, if the broker has lost the end of the stream."""
        recent, last = self._recent, self.last
        if not recent or last is None:
            return

        async def between(first: bytes, end: bytes, count: int) -> list[Any]:
            words = (b"XRANGE", self.name, first, end, b"COUNT", b"%d" % count)
            entries: list[Any] = await self._ask(line, *words)
            return entries

        if await between(last, last, 1) or not await between(b"-", last, 1):
            return  # it is there, or nothing is any more that is as old
        oldest = recent[0]
        there = {id for id, _ in await between(oldest, last, REMEMBERED)}
        while recent and recent[-1] not in there:
            recent.pop()
            self._behind -= 1
            self._counters["lost_by_broker"] += 1
        self.last = recent[-1] if recent else id_of(_number(oldest) - 1).encode()

    async def _look(self, line: Line) -> None:
        """See where the stream begins and ends."""
        try:
            stream = fields_of(await self._ask(line, b"XINFO", b"STREAM", self.name))
        except BrokerError as error:
            if "no such key" not in str(error):
                raise
            stream = {}
        newest: Any = stream.get(b"last-generated-id", BEGINNING)
        first = _first_id(stream.get(b"first-entry"))
        # Older brokers do not count what they have added: what was trimmed is not known then.
        added: Any = stream.get(b"entries-added", 0)
        length: Any = stream.get(b"length", 0)
        if self.last is None:
            self.last = newest
            self._behind = added
        elif first is None and _number(newest) < self.position:
            self._counters["streams_begun_anew"] += 1
            self.last, self._behind = BEGINNING, 0
            self._recent.clear()
        elif first is None or _number(first) > self.position:
            trimmed = added - length - self._behind
            if trimmed > 0 and self._behind <= added:
                self._on_trimmed(trimmed)
            self._behind = added - length

    async def _ask(self, line: Line, *words: bytes) -> Any:
        """Return the answer to a command.

        Raises:
            BrokerError: If it is refused, or the connection breaks.
        """
        asking = [command(ASKING)] if self._place.is_detour else []
        await line.send([*asking, command(*words)])
        if asking:
            await line.read()
        reply = await line.read()
        if isinstance(reply, Exception):
            refusal = str(reply)
            if refusal.startswith(MOVED):
                self._place.refused(refusal)
            raise BrokerError(refusal)
        return reply

    async def _ping(self, line: Line) -> None:
        """Wait for the answer to the read, which comes by itself."""


def _first_id(entry: Any) -> bytes | None:
    return entry[0] if is_list(entry) and entry else None


def _number(id: bytes) -> int:
    return number_of(id.decode("ascii", "replace")) or 0

"""What comes in from one stream: a connection that reads on where the one before has stopped.

So nothing is lost while the broker keeps what was not read yet. It keeps some ten thousand entries (``max_len``), and a broker that
forgets everything when it dies keeps none. Both are seen at the next look (`_look`): before the first read on a connection, and wherever a
read has brought as much as it may, as then there is more.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from roomcast.adapters.appender import fields_of
from roomcast.adapters.broker import Broker, command
from roomcast.adapters.entries import BEGINNING, number_of
from roomcast.adapters.line import Line
from roomcast.adapters.link import Link
from roomcast.adapters.wire import is_list
from roomcast.errors import BrokerError

__all__ = ["StreamReader"]

BLOCK_TIME: Final = 500
"""Milliseconds after which the broker answers a read that finds nothing. Differs from the reference, whose default is 5 seconds: a
connection without a word for two seconds is given up (`link.py`)."""

log = logging.getLogger("roomcast.adapters")


class StreamReader:
    """The connection. It belongs to the event loop in which `start` was called.

    Attributes:
        name: The stream.
        last: The id of the last entry that was read, or where the reading began; ``None`` before.
    """

    def __init__(
        self,
        broker: Broker,
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
            broker: Where to connect to.
            counters: Where to count.
            name: The stream.
            count: Entries of one read at most.
            take: Called with the id and the fields of each entry.
            on_change: Called when `listening` has changed.
            on_trimmed: Called with how many entries the broker has dropped before they were read.
        """
        self.name = name
        self.last: bytes | None = None
        self._counters = counters
        self._count = count
        self._take = take
        self._on_trimmed = on_trimmed
        # How many entries of the stream, since its beginning, are behind `last`.
        self._place = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._link = Link(
            broker,
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
        self._link.start()

    async def tried(self) -> None:
        """Wait until it reads, or the first attempt has failed."""
        await self._link.tried()

    async def close(self) -> None:
        """Close the connection, and open no more."""
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
        await self._look(line)
        self._counters["readings"] += 1
        self._link.works()
        words = (b"XREAD", b"COUNT", b"%d" % self._count, b"BLOCK", b"%d" % BLOCK_TIME)
        while True:
            assert self.last is not None
            reply = await _ask(line, *words, b"STREAMS", self.name, self.last)
            if reply is None:
                continue
            entries = reply[0][1]
            for id, items in entries:
                self.last = id
                self._place += 1
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

    async def _look(self, line: Line) -> None:
        """See where the stream begins and ends."""
        await line.send([command(b"XINFO", b"STREAM", self.name)])
        reply = await line.read()
        if isinstance(reply, Exception):
            if "no such key" not in str(reply):
                raise BrokerError(str(reply))
            reply = []
        stream = fields_of(reply)
        newest: Any = stream.get(b"last-generated-id", BEGINNING)
        first = _first_id(stream.get(b"first-entry"))
        # Older brokers do not count what they have added: what was trimmed is not known then.
        added: Any = stream.get(b"entries-added", 0)
        length: Any = stream.get(b"length", 0)
        if self.last is None:
            self.last = newest
            self._place = added
        elif _number(newest) < self.position:
            self._counters["streams_begun_anew"] += 1
            self.last, self._place = BEGINNING, 0
        elif first is None or _number(first) > self.position:
            trimmed = added - length - self._place
            if trimmed > 0 and self._place <= added:
                self._on_trimmed(trimmed)
            self._place = added - length

    async def _ping(self, line: Line) -> None:
        """Wait for the answer to the read, which comes by itself."""


async def _ask(line: Line, *words: bytes) -> Any:
    await line.send([command(*words)])
    reply = await line.read()
    if isinstance(reply, Exception):
        raise BrokerError(str(reply))
    return reply


def _first_id(entry: Any) -> bytes | None:
    return entry[0] if is_list(entry) and entry else None


def _number(id: bytes) -> int:
    return number_of(id.decode("ascii", "replace")) or 0

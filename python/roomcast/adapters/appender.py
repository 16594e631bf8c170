"""A publisher that also appends to streams, and loses no entry of one.

What was written when a connection broke may have arrived or not. Of an entry of a stream that can be seen: it has the number that its
sender gave to it. So before anything is sent on a new connection, the streams are read from the last entry on that the broker has
confirmed, and of what may have arrived only that is sent again which is not there.

A command that is still on its way in the broken connection, and that the broker takes after that look, makes its entry come twice. Brokers
read a connection that is older before one that is newer, so it takes a proxy between the two that holds bytes back; roomcast nodes drop
the second one by its number.

An entry that a broker refuses because it begins to be a replica, or has not begun yet, waits for the next connection as one that may have
arrived.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from roomcast.adapters.broker import Broker
from roomcast.adapters.line import Line
from roomcast.adapters.publisher import (
    ASKING,
    ENTRY_SIZE,
    MOVED,
    SWITCHED,
    Append,
    Entry,
    Publisher,
    Publishing,
)
from roomcast.adapters.wire import is_list
from roomcast.errors import BrokerError
from roomcast.logs import printable

__all__ = ["Appender", "fields_of"]

PAGE: Final = 500
"""Entries of a stream that are looked at with one command."""

log = logging.getLogger("roomcast.adapters")


class Appender(Publisher):
    """The queue and its connection. It belongs to the event loop in which `start` was called."""

    def __init__(
        self,
        broker: Broker,
        counters: Counter[str],
        how: Publishing,
        *,
        redirect: Callable[[bytes, str], None] | None = None,
        confirmed: dict[bytes, bytes] | None = None,
        is_detour: Callable[[bytes], bool] = lambda stream: False,
    ) -> None:
        """Prepare, as a `Publisher`.

        Args:
            broker: As for a `Publisher`.
            counters: The same.
            how: The same.
            redirect: The same.
            confirmed: Of each stream the last id that the broker has confirmed; members of a Redis Cluster share it.
            is_detour: Says whether this member has a stream for the time being only.
        """
        super().__init__(broker, counters, how, redirect=redirect)
        self._confirmed = {} if confirmed is None else confirmed
        self._is_detour = is_detour

    def append(self, mark: Append, entry: bytes) -> bool:
        """Queue the command, in RESP, that appends an entry to a stream; say whether it has found a place."""
        return self.put((entry, mark))

    def _appended(self, append: Append, reply: Any) -> None:
        super()._appended(append, reply)
        if isinstance(reply, bytes):
            self._confirmed[append.stream] = reply

    def _lost(self) -> None:
        kept = [entry for entry in self._flying if isinstance(entry[1], Append)]
        if kept:
            self._flying = deque(
                entry for entry in self._flying if not isinstance(entry[1], Append)
            )
            for entry, mark in reversed(kept):
                assert isinstance(mark, Append)
                mark.is_unsure = True
                self._queue.appendleft((entry, mark))
                self._size += len(entry) + ENTRY_SIZE
            while self._size > self._limit:
                entry, _ = self._queue.popleft() if self._drops_oldest else self._queue.pop()
                self._size -= len(entry) + ENTRY_SIZE
                self._counters["dropped_outbound"] += 1
        super()._lost()

    def _is_for_another(self, entry: Entry, refusal: str) -> bool:
        lone = self._redirect is None
        if lone and isinstance(entry[1], Append) and refusal.startswith(SWITCHED):
            self._flying.appendleft(entry)
            raise BrokerError(refusal)
        return super()._is_for_another(entry, refusal)

    @property
    def _is_unsure(self) -> bool:
        return any(isinstance(mark, Append) and mark.is_unsure for _, mark in self._queue)

    async def _settled(self, line: Line) -> bool:
        # Members of a Redis Cluster may be given others meanwhile, for which this look has come too early.
        while marks := {
            mark for _, mark in self._queue if isinstance(mark, Append) and mark.is_unsure
        }:
            arrived: set[tuple[bytes, bytes, bytes]] = set()
            elsewhere: set[bytes] = set()
            for stream in {mark.stream for mark in marks}:
                try:
                    await self._look(line, stream, arrived)
                except BrokerError as error:
                    if not self.connected:
                        return False
                    if self._redirect is not None and str(error).startswith(MOVED):
                        elsewhere.add(stream)
                        continue
                    log.warning(
                        "cannot see which entries have arrived; they are sent again: %s",
                        printable(error),
                    )
            self._settle(marks, arrived, elsewhere)
        return True

    def _settle(
        self, marks: set[Append], arrived: set[tuple[bytes, bytes, bytes]], elsewhere: set[bytes]
    ) -> None:
        """Drop what has arrived, keep what has not, and give up what is for another member."""
        kept: deque[Entry] = deque()
        for entry, mark in self._queue:
            if isinstance(mark, Append) and mark.stream in elsewhere:
                self._size -= len(entry) + ENTRY_SIZE
                self._refused.append((entry, mark))
                self._paused = True
                continue
            if mark in marks:
                assert isinstance(mark, Append)
                mark.is_unsure = False
                if (mark.stream, mark.uid, b"%d" % mark.position) in arrived:
                    self._size -= len(entry) + ENTRY_SIZE
                    self._counters["published"] += 1
                    continue
                self._counters["sent_again"] += 1
            kept.append((entry, mark))
        self._queue = kept

    async def _look(
        self, line: Line, stream: bytes, arrived: set[tuple[bytes, bytes, bytes]]
    ) -> None:
        """Add what is in a stream behind the last entry that was confirmed: the stream, the sender, and its number."""
        last = self._confirmed.get(stream)
        begin = b"-" if last is None else last
        while True:
            page = await self._ask_now(line, b"XRANGE", stream, begin, b"+", b"COUNT", b"%d" % PAGE)
            if begin == last and not (page and page[0][0] == last):
                # Trimmed; or a replica has taken its place that has not got it, and whose clock may be behind.
                begin, last = b"-", None
                continue
            for id, items in page:
                fields = fields_of(items)
                arrived.add((stream, fields.get(b"uid", b""), fields.get(b"seq", b"")))
                begin = b"(" + id
            if len(page) < PAGE:
                return

    async def _ask_now(self, line: Line, *words: bytes) -> Any:
        """Ask something before what waits in the queue."""
        queue, self._queue = self._queue, deque()
        size, self._size = self._size, 0
        try:
            if self._is_detour(words[1]):
                self.ask(ASKING)
            future = self.ask(*words)
            batch = self._take()
        finally:
            self._queue = queue
            self._size = size
        await line.send(batch)
        return await future


def fields_of(items: Any) -> dict[bytes, bytes]:
    """Return the fields of an entry as the broker has told them."""
    if not is_list(items):
        return {}
    return dict(zip(items[::2], items[1::2], strict=False))

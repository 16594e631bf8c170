"""A publisher that also appends to streams, and loses no entry of one.

What was written when a connection broke may have arrived or not. Of an entry of a stream that can be seen: it has the number that its
sender gave to it. So before anything is sent on a new connection, the streams are read from the last entry on that the broker has
confirmed, and of what may have arrived only that is sent again which is not there.

A command that is still on its way in the broken connection, and that the broker takes after that look, makes its entry come twice. Brokers
read a connection that is older before one that is newer, so it takes a proxy between the two that holds bytes back; roomcast nodes drop
the second one by its number.
"""

import logging
from collections import Counter, deque
from typing import Any, Final

from roomcast.adapters.broker import Broker
from roomcast.adapters.line import Line
from roomcast.adapters.publisher import ENTRY_SIZE, Append, Publisher, Publishing
from roomcast.adapters.wire import is_list
from roomcast.errors import BrokerError
from roomcast.logs import printable

__all__ = ["Appender", "fields_of"]

PAGE: Final = 500
"""Entries of a stream that are looked at with one command."""

log = logging.getLogger("roomcast.adapters")


class Appender(Publisher):
    """The queue and its connection. It belongs to the event loop in which `start` was called."""

    def __init__(self, broker: Broker, counters: Counter[str], how: Publishing) -> None:
        """Prepare, as a `Publisher`."""
        super().__init__(broker, counters, how)
        # Of each stream the last id that the broker has confirmed.
        self._confirmed: dict[bytes, bytes] = {}

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

    async def _settled(self, line: Line) -> bool:
        unsure = {
            mark.stream for _, mark in self._queue if isinstance(mark, Append) and mark.is_unsure
        }
        arrived: set[tuple[bytes, bytes, bytes]] = set()
        for stream in unsure:
            try:
                await self._look(line, stream, arrived)
            except BrokerError as error:
                if not self.connected:
                    return False
                log.warning(
                    "cannot see which entries have arrived; they are sent again: %s",
                    printable(error),
                )
        kept: deque[tuple[bytes, Any]] = deque()
        for entry, mark in self._queue:
            if isinstance(mark, Append) and mark.is_unsure:
                mark.is_unsure = False
                if (mark.stream, mark.uid, b"%d" % mark.position) in arrived:
                    self._size -= len(entry) + ENTRY_SIZE
                    self._counters["published"] += 1
                    continue
                self._counters["sent_again"] += 1
            kept.append((entry, mark))
        self._queue = kept
        return True

    async def _look(
        self, line: Line, stream: bytes, arrived: set[tuple[bytes, bytes, bytes]]
    ) -> None:
        """Add what is in a stream behind the last entry that was confirmed: the stream, the sender, and its number."""
        after = self._confirmed.get(stream)
        while True:
            begin = b"-" if after is None else b"(" + after
            page = await self._ask_now(line, b"XRANGE", stream, begin, b"+", b"COUNT", b"%d" % PAGE)
            for id, items in page:
                fields = fields_of(items)
                arrived.add((stream, fields.get(b"uid", b""), fields.get(b"seq", b"")))
                after = id
            if len(page) < PAGE:
                return

    async def _ask_now(self, line: Line, *words: bytes) -> Any:
        """Ask something before what waits in the queue."""
        queue, self._queue = self._queue, deque()
        size, self._size = self._size, 0
        try:
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

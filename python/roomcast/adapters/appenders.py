"""Streams in a Redis Cluster: what appends to them, and where each of them is read.

A stream is at the member that has its slot. The order of its entries is kept, and each is there once, through all that may happen to that
member: the slot moves, with the stream or before it, or a replica takes the member's place. What a member may have taken whose
connection broke is looked for at the one that has the stream then.
"""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from roomcast.adapters.appender import Appender
from roomcast.adapters.line import Line
from roomcast.adapters.members import Members
from roomcast.adapters.publisher import Append, Publishing, words_of
from roomcast.adapters.publishers import Publishers
from roomcast.adapters.slots import Address, Layout, key_of

__all__ = ["Appenders", "StreamMember"]


class Appenders(Publishers):
    """One appender for a whole Redis Cluster. It belongs to the event loop in which `start` was called."""

    def __init__(
        self, members: Members, counters: Counter[str], how: Publishing, *, sharded: bool
    ) -> None:
        """Prepare, as `Publishers`."""
        self._confirmed: dict[bytes, bytes] = {}
        self._streams: list[bytes] = []
        super().__init__(members, counters, how, sharded=sharded)

    def append(self, mark: Append, entry: bytes) -> bool:
        """Queue the command, in RESP, that appends an entry to a stream; say whether it has found a place."""
        return self._put((entry, mark), mark.stream)

    def order(self, entry: bytes) -> bool:
        """Queue any other command, in RESP, whose answer nobody waits for; say whether it has found a place."""
        return self._put((entry, None), key_of(words_of(entry)))

    def place(self, stream: bytes) -> "StreamMember":
        """Return where a stream is, which this node appends to from now on."""
        self._streams.append(stream)
        return StreamMember(self._members, stream)

    def _needed(self, layout: Layout) -> Collection[Address]:
        return {*super()._needed(layout), layout.home, *map(layout.owner, self._streams)}

    def _routes(self, layout: Layout) -> tuple[Any, ...]:
        return (*super()._routes(layout), [*map(layout.owner, self._streams)])

    def _new(self, address: Address | None) -> Appender:
        def is_detour(stream: bytes) -> bool:
            return self._detours.get(stream) == address

        return Appender(
            self._members.broker(address),
            self._counters,
            self._how,
            redirect=self._redirecting(address),
            confirmed=self._confirmed,
            is_detour=is_detour,
        )


class StreamMember:
    """Where a stream is, whichever member that is; a `StreamPlace`."""

    def __init__(self, members: Members, stream: bytes) -> None:
        """Take what is known of the members."""
        self._members = members
        self._stream = stream
        self._address: Address | None = None
        self._start: Callable[[], None] | None = None
        members.follow(self._adopt)

    def when_known(self, start: Callable[[], None] | None) -> None:
        """Call something as soon as the members are known, once; ``None``: nothing any more."""
        self._start = start
        if self._members.layout is not None:
            self._begin()

    async def tried(self) -> None:
        """Wait until the members are known, or could not be found."""
        await self._members.tried()

    def line(self) -> Line:
        """Return a new connection, to be opened, to the member that has the stream now."""
        members = self._members
        assert members.layout is not None
        owner = members.layout.owner(self._stream)
        self._address = members.detours.get(self._stream, owner)
        return members.broker(self._address).line()

    @property
    def is_detour(self) -> bool:
        """Whether the member that the last connection is to has the stream for the time being only."""
        return self._members.detours.get(self._stream) == self._address

    def refused(self, refusal: str) -> None:
        """Learn that the member has refused to read the stream."""
        if self._address is not None:
            self._members.refused(self._stream, refusal, self._address)

    async def _adopt(self, layout: Layout) -> None:
        self._begin()

    def _begin(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            start()

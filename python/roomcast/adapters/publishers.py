"""What goes out to a Redis Cluster: a `Publisher` for each member, and which of them takes a command.

The order of a channel is kept, whoever has it, and that of a stream. Where one has moved, nobody sends anything for a moment: until all
members have said what they have taken. What they have refused, and what waits, is then sorted anew. A member that refuses a command has
not obeyed it, so nothing arrives twice. Where a channel has moved, those who are to hear it have lost their subscriptions, too; so the
publishers rest before they go on, as after a new connection.

What somebody waits for is asked again where a member refuses it, in no order.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from roomcast.adapters.members import Members
from roomcast.adapters.publisher import (
    ASKING,
    DEFAULTS,
    MOVED,
    Entry,
    Publisher,
    Publishing,
    words_of,
)
from roomcast.adapters.slots import Address, Layout, key_of
from roomcast.errors import BrokerError

__all__ = ["Publishers"]

PUBLISHING: Final = (b"PUBLISH", b"SPUBLISH")
"""Commands whose messages only those get who hear at that moment."""

MAX_REFUSALS: Final = 16
"""Members that refuse a question because another one has what it is about, until it has failed."""


class Publishers:
    """One publisher for a whole Redis Cluster. It belongs to the event loop in which `start` was called."""

    def __init__(
        self,
        members: Members,
        counters: Counter[str],
        how: Publishing = DEFAULTS,
        *,
        sharded: bool,
    ) -> None:
        """Prepare, as a `Publisher` does; the queue of each member may be that long.

        Args:
            members: The members; they are started and closed with this.
            counters: Where to count.
            how: How it works, and each of the publishers.
            sharded: Whether sharded channels are what it is for.
        """
        self._members = members
        self._counters = counters
        self._sharded = sharded
        self._on_change = how.on_change
        self._how = replace(how, on_change=self._changed)
        self._layout: Layout | None = None
        self._detours: dict[bytes, Address] = {}
        self._publishers: dict[Address, Publisher] = {}
        self._early = self._new(None)  # keeps what is published before the members are known
        self._asking: set[asyncio.Task[Any]] = set()
        self._was_connected = False
        members.failing = self._failing
        members.follow(self._adopt)

    @property
    def connected(self) -> bool:
        """Whether every member that a message may be for has a connection, as far as anybody knows."""
        layout = self._layout
        return layout is not None and all(
            self._publishers[address].connected for address in self._needed(layout)
        )

    def reaches(self, channel: bytes, *, sharded: bool) -> bool:
        """Say whether what is published in a channel leaves at once, as far as anybody knows."""
        layout = self._layout
        return layout is not None and self._publishers[layout.place(channel, sharded)].connected

    @property
    def limit(self) -> int:
        """Bytes that may wait for each member."""
        return self._how.queue_size

    @property
    def size(self) -> int:
        """Bytes that wait, for all members."""
        return sum(each.size for each in (self._early, *self._publishers.values()))

    def start(self) -> None:
        """Connect, now and whenever that is needed, in the running event loop."""
        self._members.start()

    async def tried(self) -> None:
        """Wait until there are connections to all members, or the first attempts have failed."""
        await self._members.tried()
        for each in list(self._publishers.values()):
            await each.tried()

    def publish(self, channel: bytes, payload: bytes, *, sharded: bool = False) -> bool:
        """Queue a message for a channel, or for one of the sharded channels; say whether it has found a place."""
        layout = self._layout
        if layout is None:
            return self._early.publish(channel, payload, sharded=sharded)
        publisher = self._publishers[layout.place(channel, sharded)]
        return publisher.publish(channel, payload, sharded=sharded)

    def ask(self, *words: bytes) -> asyncio.Future[Any]:
        """Queue any other command for the member that it is for; the future has its answer, or fails with `BrokerError`."""
        key = key_of(words)
        first = None if self._layout is None else self._ask_at(self._place(key), key, words)
        asking = asyncio.ensure_future(self._answer(first, key, words))
        self._asking.add(asking)
        asking.add_done_callback(self._answered)
        return asking

    async def subscribers(self, channel: bytes, *, sharded: bool) -> int:
        """Ask all members how many have subscribed to a channel: each knows of its own alone. One that is away has none.

        Raises:
            BrokerError: If no member answers.

        Source:
            socket.io-redis-adapter, ``PUBSUB``, which leaves replicas out with some clients.
        """
        asked = [each.subscribers(channel, sharded=sharded) for each in self._publishers.values()]
        counts = await asyncio.gather(*asked, return_exceptions=True)
        answers: list[int] = []
        for count in counts:
            if isinstance(count, int):
                answers.append(count)
            elif not isinstance(count, BrokerError):
                raise count
        if not answers:
            raise BrokerError("no member of the Redis Cluster answers")
        return sum(answers)

    async def drained(self, seconds: float) -> None:
        """Wait until everything has been sent and confirmed, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.tried()
                if self._asking:
                    await asyncio.wait(self._asking)
                await asyncio.gather(*(each.drained(seconds) for each in self._publishers.values()))

    async def close(self) -> None:
        """Close the connections, and drop what waits."""
        await self._members.close()
        for asking in self._asking:
            asking.cancel()
        for each in (self._early, *self._publishers.values()):
            await each.close()

    def _needed(self, layout: Layout) -> Collection[Address]:
        """Return the members that a message may be for."""
        return layout.places(self._sharded)

    def _ask_at(
        self, address: Address, key: bytes | None, words: tuple[bytes, ...]
    ) -> asyncio.Future[Any]:
        publisher = self._publishers[address]
        if key is not None and key in self._detours:
            publisher.ask(ASKING)
        return publisher.ask(*words)

    async def _answer(
        self, asked: asyncio.Future[Any] | None, key: bytes | None, words: tuple[bytes, ...]
    ) -> Any:
        """Return the answer to what was asked, of whoever has it."""
        if asked is None:
            await self._members.tried()
        refusals = 0
        while asked is not None or self._layout is not None:
            try:
                return await (asked or self._ask_at(self._place(key), key, words))
            except BrokerError as error:
                refusals += 1
                if not str(error).startswith(MOVED) or refusals >= MAX_REFUSALS:
                    raise
                asked = None
                await self._members.asked()
        raise BrokerError("the members of the Redis Cluster are not known")

    def _answered(self, asking: "asyncio.Task[Any]") -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()  # so that one who does not wait for it is not told off

    def _place(self, key: bytes | None) -> Address:
        """Return the member for a key, or for what is about none."""
        assert self._layout is not None
        if key is None:
            return self._layout.home
        return self._detours.get(key) or self._layout.owner(key)

    def _put(self, entry: Entry, key: bytes | None) -> bool:
        """Queue a command that nobody waits for; say whether it has found a place."""
        if self._layout is None:
            return self._early.put(entry)
        publisher = self._publishers[self._place(key)]
        if key is not None and key in self._detours:
            publisher.ask(ASKING)
        return publisher.put(entry)

    def _new(self, address: Address | None) -> Publisher:
        return Publisher(
            self._members.broker(address),
            self._counters,
            self._how,
            redirect=self._redirecting(address),
        )

    def _redirecting(self, address: Address | None) -> Callable[[bytes, str], None]:
        """Return what is called with what a member has refused."""

        def redirect(command: bytes, refusal: str) -> None:
            assert address is not None  # that of what has no connection refuses nothing
            key = key_of(words_of(command))
            if key is None:
                self._members.doubt(address)
            else:
                self._members.refused(key, refusal, address)

        return redirect

    def _routes(self, layout: Layout) -> tuple[Any, ...]:
        """Return what is the same in two layouts if everything whose order counts has the same place."""
        return self._channel_routes(layout)

    def _channel_routes(self, layout: Layout) -> tuple[Any, ...]:
        return layout.home, layout.owners if self._sharded else ()

    def _moves_channels(self, last: Layout, layout: Layout) -> bool:
        """Say whether channels have moved, as far as anybody knows."""
        if self._channel_routes(last) != self._channel_routes(layout):
            return True
        refused = [entry for each in self._publishers.values() for entry in each.refused]
        return any(words_of(command)[0] in PUBLISHING for command, _ in refused)

    def _failing(self) -> list[Address]:
        return [address for address, each in self._publishers.items() if not each.connected]

    async def _adopt(self, layout: Layout) -> None:
        """Send everything to where it belongs now."""
        publishers = self._publishers
        for address in (*layout.masters, *layout.replicas):
            if address not in publishers:
                publishers[address] = self._new(address)
                publishers[address].start()
        last = self._layout
        detours = {
            key: address for key, address in self._members.detours.items() if address in publishers
        }
        if (
            last is None
            or self._routes(last) != self._routes(layout)
            or detours != self._detours
            or any(each.refused for each in publishers.values())
        ):
            everybody = [self._early, *publishers.values()]
            await asyncio.gather(*(each.pause() for each in everybody))
            rest = self._members.late if last is None else self._moves_channels(last, layout)
            entries = [entry for each in everybody for entry in each.take_back()]
            self._layout, self._detours = layout, detours
            for entry in entries:
                self._put(entry, key_of(words_of(entry[0])))
            for each in everybody:
                each.resume(rest=rest)
        self._layout = layout
        gone = publishers.keys() - {*layout.masters, *layout.replicas}
        for address in gone:
            await publishers.pop(address).close()
        self._tell()

    def _changed(self) -> None:
        if self._failing():
            self._members.doubt()
        self._tell()

    def _tell(self) -> None:
        connected = self.connected
        if connected != self._was_connected:
            self._was_connected = connected
            self._on_change()

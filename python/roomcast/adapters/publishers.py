"""What goes out to a Redis Cluster: a `Publisher` for each member, and which of them takes a message.

The order of a channel is kept, whoever has it. Where a channel has moved, nobody sends anything for a moment: until all members have said
what they have taken. What they have refused, and what waits, is then sorted anew. A member that refuses a message has
not sent it to anybody, so nothing arrives twice. Those who are to hear it have lost their subscriptions with the channel, too; so the
publishers rest before they go on, as after a new connection.
"""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

from roomcast.adapters.members import Members
from roomcast.adapters.publisher import DEFAULTS, Publisher, Publishing, destination
from roomcast.adapters.slots import Address, Layout
from roomcast.errors import BrokerError

__all__ = ["Publishers"]


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
        self._publishers: dict[Address, Publisher] = {}
        self._early = self._new(None)  # keeps what is published before the members are known
        self._was_connected = False
        members.failing = self._failing
        members.follow(self._adopt)

    @property
    def connected(self) -> bool:
        """Whether every member that a message may be for has a connection, as far as anybody knows."""
        layout = self._layout
        return layout is not None and all(
            self._publishers[address].connected for address in layout.places(self._sharded)
        )

    @property
    def size(self) -> int:
        """Bytes that wait, for all members."""
        return sum(each.size for each in (self._early, *self._publishers.values()))

    def start(self) -> None:
        """Connect, now and whenever that is needed, in the running event loop."""
        self._members.start()

    def publish(self, channel: bytes, payload: bytes, *, sharded: bool = False) -> bool:
        """Queue a message for a channel, or for one of the sharded channels; say whether it has found a place."""
        layout = self._layout
        if layout is None:
            return self._early.publish(channel, payload, sharded=sharded)
        publisher = self._publishers[layout.place(channel, sharded)]
        return publisher.publish(channel, payload, sharded=sharded)

    def ask(self, *words: bytes) -> asyncio.Future[Any]:
        """Queue any other command for the member that is this node's home; fails with `BrokerError`."""
        if self._layout is not None:
            return self._publishers[self._layout.home].ask(*words)
        asking = asyncio.ensure_future(self._ask_later(words))
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
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
        await asyncio.gather(*(each.drained(seconds) for each in self._publishers.values()))

    async def close(self) -> None:
        """Close the connections, and drop what waits."""
        await self._members.close()
        for each in (self._early, *self._publishers.values()):
            await each.close()

    async def _ask_later(self, words: tuple[bytes, ...]) -> Any:
        await self._members.tried()
        if self._layout is None:
            raise BrokerError("the members of the Redis Cluster are not known")
        return await self._publishers[self._layout.home].ask(*words)

    def _new(self, address: Address | None) -> Publisher:
        members = self._members
        return Publisher(
            members.broker(address),
            self._counters,
            self._how,
            redirect=lambda: members.doubt(address),
        )

    def _failing(self) -> list[Address]:
        return [address for address, each in self._publishers.items() if not each.connected]

    async def _adopt(self, layout: Layout) -> None:
        """Send everything to where it belongs now."""
        publishers = self._publishers
        for address in (*layout.masters, *layout.replicas):
            if address not in publishers:
                publishers[address] = self._new(address)
                publishers[address].start()
        moves = not layout.routes_as(self._layout)
        if moves or any(each.refused for each in publishers.values()):
            everybody = [self._early, *publishers.values()]
            await asyncio.gather(*(each.pause() for each in everybody))
            entries = [entry for each in everybody for entry in each.take_back()]
            rest = self._members.late or self._layout is not None
            self._layout = layout
            for entry in entries:
                publishers[layout.place(*destination(entry[0]))].put(entry)
            for each in everybody:
                each.resume(rest=rest)
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

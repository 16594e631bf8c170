"""What comes in from a Redis Cluster: a `Subscriber` for each member that has a channel of this node, and which of them has which.

What is in no slot is heard at one member, this node's home: all of them have it. A sharded channel is heard at the member that has its
slot. Where that moves, the old member takes the subscription away; where it becomes a replica on command it does not, so the layout is asked
for at intervals. A channel is given up at the one before it is ordered at the other: a message may be missed meanwhile, which is
found, but none comes twice.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from roomcast.adapters.ends import NONE, Handlers
from roomcast.adapters.members import Members
from roomcast.adapters.slots import Address, Layout
from roomcast.adapters.subscriber import Kind, Subscriber

__all__ = ["Subscribers"]


class Subscribers:
    """One subscriber for a whole Redis Cluster. It belongs to the event loop in which `start` was called."""

    def __init__(
        self,
        members: Members,
        counters: Counter[str],
        *,
        sharded: bool,
        on_change: Callable[[], None],
    ) -> None:
        """Prepare; what is added before the members are known is subscribed to then.

        Args:
            members: The members; `Publishers` starts them.
            counters: Where to count.
            sharded: Whether sharded channels are what it is for.
            on_change: Called when `listening` has changed.
        """
        self._members = members
        self._counters = counters
        self._sharded = sharded
        self._on_change = on_change
        self._layout: Layout | None = None
        self._subscribers: dict[Address, Subscriber] = {}
        self._early = self._new(None)
        self._was_listening = False
        self._since = 0.0
        members.follow(self._adopt)

    @property
    def listening(self) -> bool:
        """Whether every channel is subscribed to, as far as anybody knows."""
        layout = self._layout
        return layout is not None and all(
            self._subscribers[address].listening for address in layout.places(self._sharded)
        )

    def hears(self, channel: bytes, *, sharded: bool) -> bool:
        """Say whether what is published in a channel of this node is heard, as far as anybody knows."""
        layout = self._layout
        return layout is not None and self._subscribers[layout.place(channel, sharded)].listening

    @property
    def since(self) -> float:
        """The loop's time when it last began to listen."""
        return self._since

    @property
    def settled(self) -> bool:
        """Whether the members have confirmed everything that is wanted."""
        return self.listening and all(each.settled for each in self._subscribers.values())

    def start(self) -> None:
        """Do nothing yet: connections are made when the members are known."""

    async def tried(self) -> None:
        """Wait until it listens, or the first attempt has failed."""
        await self._members.tried()
        for each in list(self._subscribers.values()):
            await each.tried()

    async def close(self) -> None:
        """Close the connections, and open no more."""
        for each in self._subscribers.values():
            await each.close()

    def add(
        self, channels: Handlers = NONE, patterns: Handlers = NONE, shards: Handlers = NONE
    ) -> None:
        """Subscribe to channels, patterns and sharded channels."""
        for kind, handlers in zip(Kind, (channels, patterns, shards), strict=True):
            for name, handler in handlers.items():
                self._at(kind, name).order(kind, name, (handler,))

    def remove(
        self, channels: Handlers = NONE, patterns: Handlers = NONE, shards: Handlers = NONE
    ) -> None:
        """Cancel subscriptions; with the same handlers as before."""
        for kind, handlers in zip(Kind, (channels, patterns, shards), strict=True):
            for name, handler in handlers.items():
                self._at(kind, name).cancel(kind, name, handler)

    def _at(self, kind: Kind, name: bytes) -> Subscriber:
        layout = self._layout
        if layout is None:
            return self._early
        return self._subscribers[layout.place(name, kind is Kind.SHARD)]

    def _new(self, address: Address | None) -> Subscriber:
        return Subscriber(
            self._members.broker(address),
            self._counters,
            on_change=self._changed,
            on_displaced=lambda: self._displaced(address),
        )

    async def _adopt(self, layout: Layout) -> None:
        """Hear everything at the member that has it now."""
        subscribers = self._subscribers
        for address in {*layout.places(self._sharded), layout.home}:
            if address not in subscribers:
                subscribers[address] = self._new(address)
                subscribers[address].start()
        moves = not layout.routes_as(self._layout)
        self._layout = layout
        self._sort(None, self._early, layout, listens=False)
        for address, each in subscribers.items():
            if moves or each.displaced:
                self._sort(address, each, layout, listens=True)
        gone = subscribers.keys() - {*layout.places(self._sharded), layout.home}
        for address in gone:
            await subscribers.pop(address).close()
        self._tell()

    def _sort(
        self, address: Address | None, subscriber: Subscriber, layout: Layout, *, listens: bool
    ) -> None:
        """Let a subscriber give up what is not its own, and order what is."""
        for kind, name in subscriber.names():
            place = layout.place(name, kind is Kind.SHARD)
            if place != address:
                handlers = subscriber.give_up(kind, name)
                target = self._subscribers[place]
                (target.take_over if listens else target.order)(kind, name, handlers)
        subscriber.order_displaced()

    def _displaced(self, address: Address | None) -> None:
        self._members.doubt(address)
        self._tell()

    def _changed(self) -> None:
        if not self.listening:
            self._members.doubt()
        self._tell()

    def _tell(self) -> None:
        listening = self.listening
        if listening != self._was_listening:
            self._was_listening = listening
            if listening:
                self._since = asyncio.get_running_loop().time()
            self._on_change()

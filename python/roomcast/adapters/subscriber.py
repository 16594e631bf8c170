"""What comes in from the broker: one connection, subscribed to all channels of a node, each exactly once.

The broker counts subscriptions, and the nodes of a cluster take that for their number. So a channel is subscribed to on one
connection only, and the one that takes the place of a broken one is opened when that is closed.

What changes within one iteration of the event loop is settled with the broker in the next, in one write, and only if it still makes a
difference: a room that is left and joined again costs nothing, and ends as it should.

States:

    =========  =====================================================================================================
    deaf       no connection, or not all channels are confirmed; what is published now is lost to this node
    listening  every channel is confirmed
    =========  =====================================================================================================
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

from roomcast.adapters.broker import Broker, command
from roomcast.adapters.ends import NONE, Handler, Handlers, deliver
from roomcast.adapters.line import Line
from roomcast.adapters.link import Link
from roomcast.errors import BrokerError

__all__ = ["Kind", "Subscriber", "glob_escaped"]

CHANNELS_AT_ONCE: Final = 500
"""Channels of one command, so that a thousand namespaces do not become one huge command."""


class Kind(Enum):
    """What can be subscribed to; the value is what stands in front of the names of commands and replies."""

    CHANNEL = b""
    PATTERN = b"p"
    SHARD = b"s"


CONFIRMATIONS: Final = {kind.value + b"subscribe": kind for kind in Kind}

log = logging.getLogger("roomcast.adapters")


class Subscriber:
    """The subscriptions and their connection. It belongs to the event loop in which `start` was called."""

    def __init__(
        self,
        broker: Broker,
        counters: Counter[str],
        *,
        on_change: Callable[[], None] = lambda: None,
        on_displaced: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; what is added before `start` is subscribed to then.

        Args:
            broker: Where to connect to.
            counters: Where to count.
            on_change: Called when `listening` has changed.
            on_displaced: For a member of a Redis Cluster: called when it has taken sharded channels away, or refused them, because
                another member has them. What becomes of them is said by `give_up` or `order_displaced`.
        """
        self._link = Link(
            broker,
            "hear the cluster",
            serve=self._serve,
            ping=self._ping,
            on_lost=self._lost,
            on_change=on_change,
        )
        self._counters = counters
        # A name may be wanted twice: a room of one namespace has the channel of another whose name is odd enough.
        self._wanted: dict[Kind, dict[bytes, tuple[Handler, ...]]] = {kind: {} for kind in Kind}
        self._channels, self._patterns, self._shards = self._wanted.values()
        self._ordered: set[tuple[Kind, bytes]] = set()
        self._changed: dict[tuple[Kind, bytes], None] = {}
        self._unconfirmed: set[tuple[Kind, bytes]] = set()
        self._on_change = on_change
        self._on_displaced = on_displaced
        self._displaced: set[bytes] = set()
        self._awaited: set[bytes] = set()
        self._orders: list[bytes] = []
        self._waker: asyncio.Future[None] | None = None
        self._connected = False

    @property
    def listening(self) -> bool:
        """Whether every channel is subscribed to, as far as anybody knows."""
        return self._link.working and not self._displaced and not self._awaited

    def hears(self, channel: bytes, *, sharded: bool) -> bool:
        """Say whether what is published in a channel of this node is heard, as far as anybody knows."""
        return self.listening

    @property
    def since(self) -> float:
        """The loop's time when it last began to listen."""
        return self._link.since

    def start(self) -> None:
        """Connect, now and whenever that is needed, in the running event loop."""
        self._link.start()

    async def tried(self) -> None:
        """Wait until it listens, or the first attempt has failed."""
        await self._link.tried()

    async def close(self) -> None:
        """Close the connection, and open no more."""
        await self._link.close()

    @property
    def settled(self) -> bool:
        """Whether the broker has confirmed everything that is wanted."""
        return self.listening and not self._unconfirmed and not self._changed

    def add(
        self, channels: Handlers = NONE, patterns: Handlers = NONE, shards: Handlers = NONE
    ) -> None:
        """Subscribe to channels, patterns and sharded channels."""
        for kind, handlers in zip(Kind, (channels, patterns, shards), strict=True):
            for name, handler in handlers.items():
                self.order(kind, name, (handler,))

    def remove(
        self, channels: Handlers = NONE, patterns: Handlers = NONE, shards: Handlers = NONE
    ) -> None:
        """Cancel subscriptions; with the same handlers as before."""
        for kind, handlers in zip(Kind, (channels, patterns, shards), strict=True):
            for name, handler in handlers.items():
                self.cancel(kind, name, handler)

    # What follows is for `subscribers.py`, which has several of these.

    @property
    def displaced(self) -> bool:
        """Whether there are channels that another member has."""
        return bool(self._displaced)

    def names(self) -> list[tuple[Kind, bytes]]:
        """Return what is wanted."""
        return [(kind, name) for kind, table in self._wanted.items() for name in table]

    def order(self, kind: Kind, name: bytes, handlers: tuple[Handler, ...]) -> None:
        """Subscribe to something."""
        table = self._wanted[kind]
        table[name] = (*table.get(name, ()), *handlers)
        self._change(kind, (name,))

    def cancel(self, kind: Kind, name: bytes, handler: Handler) -> None:
        """Cancel a subscription, unless others have it too."""
        left = list(self._wanted[kind].get(name, ()))
        if handler in left:
            left.remove(handler)
        if left:
            self._wanted[kind][name] = tuple(left)
        else:
            self.give_up(kind, name)

    def give_up(self, kind: Kind, name: bytes) -> tuple[Handler, ...]:
        """Cancel a subscription whosever it is, and return its handlers."""
        handlers = self._wanted[kind].pop(name, ())
        if kind is Kind.SHARD:
            self._displaced.discard(name)
            self._awaited.discard(name)
        self._change(kind, (name,))
        return handlers

    def take_over(self, kind: Kind, name: bytes, handlers: tuple[Handler, ...]) -> None:
        """Subscribe to what another one has given up; it does not listen until that is confirmed."""
        self.order(kind, name, handlers)
        if self._connected and kind is Kind.SHARD:
            self._awaited.add(name)

    def order_displaced(self) -> None:
        """Subscribe again to what was taken away: it is this member's after all."""
        names, self._displaced = self._displaced, set()
        self._awaited |= names
        self._change(Kind.SHARD, names)

    def _change(self, kind: Kind, names: Iterable[bytes]) -> None:
        if self._connected:
            for name in names:
                self._changed[kind, name] = None
            self._wake()

    async def _serve(self, line: Line) -> None:
        self._connected = True
        for kind, table in self._wanted.items():
            self._change(kind, table)
        self._unconfirmed = set(self._changed)
        self._counters["subscriptions"] += 1
        sending = asyncio.ensure_future(self._send(line))
        try:
            if not self._unconfirmed:
                self._link.works()
            await line.deliver(self._take_message)
        finally:
            sending.cancel()
            await asyncio.wait((sending,))

    async def _send(self, line: Line) -> None:
        """Send orders as they come, beside the reading."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._orders and not self._changed:
                self._waker = loop.create_future()
                await self._waker
            try:
                await line.send(self._take_orders())
            except BrokerError:
                return  # the reader notices too

    def _take_message(self, message: Any) -> None:
        """Take what has come.

        Raises:
            BrokerError: If the broker has refused an order.
        """
        if isinstance(message, Exception):
            self._take_refusal(str(message))
            return
        kind = message[0]
        if kind == b"pmessage":
            handlers, channel, data = self._patterns.get(message[1], ()), message[2], message[3]
        elif kind == b"message":
            handlers, channel, data = self._channels.get(message[1], ()), message[1], message[2]
        elif kind == b"smessage":
            handlers, channel, data = self._shards.get(message[1], ()), message[1], message[2]
        else:
            self._take_reply(message)
            return
        deliver(handlers, channel, data, self._counters)

    def _take_reply(self, reply: Any) -> None:
        """Take what is no message, as a confirmation."""
        kind = CONFIRMATIONS.get(reply[0])
        if kind is not None:
            self._unconfirmed.discard((kind, reply[1]))
            if kind is Kind.SHARD and reply[1] in self._awaited:
                self._awaited.discard(reply[1])
                if not self._awaited:
                    self._on_change()
        elif reply[0] == b"sunsubscribe" and self._on_displaced is not None:
            entry = (Kind.SHARD, reply[1])
            # Of those that this node has cancelled, none is ordered any more, or another order is under way.
            if entry in self._ordered and entry not in self._unconfirmed:
                self._displace([reply[1]])
        if not self._unconfirmed:
            self._link.works()

    def _take_refusal(self, text: str) -> None:
        """Take the refusal of a subscription.

        Raises:
            BrokerError: If a new connection is the way out.
        """
        if self._on_displaced is None and text.startswith(("MOVED", "CROSSSLOT")):
            raise BrokerError("it is a member of a Redis Cluster: give a list of URLs")
        if self._on_displaced is None or not text.startswith("MOVED"):
            raise BrokerError(text)
        # It names a slot. Whoever is wrong about one is wrong about others: all that are not confirmed yet are asked for anew.
        names = [name for kind, name in self._unconfirmed if kind is Kind.SHARD]
        if names:
            self._displace(names)
        if not self._unconfirmed:
            self._link.works()

    def _displace(self, names: Iterable[bytes]) -> None:
        assert self._on_displaced is not None
        for name in names:
            entry = (Kind.SHARD, name)
            self._awaited.discard(name)
            self._ordered.discard(entry)
            self._unconfirmed.discard(entry)
            if name in self._wanted[Kind.SHARD]:
                self._displaced.add(name)
        self._on_displaced()

    async def _ping(self, line: Line) -> None:
        self._orders.append(command(b"PING"))
        self._wake()

    def _take_orders(self) -> list[bytes]:
        """Return the commands that settle what has changed."""
        orders, self._orders = self._orders, []
        names: dict[tuple[Kind, bytes], list[bytes]] = {}
        for kind, name in self._changed:
            entry = (kind, name)
            is_wanted = name in self._wanted[kind]
            if is_wanted == (entry in self._ordered):
                continue
            if is_wanted:
                self._ordered.add(entry)
                self._unconfirmed.add(entry)
                words = b"SUBSCRIBE"
            else:
                self._ordered.discard(entry)
                self._unconfirmed.discard(entry)
                words = b"UNSUBSCRIBE"
            names.setdefault((kind, words), []).append(name)
        self._changed.clear()
        for (kind, words), listed in names.items():
            # A member of a Redis Cluster takes channels of one slot at once only.
            step = 1 if kind is Kind.SHARD and self._on_displaced is not None else CHANNELS_AT_ONCE
            for begin in range(0, len(listed), step):
                orders.append(command(kind.value.upper() + words, *listed[begin : begin + step]))
        return orders

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _lost(self) -> None:
        self._connected = False
        self._waker = None
        self._orders.clear()
        self._ordered.clear()
        self._changed.clear()
        self._unconfirmed.clear()
        self._displaced.clear()
        self._awaited.clear()


def glob_escaped(text: bytes) -> bytes:
    """Return a pattern that means exactly this text."""
    return b"".join(
        [b"\\" + bytes((byte,)) if byte in b"*?[]\\" else bytes((byte,)) for byte in text]
    )

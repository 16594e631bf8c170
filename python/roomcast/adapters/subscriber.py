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
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final

from roomcast.adapters.broker import Broker, command
from roomcast.adapters.line import Line
from roomcast.adapters.link import Link
from roomcast.errors import BrokerError

__all__ = ["Handler", "Subscriber", "glob_escaped"]

Handler = Callable[[bytes, bytes], None]
"""Called with the channel and the message. What it raises is logged and counted."""

Handlers = Mapping[bytes, Handler]

NONE: Final[Handlers] = {}

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
    ) -> None:
        """Prepare; what is added before `start` is subscribed to then.

        Args:
            broker: Where to connect to.
            counters: Where to count.
            on_change: Called when `listening` has changed.
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
        self._orders: list[bytes] = []
        self._waker: asyncio.Future[None] | None = None
        self._connected = False

    @property
    def listening(self) -> bool:
        """Whether every channel is subscribed to, as far as anybody knows."""
        return self._link.working

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
            table = self._wanted[kind]
            for name, handler in handlers.items():
                table[name] = (*table.get(name, ()), handler)
            self._change(kind, handlers)

    def remove(
        self, channels: Handlers = NONE, patterns: Handlers = NONE, shards: Handlers = NONE
    ) -> None:
        """Cancel subscriptions; with the same handlers as before."""
        for kind, handlers in zip(Kind, (channels, patterns, shards), strict=True):
            table = self._wanted[kind]
            for name, handler in handlers.items():
                left = list(table.pop(name, ()))
                if handler in left:
                    left.remove(handler)
                if left:
                    table[name] = tuple(left)
            self._change(kind, handlers)

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
            raise BrokerError(str(message))
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
        self._counters["received"] += 1
        for handler in handlers:  # of one that was cancelled a moment ago there are none
            try:
                handler(channel, data)
            except Exception:
                self._counters["failed"] += 1
                if self._counters["failed"] == 1:
                    log.exception("a message of the cluster has failed")

    def _take_reply(self, reply: Any) -> None:
        """Take what is no message, as a confirmation."""
        kind = CONFIRMATIONS.get(reply[0])
        if kind is not None:
            self._unconfirmed.discard((kind, reply[1]))
        if not self._unconfirmed:
            self._link.works()

    async def _ping(self, line: Line) -> None:
        self._orders.append(command(b"PING"))
        self._wake()

    def _take_orders(self) -> list[bytes]:
        """Return the commands that settle what has changed."""
        orders, self._orders = self._orders, []
        names: dict[bytes, list[bytes]] = {}
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
            names.setdefault(kind.value.upper() + words, []).append(name)
        self._changed.clear()
        for words, listed in names.items():
            for begin in range(0, len(listed), CHANNELS_AT_ONCE):
                orders.append(command(words, *listed[begin : begin + CHANNELS_AT_ONCE]))
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


def glob_escaped(text: bytes) -> bytes:
    """Return a pattern that means exactly this text."""
    return b"".join(
        [b"\\" + bytes((byte,)) if byte in b"*?[]\\" else bytes((byte,)) for byte in text]
    )

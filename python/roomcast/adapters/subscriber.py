"""What comes in from the broker: one connection, subscribed to all channels of a node, each exactly once.

The broker counts subscriptions, and the nodes of a cluster take that for their number. So a channel is subscribed to on one
connection only, and the one that takes the place of a broken one is opened when that is closed.

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
from typing import Any, Final

from roomcast.adapters.broker import Broker, BrokerError, Line, command
from roomcast.adapters.link import Link

__all__ = ["Handler", "Subscriber", "glob_escaped"]

Handler = Callable[[bytes, bytes], None]
"""Called with the channel and the message. What it raises is logged and counted."""

SLICE: Final = 0.01
"""Seconds for which messages that are there already may hold the loop."""

SLICE_MESSAGES: Final = 64
"""Messages after which the clock is looked at."""

CHANNELS_AT_ONCE: Final = 500
"""Channels of one command, so that a thousand namespaces do not become one huge command."""

SUBSCRIBE: Final = {False: b"SUBSCRIBE", True: b"PSUBSCRIBE"}
UNSUBSCRIBE: Final = {False: b"UNSUBSCRIBE", True: b"PUNSUBSCRIBE"}

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
        self._channels: dict[bytes, Handler] = {}
        self._patterns: dict[bytes, Handler] = {}
        self._unconfirmed: set[bytes] = set()
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

    def add(self, channels: dict[bytes, Handler], patterns: dict[bytes, Handler]) -> None:
        """Subscribe to channels and patterns that are not there yet."""
        self._channels.update(channels)
        self._patterns.update(patterns)
        if self._connected:
            self._unconfirmed.update(channels, patterns)
            self._order(False, channels, SUBSCRIBE)
            self._order(True, patterns, SUBSCRIBE)

    def remove(self, channels: Iterable[bytes], patterns: Iterable[bytes]) -> None:
        """Cancel subscriptions."""
        for is_pattern, names, table in (
            (False, list(channels), self._channels),
            (True, list(patterns), self._patterns),
        ):
            for name in names:
                table.pop(name, None)
                self._unconfirmed.discard(name)
            if self._connected:
                self._order(is_pattern, names, UNSUBSCRIBE)

    async def _serve(self, line: Line) -> None:
        self._connected = True
        self._orders.clear()
        self._unconfirmed = {*self._channels, *self._patterns}
        self._order(False, self._channels, SUBSCRIBE)
        self._order(True, self._patterns, SUBSCRIBE)
        self._counters["subscriptions"] += 1
        sending = asyncio.ensure_future(self._send(line))
        try:
            if not self._unconfirmed:
                self._link.works()
            await self._read(line)
        finally:
            sending.cancel()
            await asyncio.wait((sending,))

    async def _send(self, line: Line) -> None:
        """Send orders as they come, beside the reading."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._orders:
                self._waker = loop.create_future()
                await self._waker
            orders, self._orders = self._orders, []
            try:
                await line.send(orders)
            except BrokerError:
                return  # the reader notices too

    async def _read(self, line: Line) -> None:
        loop = asyncio.get_running_loop()
        channels, patterns = self._channels, self._patterns
        counters = self._counters
        read = line.read
        slice_end = 0.0
        count = 0
        while True:
            message: Any = await read()
            count += 1
            # A read that finds its message in the buffer does not give the loop away.
            if count >= SLICE_MESSAGES:
                count = 0
                now = loop.time()
                if now >= slice_end:
                    await asyncio.sleep(0)
                    slice_end = loop.time() + SLICE
            if isinstance(message, Exception):
                raise BrokerError(str(message))
            kind = message[0]
            if kind == b"pmessage":
                handler, channel, data = patterns.get(message[1]), message[2], message[3]
            elif kind == b"message":
                handler, channel, data = channels.get(message[1]), message[1], message[2]
            else:
                self._take_reply(message)
                continue
            counters["received"] += 1
            if handler is None:  # cancelled a moment ago
                continue
            try:
                handler(channel, data)
            except Exception:
                counters["failed"] += 1
                if counters["failed"] == 1:
                    log.exception("a message of the cluster has failed")

    def _take_reply(self, reply: Any) -> None:
        """Take what is no message, as a confirmation."""
        if reply[0] in (b"subscribe", b"psubscribe"):
            self._unconfirmed.discard(reply[1])
            if not self._unconfirmed:
                self._link.works()

    async def _ping(self, line: Line) -> None:
        self._orders.append(command(b"PING"))
        self._wake()

    def _order(self, is_pattern: bool, names: Iterable[bytes], words: dict[bool, bytes]) -> None:
        listed = list(names)
        for begin in range(0, len(listed), CHANNELS_AT_ONCE):
            self._orders.append(
                command(words[is_pattern], *listed[begin : begin + CHANNELS_AT_ONCE])
            )
        self._wake()

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _lost(self) -> None:
        self._connected = False
        self._waker = None
        self._orders.clear()


def glob_escaped(text: bytes) -> bytes:
    """Return a pattern that means exactly this text."""
    return b"".join(
        [b"\\" + bytes((byte,)) if byte in b"*?[]\\" else bytes((byte,)) for byte in text]
    )

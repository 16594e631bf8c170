"""The two ends of whatever connects the nodes of a cluster: what goes out, and what comes in."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

__all__ = ["DRAIN_PAUSE", "NONE", "Handler", "Handlers", "Incoming", "Outgoing", "deliver"]

Handler = Callable[[bytes, bytes], None]
"""Called with the channel and the message. What it raises is logged and counted."""

Handlers = Mapping[bytes, Handler]

NONE: Final[Handlers] = {}

DRAIN_PAUSE: Final = 0.005
"""Seconds between two looks whether everything has been sent."""

log = logging.getLogger("roomcast.adapters")


def deliver(
    handlers: Iterable[Handler], channel: bytes, data: bytes, counters: Counter[str]
) -> None:
    """Call the handlers of a message that has come; of a channel that was cancelled a moment ago there are none."""
    counters["received"] += 1
    for handler in handlers:
        try:
            handler(channel, data)
        except Exception:
            counters["failed"] += 1
            if counters["failed"] == 1:
                log.exception("a message of the cluster has failed")


class Outgoing(Protocol):
    """What goes out. It belongs to the event loop in which `start` was called."""

    @property
    def connected(self) -> bool:
        """Whether the others hear this node, as far as anybody knows."""
        ...

    @property
    def size(self) -> int:
        """Bytes that wait."""
        ...

    def start(self) -> None:
        """Begin to send, in the running event loop."""

    async def tried(self) -> None:
        """Wait until the others hear this node, or the first attempt has failed."""

    def publish(self, channel: bytes, payload: bytes, *, sharded: bool = False) -> bool:
        """Queue a message for a channel, or for one of the sharded channels; say whether it has found a place."""
        ...

    async def subscribers(self, channel: bytes, *, sharded: bool) -> int:
        """Return how many nodes have subscribed to a channel.

        Raises:
            BrokerError: If nobody can be asked.
        """
        ...

    async def drained(self, seconds: float) -> None:
        """Wait until everything has been sent, also what was put in before there was a connection, or so long."""

    async def close(self) -> None:
        """Send nothing more."""


class Incoming(Protocol):
    """What comes in. It belongs to the event loop in which `start` was called."""

    @property
    def listening(self) -> bool:
        """Whether everything that is subscribed to is heard, as far as anybody knows."""
        ...

    @property
    def since(self) -> float:
        """The loop's time when it last began to listen."""
        ...

    def start(self) -> None:
        """Begin to listen, in the running event loop."""

    async def tried(self) -> None:
        """Wait until it listens, or the first attempt has failed."""

    def add(
        self, channels: Handlers = NONE, patterns: Handlers = NONE, shards: Handlers = NONE
    ) -> None:
        """Subscribe to channels, patterns and sharded channels."""

    def remove(
        self, channels: Handlers = NONE, patterns: Handlers = NONE, shards: Handlers = NONE
    ) -> None:
        """Cancel subscriptions; with the same handlers as before."""

    async def close(self) -> None:
        """Hear nothing more."""

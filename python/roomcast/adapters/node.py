"""A node of a cluster over a broker: what its namespaces share, whatever the format that travels."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from roomcast.adapters.broker import Broker, require_redis
from roomcast.adapters.cluster import ClusterAdapter, RecoverableClusterAdapter
from roomcast.adapters.exchange import Exchange
from roomcast.adapters.link import LONGEST_PAUSE
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.numbering import POSITION_DELAY
from roomcast.adapters.publisher import Publisher, QueuePolicy
from roomcast.adapters.subscriber import Subscriber
from roomcast.errors import UsageError
from roomcast.events import EventEmitter
from roomcast.server.adapter import Adapter

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace
    from roomcast.server.server import Server

__all__ = ["DRAIN_TIMEOUT", "AdapterHealth", "BrokerNode"]

DRAIN_TIMEOUT: Final = 1.0
"""Seconds that a node that closes waits for the broker to take what it has to send."""


@dataclass(frozen=True, slots=True)
class AdapterHealth:
    """How a node stands with its broker.

    Attributes:
        listening: Whether it hears the other nodes. A node that does not is deaf: its clients get what is emitted here, and
            nothing of what is emitted elsewhere.
        publishing: Whether the others hear it.
        deaf_for: Seconds since it has last listened, or since its start; 0 while it does.
        queued: Bytes that wait for the broker.
    """

    listening: bool
    publishing: bool
    deaf_for: float
    queued: int

    @property
    def ok(self) -> bool:
        """Whether it hears and is heard."""
        return self.listening and self.publishing


class BrokerNode(EventEmitter, ABC):
    """What all adapters for ``Server(adapter=…)`` have that work over Redis or Valkey.

    Each belongs to one server, and to its event loop. Whatever becomes of the broker, clients of this node get what is emitted on
    it.

    Events:

    - ``health``: `AdapterHealth`, whenever the node begins or ceases to hear the others, or to be heard.
    - ``gap``: ``(namespace, sender, missing)``: so many messages of another roomcast node never arrived.

    Attributes:
        counters: What was published, received, dropped and why, by name; see the guide on clusters.
        requests_timeout: Seconds that other nodes have for an answer.
        publisher: What goes out.
        subscriber: What comes in.
    """

    def __init__(
        self, redis: Any, *, requests_timeout: float, queue_size: int, queue_policy: QueuePolicy
    ) -> None:
        """Prepare; connections are made when the server starts."""
        super().__init__()
        if not 0 < requests_timeout < float("inf"):
            raise ValueError(f"requests_timeout must be positive, not {requests_timeout!r}")
        self.requests_timeout = requests_timeout
        self.counters: Counter[str] = Counter()
        broker = Broker(redis)
        require_redis("msgpack")  # needed with the first namespace; missing, it is missing now
        self.publisher = Publisher(
            broker,
            self.counters,
            queue_size=queue_size,
            queue_policy=queue_policy,
            on_change=self._changed,
            hold=self._hold,
        )
        self.subscriber = Subscriber(broker, self.counters, on_change=self._changed)
        self._server: Server | None = None
        self._notepack: Notepack | None = None
        self._buses: list[Exchange] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._deaf_since = 0.0
        self._was_listening = False

    @abstractmethod
    def _new_bus(self, adapter: ClusterAdapter, notepack: Notepack) -> Exchange:
        """Return what reaches the other nodes in a namespace."""

    @property
    def health(self) -> AdapterHealth:
        """How the node stands with its broker at this moment."""
        listening = self.subscriber.listening
        now = self._loop.time() if self._loop is not None else 0.0
        return AdapterHealth(
            listening=listening,
            publishing=self.publisher.connected,
            deaf_for=0.0 if listening else now - self._deaf_since,
            queued=self.publisher.size,
        )

    async def start(self) -> None:
        """Connect to the broker, in the running event loop; returns when the node listens, or the first attempt has failed.

        The server does this by itself when it begins to serve. A program that only emits, and serves nobody, does it.
        """
        self.ensure_started()
        await self.subscriber.tried()

    async def close(self) -> None:
        """Leave the cluster: hear nothing more, send what waits, close the connections."""
        self._closed = True
        if self._loop is None:
            return
        for bus in self._buses:
            bus.stop()
        await self.subscriber.close()
        await self.publisher.drained(DRAIN_TIMEOUT)
        await self.publisher.close()

    # What follows is for the server and for the buses.

    def new_adapter(self, nsp: "Namespace") -> Adapter:
        """Return a new adapter for a namespace.

        Raises:
            UsageError: If another server has this one already.
        """
        server = nsp.server
        if self._server is not None and self._server is not server:
            name = type(self).__name__
            raise UsageError(f"a {name} belongs to one server: make another one")
        self._server = server
        if self._notepack is None:
            self._notepack = Notepack(server.options.default)
        sessions = server.sessions
        adapter = (
            ClusterAdapter(nsp) if sessions is None else RecoverableClusterAdapter(nsp, sessions)
        )
        bus = self._new_bus(adapter, self._notepack)
        adapter.bus = bus
        self._buses.append(bus)
        if self.publisher.connected:
            bus.numbering.announce()
        return adapter

    def ensure_started(self) -> None:
        """Begin to work, if there is an event loop, and a new one."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop is self._loop or self._closed:
            return
        self._loop = loop
        self._deaf_since = loop.time()
        self.publisher.start()
        self.subscriber.start()

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""
        self.counters[name] += number

    def tell_gap(self, nsp: str, sender: str, missing: int) -> None:
        """Report messages that never arrived."""
        self.counters["gaps"] += 1
        self.counters["missed"] += missing
        self._tell("gap", nsp, sender, missing)

    def _forget(self, bus: Exchange) -> None:
        self._buses.remove(bus)

    def _hold(self) -> float:
        """Say for how long what has waited for the broker waits for the other nodes, too: they come back as this one has."""
        assert self._loop is not None
        if not self.subscriber.listening:
            return LONGEST_PAUSE / 10
        return max(self.subscriber.since + LONGEST_PAUSE - self._loop.time(), 0.0)

    def _changed(self) -> None:
        if self._closed or self._loop is None:
            return
        listening = self.subscriber.listening
        if self._was_listening and not listening:
            self._deaf_since = self._loop.time()
        self._was_listening = listening
        if self.publisher.connected:
            for bus in list(self._buses):
                bus.numbering.announce(POSITION_DELAY)  # others may not hear it yet
        self._tell("health", self.health)

    def _tell(self, event: str, *args: Any) -> None:
        if self._server is not None:
            for listener in self._take(event):
                self._server.handlers.call(listener, args, None, event)

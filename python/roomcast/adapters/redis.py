"""`RedisAdapter`: makes a server one node of a cluster over Redis or Valkey, beside Node.js servers and emitters."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from roomcast.adapters.broker import Broker, require_redis
from roomcast.adapters.classic import POSITION_DELAY, ClassicBus
from roomcast.adapters.cluster import ClusterAdapter, RecoverableClusterAdapter
from roomcast.adapters.link import LONGEST_PAUSE
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.publisher import QUEUE_SIZE, Publisher, QueuePolicy
from roomcast.adapters.subscriber import Subscriber
from roomcast.adapters.wire import KEY
from roomcast.errors import UsageError
from roomcast.events import EventEmitter
from roomcast.server.adapter import Adapter

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace
    from roomcast.server.server import Server

__all__ = ["AdapterHealth", "RedisAdapter"]

DRAIN_TIMEOUT: Final = 1.0
"""Seconds that a node that closes waits for the broker to take what it has to send."""

log = logging.getLogger("roomcast.adapters")


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


class RedisAdapter(EventEmitter):
    """A cluster over Redis or Valkey pub/sub, in the format of ``@socket.io/redis-adapter``; for ``Server(adapter=…)``.

    Node.js servers with that adapter, and emitters of both languages, take part in it. It belongs to one server, and to its event
    loop. Whatever becomes of the broker, clients of this node get what is emitted on it.

    Events:

    - ``health``: `AdapterHealth`, whenever the node begins or ceases to hear the others, or to be heard.
    - ``gap``: ``(namespace, sender, missing)``: so many messages of another roomcast node never arrived.

    Attributes:
        key: What the names of all channels begin with.
        counters: What was published, received, dropped and why, by name; see the guide on clusters.
        requests_timeout: Seconds that other nodes have for an answer.
        answers_specifically: Whether answers travel to the node that has asked, and not to all.
        publisher: What goes out.
        subscriber: What comes in.

    Source:
        socket.io-redis-adapter, ``createAdapter``.
    """

    def __init__(
        self,
        redis: Any,
        *,
        key: str = KEY,
        requests_timeout: float = 5.0,
        publish_on_specific_response_channel: bool = True,
        queue_size: int = QUEUE_SIZE,
        queue_policy: QueuePolicy = "drop_oldest",
    ) -> None:
        """Prepare; connections are made when the server starts.

        Args:
            redis: A URL (``redis://``, ``rediss://``, ``unix://``), or a client of `redis.asyncio`, also one that Sentinel has given.
                Of a client only the settings are used; three connections are enough for a node, and none of them is the client's.
            key: What the names of all channels begin with; the same for all nodes.
            requests_timeout: Seconds that other nodes have for an answer.
            publish_on_specific_response_channel: Whether answers travel to the node that has asked, and not to all. Differs from
                socket.io-redis-adapter, where that is off: all nodes of version 8 listen there.
            queue_size: Bytes that wait for the broker at most.
            queue_policy: What is dropped beyond: ``drop_oldest`` or ``drop_newest``.

        Raises:
            MissingDependencyError: If redis-py or msgpack is not installed.
            TypeError: If ``redis`` is neither.
            ValueError: If a value is out of its range.
        """
        super().__init__()
        if not 0 < requests_timeout < float("inf"):
            raise ValueError(f"requests_timeout must be positive, not {requests_timeout!r}")
        self.key = key
        self.requests_timeout = requests_timeout
        self.answers_specifically = publish_on_specific_response_channel
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
        self._buses: list[ClassicBus] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._deaf_since = 0.0
        self._was_listening = False

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
            raise UsageError("a RedisAdapter belongs to one server: make another one")
        self._server = server
        if self._notepack is None:
            self._notepack = Notepack(server.options.default)
        sessions = server.sessions
        adapter = (
            ClusterAdapter(nsp) if sessions is None else RecoverableClusterAdapter(nsp, sessions)
        )
        bus = ClassicBus(self, adapter, self._notepack, on_close=self._forget)
        adapter.bus = bus
        self._buses.append(bus)
        if self.publisher.connected:
            bus.announce()
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

    def _forget(self, bus: ClassicBus) -> None:
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
                bus.announce(POSITION_DELAY)  # others may not hear it yet
        self._tell("health", self.health)

    def _tell(self, event: str, *args: Any) -> None:
        if self._server is not None:
            for listener in self._take(event):
                self._server.handlers.call(listener, args, None, event)

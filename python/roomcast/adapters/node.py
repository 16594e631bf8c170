"""A node of a cluster: what its namespaces share, whatever the format that travels, and what carries it."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic

from roomcast.adapters.cluster import ClusterAdapter, RecoverableClusterAdapter
from roomcast.adapters.exchange import Exchange
from roomcast.adapters.link import LONGEST_PAUSE
from roomcast.adapters.member import BrokerMember, IncomingT, Member, OutgoingT
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.numbering import POSITION_DELAY
from roomcast.adapters.passing import BrokerWay
from roomcast.adapters.publisher import QueuePolicy
from roomcast.adapters.wiring import AnyPublisher, AnySubscriber
from roomcast.errors import UsageError
from roomcast.server.adapter import Adapter
from roomcast.server.sessions import Sessions

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace

__all__ = ["BrokerNode", "ClusterNode"]


class ClusterNode(Member[OutgoingT, IncomingT], ABC, Generic[OutgoingT, IncomingT]):
    """What all adapters for ``Server(adapter=…)`` have that make it a node of a cluster.

    Each belongs to one server, and to its event loop. Whatever becomes of the others, clients of this node get what is emitted on
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
        self, *, requests_timeout: float, queue_size: int, queue_policy: QueuePolicy
    ) -> None:
        """Prepare; connections are made when the server starts."""
        super().__init__(queue_size=queue_size, queue_policy=queue_policy, hold=self._hold)
        if not 0 < requests_timeout < float("inf"):
            raise ValueError(f"requests_timeout must be positive, not {requests_timeout!r}")
        self.requests_timeout = requests_timeout
        self._notepack: Notepack | None = None
        self._buses: list[Exchange] = []

    @abstractmethod
    def _new_bus(self, adapter: ClusterAdapter, notepack: Notepack) -> Exchange:
        """Return what reaches the other nodes in a namespace."""

    async def close(self) -> None:
        """Leave the cluster: hear nothing more, send what waits, close the connections."""
        for bus in self._buses:
            bus.stop()
        await super().close()

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
        adapter = ClusterAdapter(nsp) if sessions is None else self._new_recoverable(nsp, sessions)
        bus = self._new_bus(adapter, self._notepack)
        adapter.bus = bus
        self._buses.append(bus)
        if self.publisher.connected:
            bus.numbering.announce()
        return adapter

    def _new_recoverable(self, nsp: "Namespace", sessions: Sessions) -> ClusterAdapter:
        """Return the adapter of a namespace whose sockets may come back."""
        return RecoverableClusterAdapter(nsp, sessions)

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
        if self.publisher.connected and not self._closed:
            for bus in list(self._buses):
                bus.numbering.announce(POSITION_DELAY)  # others may not hear it yet
        super()._changed()


class BrokerNode(ClusterNode[AnyPublisher, AnySubscriber], BrokerMember):
    """A node over Redis or Valkey."""

    def __init__(
        self,
        redis: Any,
        *,
        requests_timeout: float,
        queue_size: int,
        queue_policy: QueuePolicy,
        pass_requests: bool,
    ) -> None:
        """Prepare; connections are made when the server starts."""
        self._redis = redis
        if pass_requests:  # on a Redis Cluster over such channels, whatever else it speaks
            self.sharded = True
        self._way: BrokerWay | None = None
        super().__init__(
            requests_timeout=requests_timeout, queue_size=queue_size, queue_policy=queue_policy
        )

    @property
    def way(self) -> BrokerWay | None:
        """The way to workers of other hosts, if requests are passed to them."""
        return self._way

    def _changed(self) -> None:
        if self._way is not None:
            self._way.changed()
        super()._changed()

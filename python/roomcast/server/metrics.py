"""What goes on in a server and what has gone on, as numbers at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from roomcast.engine.histogram import Histogram

if TYPE_CHECKING:
    from roomcast.server.server import Server

__all__ = ["AdapterState", "MeasuredAdapter", "Metrics", "metrics_of"]


class AdapterState(Protocol):
    """How an adapter stands with its broker."""

    @property
    def listening(self) -> bool:
        """Whether it hears the other nodes."""
        ...

    @property
    def publishing(self) -> bool:
        """Whether these hear it."""
        ...

    @property
    def deaf_for(self) -> float:
        """Seconds since it has last heard them."""
        ...

    @property
    def queued(self) -> int:
        """Bytes that wait to be sent."""
        ...


@runtime_checkable
class MeasuredAdapter(Protocol):
    """An adapter of a cluster that says how it is."""

    @property
    def health(self) -> AdapterState:
        """How it stands with its broker."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """What was published, received, dropped and why."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The numbers of one server at one moment. Those that only grow began with the server.

    Attributes:
        connections: Open connections, by transport: ``polling``, ``websocket``.
        connections_opened: How many there were.
        connections_closed: How many have ended, by reason.
        namespaces: Namespaces.
        sockets: Connected sockets of all namespaces; a connection has one for each namespace that it has joined.
        rooms: Rooms of all namespaces that have a member, the own room of each socket left out.
        emits: Events that were encoded: a broadcast is one, and so is one that came from another node.
        deliveries: Events that were queued for a client: a broadcast is one for each of its recipients.
        bytes_sent: Bytes of all packets that were queued, without frames and before compression.
        packets_received: Packets that came from clients.
        events_received: Those of them that are events.
        bytes_received: Bytes of all messages from clients, without frames and after decompression.
        queued_bytes: Bytes that wait in the send buffers of all connections.
        congested: Connections whose send buffer is above the mark.
        acks_pending: Acknowledgements that clients have not sent yet.
        acks_timed_out: Those that did not come in time.
        handler_errors: Exceptions of handlers, middlewares and ack callbacks that were reported.
        limits: How often each limit was hit, and what was dropped or refused, by name.
        loop_lag: How late the event loop was, each time that a deadline of the server was due; with the first clients that is every
            few seconds, with many of them a hundred times a second.
        adapter: How the cluster's adapter stands with its broker; ``None`` without one.
        adapter_messages: What it has published, received, dropped and why, by name.
    """

    connections: Mapping[str, int]
    connections_opened: int
    connections_closed: Mapping[str, int]
    namespaces: int
    sockets: int
    rooms: int
    emits: int
    deliveries: int
    bytes_sent: int
    packets_received: int
    events_received: int
    bytes_received: int
    queued_bytes: int
    congested: int
    acks_pending: int
    acks_timed_out: int
    handler_errors: int
    limits: Mapping[str, int]
    loop_lag: Histogram
    adapter: AdapterState | None
    adapter_messages: Mapping[str, int]


def metrics_of(server: "Server") -> Metrics:
    """Return the numbers of a server now; also from another thread, as exporters ask."""
    engine, traffic = server.engine, server.engine.traffic
    connections = {"polling": 0, "websocket": 0}
    queued = 0
    for connection in list(engine.connections.values()):
        connections[connection.transport.name] += 1
        queued += connection.outbox.size
    sockets = acks = rooms = 0
    namespaces = server.namespaces
    for nsp in namespaces:
        own = nsp.sockets.values()
        sockets += len(own)
        acks += sum([socket.pending_acks for socket in own])
        rooms += len(nsp.adapter.rooms.room_names())
    counters = dict(engine.counters)
    adapter: object = server.adapters
    measured = adapter if isinstance(adapter, MeasuredAdapter) else None
    return Metrics(
        connections=connections,
        connections_opened=engine.opened,
        connections_closed=dict(engine.ended_by),
        namespaces=len(namespaces),
        sockets=sockets,
        rooms=rooms,
        emits=traffic.events_encoded,
        deliveries=traffic.events_queued,
        bytes_sent=traffic.bytes_queued,
        packets_received=traffic.packets_received,
        events_received=traffic.events_received,
        bytes_received=traffic.bytes_received,
        queued_bytes=queued,
        congested=engine.congested,
        acks_pending=acks,
        acks_timed_out=counters.pop("acks_timed_out", 0),
        handler_errors=server.handlers.errors,
        limits=counters,
        loop_lag=engine.loop_lag.copy(),
        adapter=None if measured is None else measured.health,
        adapter_messages={} if measured is None else dict(measured.counters),
    )

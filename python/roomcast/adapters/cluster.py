"""The adapter of a namespace on a node of a cluster: what it does for its own sockets, and what it lets the others do.

How the others are told is the bus's; there is one for each format that travels (`classic.py`, `sharded.py`, `streams.py`).
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from roomcast.adapters.collecting import ClusterAck
from roomcast.server.acks import AckReport, BroadcastAck
from roomcast.server.adapter import CREATE_ROOM, DELETE_ROOM, Adapter, Asking, BroadcastOptions
from roomcast.server.recoverable import SessionAwareAdapter
from roomcast.server.remote import FetchedSockets
from roomcast.server.sessions import Session, Sessions
from roomcast.sockets.acks import Done

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace
    from roomcast.server.socket import Socket

__all__ = ["Bus", "ClusterAdapter", "RecoverableClusterAdapter"]


class Bus(Protocol):
    """What reaches the other nodes, in one namespace. No call waits, but for `fetch` and `count`."""

    def broadcast(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Let the other nodes send an event."""

    def ask(
        self,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        new_ack: Callable[[Callable[[], None]], ClusterAck],
    ) -> ClusterAck:
        """Let the other nodes send an event, and collect the answers.

        Args:
            event: The event.
            args: Its arguments.
            options: Whom it is for.
            new_ack: Makes what collects the answers; gets what is to be called at its end.
        """
        ...

    def join(self, options: BroadcastOptions, rooms: tuple[str, ...], leave: bool) -> None:
        """Let the sockets of other nodes join rooms, or leave them."""

    def disconnect(self, options: BroadcastOptions, close: bool) -> None:
        """Let the other nodes disconnect sockets."""

    async def fetch(self, options: BroadcastOptions, found: FetchedSockets) -> FetchedSockets:
        """Add the sockets of other nodes."""
        ...

    def server_side_emit(
        self, event: str, args: tuple[Any, ...], done: Done | None, timeout: float
    ) -> None:
        """Send an event to the other servers."""

    async def count(self) -> int:
        """Return the number of servers, this one included; the last one known if nobody can be asked."""
        ...

    def room_created(self, room: str) -> None:
        """Learn that there may be somebody in a room now, if `ClusterAdapter.tells_rooms`."""

    def room_deleted(self, room: str) -> None:
        """Learn that there is nobody in a room any more, and nobody who may come back to it."""

    def close(self) -> None:
        """End."""


class ClusterAdapter(Adapter):
    """The adapter of a namespace on a node of a cluster. It belongs to the event loop of its server.

    Everything is done for the sockets of this node first, whatever becomes of the rest. Differs from socket.io-redis-adapter: there
    a node that lets sockets join, leave or disconnect hears that from the broker, as all others do.

    Attributes:
        bus: What reaches the other nodes.
        tells_rooms: Whether the bus hears of rooms that come and go.
    """

    bus: Bus
    tells_rooms = False

    def broadcast(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> Awaitable[None]:
        """Send an event to everybody whom the options name, on all nodes; as `Adapter.broadcast`."""
        wait = super().broadcast(event, args, options)
        if not self._is_local(options):
            self.bus.broadcast(event, args, options)
        return wait

    def broadcast_with_ack(
        self,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        done: Callable[[AckReport, list[Any]], None],
    ) -> Awaitable[None]:
        """Send an event as `broadcast` does, and collect the acknowledgements of all nodes."""
        if self._is_local(options):
            return super().broadcast_with_ack(event, args, options, done)
        timeout, timers = options.timeout, self.nsp.server.engine.timers
        assert timeout is not None
        here: list[tuple[AckReport, list[Any]]] = []
        collected: ClusterAck | None = None

        def from_here(report: AckReport, responses: list[Any]) -> None:
            if collected is None:
                here.append((report, responses))
            else:
                collected.here(report, responses)

        own = BroadcastAck(from_here, timeout, timers)
        wait = self.ask(event, args, options, own)
        collected = self.bus.ask(
            event,
            args,
            options,
            lambda on_end: ClusterAck(done, timeout, timers, single=options.single, on_end=on_end),
        )
        own.begin()
        for report, responses in here:
            collected.here(report, responses)
        return wait

    def fetch_sockets(self, options: BroadcastOptions) -> Awaitable[FetchedSockets]:
        """Return what gives the sockets that the options name, of all nodes that answer."""
        if self._is_local(options):
            return super().fetch_sockets(options)
        return self.bus.fetch(options, FetchedSockets(self.select(options)))

    def add_sockets(self, options: BroadcastOptions, rooms: Iterable[str]) -> Awaitable[None]:
        """Let the sockets that the options name join rooms, on all nodes."""
        names = tuple(rooms)
        if not self._is_local(options):
            self.bus.join(options, names, leave=False)
        return super().add_sockets(options, names)

    def del_sockets(self, options: BroadcastOptions, rooms: Iterable[str]) -> Awaitable[None]:
        """Let the sockets that the options name leave rooms, on all nodes."""
        names = tuple(rooms)
        if not self._is_local(options):
            self.bus.join(options, names, leave=True)
        return super().del_sockets(options, names)

    def disconnect_sockets(self, options: BroadcastOptions, close: bool) -> Awaitable[None]:
        """Disconnect the sockets that the options name, on all nodes."""
        if not self._is_local(options):
            self.bus.disconnect(options, close)
        return super().disconnect_sockets(options, close)

    def server_side_emit(
        self, event: str, args: tuple[Any, ...], done: Done | None, timeout: float
    ) -> Awaitable[None]:
        """Send an event to the other servers of the cluster; as `Adapter.server_side_emit`."""
        self.bus.server_side_emit(event, args, done, timeout)
        return super().server_side_emit(event, args, None, timeout)

    def server_count(self) -> Awaitable[int]:
        """Return what gives the number of servers in the cluster, this one included."""
        return self.bus.count()

    def close(self) -> None:
        """End: the namespace is no more."""
        self.bus.close()

    # What follows is for the bus: what other nodes ask of this one.

    def deliver(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Send an event to the sockets of this node."""
        super().broadcast(event, args, options)

    def deliver_entry(
        self, id: bytes, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> None:
        """Send an event that has an id in a stream to the sockets of this node."""
        self.deliver(event, args, options)

    def own_entry(self, id: bytes, fields: dict[bytes, bytes]) -> None:
        """Learn the id of an entry of this node; its sockets have had the event long ago."""

    def deliver_and_ask(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions, ack: Asking
    ) -> None:
        """Send an event to the sockets of this node, whose answers somebody collects."""
        self.ask(event, args, options, ack)

    def join_here(self, options: BroadcastOptions, rooms: tuple[str, ...]) -> None:
        """Let sockets of this node join rooms."""
        super().add_sockets(options, rooms)

    def leave_here(self, options: BroadcastOptions, rooms: tuple[str, ...]) -> None:
        """Let sockets of this node leave rooms."""
        super().del_sockets(options, rooms)

    def disconnect_here(self, options: BroadcastOptions, close: bool) -> None:
        """Disconnect sockets of this node."""
        super().disconnect_sockets(options, close)

    def concerns(self, room: str) -> bool:
        """Say whether what is sent to a room or an id may be for somebody here."""
        rooms = self.rooms
        return bool(rooms.members(room)) or rooms.get(room) is not None or self.has_sessions

    @property
    def concerns_anybody(self) -> bool:
        """Whether what is sent to all may be for somebody here."""
        return bool(len(self.rooms)) or self.has_sessions

    def concerns_choice(self, options: BroadcastOptions) -> bool:
        """Say whether a broadcast may be for somebody here."""
        named = options.rooms or options.all_of
        return any(map(self.concerns, named)) if named else self.concerns_anybody

    def _has_observers(self) -> bool:
        return self.tells_rooms or super()._has_observers()

    def _tell(self, event: str, *args: str) -> None:
        if self.tells_rooms:
            if event == CREATE_ROOM:
                self.bus.room_created(args[0])
            elif event == DELETE_ROOM and not self._may_come_back(args[0]):
                self.bus.room_deleted(args[0])
        super()._tell(event, *args)

    def _may_come_back(self, room: str) -> bool:
        """Say whether somebody may come back to a room that nobody is in."""
        return False

    def _is_local(self, options: BroadcastOptions) -> bool:
        """Say whether nobody elsewhere can be meant: an id of a socket of this node is nobody else's."""
        if options.local:
            return True
        rooms = options.rooms
        return len(rooms) == 1 and self.rooms.get(rooms[0]) is not None


class RecoverableClusterAdapter(ClusterAdapter, SessionAwareAdapter):
    """The same for sockets that may come back: to this node, which keeps what they miss.

    A client that comes back to another node gets a new session.
    """

    def __init__(self, nsp: "Namespace", sessions: Sessions) -> None:
        """Begin without any socket."""
        SessionAwareAdapter.__init__(self, nsp, sessions)
        # How many of those who may come back are in a room, or have an id.
        self._awaited: Counter[str] = Counter()

    def add(self, socket: "Socket", rooms: Iterable[str]) -> None:
        """Make a connected socket known; one that has come back is away no more."""
        session = self._away.get(socket.id)
        super().add(socket, rooms)
        if session is not None:
            self._await_no_more(session)

    def persist_session(self, session: Session) -> None:
        """Keep a session, and go on hearing what is sent to its rooms."""
        if self._away.get(session.sid) is not session:
            self._awaited.update((session.sid, *session.rooms))
        super().persist_session(session)

    def session_gone(self, session: Session) -> None:
        """Learn that nobody will come back for a session."""
        if self._away.get(session.sid) is session:
            self._await_no_more(session)
        super().session_gone(session)

    def _may_come_back(self, room: str) -> bool:
        return room in self._awaited

    def _await_no_more(self, session: Session) -> None:
        for room in (session.sid, *session.rooms):
            if self._awaited[room] > 1:
                self._awaited[room] -= 1
                continue
            del self._awaited[room]
            is_empty = not self.rooms.members(room) and self.rooms.get(room) is None
            if self.tells_rooms and is_empty:
                self.bus.room_deleted(room)

"""The adapter: who is in which room, and how a broadcast reaches them.

It is the seam for clusters: `Server(adapter=…)` takes an `AdapterFactory`, whose adapters derive from the one here, which keeps
everything in memory, over the room index of the core. What it does for the sockets of this node they do by calling it; what
they do beside is to tell the other nodes. A local broadcast is one call into the core, whatever the adapter.
"""

from collections.abc import Awaitable, Callable, Container, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

from roomcast._core import EncodedPacket, Rooms
from roomcast.engine.outbox import DONE, Drain
from roomcast.engine.ways import Way
from roomcast.events import EventEmitter, Listener
from roomcast.server.acks import Ack, AckReport, BroadcastAck
from roomcast.server.remote import FetchedSockets
from roomcast.server.results import Known
from roomcast.sockets.acks import Done

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace
    from roomcast.server.socket import Socket

__all__ = [
    "CREATE_ROOM",
    "DELETE_ROOM",
    "OF_WORKERS",
    "Adapter",
    "AdapterFactory",
    "Asking",
    "BroadcastOptions",
    "PassingAdapter",
]

CREATE_ROOM: Final = "create-room"
JOIN_ROOM: Final = "join-room"
LEAVE_ROOM: Final = "leave-room"
DELETE_ROOM: Final = "delete-room"


class BroadcastOptions(NamedTuple):
    """Whom a broadcast is for: (union of ``rooms``) ∩ (each of ``all_of``) - (union of ``except_``).

    Attributes:
        rooms: Rooms or socket ids; empty means everybody.
        all_of: Rooms that a socket must all be in.
        except_: Rooms or socket ids that are left out.
        timeout: Seconds to wait for acknowledgements.
        volatile: Whether a client whose connection is not writable at this instant is passed over.
        compress: Whether transports may compress it.
        local: Whether it is for the clients of this node only.
        single: Whether one answer is all that is waited for.

    Source:
        socket.io-adapter, ``BroadcastOptions``; ``all_of`` is roomcast's own.
    """

    rooms: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    timeout: float | None = None
    volatile: bool = False
    compress: bool = True
    local: bool = False
    single: bool = False


class Asking(Ack, Protocol):
    """Who collects the answers to a broadcast."""

    def expect(self, socket: "Socket", id: int) -> None:
        """Wait for a socket too, which will answer with this id."""


class AdapterFactory(Protocol):
    """What `Server(adapter=…)` takes: makes the adapter of each namespace, and has what these share, as a connection.

    Source:
        socket.io, the option ``adapter``; there the connections are made before.
    """

    def new_adapter(self, nsp: "Namespace") -> "Adapter":
        """Return a new adapter for a namespace that is being made; there may be no event loop yet."""
        ...

    async def start(self) -> None:
        """Begin to work, in the event loop of the server.

        Called before it serves, where it can know, and with each connection: often, that is, and perhaps in one event loop after
        the other. It must not take long, and not fail because another program is not there.
        """

    async def close(self) -> None:
        """End: the server has closed."""


@runtime_checkable
class PassingAdapter(Protocol):
    """An `AdapterFactory` that may bring a way to workers of other hosts."""

    @property
    def way(self) -> Way | None:
        """The way, if requests are passed on."""
        ...


class AdapterOfWorkers:
    """What a server has that is one of several workers and was given no adapter.

    Attributes:
        make: Makes it, of the directory of the workers. Adapters are a layer above, which puts its own here.
    """

    make: Callable[[str], AdapterFactory]


OF_WORKERS: Final = AdapterOfWorkers()


class Adapter(EventEmitter):
    """The in-memory adapter of one namespace. It belongs to one event loop.

    Events, each only where something has changed: ``create-room`` with the room, ``join-room`` and ``leave-room`` with the room
    and the socket's id, ``delete-room`` with the room. A socket's own room, its id, is among them.

    Attributes:
        nsp: The namespace.
        rooms: The room index.
        recovers: Whether sockets may come back, see `recoverable`.

    Source:
        socket.io-adapter, ``Adapter``.
    """

    recovers = False

    def __init__(self, nsp: "Namespace") -> None:
        """Begin without any socket."""
        super().__init__()
        self.nsp = nsp
        self.rooms: Rooms[Socket] = Rooms()

    @property
    def has_sessions(self) -> bool:
        """Whether somebody may come back."""
        return False

    def close(self) -> None:
        """End: the namespace is no more."""

    def add(self, socket: "Socket", rooms: Iterable[str]) -> None:
        """Make a connected socket known, in the rooms that it has joined before."""
        self.rooms.add(socket.id, socket, socket.outbox)
        self._tell_joined(socket.id, [socket.id], own=True)
        self._tell_joined(socket.id, self.rooms.join(socket.id, rooms))

    def add_all(self, id: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Put a socket into rooms; an unknown id is ignored."""
        self._tell_joined(id, self.rooms.join(id, rooms))
        return DONE

    def del_(self, id: str, room: str) -> Awaitable[None]:
        """Take a socket out of a room; an unknown id or room is ignored."""
        if self.rooms.leave(id, room):
            self._tell_left(id, (room,), () if self.rooms.members(room) else (room,))
        return DONE

    def del_all(self, id: str) -> None:
        """Forget a socket."""
        if not self._has_observers():
            self.rooms.remove(id)
            return
        left = self.rooms.rooms_of(id)
        gone = self.rooms.remove(id)
        if left:
            self._tell_left(id, [id, *sorted(left - {id})], {*gone, id})

    def socket_rooms(self, id: str) -> set[str]:
        """Return the rooms of a socket, its own included; empty for an unknown id."""
        return self.rooms.rooms_of(id)

    def broadcast(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> Awaitable[None]:
        """Send an event to everybody whom the options name, each once.

        Returns:
            Something to await for back pressure.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.

        Cost:
            One encoding, and one crossing for all recipients.
        """
        packet = self.nsp.server.encoder.encode_event(
            self.nsp.name, event, args, None, options.compress
        )
        self._tell_outgoing(event, args, options)
        return self._push(packet, options)

    def broadcast_with_ack(
        self,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        done: Callable[[AckReport, list[Any]], None],
    ) -> Awaitable[None]:
        """Send an event as `broadcast` does, and collect the acknowledgements.

        Args:
            event: The event.
            args: Its arguments.
            options: Whom it is for; the time-out is required.
            done: Called once, with the report and the first argument of each answer; at once if there is nobody to answer.
        """
        assert options.timeout is not None
        ack = BroadcastAck(done, options.timeout, self.nsp.server.engine.timers)
        wait = self.ask(event, args, options, ack)
        ack.begin()
        return wait

    def ask(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions, ack: Asking
    ) -> Awaitable[None]:
        """Send an event to sockets of this node, whose answers somebody collects who has not begun to wait yet."""
        id = self.nsp.next_ack_id()
        packet = self.nsp.server.encoder.encode_event(
            self.nsp.name, event, args, id, options.compress
        )
        self._tell_outgoing(event, args, options)
        for socket in self.select(options):
            ack.expect(socket, id)
        return self._push(packet, options)

    def fetch_sockets(self, options: BroadcastOptions) -> Awaitable[FetchedSockets]:
        """Return what gives the sockets that the options name, of all nodes."""
        return Known(FetchedSockets(self.select(options)))

    def add_sockets(self, options: BroadcastOptions, rooms: Iterable[str]) -> Awaitable[None]:
        """Let the sockets that the options name join rooms."""
        names = tuple(rooms)
        for socket in self.select(options):
            self.add_all(socket.id, names)
        return DONE

    def del_sockets(self, options: BroadcastOptions, rooms: Iterable[str]) -> Awaitable[None]:
        """Let the sockets that the options name leave rooms."""
        names = tuple(rooms)
        for socket in self.select(options):
            for room in names:
                self.del_(socket.id, room)
        return DONE

    def disconnect_sockets(self, options: BroadcastOptions, close: bool) -> Awaitable[None]:
        """Disconnect the sockets that the options name."""
        for socket in self.select(options):
            socket.disconnect(close)
        return DONE

    def server_side_emit(
        self, event: str, args: tuple[Any, ...], done: Done | None, timeout: float
    ) -> Awaitable[None]:
        """Send an event to the other servers of the cluster: here there are none.

        Args:
            event: The event.
            args: Its arguments.
            done: Called with the list of their answers, if they are asked for any.
            timeout: Seconds to wait for those.
        """
        if done is not None:
            done(None, ([],))
        return DONE

    def server_count(self) -> Awaitable[int]:
        """Return what gives the number of servers in the cluster, this one included."""
        return Known(1)

    def select(self, options: BroadcastOptions) -> "list[Socket]":
        """Return the sockets of this node that the options name, each once."""
        return self.rooms.select(options.rooms, options.all_of, options.except_)

    def _push(self, packet: EncodedPacket, options: BroadcastOptions) -> Awaitable[None]:
        engine = self.nsp.server.engine
        dropped = self.rooms.push(
            packet, options.rooms, options.all_of, options.except_, options.volatile
        )
        if dropped:
            engine.counters["dropped_volatile"] += dropped
        if not engine.flusher.congested:
            return DONE
        return Drain([socket.outbox for socket in self.select(options)])

    def _tell_outgoing(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Call the listeners of those sockets that have some; what they do may change who is chosen."""
        if self.nsp.outgoing_observers:
            for socket in self.select(options):
                socket.tell_outgoing(event, args)

    def _has_observers(self) -> bool:
        return self._entries is not None

    def _tell_joined(self, id: str, rooms: Iterable[str], *, own: bool = False) -> None:
        if not self._has_observers():
            return
        for room in rooms:
            if own or self.rooms.members(room) == 1:
                self._tell(CREATE_ROOM, room)
            self._tell(JOIN_ROOM, room, id)

    def _tell_left(self, id: str, rooms: Iterable[str], gone: Container[str]) -> None:
        if not self._has_observers():
            return
        for room in rooms:
            self._tell(LEAVE_ROOM, room, id)
            if room in gone:
                self._tell(DELETE_ROOM, room)

    def _tell(self, event: str, *args: str) -> None:
        for listener in self._take(event):
            self.nsp.server.handlers.call(listener, args, None, event)

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        self.nsp.server.handlers.call(listener, (event, subject), None, event)

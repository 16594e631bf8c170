"""Sockets that may come back: their adapter, and how one gets its session.

Used where ``connection_state_recovery`` is on; elsewhere `Adapter` and `Socket` are as they are, and pay nothing.

Every event without an acknowledgement that is not volatile is kept, also one for a single socket, and has its offset behind its
arguments. A client takes the last text of any event for an offset, so a volatile event that ends with a text gets one too, that of
the newest event that is kept. Differs from socket.io: there such an event makes the next recovery fail.

The ways of a session:

    ===========  =============================================================  ================================================
    where it is  leaves it                                                      goes to
    ===========  =============================================================  ================================================
    in use       the line breaks                                                kept
                 a client with its private id comes while the line seems alive  kept (the old line is closed), then pending
                 a disconnect by either side                                    gone
    kept         a client with its private id comes                             pending; gone if it cannot have all it missed
                 its time or a bound                                            gone
    pending      no middleware has to be asked, or all agree                    in use
                 a middleware refuses                                           gone
                 the line breaks                                                kept, for the rest of its time
    ===========  =============================================================  ================================================

A session serves once: two sockets never have it. Differs from socket.io, where it may be taken again and again.
"""

from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from roomcast._core import EncodedPacket
from roomcast.engine.ids import generate_id
from roomcast.engine.outbox import DONE, Drain
from roomcast.events import Listener
from roomcast.server.adapter import Adapter, BroadcastOptions
from roomcast.server.recovery import RECOVERABLE_REASONS, RecoveryFailure
from roomcast.server.results import Known
from roomcast.server.sessions import Index, Session, Sessions
from roomcast.server.socket import Socket, SocketState
from roomcast.sockets.flags import PLAIN, SocketFlags
from roomcast.types import PacketType

if TYPE_CHECKING:
    from roomcast.server.client import Client
    from roomcast.server.namespace import Namespace

__all__ = ["RecoverableSocket", "SessionAwareAdapter", "restore"]

TAKEOVER_AFTER: Final = 2.0
"""Seconds after a recovery for which the session cannot be taken over from a line that seems alive: so soon, another client with
the same private id is a repetition and no client whose line has broken again. The official client waits a second to come back."""

REPLY_SIZE: Final = 1_000
"""Bytes of the send buffer that a recovery leaves for what follows the missed events."""


class SessionAwareAdapter(Adapter):
    """The in-memory adapter of a namespace whose sockets may come back.

    An adapter for a cluster overrides `broadcast`, `emit_to`, `persist_session` and `restore_session`.

    Attributes:
        sessions: What is kept.
        holds: Whether events may wait before they are sent, so that everything else has to ask `hold`.

    Source:
        socket.io-adapter, ``SessionAwareAdapter``.
    """

    recovers = True
    holds = False

    def __init__(self, nsp: "Namespace", sessions: Sessions) -> None:
        """Begin without any socket."""
        super().__init__(nsp)
        self.sessions = sessions
        self._index: Index = {}
        self._live: dict[str, RecoverableSocket] = {}
        # By their ids; a pending one is among them.
        self._away: dict[str, Session] = {}

    @property
    def has_sessions(self) -> bool:
        """Whether somebody may come back."""
        return bool(self._away)

    @property
    def position(self) -> int:
        """The position of the newest event."""
        return self.sessions.position

    def hold(self, socket: "RecoverableSocket", packet: EncodedPacket, volatile: bool) -> bool:
        """Keep a packet back if an event for the same socket waits; say whether that is so."""
        return False

    def let_go(self, socket: "RecoverableSocket") -> None:
        """Send a socket everything that waits: it is about to leave for good."""

    def add(self, socket: Socket, rooms: Iterable[str]) -> None:
        """Make a connected socket known, in the rooms that it has joined before."""
        assert isinstance(socket, RecoverableSocket)
        super().add(socket, rooms)
        self._away.pop(socket.id, None)
        self._live[socket.pid] = socket

    def add_all(self, id: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Put a socket into rooms; an unknown id is ignored."""
        joined = self.rooms.join(id, rooms)
        socket = self.rooms.get(id)
        if isinstance(socket, RecoverableSocket):
            socket.note_joined(joined, self.position)
        self._tell_joined(id, joined)
        return DONE

    def del_(self, id: str, room: str) -> Awaitable[None]:
        """Take a socket out of a room; an unknown id or room is ignored."""
        socket = self.rooms.get(id)
        if isinstance(socket, RecoverableSocket):
            socket.note_left(room)
        return super().del_(id, room)

    def del_all(self, id: str) -> None:
        """Forget a socket."""
        socket = self.rooms.get(id)
        if isinstance(socket, RecoverableSocket):
            del self._live[socket.pid]
        super().del_all(id)

    def broadcast(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> Awaitable[None]:
        """Send an event as `Adapter.broadcast` does, and keep it."""
        if options.volatile:
            packet = self._encode_unkept(event, args, options.compress)
        else:
            packet, position = self._encode(event, args, options.compress)
            if self._live or self._away:
                rooms, all_of, except_ = options.rooms, options.all_of, options.except_
                ids = tuple([name for name in (*rooms, *all_of, *except_) if self._is_id(name)])
                self.sessions.store(self._index, position, packet, rooms, all_of, except_, ids)
        wait = self._push(packet, options)
        # After the push: what they emit comes behind this event, as its offset does.
        self._tell_outgoing(event, args, options)
        return wait

    def emit_to(
        self, socket: "RecoverableSocket", event: str, args: tuple[Any, ...], flags: SocketFlags
    ) -> None:
        """Send an event to one socket, or to the one that has its session now, or keep it for the next one.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.

        Source:
            socket.io, ``Socket.emit``: with recovery a broadcast to the socket's own room. Differs from it: what a middleware
            emits before the socket is in that room arrives.
        """
        id = socket.id
        current = self.rooms.get(id)
        if flags.volatile or (current is None and socket.is_new):
            packet = self._encode_unkept(event, args, flags.compress, always=not flags.volatile)
            socket.send_packet(packet, volatile=flags.volatile)
        else:
            packet, position = self._encode(event, args, flags.compress)
            if current is None and id not in self._away:
                return
            names = (id,)
            self.sessions.store(self._index, position, packet, names, ids=names)
            if current is not None:
                current.send_packet(packet)
                current.tell_outgoing(event, args)
                return
            # To a socket that is about to recover it goes with what else was missed.
        if socket.is_open:
            socket.tell_outgoing(event, args)

    def select(self, options: BroadcastOptions) -> list[Socket]:
        """Return the sockets of this node that the options name, each once."""
        present = self._present(options)
        return [] if present is None else super().select(present)

    def persist_session(self, session: Session) -> None:
        """Keep a session; one that was restored, but not used, for the rest of its time."""
        self._away[session.sid] = session
        self.sessions.keep(session)

    def restore_session(self, pid: object, offset: object) -> Awaitable[Session | RecoveryFailure]:
        """Return what gives a session back, with what it has missed, or says why not.

        Args:
            pid: What the client says its private id is.
            offset: What it says is the offset of the last event that it has seen; ``None`` if it has seen none.

        Source:
            socket.io-adapter, ``restoreSession``. Differs from it: ``offset`` may be missing, and need not be that of an event
            that is still kept; and the session is kept no longer, whatever comes of it.
        """
        return Known(self._restore(pid, offset))

    def find_missed(self, session: Session, rooms: Iterable[str]) -> bool:
        """Find what a session that was restored has missed, up to now and with these rooms; say whether all of it is there."""
        position = self.position
        since = {room: session.rooms.get(room, position) for room in rooms}
        return self.sessions.find_missed(session, self._index, since)

    def fits(self, session: Session, client: "Client") -> bool:
        """Say whether a client can be sent what a session has missed without being taken for one that does not read."""
        missed = sum([packet.size for packet in session.missed])
        limit = self.nsp.server.options.limits.send_buffer_size
        return not missed or client.conn.outbox.size + missed + REPLY_SIZE <= limit

    def session_gone(self, session: Session) -> None:
        """Learn that nobody comes back for a session."""
        if self._away.get(session.sid) is session:
            del self._away[session.sid]
            self.nsp.socket_left()

    def _take_over(self, pid: object) -> bool:
        """Close the line that has a session, if there is one; say whether that may be."""
        live = self._live.get(pid) if isinstance(pid, str) else None
        if live is not None:
            if self.nsp.server.engine.now() < live.taken_over_from:
                return False
            live.conn.close("transport close", "recovered by another connection", discard=True)
        return True

    def _restore(self, pid: object, offset: object) -> Session | RecoveryFailure:
        sessions = self.sessions
        if not self._take_over(pid):
            return RecoveryFailure.IN_USE
        session = sessions.take(pid, self)
        if isinstance(session, RecoveryFailure):
            return session
        failure = None
        if offset is not None:
            position = sessions.position_of(offset)
            if position is None:
                failure = RecoveryFailure.UNKNOWN_OFFSET
            else:
                session.after = max(session.begin, position)
        else:
            session.after = session.begin
        if failure is None and not self.find_missed(session, session.rooms):
            failure = RecoveryFailure.EVICTED
        if failure is None:
            return session
        self.session_gone(session)
        return failure

    def _push(self, packet: EncodedPacket, options: BroadcastOptions) -> Awaitable[None]:
        present = self._present(options)
        return DONE if present is None else super()._push(packet, present)

    def _present(self, options: BroadcastOptions) -> BroadcastOptions | None:
        """Leave the ids of those out who are away: a room of such a name is another one. ``None`` if nobody is left."""
        away = self._away
        if not away or away.keys().isdisjoint(options.rooms + options.all_of):
            return options
        rooms = tuple(name for name in options.rooms if name not in away)
        if (options.rooms and not rooms) or not away.keys().isdisjoint(options.all_of):
            return None
        return BroadcastOptions(
            rooms=rooms,
            all_of=options.all_of,
            except_=options.except_,
            volatile=options.volatile,
        )

    def _is_id(self, name: str) -> bool:
        return name in self._away or self.rooms.get(name) is not None

    def _encode(
        self, event: str, args: tuple[Any, ...], compress: bool
    ) -> tuple[EncodedPacket, int]:
        nsp, sessions = self.nsp, self.sessions
        args = (*args, sessions.next_offset())
        position = sessions.position
        return nsp.server.encoder.encode_event(nsp.name, event, args, None, compress), position

    def _encode_unkept(
        self, event: str, args: tuple[Any, ...], compress: bool, *, always: bool = False
    ) -> EncodedPacket:
        nsp = self.nsp
        if always or isinstance(args[-1] if args else event, str):
            args = (*args, self.sessions.offset())
        return nsp.server.encoder.encode_event(nsp.name, event, args, None, compress)


class RecoverableSocket(Socket):
    """A client in a namespace that may come back. It belongs to its server's event loop.

    Attributes:
        pid: The private id of its session.
        taken_over_from: The time from which on another connection may have its session although this one seems alive.
    """

    __slots__ = (
        "_adapter",
        "_begin",
        "_failure",
        "_joined",
        "_recovered",
        "_session",
        "pid",
        "taken_over_from",
    )

    def __init__(
        self,
        nsp: "Namespace",
        client: "Client",
        auth: Mapping[str, Any],
        restored: Session | RecoveryFailure | None,
    ) -> None:
        """Make a socket that is pending, with what came of its wish for a session, if it had one."""
        super().__init__(nsp, client, auth)
        adapter = nsp.adapter
        assert isinstance(adapter, SessionAwareAdapter)
        self._adapter = adapter
        self._begin = 0
        # The rooms that it has joined later than the namespace, with the positions.
        self._joined: dict[str, int] | None = None
        self._session: Session | None = None
        self._recovered = False
        self._failure: RecoveryFailure | None = None
        self.taken_over_from = 0.0
        if isinstance(restored, Session):
            self._session = restored
            self._recovered = True
            self.id = restored.sid
            self.pid = restored.pid
            self._data = restored.data
            self._early_rooms = tuple(restored.rooms)
        else:
            self._failure = restored
            self.pid = generate_id()

    @property
    def recovered(self) -> bool:
        """Whether the socket goes on with its session: the same id, rooms and data, and nothing missed."""
        return self._recovered

    @property
    def recovery_failure(self) -> RecoveryFailure | None:
        """Why the socket does not go on with the session that its client asked for; ``None`` if it does, or has not asked."""
        return self._failure

    @property
    def is_new(self) -> bool:
        """Whether it waits for its middlewares, and is not about to recover."""
        return self._state is SocketState.PENDING and self._session is None

    @property
    def is_open(self) -> bool:
        """Whether it is not disconnected."""
        return self._state is not SocketState.DISCONNECTED

    def emit(self, event: Any, *args: object, ack: Listener | None = None) -> Awaitable[None]:
        """Send an event to this client, as `Socket.emit` does; while the line is broken it is kept for the time after."""
        return self.emit_within(PLAIN, event, args, ack)

    def emit_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...], ack: Listener | None
    ) -> Awaitable[None]:
        """Emit, with an acknowledgement for a function."""
        if ack is not None:
            return super().emit_within(flags, event, args, ack)
        self._adapter.emit_to(self, event, args, flags)
        return Drain((self.outbox,)) if self.outbox.congested else DONE

    def accept(self) -> None:
        """Take part in the namespace: first what was missed, then the answer."""
        session, self._session = self._session, None
        self._state = SocketState.CONNECTED
        position = self._adapter.position
        if session is None:
            self._begin = position
        else:
            engine = self.nsp.server.engine
            engine.count("recoveries")
            self.taken_over_from = engine.now() + TAKEOVER_AFTER
            self._begin = session.begin
            for room in self._early_rooms:
                self.note_joined((room,), session.rooms.get(room, position))
            for packet in session.missed:
                self.outbox.push(packet)
        self._adapter.add(self, self._early_rooms)
        self._early_rooms = ()
        self.send_now(self._packet(PacketType.CONNECT, {"sid": self.id, "pid": self.pid}))

    def send_packet(self, packet: EncodedPacket, volatile: bool = False) -> None:
        """Queue a packet for the client, unless it is gone; behind the events that wait."""
        adapter = self._adapter
        if not adapter.holds or not adapter.hold(self, packet, volatile):
            super().send_packet(packet, volatile)

    def send_now(self, packet: EncodedPacket, volatile: bool = False) -> None:
        """Queue a packet for the client, unless it is gone, whatever waits."""
        super().send_packet(packet, volatile)

    def kick(self) -> None:
        """Tell the client that it has to leave, and let it go."""
        self._adapter.let_go(self)
        super().kick()

    def left(self, reason: str, details: str | None) -> None:
        """Clean up after the end of the socket; a session that it was about to have goes back, or away."""
        session, self._session = self._session, None
        if session is not None:
            if reason in RECOVERABLE_REASONS:
                self._adapter.persist_session(session)
            else:
                self._adapter.session_gone(session)
        super().left(reason, details)

    def can_recover(self) -> bool:
        """Find what was missed anew, now that the middlewares have been asked; say whether the client can have all of it."""
        session = self._session
        return session is None or (
            self._adapter.find_missed(session, self._early_rooms)
            and self._adapter.fits(session, self.client)
        )

    def note_joined(self, rooms: Iterable[str], position: int) -> None:
        """Note since when it is in rooms."""
        if position == self._begin:
            return
        for room in rooms:
            if self._joined is None:
                self._joined = {}
            self._joined[room] = position

    def note_left(self, room: str) -> None:
        """Note that it has left a room."""
        if self._joined is not None:
            self._joined.pop(room, None)

    def _depart(self, reason: str) -> None:
        if reason in RECOVERABLE_REASONS:
            joined = self._joined or {}
            rooms = {room: joined.get(room, self._begin) for room in self.rooms if room != self.id}
            session = Session(self.id, self.pid, rooms, self._data, self._begin, self._adapter)
            self._adapter.persist_session(session)
        super()._depart(reason)


async def restore(
    nsp: "Namespace", client: "Client", auth: Mapping[str, Any]
) -> Session | RecoveryFailure:
    """Get the session that a client asks for, or the reason why not; a failure is counted."""
    adapter = nsp.adapter
    assert isinstance(adapter, SessionAwareAdapter)
    restored: Session | RecoveryFailure
    try:
        restored = await adapter.restore_session(auth["pid"], auth.get("offset"))
    except Exception as error:  # noqa: BLE001  that of the adapter's storage: the client gets a new session
        nsp.server.handlers.report(error, None, "recovery")
        restored = RecoveryFailure.STORAGE_ERROR
    if isinstance(restored, Session) and not adapter.fits(restored, client):
        adapter.session_gone(restored)
        restored = RecoveryFailure.TOO_LARGE
    if isinstance(restored, RecoveryFailure):
        nsp.server.engine.count(restored.counter)
    return restored

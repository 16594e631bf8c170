"""What a server keeps for clients that may come back: their sessions, and the events that they may have missed. Without I/O.

Every event that is kept has a position, counted from 1 over all namespaces, and goes to the client with an offset, which is the
position behind seven characters that are this server's own. A client comes back with the offset of the last event that it has
seen; what it missed are the events behind that position that were for it.

**An offset need not be among the events that are kept**, as it must in the reference, where a client that hears little can never
recover. What must be there are the events behind it that the client may have *missed*. Whatever was sent to it before a ping that
it answered has arrived, so the events to look at go back to the heartbeat's patience before the disconnect, no further
(``window``). Events are kept that much longer than sessions, so age alone never makes a recovery fail.

**A session begins at a position**: the one at which its client joined. Without an offset, or with one from an earlier session
(clients keep that), it goes on from there.

**Rooms have positions too**: a socket that joined a room late has missed only what was sent to it since.

Events of a namespace are found by the rooms that they are for, so a recovery costs what it has missed, not what was sent
meanwhile. What is dropped is the oldest, whatever namespace it is of.

Source:
    socket.io-adapter, ``SessionAwareAdapter``, for what is kept and for how long.
"""

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from itertools import islice
from math import inf
from typing import Any, Final, Protocol

from roomcast._core import EncodedPacket
from roomcast.engine.connection import Timed
from roomcast.engine.ids import generate_id
from roomcast.server.recovery import ConnectionStateRecovery, RecoveryFailure

__all__ = ["Index", "Keeper", "Session", "Sessions"]

SWEEPS: Final = 16
"""How often the oldest is looked for while a session is kept: what is over goes at most that part of its time too late."""

EVENT_SIZE: Final = 700
"""Bytes that an event takes beside twice its wire form: once as text, once as the frames that its first recipient made."""

ROOM_SIZE: Final = 150
"""Bytes that an event takes for each room that it is found by."""

PREFIX_LENGTH: Final = 7
"""Characters in front of the dot, as in an offset of the reference, so that both look alike."""

MAX_DIGITS: Final = 13
"""Digits of the largest position, hexadecimal: 2^52, at a million events a second 142 years."""


class Session:
    """What a client gets back. It belongs to the adapter that keeps it.

    Attributes:
        sid: The id of its socket.
        pid: Its private id, which only the client knows.
        rooms: Its rooms but its own, each with the position at which it joined.
        data: The socket's own data.
        begin: The position at which it began.
        after: The position behind which it has missed events.
        disconnected_at: When the line broke; ``None`` until it is kept.
        missed: What it has missed, in order.
        keeper: Learns that it is not kept any longer.

    Source:
        socket.io-adapter, ``Session``.
    """

    __slots__ = (
        "after",
        "begin",
        "data",
        "disconnected_at",
        "keeper",
        "missed",
        "pid",
        "rooms",
        "sid",
    )

    def __init__(
        self,
        sid: str,
        pid: str,
        rooms: Mapping[str, int],
        data: dict[str, Any] | None,
        begin: int,
        keeper: "Keeper",
    ) -> None:
        """Take what is to be kept."""
        self.sid = sid
        self.pid = pid
        self.rooms = rooms
        self.data = data
        self.begin = begin
        self.after = begin
        self.disconnected_at: float | None = None
        self.missed: list[EncodedPacket] = []
        self.keeper = keeper


class Keeper(Protocol):
    """The adapter that has handed a session over to be kept."""

    def persist_session(self, session: Session) -> None:
        """Keep a session, or keep it again."""

    def session_gone(self, session: Session) -> None:
        """Learn that a session is not kept any longer, because of its age or of a bound."""


class Owner(Protocol):
    """What is needed from the server."""

    def now(self) -> float:
        """Return the time."""
        ...

    def schedule(self, item: Timed) -> None:
        """Call ``on_deadline`` of an item at its deadline."""

    def count(self, name: str) -> None:
        """Add one to a counter."""


class StoredEvent:
    """An event that is kept, with whom it was for.

    Attributes:
        position: Its place in the order of all.
        emitted_at: When.
        packet: Its bytes, shared with everybody who got it; ``None`` when it is not kept any longer.
        ids: Those of the names that were ids of sockets at that time: a room of such a name is another one.
    """

    __slots__ = (
        "_all_of",
        "_except",
        "_index",
        "_rooms",
        "emitted_at",
        "ids",
        "packet",
        "position",
        "size",
    )

    def __init__(
        self,
        position: int,
        emitted_at: float,
        packet: EncodedPacket,
        rooms: tuple[str, ...],
        all_of: tuple[str, ...],
        except_: tuple[str, ...],
        ids: tuple[str, ...],
        index: "Index",
    ) -> None:
        self.position = position
        self.emitted_at = emitted_at
        self.packet: EncodedPacket | None = packet
        self._rooms = rooms
        self._all_of = all_of
        self._except = except_
        self.ids = ids
        self._index = index
        self.size = 2 * packet.size + EVENT_SIZE + ROOM_SIZE * len(rooms)

    def enter(self) -> None:
        """Let it be found."""
        index = self._index
        for name in self._names():
            events = index.get(name)
            if events is None:
                index[name] = [self]
            elif events[-1] is not self:  # a room that is named twice
                events.append(self)
                half = len(events) // 2
                if events[half].packet is None:
                    del events[: half + 1]

    def leave(self) -> None:
        """Keep it no longer. Of the lists it stands in, only those end whose last one it is; the others are cut as they grow."""
        self.packet = None
        index = self._index
        for name in self._names():
            events = index.get(name)
            if events is not None and events[-1] is self:
                del index[name]

    def is_for(self, session: Session, rooms: Mapping[str, int]) -> bool:
        """Say whether a session was to get it, with these rooms."""
        sid = session.sid

        def has(name: str) -> bool:
            if name == sid:
                return True
            since = rooms.get(name)
            return since is not None and since < self.position and name not in self.ids

        return (
            (not self._rooms or any(map(has, self._rooms)))
            and all(map(has, self._all_of))
            and not any(map(has, self._except))
        )

    def _names(self) -> tuple[str | None, ...]:
        return self._rooms or self._all_of[:1] or (None,)


Index = dict[str | None, list[StoredEvent]]
"""The events of one namespace by the rooms that they are for, each list in order; ``None`` for those that are for everybody."""


class Sessions:
    """What one server keeps. It belongs to the server's event loop, and waits in its one timer.

    Attributes:
        position: That of the newest event.
        deadline: When to look for what is over.
        tick: The timers'.
    """

    def __init__(self, options: ConnectionStateRecovery, window: float, owner: Owner) -> None:
        """Keep nothing yet.

        Args:
            options: The bounds.
            window: Seconds before a disconnect from which on events may not have arrived.
            owner: The server.
        """
        self.position = 0
        self.deadline = inf
        self.tick: int | None = None
        self._options = options
        self._window = window
        self._owner = owner
        self._prefix = f"{generate_id()[:PREFIX_LENGTH]}."
        self._events: deque[StoredEvent] = deque()
        self._size = 0
        # Of the newest event that is not kept any longer.
        self._gone = 0
        self._gone_emitted_at = -inf
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        # Why the sessions ended that are not kept any longer, and when.
        self._ended: OrderedDict[str, tuple[float, RecoveryFailure]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self._sessions)

    @property
    def event_count(self) -> int:
        """How many events are kept."""
        return len(self._events)

    @property
    def size(self) -> int:
        """Bytes of the events that are kept, as ``max_bytes`` counts them."""
        return self._size

    @property
    def duration(self) -> float:
        """Seconds for which a session is kept."""
        return self._options.max_disconnection_duration

    def next_offset(self) -> str:
        """Begin the next event; return its offset."""
        self.position += 1
        return f"{self._prefix}{self.position:x}"

    def offset(self) -> str:
        """Return the offset of the newest event."""
        return f"{self._prefix}{self.position:x}"

    def position_of(self, offset: object) -> int | None:
        """Return the position that an offset stands for; ``None`` if this server has not given it."""
        if not isinstance(offset, str) or not offset.startswith(self._prefix):
            return None
        digits = offset[len(self._prefix) :]
        if not 0 < len(digits) <= MAX_DIGITS or not digits.isalnum():
            return None
        try:
            position = int(digits, 16)
        except ValueError:
            return None
        return position if f"{position:x}" == digits and position <= self.position else None

    def store(
        self,
        index: Index,
        position: int,
        packet: EncodedPacket,
        rooms: tuple[str, ...] = (),
        all_of: tuple[str, ...] = (),
        except_: tuple[str, ...] = (),
        ids: tuple[str, ...] = (),
    ) -> None:
        """Keep an event.

        Args:
            index: The events of its namespace.
            position: What it got from `next_offset`.
            packet: Its bytes.
            rooms: As in `BroadcastOptions`.
            all_of: The same.
            except_: The same.
            ids: Those of these names that are ids of sockets.

        Cost:
            Linear in the rooms.
        """
        now = self._owner.now()
        event = StoredEvent(position, now, packet, rooms, all_of, except_, ids, index)
        event.enter()
        self._events.append(event)
        self._size += event.size
        options = self._options
        while self._size > options.max_bytes:
            self._drop_event()
            self._owner.count("recovery_max_bytes")
        while len(self._events) > options.max_packets:
            self._drop_event()
            self._owner.count("recovery_max_packets")
        self._wake(now + options.max_disconnection_duration + self._window)

    def keep(self, session: Session) -> None:
        """Keep a session; one that was kept before, for the rest of its time."""
        now = self._owner.now()
        options = self._options
        self._sessions[session.pid] = session
        if session.disconnected_at is None:
            session.disconnected_at = now
        else:
            self._sessions.move_to_end(session.pid, last=False)
        if len(self._sessions) > options.max_sessions:
            self._owner.count("recovery_max_sessions")
            self._drop_session(now, RecoveryFailure.EVICTED)
        self._wake(session.disconnected_at + options.max_disconnection_duration)

    def take(self, pid: object, keeper: Keeper) -> Session | RecoveryFailure:
        """Give back a session that somebody has handed over; it is kept no longer."""
        session = self._sessions.get(pid) if isinstance(pid, str) else None
        if session is None:
            _, failure = self._ended.get(pid, _UNKNOWN) if isinstance(pid, str) else _UNKNOWN
            return failure
        if session.keeper is not keeper:
            return RecoveryFailure.UNKNOWN_SESSION
        del self._sessions[session.pid]
        assert session.disconnected_at is not None
        age = self._owner.now() - session.disconnected_at
        if age > self._options.max_disconnection_duration:
            keeper.session_gone(session)
            return RecoveryFailure.EXPIRED
        return session

    def find_missed(self, session: Session, index: Index, rooms: Mapping[str, int]) -> bool:
        """Find what a session has missed up to now.

        Args:
            session: The session; its `Session.missed` is set.
            index: The events of its namespace.
            rooms: Its rooms, each with the position at which it joined.

        Returns:
            Whether everything is there that it may have missed.

        Cost:
            Linear in the events since its position that were for its rooms.
        """
        assert session.disconnected_at is not None
        if (
            session.after < self._gone
            and self._gone_emitted_at >= session.disconnected_at - self._window
        ):
            return False
        missed: dict[int, EncodedPacket] = {}
        for name in (None, session.sid, *rooms):
            for event in _behind(session.after, index.get(name, [])):
                if event.packet is not None and event.is_for(session, rooms):
                    missed[event.position] = event.packet
        session.missed = [missed[position] for position in sorted(missed)]
        return True

    def on_deadline(self, now: float) -> None:
        """Drop what is over."""
        duration = self._options.max_disconnection_duration
        next_at = inf
        sessions, ended, events = self._sessions, self._ended, self._events
        while sessions:
            oldest = next(iter(sessions.values()))
            assert oldest.disconnected_at is not None
            if oldest.disconnected_at + duration >= now:
                next_at = oldest.disconnected_at + duration
                break
            self._owner.count("recovery_sessions_expired")
            self._drop_session(now, RecoveryFailure.EXPIRED)
        while ended:
            ended_at, _ = next(iter(ended.values()))
            if ended_at + duration >= now:
                next_at = min(next_at, ended_at + duration)
                break
            ended.popitem(last=False)
        while events and events[0].emitted_at + duration + self._window < now:
            self._drop_event()
        if events:
            next_at = min(next_at, events[0].emitted_at + duration + self._window)
        for emptied in (sessions, ended):
            if not emptied:
                emptied.clear()  # or its table stays as large as it ever was
        self.deadline = inf
        self._wake(next_at)

    def _wake(self, at: float) -> None:
        at += self._options.max_disconnection_duration / SWEEPS
        if at < self.deadline:
            self.deadline = at
            self._owner.schedule(self)

    def _drop_event(self) -> None:
        event = self._events.popleft()
        event.leave()
        self._size -= event.size
        self._gone = event.position
        self._gone_emitted_at = event.emitted_at

    def _drop_session(self, now: float, failure: RecoveryFailure) -> None:
        pid, session = self._sessions.popitem(last=False)
        self._ended[pid] = (now, failure)
        if len(self._ended) > self._options.max_sessions:
            self._ended.popitem(last=False)
        session.keeper.session_gone(session)


_UNKNOWN: Final = (0.0, RecoveryFailure.UNKNOWN_SESSION)


def _behind(position: int, events: list[StoredEvent]) -> Iterator[StoredEvent]:
    start = bisect_right(events, position, key=_position)
    return islice(events, start, None)


def _position(event: StoredEvent) -> int:
    return event.position

"""Clients that come back to whichever node: what they miss is in the stream, their sessions are in the broker.

The offset of an event is the id of its entry. A node that takes a client back finds what it has missed in two places that have nothing in
common and leave nothing out: up to where this node has read the stream, there; from then on, in what it reads until the client is in.

**Nobody waits long for the broker.** Where an event does not come back from the stream in time, or the broker is gone, the clients of this
node get it without an offset, counted. One of them that comes back before it has got another event may get it twice.

Source:
    socket.io-redis-streams-adapter 0.3.1, ``persistSession`` and ``restoreSession``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from roomcast._core import EncodedPacket, Encoder
from roomcast.adapters.appender import fields_of
from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.entries import BEGINNING, id_of, number_of
from roomcast.adapters.held import Held, Line, Recipients
from roomcast.adapters.session_store import MAX_ID, Broadcast, SessionBus, SessionStore
from roomcast.engine.outbox import DONE, Drain
from roomcast.errors import BrokerError
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.recoverable import RecoverableSocket, SessionAwareAdapter
from roomcast.server.recovery import RecoveryFailure
from roomcast.server.sessions import Session, Sessions
from roomcast.sockets.flags import SocketFlags

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace
    from roomcast.server.socket import Socket

__all__ = ["StreamsSessionAdapter"]

LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks whether the oldest event that waits is still the same."""

MAX_LOOKS: Final = 5
"""Looks at the same event after which nothing waits any more, until the stream is heard again. Counted, and not timed: after a stall of
this process what has arrived meanwhile is read first."""

MAX_HELD: Final = 10_000
"""Packets that wait in a namespace. Beyond, all are sent without offsets."""

RESTORE_TIMEOUT: Final = 5.0
"""Seconds that a client waits for its session. Beyond, it gets a new one."""

PAGE: Final = 500
"""Entries of the stream that are read with one command."""


AddOffset = Callable[[str], EncodedPacket]


class StreamsSessionAdapter(ClusterAdapter, SessionAwareAdapter):
    """The adapter of a namespace whose sockets may come back, to this node or another one.

    Attributes:
        link: What reaches the stream.
    """

    holds = True
    link: SessionBus
    _store: SessionStore

    def __init__(self, nsp: "Namespace", sessions: Sessions) -> None:
        """Begin without any socket; `reach` follows at once."""
        SessionAwareAdapter.__init__(self, nsp, sessions)
        self._line = Line(self._choose)
        # What was restored and is not in use yet, by the ids of the sockets.
        self._restoring: dict[str, Session] = {}
        # The one that is about to leave: for it nothing waits any more.
        self._leaving: RecoverableSocket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0
        self._looked_at: Held | None = None
        # Not None while the stream is not waited for: the number from which on it is heard again.
        self._late_until: int | None = None

    def reach(self, link: SessionBus, key_prefix: str) -> None:
        """Learn what reaches the stream, and what the keys of sessions begin with."""
        self.link = link
        self._store = SessionStore(link, key_prefix, self)

    @property
    def position(self) -> int:
        """The place of the last entry that was read."""
        return self.link.reader.position

    def concerns(self, room: str) -> bool:
        """Say whether what is sent to a room or an id may be for somebody here; those who are away look for it in the stream."""
        rooms = self.rooms
        return bool(rooms.members(room) or self._restoring) or rooms.get(room) is not None

    @property
    def concerns_anybody(self) -> bool:
        """Whether what is sent to all may be for somebody here."""
        return bool(len(self.rooms) or self._restoring)

    def close(self) -> None:
        """End: the namespace is no more."""
        if self._timer is not None:
            self._timer.cancel()
        super().close()

    # Rooms: who gets what waits is decided before anything changes.

    def add(self, socket: "Socket", rooms: Iterable[str]) -> None:
        """Make a connected socket known; one that has come back gets what waits for it."""
        assert isinstance(socket, RecoverableSocket)
        session = self._restoring.pop(socket.id, None)
        self._line.settle()
        if session is not None:
            self._line.came_back(socket, partial(_is_meant, session))
        super().add(socket, rooms)

    def add_all(self, id: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Put a socket into rooms; an unknown id is ignored."""
        self._line.settle()
        return super().add_all(id, rooms)

    def del_(self, id: str, room: str) -> Awaitable[None]:
        """Take a socket out of a room; an unknown id or room is ignored."""
        self._line.settle()
        return super().del_(id, room)

    def del_all(self, id: str) -> None:
        """Forget a socket."""
        self._line.settle()
        self._leaving = None
        super().del_all(id)

    # What is sent.

    def broadcast(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> Awaitable[None]:
        """Send an event to everybody whom the options name, on all nodes; as `Adapter.broadcast`."""
        if options.local or options.volatile:
            held = self._unkept(event, args, options, None)
            if not options.local:
                self.bus.broadcast(event, args, options)
            self._send(held)
        else:
            self._send(self._kept(event, args, options, None))
        self._tell_outgoing(event, args, options)
        if not self.nsp.server.engine.flusher.congested:
            return DONE
        return Drain([socket.outbox for socket in self.select(options)])

    def emit_to(
        self, socket: RecoverableSocket, event: str, args: tuple[Any, ...], flags: SocketFlags
    ) -> None:
        """Send an event to one socket, wherever its session is by then; as `SessionAwareAdapter.emit_to`."""
        id = socket.id
        current = self.rooms.get(id)
        assert current is None or isinstance(current, RecoverableSocket)
        options = BroadcastOptions(rooms=(id,), compress=flags.compress, volatile=flags.volatile)
        if current is None and socket.is_new:
            held = self._unkept(event, args, options, None, always=not flags.volatile)
            socket.send_now(self._finished(held), flags.volatile)
        elif flags.volatile:
            self._send(self._unkept(event, args, options, {id: socket}))
        elif current is None and id not in self._away:
            return
        else:
            recipients = {} if current is None else {id: current}
            self._send(self._kept(event, args, options, recipients))
            if current is not None:
                current.tell_outgoing(event, args)
                return
        if socket.is_open:
            socket.tell_outgoing(event, args)

    def hold(self, socket: RecoverableSocket, packet: EncodedPacket, volatile: bool) -> bool:
        """Keep a packet back if events wait; say whether that is so."""
        if not self._line or socket is self._leaving:
            return False
        recipients = {socket.id: socket}
        self._append(Held(packet, None, None, None, recipients, volatile=volatile))
        return True

    def let_go(self, socket: RecoverableSocket) -> None:
        """Send a socket everything that waits, without offsets: nobody comes back after this."""
        self._line.let_go(socket)
        self._leaving = socket

    def deliver_entry(
        self, id: bytes, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> None:
        """Send an event of another node to the sockets of this one."""
        offset, nsp = id.decode(), self.nsp
        self._offer(offset, Broadcast(event, args, options))
        told = args if options.volatile and not _ends_with_text(event, args) else (*args, offset)
        packet = nsp.server.encoder.encode_event(nsp.name, event, told, None, options.compress)
        self._push_now(packet, options)
        self._tell_outgoing(event, args, options)

    def own_entry(self, id: bytes, fields: dict[bytes, bytes]) -> None:
        """Learn the id of an entry of this node, and send the event if it has waited."""
        digits = fields.get(b"seq", b"")
        if not digits.isdigit():
            return
        position, line = int(digits), self._line
        while (head := line.head) is not None:
            if head.position is not None and head.position > position:
                break
            line.pop()
            self._release(head, id.decode() if head.position == position else None)
        if self._late_until is not None and position >= self._late_until:
            self._late_until = None
        if self._restoring:
            broadcast = self.link.read_broadcast(fields)
            if broadcast is not None:
                self._offer(id.decode(), broadcast)

    def _push(self, packet: EncodedPacket, options: BroadcastOptions) -> Awaitable[None]:
        if not self._line:
            return self._push_now(packet, options)
        self._append(Held(packet, None, None, options, None, volatile=options.volatile))
        return DONE

    def _push_now(self, packet: EncodedPacket, options: BroadcastOptions) -> Awaitable[None]:
        return super()._push(packet, options)

    def _choose(self, options: BroadcastOptions) -> list[RecoverableSocket]:
        return [each for each in self.select(options) if isinstance(each, RecoverableSocket)]

    def _kept(
        self,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        recipients: Recipients | None,
    ) -> Held:
        """Return an event that is appended to the stream."""
        packet, add_offset = self._encoded(event, args, options)
        position = self.link.append_broadcast(event, args, options)
        return Held(packet, add_offset, position, options, recipients)

    def _unkept(
        self,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        recipients: Recipients | None,
        *,
        always: bool = False,
    ) -> Held:
        """Return an event that nobody can miss: clients take the last text for an offset, so one behind a text gets one too."""
        packet, add_offset = self._encoded(event, args, options)
        needed = add_offset if always or _ends_with_text(event, args) else None
        return Held(packet, needed, None, options, recipients, volatile=options.volatile)

    def _encoded(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> tuple[EncodedPacket, AddOffset]:
        """Return an event, and what adds an offset to it."""
        nsp, compress = self.nsp, options.compress
        encoder = nsp.server.encoder
        packet = encoder.encode_event(nsp.name, event, args, None, compress)
        if isinstance(encoder, Encoder):
            return packet, partial(_with_offset, packet)
        # A parser of the program: encoded anew, so what it is made of must be fixed now.
        notepack = self.link.notepack
        name, *fixed = notepack.unpack(notepack.pack_event(nsp.name, event, args))

        def add_offset(offset: str) -> EncodedPacket:
            return encoder.encode_event(nsp.name, name, (*fixed, offset), None, compress)

        return packet, add_offset

    def _send(self, held: Held) -> None:
        """Send an event as soon as its id is known and everything before it is sent."""
        if held.position is None:
            if self._line:
                self._append(held)
            else:
                self._release(held, None)
        elif self._late_until is None and self.link.is_prompt:
            self._append(held)
        else:
            self._send_all()
            self._release(held, None)

    def _append(self, held: Held) -> None:
        self._line.append(held)
        if len(self._line) > MAX_HELD:
            self._give_up()
        elif self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_INTERVAL, self._look)

    def _look(self) -> None:
        """See whether anything comes back from the stream."""
        self._timer = None
        head = self._line.head
        if head is None:
            self._looked_at = None
            return
        if head is not self._looked_at:
            self._looked_at, self._looks = head, 0
        self._looks += 1
        if self._looks >= MAX_LOOKS or not self.link.is_prompt:
            self._give_up()
        else:
            self._wait()

    def _give_up(self) -> None:
        self._late_until = self._line.last_position
        self._send_all()

    def _send_all(self) -> None:
        while self._line:
            self._release(self._line.pop(), None)

    def _release(self, held: Held, offset: str | None) -> None:
        """Send what has waited."""
        if offset is not None and held.add_offset is not None and held.position is not None:
            packet = held.add_offset(offset)
        elif held.position is None:
            packet = self._finished(held)
        else:
            self.nsp.server.engine.count("without_offset")
            packet = held.packet
        if held.recipients is not None:
            for socket in held.recipients.values():
                socket.send_now(packet, held.volatile)
        elif held.options is not None:
            self._push_now(packet, held.options)

    def _finished(self, held: Held) -> EncodedPacket:
        """Return an event that nobody can miss, with the newest offset if it needs one."""
        last = self.link.reader.last
        if held.add_offset is None or last in (None, BEGINNING):
            return held.packet
        return held.add_offset(id_of(self.position))

    # Sessions.

    def persist_session(self, session: Session) -> None:
        """Let the broker keep a session."""
        super().persist_session(session)
        self._restoring.pop(session.sid, None)
        assert session.disconnected_at is not None
        age = self.nsp.server.engine.now() - session.disconnected_at
        self._store.keep(session, self.sessions.duration - age)

    def session_gone(self, session: Session) -> None:
        """Learn that nobody comes back to this node for a session."""
        if self._restoring.get(session.sid) is session:
            del self._restoring[session.sid]
        super().session_gone(session)

    def find_missed(self, session: Session, rooms: Iterable[str]) -> bool:
        """Say whether all that a restored session has missed is there: what comes meanwhile is added as it comes."""
        return True

    async def restore_session(self, pid: object, offset: object) -> Session | RecoveryFailure:
        """Return a session, from whatever node, with what it has missed, or why there is none.

        Source:
            socket.io-redis-streams-adapter, ``restoreSession``. Differs from it: ``offset`` may be missing if the session is of a
            roomcast node, volatile events are not sent again, and events to a room that was joined late only from then on.
        """
        after = None if offset is None else number_of(offset)
        if offset is not None and after is None:
            return RecoveryFailure.UNKNOWN_OFFSET
        if not isinstance(pid, str) or not 0 < len(pid) <= MAX_ID:
            return RecoveryFailure.UNKNOWN_SESSION
        if not self._take_over(pid):
            return RecoveryFailure.IN_USE
        kept = self.sessions.take(pid, self)
        restored: Session | RecoveryFailure
        try:
            async with asyncio.timeout(RESTORE_TIMEOUT):
                restored = await self._restored(pid, after, kept)
        except (BrokerError, TimeoutError):
            restored = RecoveryFailure.STORAGE_ERROR
        if isinstance(kept, Session) and restored is not kept:
            super().session_gone(kept)
        if isinstance(restored, Session):
            self._away[restored.sid] = restored
        return restored

    async def _restored(
        self, pid: str, after: int | None, kept: Session | RecoveryFailure
    ) -> Session | RecoveryFailure:
        link = self.link
        if not link.is_prompt:
            return RecoveryFailure.STORAGE_ERROR
        session = await self._store.take(pid)
        if session is None:
            return kept if isinstance(kept, RecoveryFailure) else RecoveryFailure.UNKNOWN_SESSION
        session.disconnected_at = self.nsp.server.engine.now()
        if self.rooms.get(session.sid) is not None or session.sid in self._restoring:
            return RecoveryFailure.IN_USE
        if (
            after is None and session.begin < 0
        ):  # of a Node.js server, which does not say where it began
            return RecoveryFailure.UNKNOWN_OFFSET
        session.after = max(after or 0, session.begin)
        await link.reader.reached(session.after)
        # From here on `_offer` finds what it misses.
        until = self.position
        self._restoring[session.sid] = session
        failure: RecoveryFailure | None = RecoveryFailure.STORAGE_ERROR
        try:
            failure = await self._find(session, until)
        finally:
            if failure is not None:
                self._restoring.pop(session.sid, None)
        return session if failure is None else failure

    async def _find(self, session: Session, until: int) -> RecoveryFailure | None:
        """Find what a session has missed up to a place in the stream; say why that cannot be told."""
        link = self.link
        missed: list[EncodedPacket] = []
        size, after = 0, session.after
        limit = self.nsp.server.options.limits.send_buffer_size
        while after < until:
            begin, end = f"({id_of(after)}".encode(), id_of(until).encode()
            page = await link.query(b"XRANGE", link.stream, begin, end, b"COUNT", b"%d" % PAGE)
            for id, items in page:
                after = number_of(id.decode("ascii", "replace")) or until
                broadcast = link.read_broadcast(fields_of(items))
                if broadcast is not None:
                    packet = self._missed(session, id.decode(), broadcast)
                    if packet is not None:
                        missed.append(packet)
                        size += packet.size
            if size > limit:
                return RecoveryFailure.TOO_LARGE
            if len(page) < PAGE:
                break
        session.missed[:0] = missed  # what has come meanwhile is behind it
        # Last, since the broker drops what is old at any time: if it is there now, nothing behind it was dropped before.
        return await self._store.why_incomplete(session)

    def _offer(self, offset: str, broadcast: Broadcast) -> None:
        """Add an event to what those have missed who are about to come back."""
        for session in self._restoring.values():
            packet = self._missed(session, offset, broadcast)
            if packet is not None:
                session.missed.append(packet)

    def _missed(self, session: Session, offset: str, broadcast: Broadcast) -> EncodedPacket | None:
        """Return an event as a session gets it that has missed it; ``None`` if it has not."""
        event, args, options = broadcast
        position = number_of(offset)
        if options.volatile or position is None or position <= session.after:
            return None
        if not _is_meant(session, options, position):
            return None
        nsp = self.nsp
        return nsp.server.encoder.encode_event(
            nsp.name, event, (*args, offset), None, options.compress
        )


def _with_offset(packet: EncodedPacket, offset: str) -> EncodedPacket:
    """Return a packet of an event with an argument more."""
    text = packet.text
    assert text is not None  # our own encoder's; with the digit of Engine.IO, which is added anew
    return EncodedPacket([f'{text[1:-1]},"{offset}"]', *packet.attachments], True, packet.compress)


def _ends_with_text(event: object, args: tuple[Any, ...]) -> bool:
    return isinstance(args[-1] if args else event, str)


def _is_meant(session: Session, options: BroadcastOptions, position: int | None = None) -> bool:
    """Say whether a session was to get an event, which is at a place in the stream, or newer than all that is read."""

    def has(name: str) -> bool:
        if name == session.sid:
            return True
        since = session.rooms.get(name)
        return since is not None and (position is None or since < position)

    return (
        (not options.rooms or any(map(has, options.rooms)))
        and all(map(has, options.all_of))
        and not any(map(has, options.except_))
    )

"""Sessions in the broker, where each node of a cluster over Redis Streams finds them.

Source:
    socket.io-redis-streams-adapter 0.3.1, ``persistSession`` and ``restoreSession``.
"""

from base64 import b64encode
from binascii import Error as Base64Error, a2b_base64
from typing import Any, Final, NamedTuple, Protocol

from roomcast.adapters.appender import fields_of
from roomcast.adapters.entries import BEGINNING, id_of, number_of
from roomcast.adapters.notepack import Notepack, UnpackError
from roomcast.adapters.reader import StreamReader
from roomcast.adapters.wire import is_list, is_object
from roomcast.errors import BrokerError
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.recovery import RecoveryFailure
from roomcast.server.sessions import Keeper, Session

__all__ = ["MAX_ID", "SESSION_KEY_PREFIX", "Broadcast", "SessionBus", "SessionStore"]

SESSION_KEY_PREFIX: Final = "sio:session:"
"""What the keys of sessions begin with, unless told otherwise."""

MAX_ID: Final = 200
"""Characters of a private id. Beyond, it is none; ours have 20."""


class Broadcast(NamedTuple):
    """What an entry is to deliver."""

    event: str
    args: tuple[Any, ...]
    options: BroadcastOptions


class SessionBus(Protocol):
    """What reaches the stream of a namespace, and the broker.

    Attributes:
        stream: The stream.
        unpolled: The stream that only Node.js servers write to for this namespace, if there is one.
        reader: What reads the stream.
    """

    stream: bytes
    unpolled: bytes | None
    reader: StreamReader

    @property
    def is_prompt(self) -> bool:
        """Whether what is appended now comes back in a moment, as far as anybody knows."""
        ...

    @property
    def notepack(self) -> Notepack:
        """MessagePack, with the hook of the server."""
        ...

    def broadcast(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Let the other nodes send an event."""

    def append_broadcast(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> int:
        """Append an event to the stream; return its number."""
        ...

    def read_broadcast(self, fields: dict[bytes, bytes]) -> Broadcast | None:
        """Return what an entry of any node is to deliver, if it is a broadcast of this namespace."""
        ...

    def order(self, *words: bytes) -> None:
        """Let the broker do something that nobody waits for."""

    async def query(self, *words: bytes) -> Any:
        """Ask the broker something.

        Raises:
            BrokerError: If it does not answer, or refuses.
        """

    def count_dropped(self, counter: str, reason: str) -> None:
        """Count something that is dropped; the first of its kind is logged."""


class SessionStore:
    """The sessions of one namespace."""

    def __init__(self, bus: SessionBus, key_prefix: str, keeper: Keeper) -> None:
        """Take where they are, and who hands them over."""
        self._bus = bus
        self._key_prefix = key_prefix
        self._keeper = keeper

    def keep(self, session: Session, seconds: float) -> None:
        """Let the broker keep a session for so long."""
        duration = round(seconds * 1000)
        if duration > 0:
            key = self._key(session.pid)
            self._bus.order(b"SET", key, self._packed(session), b"PX", b"%d" % duration)

    async def take(self, pid: str) -> Session | None:
        """Return a session, which is kept no longer; ``None`` if there is none.

        Raises:
            BrokerError: If the broker does not answer.
        """
        packed = await self._bus.query(b"GETDEL", self._key(pid))
        return None if packed is None else self._unpacked(pid, packed)

    async def why_incomplete(self, session: Session) -> RecoveryFailure | None:
        """Say why the stream may not have everything behind the place of a session; ``None`` if it has.

        Raises:
            BrokerError: If the broker does not answer.
        """
        bus, after = self._bus, id_of(session.after).encode()
        if bus.unpolled is not None:
            moment = b"%d" % (session.after >> 64)
            if await bus.query(b"XRANGE", bus.unpolled, moment, b"+", b"COUNT", b"1"):
                return RecoveryFailure.EVICTED  # where it stands among those is not known
        if after == BEGINNING:
            return None if await self._nothing_trimmed() else RecoveryFailure.EVICTED
        if await bus.query(b"XRANGE", bus.stream, after, after, b"COUNT", b"1"):
            return None
        first = await bus.query(b"XRANGE", bus.stream, b"-", b"+", b"COUNT", b"1")
        begin = number_of(first[0][0].decode("ascii", "replace")) if first else None
        is_older = begin is None or session.after < begin
        return RecoveryFailure.EVICTED if is_older else RecoveryFailure.UNKNOWN_OFFSET

    async def _nothing_trimmed(self) -> bool:
        """Say whether the stream has everything that was ever in it."""
        try:
            told = fields_of(await self._bus.query(b"XINFO", b"STREAM", self._bus.stream))
        except BrokerError:  # there is no stream
            return True
        return told.get(b"entries-added") == told.get(b"length")

    def _key(self, pid: str) -> bytes:
        return f"{self._key_prefix}{pid}".encode("utf-8", "replace")

    def _packed(self, session: Session) -> bytes:
        """Return a session as the reference stores it; what it has more, the reference does not look at."""
        record: dict[str, Any] = {
            "sid": session.sid,
            "pid": session.pid,
            "rooms": [session.sid, *session.rooms],
            "data": session.data or {},
            "since": {room: id_of(max(since, 0)) for room, since in session.rooms.items()},
        }
        if session.begin >= 0:
            record["begin"] = id_of(session.begin)
        pack = self._bus.notepack.pack
        try:
            return b64encode(pack(record))
        except (TypeError, ValueError) as error:
            self._bus.count_dropped("unsent_data", f"data of a session: {error}")
            return b64encode(pack(record | {"data": {}}))

    def _unpacked(self, pid: str, packed: Any) -> Session | None:
        """Return a session that was stored, or ``None`` if it is none; one of Node.js does not say where it began."""
        try:
            record = self._bus.notepack.unpack(a2b_base64(packed))
        except (Base64Error, TypeError, ValueError, UnpackError) as error:
            self._bus.count_dropped("invalid", f"a session: {error}")
            return None
        sid = record.get("sid") if is_object(record) else None
        if not isinstance(sid, str) or not 0 < len(sid) <= MAX_ID or record.get("pid") != pid:
            self._bus.count_dropped("invalid", "a session of nobody")
            return None
        given, since = record.get("rooms"), record.get("since")
        places = since if is_object(since) else {}
        rooms = {
            room: number_of(places.get(room)) or 0
            for room in (given if is_list(given) else [])
            if isinstance(room, str) and room != sid
        }
        begin, data = number_of(record.get("begin")), record.get("data")
        return Session(
            sid,
            pid,
            rooms,
            data if is_object(data) else {},
            -1 if begin is None else begin,
            self._keeper,
        )

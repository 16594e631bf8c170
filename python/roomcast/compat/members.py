"""The clients of a server by their ids, from the moment at which ``connect`` handlers hear of them until ``disconnect`` handlers are done.

So a client is here longer than it is in roomcast's rooms, at both ends: python-socketio counts it as a member of its namespace while
its ``connect`` handler runs, and its rooms and its session are there while its ``disconnect`` handler runs.
"""

import asyncio
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from roomcast.compat.environ import Environ, environ_of
from roomcast.compat.rooms import Room, room_from
from roomcast.server import Client, Socket

__all__ = ["Line", "Member", "Members", "Session"]

Session = dict[str, Any]
"""What an application keeps of a client; python-socketio's user session."""


class Line:
    """One connection, as far as the namespaces on it share something.

    Attributes:
        sessions: The user sessions by namespace; one that is joined again has its session still.
        turn: Held by the handler that runs, where handlers of a connection run one after the other.
    """

    __slots__ = ("_environ", "sessions", "turn")

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.turn = asyncio.Lock()
        self._environ: Environ | None = None

    def environ(self, socket: Socket) -> Environ:
        """Return the environment of the request that opened the connection; the same dict each time."""
        if self._environ is None:
            self._environ = environ_of(socket.request)
        return self._environ


class Member:
    """A client in a namespace.

    Attributes:
        socket: Its socket.
        line: Its connection.
        decided: Set when its ``connect`` handler is done.
        leaving: Whether its ``disconnect`` handler runs, or is about to.
        refused: Whether its ``connect`` handler has refused it, so that no ``disconnect`` handler is called.
        gone: Set when its ``disconnect`` handlers are done.
    """

    __slots__ = ("_left_rooms", "decided", "gone", "leaving", "line", "refused", "socket")

    def __init__(self, socket: Socket, line: Line) -> None:
        self.socket = socket
        self.line = line
        self.decided = asyncio.Event()
        self.leaving = False
        self.refused = False
        self.gone = asyncio.Event()
        self._left_rooms: set[str] = set()

    @property
    def rooms(self) -> list[Room]:
        """Its rooms, its own first."""
        socket = self.socket
        names = self._left_rooms if self.leaving else socket.rooms
        return [socket.id, *map(room_from, sorted(names - {socket.id}))]

    def leave(self) -> None:
        """Remember the rooms for the ``disconnect`` handlers."""
        self._left_rooms = self.socket.rooms
        self.leaving = True

    def is_among(self, names: tuple[str, ...] | None) -> bool:
        """Say whether it is in one of these rooms, ``None`` for everybody."""
        return names is None or self.socket.id in names or not self.socket.rooms.isdisjoint(names)


class Members:
    """The clients of a server, by namespace and id."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, Member]] = {}
        self._pending: dict[str, dict[str, Member]] = {}
        self._lines: WeakKeyDictionary[Client, Line] = WeakKeyDictionary()

    def add(self, socket: Socket, *, pending: bool) -> Member:
        """Take a client whose ``connect`` handler is about to be called; pending until its namespace has let it in."""
        line = self._lines.get(socket.client)
        if line is None:
            line = self._lines[socket.client] = Line()
        member = Member(socket, line)
        nsp = socket.nsp.name
        self._members.setdefault(nsp, {})[socket.id] = member
        if pending:
            self._pending.setdefault(nsp, {})[socket.id] = member
        return member

    def get(self, sid: Any, nsp: str) -> Member | None:
        """Return a client, if it is here; an id of another type is nobody's."""
        return self._members.get(nsp, _NOBODY).get(sid)

    def connected(self, member: Member) -> None:
        """Learn that a client is not pending any more."""
        _discard(self._pending, member.socket)

    def remove(self, member: Member) -> None:
        """Forget a client."""
        _discard(self._pending, member.socket)
        _discard(self._members, member.socket)

    def pending(self, nsp: str) -> list[Member]:
        """Return the clients that are in no room of roomcast's yet, for which python-socketio's broadcasts are, too."""
        return list(self._pending[nsp].values()) if nsp in self._pending else []

    def namespaces(self) -> list[str]:
        """Return the namespaces that have clients."""
        return list(self._members)

    def of(self, nsp: str) -> Iterator[Member]:
        """Yield the clients of a namespace."""
        yield from list(self._members.get(nsp, _NOBODY).values())


_NOBODY: dict[str, Member] = {}


def _discard(members: dict[str, dict[str, Member]], socket: Socket) -> None:
    nsp = socket.nsp.name
    there = members.get(nsp)
    if there is not None:
        there.pop(socket.id, None)
        if not there:
            del members[nsp]

"""What applications ask python-socketio's client manager, because its server has no such call."""

from collections.abc import Iterator
from typing import Any

from roomcast.compat.members import Members
from roomcast.compat.rooms import Room, room_names

__all__ = ["Manager"]


class Manager:
    """The clients of this server; ``AsyncServer.manager``.

    Source:
        python-socketio, ``BaseManager``, what of it is a question.
    """

    def __init__(self, members: Members) -> None:
        """Take the clients."""
        self._members = members

    def get_namespaces(self) -> list[str]:
        """Return the namespaces that have clients."""
        return self._members.namespaces()

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Yield the id of each client in a room, ``None`` for all, and the id of its connection."""
        names = room_names(room)
        for member in self._members.of(namespace):
            if member.is_among(names):
                yield member.socket.id, member.socket.conn.id

    def get_rooms(self, sid: str, namespace: str) -> list[Room]:
        """Return the rooms of a client; none for one that is not here."""
        member = self._members.get(sid, namespace)
        return [] if member is None else member.rooms

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Say whether a client is connected: its ``connect`` handler is done, its ``disconnect`` handler has not begun."""
        member = self._members.get(sid, namespace)
        return member is not None and member.socket.connected and not member.leaving

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """Return the id of a client's connection, which is a secret."""
        member = self._members.get(sid, namespace)
        return None if member is None else member.socket.conn.id

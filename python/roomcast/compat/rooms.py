"""Names of rooms: python-socketio takes anything for one, roomcast texts.

Integers, which applications like for rooms of users and orders, get a text of their own. No text that an application or one of its
clients chooses is that of an integer: 5 and "5" are two rooms.
"""

from collections.abc import Iterable
from typing import Any, Final

__all__ = ["Room", "Rooms", "room_from", "room_name", "room_names"]

Room = str | int
"""One room."""

Rooms = Room | Iterable[Room]
"""One or several."""

_INTEGER: Final = "\0int:"
_TEXT: Final = "\0str:"


def room_name(room: object) -> str:
    """Return the name that roomcast has for a room.

    Raises:
        TypeError: If it is neither a ``str`` nor an ``int``.
    """
    if type(room) is str:
        return _TEXT + room if room.startswith("\0") else room
    if isinstance(room, str):
        return room_name(str(room))
    if isinstance(room, int):
        return f"{_INTEGER}{int(room)}"
    raise TypeError(f"a room must be a str or an int, not {type(room).__name__}: take str(room)")


def room_from(name: str) -> Room:
    """Return the room of a name."""
    if not name.startswith("\0"):
        return name
    if name.startswith(_INTEGER):
        return int(name.removeprefix(_INTEGER))
    return name.removeprefix(_TEXT)


def room_names(rooms: Any) -> tuple[str, ...] | None:
    """Return the names of one room or several; ``None`` where everybody is meant.

    Raises:
        TypeError: If one is neither a ``str`` nor an ``int``.
        ValueError: If there is none among several.
    """
    if rooms is None:
        return None
    if isinstance(rooms, str | int):
        return (room_name(rooms),)
    names = tuple([room_name(room) for room in rooms])
    if not names:
        raise ValueError("an empty list of rooms; to reach everybody, leave it out")
    return names

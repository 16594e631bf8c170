"""The classic format, without its transport: channels, numbers of requests, and what a message must look like.

Source:
    socket.io-redis-adapter 8.3.0, ``lib/index.ts``; socket.io-redis-emitter 5.1.0, ``lib/index.ts``.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeGuard

from roomcast.adapters.notepack import LIMITS, Notepack, UnpackError
from roomcast.codec import Decoder
from roomcast.errors import PacketError
from roomcast.server.adapter import BroadcastOptions
from roomcast.types import PacketType

__all__ = [
    "BRACE",
    "EMITTER",
    "KEY",
    "MAX_SIZE",
    "Channels",
    "InvalidMessageError",
    "RequestType",
    "Requests",
    "buffer_of",
    "is_list",
    "is_object",
    "json_of",
    "read_event",
    "read_json",
    "read_names",
    "read_options",
    "write_choice",
    "write_options",
]

KEY: Final = "socket.io"
"""What the names of all channels begin with, unless told otherwise."""

EMITTER: Final = "emitter"
"""The id of all who only send."""

MAX_SIZE: Final = 32_000_000
"""Bytes of one message. Beyond: dropped, unread. The answer of a node with 10 000 sockets has 10 MB."""

BRACE: Final = 0x7B


class RequestType(IntEnum):
    """What stands under ``type`` in a request or an answer; from 10 on it is roomcast's own, and ignored by others."""

    SOCKETS = 0
    ALL_ROOMS = 1
    REMOTE_JOIN = 2
    REMOTE_LEAVE = 3
    REMOTE_DISCONNECT = 4
    REMOTE_FETCH = 5
    SERVER_SIDE_EMIT = 6
    BROADCAST = 7
    BROADCAST_CLIENT_COUNT = 8
    BROADCAST_ACK = 9
    BROADCAST_GONE = 10
    POSITION = 11


class InvalidMessageError(ValueError):
    """A message that no node of the cluster has sent."""


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of a namespace.

    Attributes:
        broadcast: For broadcasts; with a room and a number sign behind it, for those to exactly that room.
        request: For requests.
        response: For answers; with the id of a node and a number sign behind it, for those to that node.
        own: For what Node.js nodes would get wrong: broadcasts and requests with ``all_of``; and for `RequestType.POSITION`.
    """

    broadcast: bytes
    request: bytes
    response: bytes
    own: bytes

    @classmethod
    def of(cls, key: str, nsp: str) -> "Channels":
        """Return those of a namespace."""
        return cls(
            broadcast=f"{key}#{nsp}#".encode(),
            request=f"{key}-request#{nsp}#".encode(),
            response=f"{key}-response#{nsp}#".encode(),
            own=f"{key}-roomcast#{nsp}#".encode(),
        )

    def of_rooms(self, rooms: tuple[str, ...]) -> bytes:
        """Return the channel of a broadcast to rooms."""
        if len(rooms) != 1:
            return self.broadcast
        return b"%b%b#" % (self.broadcast, rooms[0].encode("utf-8", "surrogatepass"))


class Requests:
    """Writes and reads requests and answers: JSON where JSON can express them, else MessagePack.

    Differs from socket.io-redis-adapter: there bytes become an object with the numbers in it; every reader takes both formats.
    """

    def __init__(self, notepack: Notepack) -> None:
        """Take the other format."""
        self._notepack = notepack

    def write(self, request: dict[str, Any]) -> bytes:
        """Return the bytes of a request.

        Raises:
            TypeError: If a value has neither form.
            ValueError: If something is nested too deep.
        """
        text = json_of(request, self._notepack.convert)
        return self._notepack.pack(request) if text is None else text

    def read(self, data: bytes) -> dict[str, Any]:
        """Return what bytes stand for.

        Raises:
            InvalidMessageError: If they are no request.
        """
        if not data or len(data) > MAX_SIZE:
            raise InvalidMessageError("empty, or too large")
        try:
            value = read_json(data) if data[0] == BRACE else self._notepack.unpack(data)
        except UnpackError as error:
            raise InvalidMessageError(str(error)) from error
        if not is_object(value):
            raise InvalidMessageError("no object")
        return value


class _HasBytesError(Exception):
    """JSON cannot express this."""


def json_of(value: Any, convert: Callable[[Any], Any], *, bytes_too: bool = False) -> bytes | None:
    """Return a value as JSON; ``None`` if JSON cannot express it.

    Args:
        value: The value.
        convert: Returns what stands for an object that JSON does not know.
        bytes_too: Whether bytes become what ``JSON.stringify`` makes of a ``Buffer``; else JSON cannot express them.

    Raises:
        TypeError: If ``convert`` has nothing for an object.
    """

    def default(value: Any) -> Any:
        if isinstance(value, bytes | bytearray | memoryview):
            if bytes_too:
                return buffer_of(bytes(value))  # pyright: ignore[reportUnknownArgumentType]  of any buffer
            raise _HasBytesError
        return convert(value)

    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=default)
    except (ValueError, _HasBytesError):
        return None
    return text.encode()


def buffer_of(value: bytes) -> dict[str, Any]:
    """Return what ``JSON.stringify`` makes of a ``Buffer``."""
    return {"type": "Buffer", "data": list(value)}


def read_json(data: bytes) -> Any:
    """Return what a JSON text stands for.

    Raises:
        InvalidMessageError: If it is not exactly one value of JSON, or beyond the limits.
    """
    try:
        items = Decoder(LIMITS).feed(f'2["",{data.decode()}]')
    except (PacketError, UnicodeDecodeError) as error:
        raise InvalidMessageError(str(error)) from error
    assert items is not None
    if len(items.data) != 2:
        raise InvalidMessageError("more than one value")
    return items.data[1]


def write_options(options: BroadcastOptions, *, timeout: bool = False) -> dict[str, Any]:
    """Return whom a broadcast is for, as it travels."""
    flags: dict[str, Any] = {}
    if options.volatile:
        flags["volatile"] = True
    if not options.compress:
        flags["compress"] = False
    if timeout and options.timeout is not None:
        flags["timeout"] = round(options.timeout * 1000)
    return write_choice(options) | {"flags": flags}


def write_choice(options: BroadcastOptions) -> dict[str, Any]:
    """Return which sockets are meant, as it travels."""
    choice: dict[str, Any] = {"rooms": options.rooms, "except": options.except_}
    if options.all_of:
        choice["all_of"] = options.all_of
    return choice


def read_options(value: Any) -> BroadcastOptions:
    """Return whom a broadcast is for.

    Raises:
        InvalidMessageError: If that is not what it says.
    """
    if not is_object(value):
        raise InvalidMessageError("no options")
    fields = value
    given = fields.get("flags")
    flags = given if is_object(given) else {}
    timeout: Any = flags.get("timeout")
    return BroadcastOptions(
        rooms=read_names(fields.get("rooms")),
        all_of=read_names(fields.get("all_of")),
        except_=read_names(fields.get("except")),
        timeout=float(timeout) / 1000 if _is_number(timeout) and timeout > 0 else None,
        volatile=flags.get("volatile") is True,
        compress=flags.get("compress") is not False,
    )


def read_names(value: Any) -> tuple[str, ...]:
    """Return rooms; a number counts as its text, since JavaScript programs may have such rooms.

    Raises:
        InvalidMessageError: If it is something else.
    """
    if value is None:
        return ()
    if not is_list(value):
        raise InvalidMessageError("no list of rooms")
    return tuple([_name(name) for name in value])


def read_event(packet: Any, nsp: str) -> tuple[Any, tuple[Any, ...]] | None:
    """Return the event of a packet and its arguments; ``None`` if it is for another namespace.

    Raises:
        InvalidMessageError: If it is no event.
    """
    if not is_object(packet):
        raise InvalidMessageError("no packet")
    fields = packet
    if fields.get("nsp", "/") != nsp:
        return None
    data = fields.get("data")
    if fields.get("type") != PacketType.EVENT or not is_list(data) or not data:
        raise InvalidMessageError("no event")
    if not isinstance(data[0], str) and not _is_number(data[0]):
        raise InvalidMessageError("no name of an event")
    return data[0], tuple(data[1:])


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Say whether something that was read is a list."""
    return isinstance(value, list)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether something that was read is an object; keys that are no text do no harm."""
    return isinstance(value, dict)


def _name(name: Any) -> str:
    if isinstance(name, str):
        return name
    if _is_number(name):
        return str(int(name)) if name == int(name) else str(name)
    raise InvalidMessageError("no room")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63

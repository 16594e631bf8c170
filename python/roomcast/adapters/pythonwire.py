"""The format of python-socketio's managers: one channel for all namespaces, one JSON document a message.

Since 5.15.1 ``data`` is the list of the arguments. Before, from 5.14 on, one argument stood there by itself, so one that is a list
cannot be told from several. Versions before 5.14 pickle: reading a pickle runs what its sender likes, so none is ever read here.

Beside that format, and ignored by python-socketio: ``roomcast``, which says that a roomcast node has sent a message, and whether an
adapter brings it to the other ones as well.

Source:
    python-socketio 5.18.1, ``PubSubManager``; the older forms from 5.14.0 and 5.15.0.
"""

import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any, Final

from roomcast.adapters.wire import (
    BRACE,
    MAX_SIZE,
    InvalidMessageError,
    is_list,
    is_object,
    read_json,
    read_names,
)
from roomcast.codec import Encoder

__all__ = [
    "CHANNEL",
    "Callback",
    "Emit",
    "PickledError",
    "ask_by",
    "is_id",
    "is_shared",
    "origin_of",
    "read",
    "read_answer",
    "read_emit",
    "read_text",
    "write",
    "write_emit",
]

CHANNEL: Final = "socketio"
"""The channel, unless told otherwise."""

MAX_NAME: Final = 1_024
"""Characters of a namespace, an id or a room that is sent back; what a message names is in every answer to it."""

PICKLE: Final = 0x80
"""The first byte of a pickle since protocol 2."""

SHARED: Final = "shared"
ALONE: Final = "alone"
"""What stands under ``roomcast``: whether the adapter of the sender brings the message to the roomcast nodes, too."""

ID: Final = re.compile(r"[A-Za-z0-9_-]{20}")
"""What the ids of sockets look like, python-socketio's and ours."""

PLACEHOLDER: Final = "_placeholder"


class PickledError(InvalidMessageError):
    """A message of a version that pickles."""


@dataclass(frozen=True, slots=True)
class Callback:
    """Who wants the answers to an event.

    Attributes:
        host: The manager that has asked.
        room: The room that it has asked.
        nsp: The namespace.
        id: What it knows the question by.
    """

    host: str
    room: str
    nsp: str
    id: int | str

    def write(self, args: tuple[Any, ...]) -> bytes:
        """Return the answer of one client.

        Raises:
            TypeError: If JSON cannot express it.
            ValueError: If JSON cannot express it.
        """
        return write(
            "callback", self.host, sid=self.room, namespace=self.nsp, id=self.id, args=args
        )


@dataclass(frozen=True, slots=True)
class Emit:
    """An event for clients.

    Attributes:
        event: The event.
        args: Its arguments.
        rooms: Rooms or ids; empty means everybody.
        skipped: Ids that are left out.
        callback: Who wants the answers.
    """

    event: str
    args: tuple[Any, ...]
    rooms: tuple[str, ...]
    skipped: tuple[str, ...]
    callback: Callback | None


def is_id(name: str) -> bool:
    """Say whether a name looks like the id of a socket."""
    return ID.fullmatch(name) is not None


def origin_of(is_shared: bool) -> str:
    """Return what stands under ``roomcast``: whether an adapter brings the message to roomcast nodes as well."""
    return SHARED if is_shared else ALONE


def is_shared(message: dict[str, Any]) -> bool:
    """Say whether the adapter of a roomcast node brings a message as well."""
    return message.get("roomcast") == SHARED


def ask_by(room: str, nsp: str, id: int) -> list[Any]:
    """Return what asks for answers, as it travels."""
    return [room, nsp, id]


def read(data: bytes) -> dict[str, Any]:
    """Return a message of a manager, whatever it is about.

    Raises:
        PickledError: If it is pickled.
        InvalidMessageError: If it is none.
    """
    if not data or len(data) > MAX_SIZE:
        raise InvalidMessageError("empty, or too large")
    if data[0] == PICKLE:
        raise PickledError("a pickle")
    if data[0] != BRACE:
        raise InvalidMessageError("no JSON object")
    message = read_json(data)
    assert is_object(message)
    read_text(message, "host_id")
    read_text(message, "method")
    return message


def read_text(message: dict[str, Any], field: str) -> str:
    """Return a field that must be a text, and no long one.

    Raises:
        InvalidMessageError: If it is not.
    """
    value = message.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise InvalidMessageError(f"no {field}")
    return value


def read_emit(message: dict[str, Any]) -> Emit:
    """Return what a message of the method ``emit`` says.

    Raises:
        InvalidMessageError: If it is none.
    """
    event = message.get("event")
    if not isinstance(event, str):
        raise InvalidMessageError("no name of an event")
    room, skipped = message.get("room"), message.get("skip_sid")
    rooms = read_names(room if is_list(room) or room is None else [room])
    if room is not None and not rooms:  # an empty choice is nobody, and must not become everybody
        raise InvalidMessageError("no rooms")
    return Emit(
        event,
        _read_args(message, is_exact="roomcast" in message),
        rooms,
        read_names(skipped if is_list(skipped) or skipped is None else [skipped]),
        _read_callback(message),
    )


def read_answer(message: dict[str, Any]) -> tuple[int, tuple[Any, ...]]:
    """Return which question a message of the method ``callback`` answers, and the answer.

    Raises:
        InvalidMessageError: If it is none.
    """
    id, args = message.get("id"), message.get("args")
    if type(id) is not int or not is_list(args):
        raise InvalidMessageError("no answer")
    return id, tuple(args)


def write(method: str, host: str, **fields: Any) -> bytes:
    """Return a message.

    Raises:
        TypeError: If JSON cannot express a field.
        ValueError: If JSON cannot express a field.
    """
    message = {"method": method, **fields, "host_id": host}
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()


def write_emit(encoder: Encoder, event: str, args: tuple[Any, ...], **fields: Any) -> bytes:
    """Return an event for clients.

    Args:
        encoder: Makes JSON of the arguments, with what the program knows of its own types.
        event: The event.
        args: Its arguments.
        fields: The other fields.

    Raises:
        EncodeError: If an argument has no JSON form.
    """
    packet = encoder.encode_event("/", "e", args)
    assert packet.text is not None  # our own encoder's
    begin = packet.text.index("[") + len('["e"')
    arguments = "[" + packet.text[begin:].removeprefix(",")
    attachments = packet.attachments
    if attachments:
        texts = [arguments, *(f'"{b64encode(each).decode()}"' for each in attachments)]
        arguments = f"[{','.join(texts)}]"
    head = {"method": "emit", "event": event, "binary": bool(attachments), **fields}
    text = json.dumps(head, separators=(",", ":"), allow_nan=False)
    return f'{text[:-1]},"data":{arguments}}}'.encode()


def _read_args(message: dict[str, Any], *, is_exact: bool) -> tuple[Any, ...]:
    """Return the arguments of an event.

    Args:
        message: The message.
        is_exact: Whether ``data`` is their list in any case; else a single ``null`` is no argument, as in python-socketio.
    """
    data, is_binary = message.get("data"), message.get("binary")
    if is_binary:
        if is_binary is not True or not is_list(data) or not data:
            raise InvalidMessageError("no binary data")
        data = _with_attachments(data[0], [_read_bytes(each) for each in data[1:]])
    if is_list(data):
        return () if data == [None] and not is_exact else tuple(data)
    return () if data is None else (data,)


def _read_bytes(text: Any) -> bytes:
    if not isinstance(text, str):
        raise InvalidMessageError("an attachment that is no text")
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise InvalidMessageError("an attachment that is no base64") from error


def _with_attachments(value: Any, attachments: list[bytes]) -> Any:
    """Put attachments in their places; the nesting is bounded by the reader of JSON."""
    if is_list(value):
        return [_with_attachments(item, attachments) for item in value]
    if not is_object(value):
        return value
    if value.get(PLACEHOLDER) is not True:
        return {key: _with_attachments(item, attachments) for key, item in value.items()}
    number = value.get("num")
    if type(number) is not int or not 0 <= number < len(attachments):
        raise InvalidMessageError("a placeholder without its attachment")
    return attachments[number]


def _read_callback(message: dict[str, Any]) -> Callback | None:
    callback = message.get("callback")
    if callback is None:
        return None
    if not is_list(callback) or len(callback) != 3:
        raise InvalidMessageError("no callback")
    room, nsp, id = callback
    fields: dict[str, Any] = {"room": room, "nsp": nsp}
    if type(id) is not int:
        id = read_text({"id": id}, "id")
    return Callback(
        read_text(message, "host_id"), read_text(fields, "room"), read_text(fields, "nsp"), id
    )

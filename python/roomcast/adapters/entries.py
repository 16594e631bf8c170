"""Entries of a stream, and which stream: the part of format 3 that is its own. Without I/O.

An entry is ``uid nsp type data``, all text: ``type`` a number of `messages.py`, ``data`` JSON, or MessagePack in base64 where there are
bytes in it. roomcast adds ``seq``, the number of the entry among those of its sender, and types from 200 on: those of the format plus
200, for what Node.js servers would get wrong, and so must not know.

Source:
    socket.io-redis-streams-adapter 0.3.1, ``lib/adapter.ts``, ``lib/util.ts``; socket.io-redis-streams-emitter 0.1.1.
"""

import json
import re
from base64 import b64encode
from binascii import Error as Base64Error, a2b_base64
from collections.abc import Callable
from typing import Any, Final

from roomcast.adapters.broker import bulk
from roomcast.adapters.messages import BROADCAST
from roomcast.adapters.notepack import Notepack, UnpackError
from roomcast.adapters.wire import (
    BRACE,
    MAX_SIZE,
    InvalidMessageError,
    buffer_of,
    is_list,
    is_object,
    json_of,
    read_json,
    read_options,
    write_options,
)
from roomcast.codec import Decoder
from roomcast.server.adapter import BroadcastOptions

__all__ = [
    "BEGINNING",
    "MAX_LEN",
    "OWN",
    "STREAM_NAME",
    "Entries",
    "id_of",
    "number_of",
    "peek_options",
    "read_entry",
    "read_head",
    "stream_of",
    "unpolled_stream_of",
]

STREAM_NAME: Final = "socket.io"
"""The name of the stream, unless told otherwise."""

MAX_LEN: Final = 10_000
"""Entries that the broker keeps of a stream, or somewhat more, unless told otherwise. The reference's."""

OWN: Final = 200
"""What is added to the type of an entry that is for roomcast nodes only."""

BEGINNING: Final = b"0-0"
"""The id that is before that of every entry."""

MAX_INT32: Final = 2**31

ID: Final = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)

OPTS: Final = b',"opts":{'

TYPE: Final = re.compile(rb"\d{1,3}")


def stream_of(name: str, count: int, nsp: str) -> bytes:
    """Return the stream of a namespace."""
    return name.encode() if count == 1 else f"{name}-{_hash(nsp) % count}".encode()


def unpolled_stream_of(name: str, count: int, nsp: str) -> bytes | None:
    """Return the stream to which Node.js servers write for a namespace and which none of them reads, if there is one.

    JavaScript's remainder has the sign of the dividend, so for half of all names there is no reader of theirs.
    """
    number = _hash(nsp)
    remainder = -(-number % count) if number < 0 else 0
    return f"{name}-{remainder}".encode() if remainder else None


def _hash(text: str) -> int:
    """Return what ``hashCode`` of the reference does."""
    data = text.encode("utf-16-le", "surrogatepass")
    number = 0
    for begin in range(0, len(data), 2):
        unit = data[begin] | data[begin + 1] << 8
        number = (number * 31 + unit) & 0xFFFFFFFF
    return number - 2**32 if number >= MAX_INT32 else number


def number_of(id: object) -> int | None:
    """Return the place of an id in the order of all, or ``None`` if it is none."""
    match = ID.fullmatch(id) if isinstance(id, str) else None
    return None if match is None else int(match[1]) << 64 | int(match[2])


def id_of(number: int) -> str:
    """Return the id of a place."""
    return f"{number >> 64}-{number & 2**64 - 1}"


def read_entry(notepack: Notepack, fields: dict[bytes, bytes]) -> dict[str, Any]:
    """Return an entry as a message.

    Raises:
        InvalidMessageError: If it is none.
    """
    return read_head(fields) | {"data": _read_data(notepack, fields)}


def read_head(fields: dict[bytes, bytes]) -> dict[str, Any]:
    """Return all of an entry but its data.

    Raises:
        InvalidMessageError: If something is not what it says.
    """
    kind = fields.get(b"type", b"")
    if TYPE.fullmatch(kind) is None:
        raise InvalidMessageError("no type")
    try:
        uid, nsp = fields.get(b"uid", b"").decode(), fields.get(b"nsp", b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidMessageError("a name that is no text") from error
    head: dict[str, Any] = {"type": int(kind), "uid": uid, "nsp": nsp}
    sequence = fields.get(b"seq")
    if sequence is not None:
        if not sequence.isdigit() or len(sequence) > 20:
            raise InvalidMessageError("no sequence number")
        head["seq"] = int(sequence)
    return head


def peek_options(data: bytes) -> BroadcastOptions | None:
    """Return whom a broadcast is for without reading the rest of it, if that is possible: it stands at the end of JSON.

    Within a text there is no quotation mark without a backslash in front, so what begins like that key is one; and if it is that of an
    inner object, more follows than there may be.
    """
    begin = data.rfind(OPTS) if data[:1] == b"{" else -1
    if begin < 0:
        return None
    try:
        return read_options(read_json(data[begin + len(OPTS) - 1 : -1]))
    except InvalidMessageError:
        return None


def _read_data(notepack: Notepack, fields: dict[bytes, bytes]) -> Any:
    data = fields.get(b"data")
    if not data:
        return {}
    if len(data) > MAX_SIZE:
        raise InvalidMessageError("too large")
    if data[0] == BRACE:
        return read_json(data)
    try:
        return notepack.unpack(a2b_base64(data))
    except (Base64Error, UnpackError) as error:
        raise InvalidMessageError(str(error)) from error


class Entries:
    """Writes the entries of one sender in one namespace."""

    def __init__(
        self, notepack: Notepack, uid: str, nsp: str, *, only_plaintext: bool = False
    ) -> None:
        """Take whose they are, and whether bytes travel as the numbers that JavaScript's JSON has for them."""
        self._notepack = notepack
        self._nsp = nsp
        self._only_plaintext = only_plaintext
        self._head = (b"uid", uid.encode(), b"nsp", nsp.encode("utf-8", "replace"), b"type")
        # Of an event's text, in front of its list.
        self._prefix_length = len("42" if nsp == "/" else f"42{nsp},")

    def write(self, kind: int, data: bytes) -> tuple[bytes, ...]:
        """Return the fields of an entry."""
        return (*self._head, b"%d" % kind, b"data", data)

    def appending(self, stream: bytes, max_len: int) -> Callable[[int, bytes, int], bytes]:
        """Return what makes the command, in RESP, of a type, data and a number; what all have in common is made once."""
        fixed = (b"XADD", stream, b"MAXLEN", b"~", b"%d" % max_len, b"*", *self._head)
        head = b"*%d\r\n%b" % (len(fixed) + 5, bulk(*fixed))

        def append(kind: int, data: bytes, position: int) -> bytes:
            return head + bulk(b"%d" % kind, b"data", data, b"seq", b"%d" % position)

        return append

    def broadcast(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions, *, packet_nsp: bool
    ) -> tuple[int, bytes]:
        """Return the type and the data of a broadcast.

        Args:
            event: The event.
            args: Its arguments.
            options: Whom it is for.
            packet_nsp: Whether the packet says its namespace, as that of an emitter does.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
        """
        packet = self._notepack.encoder.encode_event(self._nsp, event, args)
        kind = BROADCAST + OWN if options.all_of else BROADCAST
        opts = write_options(options)
        assert packet.text is not None  # our own encoder's
        if not packet.attachments:
            items = packet.text[self._prefix_length :]
        elif self._only_plaintext:
            items = self._plain(packet.text, packet.attachments)
        else:
            pack = self._notepack.pack
            data = b"\x82\xa6packet%b\xa4type\x02\xa4data%b%b\xa4opts%b" % (
                b"\x83" if packet_nsp else b"\x82",
                self._notepack.pack_event(self._nsp, event, args),
                b"\xa3nsp" + pack(self._nsp) if packet_nsp else b"",
                pack(opts),
            )
            return kind, b64encode(data)
        nsp = f',"nsp":{json.dumps(self._nsp)}' if packet_nsp else ""
        text = (
            f'{{"packet":{{"type":2,"data":{items}{nsp}}},'
            f'"opts":{json.dumps(opts, separators=(",", ":"))}}}'
        )
        return kind, text.encode(
            "utf-8", "backslashreplace"
        )  # JSON has that form for half an emoji

    def data(self, fields: dict[str, Any]) -> bytes:
        """Return the data of any other message.

        Raises:
            TypeError: If a value has no form.
            ValueError: If something is nested too deep.
        """
        text = json_of(fields, self._notepack.convert, bytes_too=self._only_plaintext)
        return b64encode(self._notepack.pack(fields)) if text is None else text

    def _plain(self, text: str, attachments: tuple[bytes, ...]) -> str:
        """Return the list of an event with numbers for its bytes."""
        decoder = Decoder()
        read = decoder.feed(text, 1)
        for attachment in attachments:
            read = decoder.feed(attachment)
        assert read is not None
        return json.dumps(_plain_of(read.data), separators=(",", ":"))


def _plain_of(value: Any) -> Any:
    if isinstance(value, bytes):
        return buffer_of(value)
    if is_list(value):
        return [_plain_of(item) for item in value]
    if is_object(value):
        return {key: _plain_of(item) for key, item in value.items()}
    return value

"""The long way of a packet: what python-socketio does, step by step.

The core takes the short way with what applications and clients really send, and comes here with everything else: another JSON
module, methods that a subclass has replaced, values and texts with anything unusual in them.

Source:
    python-socketio, ``socketio.packet.Packet`` and ``socketio.msgpack_packet.MsgPackPacket``: their behaviour, not their code.
"""

from importlib import import_module
from typing import Any, Final

from roomcast.errors import MissingDependencyError
from roomcast.types import PacketType

__all__ = [
    "data_is_binary",
    "decode",
    "decode_msgpack",
    "encode",
    "encode_msgpack",
    "msgpack",
]

BINARY_TYPES: Final = (PacketType.BINARY_EVENT, PacketType.BINARY_ACK)

MAX_COUNT_DIGITS: Final = 10
MAX_ID_DIGITS: Final = 100


def encode(packet: Any) -> str | list[Any]:
    """Return the text of a packet; of a packet of a binary type, a list of its text and its attachments."""
    data, attachments = packet.data, None
    text = str(packet.packet_type)
    if packet.packet_type in BINARY_TYPES:
        data, attachments = packet.deconstruct_binary(data)
        text += f"{len(attachments)}-"
    if packet.namespace is not None and packet.namespace != "/":
        text += packet.namespace + ","
    if packet.id is not None:
        text += str(packet.id)
    if data is not None:
        text += packet.json.dumps(data, separators=(",", ":"))
    return text if attachments is None else [text, *attachments]


def decode(packet: Any, encoded_packet: Any) -> int:
    """Read a text into a packet; return how many attachments belong to it.

    Raises:
        ValueError: If it is none.
    """
    rest = encoded_packet
    try:
        packet.packet_type = int(rest[:1])
    except TypeError:  # a number stands for an empty packet of that type
        packet.packet_type, rest = rest, ""
    packet.namespace = packet.data = None
    rest = rest[1:]

    attachments = 0
    dash = rest.find("-")
    if dash > 0 and rest[:dash].isdigit():
        if dash > MAX_COUNT_DIGITS:
            raise ValueError("too many attachments")
        attachments = int(rest[:dash])
        rest = rest[dash + 1 :]
    if rest.startswith("/"):
        name, _, rest = rest.partition(",")
        packet.namespace = name.partition("?")[0]
    length = 0
    while length < min(len(rest), MAX_ID_DIGITS) and rest[length].isdigit():
        length += 1
    if length:
        packet.id = int(rest[:length])
        rest = rest[length:]
        if rest[:1].isdigit():
            raise ValueError("an id of too many digits")
    if rest:
        packet.data = packet.json.loads(rest)
    return attachments


def data_is_binary(cls: Any, data: Any) -> bool:
    """Return whether data holds anything binary to a class that has an opinion of its own on each value."""
    if isinstance(data, dict):
        data = list(data.values())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(data, list):
        return any(cls.data_is_binary(item) for item in data)  # pyright: ignore[reportUnknownVariableType]
    return isinstance(data, bytes | bytearray)


def msgpack() -> Any:
    """Return the library that reads and writes MessagePack where the core does not.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        return import_module("msgpack")
    except ImportError as error:
        raise MissingDependencyError("this packet needs msgpack: pip install msgpack") from error


def encode_msgpack(packet: Any) -> Any:
    """Return the bytes of a packet."""
    default = packet.__class__.dumps_default
    return msgpack().packb(packet._to_dict(), default=default)  # noqa: SLF001  python-socketio's own


def decode_msgpack(packet: Any, encoded_packet: Any) -> None:
    """Read bytes into a packet."""
    decoded = msgpack().unpackb(encoded_packet, ext_hook=packet.__class__.ext_hook)
    packet.packet_type = decoded["type"]
    packet.data = decoded.get("data")
    packet.id = decoded.get("id")
    packet.namespace = decoded["nsp"]

"""The packet of python-socketio, with roomcast's core inside."""

from functools import cache
from typing import Any, ClassVar, Final, cast

from roomcast._core import (
    CompatMsgPackPacket,
    CompatPacket,
    Decoder,
    Encoder,
    Packet as CorePacket,
    data_is_binary,
    deconstruct_binary,
    reconstruct_binary,
)
from roomcast.compat import json as default_json, lenient
from roomcast.types import Limits

__all__ = ["Packet", "StrictPacket"]

HOOKS: Final = ("decode", "data_is_binary", "deconstruct_binary", "reconstruct_binary")
"""Methods that others call in python-socketio, so that a subclass may replace them."""

SETTER: Final = "__setattr__"
"""What sets attributes in python-socketio; a subclass may have one of its own, and attributes, too."""

ATTRIBUTES: Final = (
    "packet_type",
    "data",
    "namespace",
    "id",
    "attachment_count",
    "attachments",
)


class Packet(CompatPacket):
    """Takes the place of ``socketio.packet.Packet``: ``AsyncServer(serializer=Packet)``.

    Constructor, attributes, methods and leniency are those of python-socketio, also in subclasses. The texts differ in what no
    JSON parser sees: characters beyond ASCII stand as they are and not as escapes, and exponents have no leading zero.

    Attributes:
        packet_type: The type's number; 5 and 6 where the data is binary.
        data: The payload.
        namespace: The namespace, or ``None`` for ``/``.
        id: The acknowledgement id, or ``None``.
        attachment_count: How many attachments belong to a packet that was decoded.
        attachments: Those that have arrived.
        json: What writes and reads the payload. python-socketio's option ``json=`` sets it on the class that is given as
            ``serializer=``, so that each server and client that has a JSON module of its own takes a subclass of its own.
        uses_binary_events: Whether binary data makes the types 5 and 6 of packets.

    Source:
        python-socketio, ``socketio.packet.Packet``.
    """

    uses_binary_events: ClassVar[bool] = True
    json: ClassVar[Any] = default_json
    _is_customised: ClassVar[bool] = False
    _looks_for_binary: ClassVar[bool] = False
    _reads_empty: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        below = [
            base
            for base in cls.__mro__[: cls.__mro__.index(Packet)]
            if base is not CompatMsgPackPacket  # which the core knows
        ]
        cls._is_customised = any(
            name in base.__dict__ for base in below for name in (*HOOKS, *ATTRIBUTES, SETTER)
        )
        cls._looks_for_binary = any("data_is_binary" in base.__dict__ for base in below)

    @classmethod
    def data_is_binary(cls, data: Any) -> bool:
        """Return whether ``bytes`` or a ``bytearray`` stand somewhere in the lists and dicts of data."""
        return lenient.data_is_binary(cls, data) if cls._looks_for_binary else data_is_binary(data)

    @classmethod
    def deconstruct_binary(cls, data: Any) -> tuple[Any, list[Any]]:
        """Return a copy of data with placeholders for what is binary, and the list of that."""
        return deconstruct_binary(data)

    @classmethod
    def reconstruct_binary(cls, data: Any, attachments: list[Any]) -> Any:
        """Return a copy of data with attachments in the place of their placeholders.

        Raises:
            IndexError: If a placeholder's number is none of an attachment.
            TypeError: If it is no number.
        """
        return reconstruct_binary(data, attachments)

    def _to_dict(self) -> dict[str, Any]:
        """Return what packets of other formats are made of; subclasses for those expect it."""
        packet = {"type": self.packet_type, "data": self.data, "nsp": self.namespace}
        return packet if self.id is None else packet | {"id": self.id}

    def __getstate__(self) -> dict[str, Any]:
        state: Any = object.__getstate__(self)
        own: dict[str, Any] = {name: getattr(self, name) for name in ATTRIBUTES}
        if not isinstance(state, tuple):
            return own | (state or {})
        others, slots = cast("tuple[dict[str, Any] | None, dict[str, Any]]", state)
        return own | (others or {}) | slots

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class StrictPacket(Packet):
    """A `Packet` that refuses what `roomcast.codec` refuses.

    Empty texts, reserved event names, payloads that do not fit their type, coerced numbers, placeholders without an attachment, and what
    passes a limit raise `PacketError` when they arrive and `EncodeError` or `ReservedEventError` when they are sent; both are a
    `ValueError`, as what a `Packet` raises about texts. Values that only roomcast can write (dates, UUIDs, dataclasses …) are
    written, ``NaN`` becomes ``null``.

    Attributes:
        limits: What a packet may measure; a subclass may have others.
    """

    limits: ClassVar[Limits] = Limits()
    _reads_empty: ClassVar[bool] = True

    def encode(self) -> Any:
        """Return the text of a packet, or a list of its text and its attachments.

        Raises:
            EncodeError: If the data does not fit the type, has no JSON form, or passes a limit.
            ReservedEventError: If the event belongs to the library.
        """
        packet = CorePacket(self.packet_type, self.data, self.namespace or "/", self.id)
        messages = _encoder(self.limits).encode(packet)
        if not default_json.is_default(self.json):
            return super().encode()
        return messages[0] if len(messages) == 1 else messages

    def decode(self, encoded_packet: Any) -> Any:
        """Read a text; return how many attachments belong to it.

        Raises:
            PacketError: If it is no packet.
        """
        Decoder(self.limits).feed(encoded_packet)
        return super().decode(encoded_packet)


@cache
def _encoder(limits: Limits) -> Encoder:
    return Encoder(limits)

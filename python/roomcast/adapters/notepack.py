"""MessagePack as the nodes of a cluster write it: notepack.io 3, which the official Redis adapter and emitter speak, reads it.

What JSON makes of a value is what travels: an object that is no part of MessagePack becomes what the encoder of the server makes
of it. A ``Date`` arrives as a `datetime`, which JSON writes as the text that it would have been in JavaScript.
"""

from collections.abc import Callable
from typing import Any, Final

from roomcast._core import MsgPackValues
from roomcast.codec import Decoder, Encoder
from roomcast.codec.convert import convert
from roomcast.errors import EncodeError, PacketError
from roomcast.types import Limits

__all__ = ["LIMITS", "Notepack", "UnpackError"]

LIMITS: Final = Limits(max_values=4_000_000, max_depth=Limits().max_depth + 16)
"""Of one message, which has a few levels around those of a packet."""

MAX_INT: Final = 2**64 - 1
MIN_INT: Final = -(2**63)


class UnpackError(ValueError):
    """Bytes that are no MessagePack, or hold more than the limits allow."""


class Notepack:
    """Packs and unpacks, with the hook of one server.

    Attributes:
        encoder: The encoder for what MessagePack does not know.
        pack: Returns the bytes of a value; raises `EncodeError` if it has none.
    """

    def __init__(self, default: Callable[[Any], Any] | None = None) -> None:
        """Take the hook for objects that are no part of MessagePack."""
        self._default = default
        self.encoder = Encoder(default=default)
        self._values = MsgPackValues(LIMITS, self.convert)
        self.pack: Callable[[Any], bytes] = self._values.pack

    def pack_event(self, nsp: str, event: str, args: tuple[Any, ...]) -> bytes:
        """Return an event and its arguments, as a list; what MessagePack does not know as JSON would have it."""
        try:
            return self.pack([event, *args])
        except EncodeError:
            pass
        packet = self.encoder.encode_event(nsp, event, args)
        decoder = Decoder()
        assert packet.text is not None  # our own encoder's
        read = decoder.feed(packet.text, 1)
        for attachment in packet.attachments:
            read = decoder.feed(attachment)
        assert read is not None
        return self.pack(_in_range(read.data))

    def unpack(self, data: bytes) -> Any:
        """Return what bytes stand for.

        Raises:
            UnpackError: If they are not exactly one value of MessagePack.
        """
        try:
            return self._values.unpack(data)
        except PacketError as error:
            raise UnpackError(str(error)) from error

    def unpack_item(self, data: bytes, index: int) -> Any:
        """Return one item of a list, and make nothing of the others.

        Raises:
            UnpackError: If the bytes are no list, or it is shorter.
        """
        try:
            return self._values.unpack_item(data, index)
        except PacketError as error:
            raise UnpackError(str(error)) from error

    def convert(self, value: Any) -> Any:
        """Return what stands for an object that MessagePack does not know."""
        if self._default is not None:
            try:
                return self._default(value)
            except TypeError:  # it does not know it either
                pass
        converted = convert(value)
        if converted is NotImplemented:
            raise TypeError(f"{type(value).__name__} has no MessagePack form")
        return converted


def _in_range(value: Any) -> Any:
    """Round integers that MessagePack has no form for, as JavaScript would."""
    if isinstance(value, list):
        return [_in_range(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: _in_range(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, int) and not MIN_INT <= value <= MAX_INT:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return value

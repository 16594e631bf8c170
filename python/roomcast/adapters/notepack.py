"""MessagePack as notepack.io 3 writes and reads it, which is what the official Redis adapter and emitter speak.

Everything about MessagePack is in this module, so that another codec can take its place.

What JSON makes of a value is what travels: an object that is no part of MessagePack becomes what the encoder of the server makes
of it. A ``Date`` arrives as a `datetime`, which JSON writes as the text that it would have been in JavaScript.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from roomcast.adapters.broker import require_redis
from roomcast.codec import Decoder, Encoder
from roomcast.codec.convert import convert

__all__ = ["Notepack", "UnpackError"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

UNDEFINED_SIZE: Final = 1
DATE_SIZE: Final = 8
"""Bytes of what notepack.io 2 writes as extension 0; anything else is an ``ArrayBuffer``."""

MAX_INT: Final = 2**64 - 1
MIN_INT: Final = -(2**63)

SURROGATES: Final = "surrogatepass"
"""A cut emoji is a legal text in JavaScript."""


class UnpackError(ValueError):
    """Bytes that are no MessagePack, or hold something that no peer sends."""


class Notepack:
    """Packs and unpacks, with the hook of one server.

    Attributes:
        encoder: The encoder for what MessagePack does not know.
        pack: Returns the bytes of a value.
    """

    def __init__(self, default: Callable[[Any], Any] | None = None) -> None:
        """Take the hook for objects that are no part of MessagePack.

        Raises:
            MissingDependencyError: If the package ``msgpack`` is not installed.
        """
        msgpack = require_redis("msgpack")
        self._default = default
        self.encoder = Encoder(default=default)
        self._unpacker = msgpack.Unpacker
        self._packer = msgpack.Packer(default=self.convert, unicode_errors=SURROGATES)
        self._errors = (msgpack.exceptions.UnpackException, ValueError, OverflowError, TypeError)
        self.pack: Callable[[Any], bytes] = self._packer.pack

    def pack_event(self, nsp: str, event: str, args: tuple[Any, ...]) -> bytes:
        """Return an event and its arguments, as a list; what MessagePack does not know as JSON would have it."""
        try:
            return self.pack([event, *args])
        except (OverflowError, TypeError, ValueError, RecursionError):
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
            reader = self._reader(data)
            # First without making anything: what is announced but not there must not be allocated.
            reader.skip()
            if reader.tell() != len(data):
                raise UnpackError("more than one value")
            return self._reader(data).unpack()
        except UnpackError:
            raise
        except self._errors as error:
            raise UnpackError(str(error)) from error

    def split(self, data: bytes, index: int) -> Any:
        """Return one item of a list, and make nothing of the others.

        Raises:
            UnpackError: If the bytes are no list, or it is shorter.
        """
        try:
            reader = self._reader(data)
            if reader.read_array_header() <= index:
                raise UnpackError("too short a list")
            for _ in range(index):
                reader.skip()
            begin = reader.tell()
            reader.skip()
            return self.unpack(data[begin : reader.tell()])
        except UnpackError:
            raise
        except self._errors as error:
            raise UnpackError(str(error)) from error

    def _reader(self, data: bytes) -> Any:
        reader = self._unpacker(
            ext_hook=_extension,
            strict_map_key=False,
            timestamp=3,
            unicode_errors=SURROGATES,
            max_buffer_size=len(data) or 1,
        )
        reader.feed(data)
        return reader

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


def _extension(code: int, data: bytes) -> Any:
    if code != 0:
        raise UnpackError(f"extension {code}")
    if len(data) == UNDEFINED_SIZE:
        return None
    if len(data) == DATE_SIZE:
        return EPOCH + timedelta(milliseconds=int.from_bytes(data, "big", signed=True))
    return data


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

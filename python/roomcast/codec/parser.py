"""Other wire formats in the place of Socket.IO's own: what a parser is, and how one of a program's own is held to the protocol.

A parser is anything with an ``Encoder`` and a ``Decoder``: a module such as `roomcast.msgpack`, a class, an instance. One that is written
in Python makes lists of messages, as the reference's do::

    class Encoder:
        def encode(self, packet: Packet) -> list[str | bytes]: ...


    class Decoder:
        def feed(self, data: str | bytes) -> Packet | None: ...
        def close(self) -> None: ...

Source:
    socket.io-parser and socket.io's option ``parser``.
"""

from typing import TYPE_CHECKING, Any, Final, Protocol

from roomcast._core import (
    Decoder,
    EncodedPacket,
    Encoder,
    MsgPackDecoder,
    MsgPackEncoder,
    Packet,
    Traffic,
)
from roomcast.errors import (
    EncodeError,
    PacketError,
    PacketErrorKind,
    ReservedEventError,
)
from roomcast.types import RESERVED_EVENTS, Limits, PacketType

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "AnyDecoder",
    "AnyEncoder",
    "OwnDecoder",
    "OwnEncoder",
    "Parser",
    "decoder_of",
    "encoder_of",
]

EVENT: Final = PacketType.EVENT


class OwnEncoder(Protocol):
    """An encoder of a program's own."""

    def encode(self, packet: Packet, /) -> list[str | bytes]:
        """Return the messages of a packet: a text or not, then binary ones or not, at least one in all.

        Whatever it raises is raised at the emit, as an `EncodeError` unless it is one.
        """
        ...


class OwnDecoder(Protocol):
    """A decoder of a program's own; each connection has one."""

    def feed(self, data: str | bytes, /) -> Packet | None:
        """Take the next message; return the packet that is complete with it, if one is.

        Whatever it raises is the peer's fault, and closes its connection.
        """
        ...

    def close(self) -> None:
        """Forget an unfinished packet: the connection has ended."""


class Parser(Protocol):
    """What the option ``parser`` takes.

    Attributes:
        Encoder: Makes the encoder of a server or client; called without arguments, unless it is one of roomcast's.
        Decoder: Makes the decoder of a connection; likewise.
    """

    @property
    def Encoder(self) -> Any:  # noqa: N802  the reference's name
        """Make an encoder."""

    @property
    def Decoder(self) -> Any:  # noqa: N802  the reference's name
        """Make a decoder."""


class _EncoderAround:
    """Gives an encoder of a program's own the methods of ours."""

    def __init__(self, encoder: OwnEncoder, traffic: Traffic | None) -> None:
        self._encoder = encoder
        self._traffic = traffic

    def encode_event(
        self,
        nsp: str,
        event: str | float,
        args: tuple[Any, ...],
        id: int | None = None,
        compress: bool = True,
        /,
    ) -> EncodedPacket:
        if event in RESERVED_EVENTS:
            raise ReservedEventError(str(event))
        if not isinstance(event, str):
            raise EncodeError("an event name must be a string", "data[0]")
        packet = Packet(EVENT, [event, *args], nsp, id)
        encoded = EncodedPacket(self._messages(packet), True, compress)
        if self._traffic is not None:
            self._traffic.note_encoded()
        return encoded

    def encode_packet(
        self, type: int, nsp: str, data: Any = None, id: int | None = None, /
    ) -> EncodedPacket:
        packet = Packet(type, data, nsp, id)
        return EncodedPacket(self._messages(packet), packet.type is EVENT, True)

    def _messages(self, packet: Packet) -> "list[str | Buffer]":
        try:
            return [*self._encoder.encode(packet)]
        except EncodeError:
            raise
        except Exception as error:
            raise EncodeError(f"the parser cannot encode it: {error}") from error


class _DecoderAround:
    """Gives a decoder of a program's own the methods of ours, and holds what it makes to the protocol."""

    pending_size = 0

    def __init__(self, decoder: OwnDecoder, traffic: Traffic | None) -> None:
        self._decoder = decoder
        self._traffic = traffic

    def feed(self, data: str | bytes, start: int = 0, /) -> Packet | None:
        try:
            packet = self._decoder.feed(data[start:])
        except PacketError:
            raise
        except Exception as error:
            raise PacketError(PacketErrorKind.INVALID_PAYLOAD, 0) from error
        if packet is not None:
            _check(packet)
        if self._traffic is not None:
            self._traffic.note_received(len(data) - start, packet)
        return packet

    def close(self) -> None:
        self._decoder.close()


AnyEncoder = Encoder | MsgPackEncoder | _EncoderAround
AnyDecoder = Decoder | MsgPackDecoder | _DecoderAround


def encoder_of(
    parser: Parser | None, limits: Limits, default: Any, traffic: Traffic | None = None
) -> AnyEncoder:
    """Return the encoder of a server or client.

    Args:
        parser: The option; ``None`` for Socket.IO's own format.
        limits: What a packet may measure; a parser of a program's own has its own.
        default: Called for an object that the format does not know, likewise.
        traffic: Counts the events.

    Raises:
        TypeError: If it is no parser.
    """
    if parser is None:
        return Encoder(limits, default, traffic=traffic)
    make = _part(parser, "Encoder")
    if make in (Encoder, MsgPackEncoder):
        encoder: AnyEncoder = make(limits, default, traffic=traffic)
        return encoder
    return _EncoderAround(make(), traffic)


def decoder_of(parser: Parser | None, limits: Limits, traffic: Traffic | None = None) -> AnyDecoder:
    """Return the decoder of a connection; arguments and errors as for `encoder_of`."""
    if parser is None:
        return Decoder(limits, traffic=traffic)
    make = _part(parser, "Decoder")
    if make in (Decoder, MsgPackDecoder):
        decoder: AnyDecoder = make(limits, traffic=traffic)
        return decoder
    return _DecoderAround(make(), traffic)


def _part(parser: Parser, name: str) -> Any:
    made = getattr(parser, name, None)
    if not callable(made):
        raise TypeError(f"parser must have an Encoder and a Decoder, and {parser!r} has no {name}")
    return made


def _check(packet: object) -> None:
    """Refuse what no packet of Socket.IO may be.

    Raises:
        PacketError: If it is that.
    """
    if not isinstance(packet, Packet):
        raise PacketError(PacketErrorKind.INVALID_PAYLOAD, 0)
    data: Any = packet.data
    kind = packet.type
    if kind is EVENT:
        if not isinstance(data, list) or not data:
            raise PacketError(PacketErrorKind.INVALID_PAYLOAD, 0)
        if not isinstance(data[0], str):
            raise PacketError(PacketErrorKind.MISSING_EVENT_NAME, 0)
        if data[0] in RESERVED_EVENTS:
            raise PacketError(PacketErrorKind.RESERVED_EVENT, 0)
        return
    fits = {
        PacketType.CONNECT: data is None or isinstance(data, dict),
        PacketType.DISCONNECT: data is None,
        PacketType.ACK: isinstance(data, list),
        PacketType.CONNECT_ERROR: isinstance(data, str | dict),
    }
    if not fits.get(kind, False) or (kind is PacketType.ACK and packet.id is None):
        raise PacketError(PacketErrorKind.INVALID_PAYLOAD, 0)

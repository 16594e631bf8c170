"""The packet of python-socketio in MessagePack, with roomcast's core inside."""

from collections.abc import Callable
from typing import Any, ClassVar

from roomcast._core import CompatMsgPackPacket, MsgPackDecoder, Packet as CorePacket
from roomcast.compat.lenient import msgpack
from roomcast.compat.packet import Packet
from roomcast.errors import MissingDependencyError
from roomcast.msgpack import Encoder, Ext
from roomcast.types import Limits

__all__ = ["MsgPackPacket", "StrictMsgPackPacket"]

ExtHook = Callable[[int, bytes], Any]


def _default_hook() -> ExtHook:
    try:
        hook: ExtHook = msgpack().ExtType
    except MissingDependencyError:
        return Ext
    return hook


class MsgPackPacket(CompatMsgPackPacket, Packet):
    """Takes the place of ``socketio.msgpack_packet.MsgPackPacket``: ``AsyncServer(serializer=MsgPackPacket)``.

    Its bytes are the same. What the core does not write or read goes to the library ``msgpack``, which python-socketio needs for all
    of it: subclasses of Python's own types, timestamps, and what ``dumps_default`` is for.

    Attributes:
        dumps_default: Called for what MessagePack has no form for.
        ext_hook: Called with type and bytes of an extension; ``msgpack.ExtType`` where that library is installed.

    Source:
        python-socketio, ``socketio.msgpack_packet.MsgPackPacket``.
    """

    uses_binary_events: ClassVar[bool] = False
    dumps_default: ClassVar[Callable[[Any], Any] | None] = None
    ext_hook: ClassVar[ExtHook] = _default_hook()
    _has_own_dict: ClassVar[bool] = False

    @classmethod
    def configure(
        cls, dumps_default: Callable[[Any], Any] | None = None, ext_hook: ExtHook | None = None
    ) -> "type[MsgPackPacket]":
        """Return a packet with hooks of its own.

        Args:
            dumps_default: Called for what MessagePack has no form for; returns what stands for it, or a ``msgpack.ExtType``.
            ext_hook: Called with type and bytes of an extension; returns what it stands for.
        """
        hooks = {"dumps_default": dumps_default, "ext_hook": ext_hook or cls.ext_hook}
        return type("CustomMsgPackPacket", (cls,), hooks)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._has_own_dict = cls._to_dict is not Packet._to_dict  # noqa: SLF001  the base's


class StrictMsgPackPacket(MsgPackPacket):
    """A `MsgPackPacket` that refuses what `roomcast.msgpack` refuses.

    What `roomcast.compat.StrictPacket` is to a packet in JSON.

    Attributes:
        limits: What a packet may measure; a subclass may have others.
    """

    limits: ClassVar[Limits] = Limits()
    _reads_empty: ClassVar[bool] = True

    def encode(self) -> Any:
        """Return the packet's bytes.

        Raises:
            EncodeError: If the data does not fit the type, has no form in MessagePack, or passes a limit.
            ReservedEventError: If the event belongs to the library.
        """
        packet = CorePacket(self.packet_type, self.data, self.namespace or "/", self.id)
        (message,) = Encoder(self.limits, type(self).dumps_default).encode(packet)
        return message

    def decode(self, encoded_packet: Any) -> Any:
        """Read bytes.

        Raises:
            PacketError: If they are no packet.
        """
        MsgPackDecoder(self.limits).feed(encoded_packet)
        return super().decode(encoded_packet)

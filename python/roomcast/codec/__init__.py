"""The packet codec on its own: Socket.IO packets to and from their wire form.

>>> from roomcast.codec import Decoder, Packet, PacketType, encode
>>> encode(Packet(PacketType.EVENT, nsp="/chat", id=7, data=["photo", {"jpeg": b"..."}]))
['51-/chat,7["photo",{"jpeg":{"_placeholder":true,"num":0}}]', b'...']
>>> Decoder().feed('2["hello",1]').data
['hello', 1]
"""

from roomcast._core import Decoder, EncodedPacket, Encoder, Packet, RawJSON, encode
from roomcast.errors import EncodeError, PacketError, PacketErrorKind, ReservedEventError
from roomcast.types import Limits, PacketType

__all__ = [
    "Decoder",
    "EncodeError",
    "EncodedPacket",
    "Encoder",
    "Limits",
    "Packet",
    "PacketError",
    "PacketErrorKind",
    "PacketType",
    "RawJSON",
    "ReservedEventError",
    "encode",
]

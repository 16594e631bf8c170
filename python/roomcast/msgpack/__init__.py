"""Packets in MessagePack: what ``socket.io-msgpack-parser`` is to JavaScript.

>>> from roomcast.codec import Packet, PacketType
>>> from roomcast.msgpack import Decoder, Encoder
>>> (message,) = Encoder().encode(Packet(PacketType.EVENT, ["photo", b"..."]))
>>> Decoder().feed(message).data
['photo', b'...']

Each packet is one binary message, and binary data stays in its place. ``Server(parser=roomcast.msgpack)`` and
``connect(url, parser=roomcast.msgpack)`` speak it. Both ends must have the same parser; nothing on the wire says which one it is.
"""

from roomcast._core import MsgPackDecoder as Decoder, MsgPackEncoder as Encoder
from roomcast.msgpack.extension import Ext

__all__ = ["Decoder", "Encoder", "Ext"]

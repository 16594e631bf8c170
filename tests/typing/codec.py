"""What both type checkers must make of the codec; never run."""

from typing import Any, assert_type

from roomcast.codec import Decoder, Packet, PacketType, encode

packet = Packet(PacketType.EVENT, ["photo", b"..."], nsp="/chat", id=7)
assert_type(packet, Packet)
assert_type(packet.type, PacketType)
assert_type(packet.nsp, str)
assert_type(packet.id, int | None)
assert_type(packet.data, Any)
assert_type(encode(packet), list[str | bytes])
assert_type(Decoder().feed("2[1]"), Packet | None)
Decoder().feed(bytearray(b"..."))
Decoder().feed(7)  # type: ignore[arg-type]
Packet("event")  # type: ignore[arg-type]

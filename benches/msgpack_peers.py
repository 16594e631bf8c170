"""Who writes and reads packets in MessagePack: roomcast's parser and its packet for python-socketio, python-socketio's own, libraries."""

from collections.abc import Callable
from typing import Any, Final

import msgpack
import msgspec
import ormsgpack

import roomcast.compat
import roomcast.msgpack
from cases import Case
from ours import Peer, decoded
from packets import MsgPackPacket, packet_decode, packet_encode
from results import OURS
from roomcast.codec import Packet
from roomcast.types import PacketType
from timing import Call

__all__ = ["COMPAT", "PEERS", "unpacked"]

COMPAT: Final = "roomcast.compat"


def unpacked(message: bytes) -> object:
    """Return what a message says, in the form that all peers have in common."""
    fields = msgpack.unpackb(message)
    return decoded(fields["type"], fields["nsp"], fields.get("id"), fields.get("data"))


def _expected(case: Case) -> object:
    return decoded(case.type, case.nsp, case.id, case.data)


def _encode(case: Case) -> Peer:
    encode, packet = roomcast.msgpack.Encoder().encode, Packet
    type_, nsp, number = case.type, case.nsp, case.id

    def call(data: Any) -> Any:
        return encode(packet(type_, data, nsp, number))

    return Peer(Call(call, case.data), lambda messages: unpacked(messages[0]), _expected(case))


def _encode_server(case: Case) -> Peer:
    encoder = roomcast.msgpack.Encoder()
    type_, nsp, number = case.type, case.nsp, case.id
    argument: Any = case.data
    if type_ is PacketType.EVENT:
        event, *rest = case.data
        argument = tuple(rest)

        def call(data: Any) -> Any:
            return encoder.encode_event(nsp, event, data, number)

    else:

        def call(data: Any) -> Any:
            return encoder.encode_packet(type_, nsp, data, number)

    return Peer(Call(call, argument), lambda packet: unpacked(packet.messages[0]), _expected(case))


def _decode(case: Case) -> Peer:
    feed = roomcast.msgpack.Decoder().feed

    def call(message: bytes) -> Any:
        return feed(message)

    return Peer(
        Call(call, case.packed),
        lambda packet: decoded(packet.type, packet.nsp, packet.id, packet.data),
        _expected(case),
    )


def _library_encode(encode: Callable[[Any], bytes]) -> Callable[[Case], Peer]:
    def make(case: Case) -> Peer:
        def call(fields: Any) -> Any:
            return encode(fields)

        return Peer(Call(call, case.fields()), unpacked, _expected(case))

    return make


def _library_decode(decode: Callable[[bytes], Any]) -> Callable[[Case], Peer]:
    def make(case: Case) -> Peer:
        def call(message: bytes) -> Any:
            return decode(message)

        return Peer(Call(call, case.packed), lambda fields: fields, case.fields())

    return make


PEERS: Final[dict[str, dict[str, Callable[[Case], Peer]]]] = {
    "encode": {
        "ormsgpack": _library_encode(ormsgpack.packb),
        "msgspec": _library_encode(msgspec.msgpack.Encoder().encode),
        "msgpack": _library_encode(msgpack.packb),
        OURS: _encode,
        "roomcast server": _encode_server,
        COMPAT: packet_encode(roomcast.compat.MsgPackPacket),
        "python-socketio": packet_encode(MsgPackPacket),
    },
    "decode": {
        "ormsgpack": _library_decode(ormsgpack.unpackb),
        "msgspec": _library_decode(msgspec.msgpack.Decoder().decode),
        "msgpack": _library_decode(msgpack.unpackb),
        OURS: _decode,
        COMPAT: packet_decode(roomcast.compat.MsgPackPacket, reads=True),
        "python-socketio": packet_decode(MsgPackPacket, reads=True),
    },
}
"""By operation and name, how to make the peer for a case. Libraries write and read the map that a packet is."""

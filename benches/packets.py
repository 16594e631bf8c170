"""How packets with the interface of python-socketio's are called: its own, with each of its codecs, and roomcast's in their place."""

from collections.abc import Callable
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, Final

import orjson
from socketio import msgpack_packet, packet as json_packet  # type: ignore[import-untyped]  # it has no types

from cases import Case
from ours import Peer, decoded, encoded, renewal
from timing import Call

__all__ = ["ORJSON", "MsgPackPacket", "OrjsonPacket", "Packet", "packet_decode", "packet_encode"]

Packet: Final[Any] = json_packet.Packet
MsgPackPacket: Final[Any] = msgpack_packet.MsgPackPacket

ORJSON: Final = SimpleNamespace(
    loads=orjson.loads, dumps=lambda value, **_: orjson.dumps(value).decode()
)
"""What an application gives python-socketio as its `json` to have orjson."""


class OrjsonPacket(json_packet.Packet):  # type: ignore[misc]  # it has no types
    """The packet that python-socketio uses then."""

    json = ORJSON


def packet_encode(packet: Any) -> Callable[[Case], Peer]:
    """Return how to make a packet of a class for a case, and encode it."""

    def make(case: Case) -> Peer:
        type_, nsp, number = int(case.type), case.nsp, case.id

        def call(data: Any) -> Any:
            return packet(type_, data=data, namespace=nsp, id=number).encode()

        if not packet.uses_binary_events:  # a format of its own, with bytes in it: read back

            def unpacked(wire: bytes) -> object:
                back = MsgPackPacket(encoded_packet=wire)
                return decoded(back.packet_type, back.namespace, back.id, back.data)

            return Peer(
                Call(call, case.data), unpacked, decoded(case.type, case.nsp, case.id, case.data)
            )

        def parts(wire: str | list[Any]) -> object:
            return encoded(wire, []) if isinstance(wire, str) else encoded(wire[0], wire[1:])

        return Peer(Call(call, case.data), parts, encoded(case.text, case.attachments))

    return make


ATTRIBUTES: Final = ("packet_type", "namespace", "id", "data")


def packet_decode(packet: Any, *, reads: bool = False) -> Callable[[Case], Peer]:
    """Return how to make a packet of a class of what has arrived for a case.

    Args:
        packet: The class.
        reads: Whether its attributes are read, as servers and clients do with every packet.
    """
    attributes = attrgetter(*ATTRIBUTES)
    finish: Callable[[Any], Any] = attributes if reads else lambda packet: packet

    def make(case: Case) -> Peer:
        attachments = case.attachments

        def single(message: str | bytes) -> Any:
            return packet(encoded_packet=message)

        def read(message: str | bytes) -> Any:
            return attributes(packet(encoded_packet=message))

        def binary(message: str) -> Any:
            result = packet(encoded_packet=message)
            for attachment in attachments:
                result.add_attachment(attachment)
            return finish(result)

        def answer(result: Any) -> object:
            type_, nsp, number, data = result if reads else attributes(result)
            return decoded(type_, nsp or "/", number, data)

        whole = read if reads else single
        if packet.uses_binary_events:
            call = Call(binary if attachments else whole, case.text, renewal(case))
        else:
            call = Call(whole, case.packed)
        return Peer(call, answer, decoded(case.type, case.nsp, case.id, case.data))

    return make

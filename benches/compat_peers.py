"""Who makes the packets of an application of python-socketio: it itself or roomcast, each with its own JSON and with orjson."""

from collections.abc import Callable
from typing import Final

import roomcast.compat
from cases import Case
from ours import DECODERS, ENCODERS, Peer
from packets import ORJSON, OrjsonPacket, Packet, packet_decode, packet_encode
from results import OURS

__all__ = ["PEERS"]


class OursWithOrjson(roomcast.compat.Packet):
    """What python-socketio makes of roomcast's packet with the option ``json=``."""

    json = ORJSON


CLASSES: Final = {
    OURS: roomcast.compat.Packet,
    f"{OURS}, orjson": OursWithOrjson,
    "python-socketio": Packet,
    "python-socketio, orjson": OrjsonPacket,
}

PEERS: Final[dict[str, dict[str, Callable[[Case], Peer]]]] = {
    "encode": {"orjson": ENCODERS["orjson"]}
    | {name: packet_encode(packet) for name, packet in CLASSES.items()},
    "decode": {"orjson": DECODERS["orjson"]}
    | {name: packet_decode(packet, reads=True) for name, packet in CLASSES.items()},
}
"""By operation and name, how to make the peer for a case. orjson alone gets the data without its bytes."""

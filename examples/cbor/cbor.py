"""Packets in CBOR: an example of a parser of a program's own.

A packet is one binary message: a list of type, namespace, id and data. Dates, decimals and sets travel as CBOR has them, and
binary data stays in its place. Both ends need it: ``Server(parser=cbor)`` and ``connect(url, parser=cbor)``.
"""

from io import BytesIO
from typing import Any, Final

import cbor2

from roomcast.codec import Packet

__all__ = ["Decoder", "Encoder"]

MAX_DEPTH: Final = 100
SHARED: Final = (28, 29)
"""Tags for a value that is there more than once, also within itself: no handler expects a list that never ends."""


class Encoder:
    """Writes packets; a server or client has one."""

    def encode(self, packet: Packet) -> list[str | bytes]:
        """Return the messages of a packet. What is raised in here is an `EncodeError` at the emit."""
        return [cbor2.dumps([int(packet.type), packet.nsp, packet.id, packet.data])]


class Decoder:
    """Reads packets; each connection has one."""

    def feed(self, data: str | bytes) -> Packet:
        """Return the packet of a message. What is raised in here closes the connection: its peer is to blame."""
        if isinstance(data, str):
            raise TypeError("a packet in CBOR is no text")
        stream = BytesIO(data)
        # Strict: of keys and of what is in a set, a peer could make thousands with the same hash.
        decoder = cbor2.CBORDecoder(
            stream,
            max_depth=MAX_DEPTH,
            strict_hashable_types=True,
            semantic_decoders=dict.fromkeys(SHARED, _refuse),
        )
        type_, nsp, id_, content = decoder.decode()
        if stream.read(1):
            raise ValueError("more than a packet")
        return Packet(type_, content, nsp, id_)

    def close(self) -> None:
        """Nothing is kept between messages."""


def _refuse(_: object) -> Any:
    raise ValueError("a tag that no packet has")

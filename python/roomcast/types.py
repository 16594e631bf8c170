"""Words that every layer shares: packet types and limits."""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

__all__ = ["RESERVED_EVENTS", "Limits", "PacketType"]

RESERVED_EVENTS: Final = frozenset(
    {
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    }
)
"""Event names that belong to the library, in both directions (socket.io-parser, ``RESERVED_EVENTS``)."""


class PacketType(IntEnum):
    """Types of Socket.IO packets.

    The two binary types exist on the wire only: the encoder chooses them where a packet holds binary data, and the decoder
    gives back ``EVENT`` and ``ACK``.

    Source:
        socket.io-parser, ``PacketType``.
    """

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every limit of a server or client; sizes in bytes, times in seconds.

    Args:
        max_http_buffer_size: One message of a peer. Equal passes; a larger WebSocket message closes with 1009. The
            reference's default.
        max_attachments: Attachments of one packet, in and out. In: a packet error at the header; out: ``EncodeError`` at the
            emit, because every official client would drop the connection. The reference's default.
        max_packet_size: One packet with all its attachments, while they arrive. Beyond: packet error. Ten attachments of
            ``max_http_buffer_size`` and a header.
        max_packet_time: From the header of a packet to its last attachment. Beyond: packet error.
        max_pending_size: Unfinished packets of all connections of the process. Beyond: the connection that holds most closes.
        max_depth: Levels of lists and objects in one packet, in and out. In: packet error; out: ``EncodeError``. jiter's limit.
        max_values: Values in one packet of a peer, keys not counted. Beyond: packet error. 1 MB of ``[[],[],…]`` would be
            20 MB of objects.
        max_int_digits: Digits of an integer, in and out. Beyond: packet error, ``EncodeError``. CPython's and jiter's limit.
        max_ack_id: The largest acknowledgement id of a peer. Beyond: packet error. No client counts further than 2^53 - 1.
        max_namespace_length: Bytes of a namespace's name. Beyond: packet error.
        max_namespaces: Namespaces that one connection has joined. Beyond: CONNECT_ERROR, the connection stays.
        send_buffer_mark: Bytes waiting for one connection above which awaiting an emit waits. asyncio's own mark.
        send_buffer_size: Bytes waiting for one connection at which it is closed as a slow client; one larger packet may enter
            an empty buffer.
        max_fragments: Fragments of one WebSocket message. Beyond: closed with 1008. CVE-2026-48779.
        max_headers: Headers of a request. Beyond: 431. websockets' limit.
        max_head_size: Names and values of all headers of a request. Beyond: 431.
        max_url_size: Path and query of a request. Beyond: 414.
        max_handshakes: Requests for a new connection that wait for a middleware, ``allow_request`` or the end of a WebSocket's
            handshake. Beyond: 503.
        max_connections: Connections of the server; ``None`` for no limit. Beyond: 503.
        max_connections_per_address: Connections of one address, as `Handshake.address` has it; ``None`` for no limit.
            Beyond: 503.
    """

    max_http_buffer_size: int = 1_000_000
    max_attachments: int = 10
    max_packet_size: int = 11_000_000
    max_packet_time: float = 30.0
    max_pending_size: int = 64_000_000
    max_depth: int = 200
    max_values: int = 250_000
    max_int_digits: int = 4_300
    max_ack_id: int = 2**53 - 1
    max_namespace_length: int = 256
    max_namespaces: int = 64
    send_buffer_mark: int = 65_536
    send_buffer_size: int = 1_000_000
    max_fragments: int = 1_024
    max_headers: int = 128
    max_head_size: int = 16_000
    max_url_size: int = 8_000
    max_handshakes: int = 4_096
    max_connections: int | None = None
    max_connections_per_address: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{field.name} must be a number, not {type(value).__name__}")
            if field.type is not float and not isinstance(value, int):
                raise TypeError(f"{field.name} must be an int, not {type(value).__name__}")
            if not 0 <= value < float("inf"):
                raise ValueError(f"{field.name} must be zero or more and finite, not {value!r}")
        for name, ceiling in _CEILINGS.items():
            if getattr(self, name) > ceiling:
                raise ValueError(f"{name} must be at most {ceiling}, not {getattr(self, name)!r}")


_CEILINGS: Final = {
    # The walkers recurse once per level; this keeps the deepest packet well inside a thread's stack of 512 KiB.
    "max_depth": 500,
    "max_attachments": 65_535,
    "max_ack_id": 2**63 - 1,
}
"""Values that a field may not pass, because the core counts in fixed widths or recurses."""

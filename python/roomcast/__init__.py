"""Socket.IO for Python: a server for asyncio with a Rust core."""

from roomcast.errors import (
    AckTimeoutError,
    ConnectError,
    DisconnectedError,
    EncodeError,
    MissingDependencyError,
    PacketError,
    PacketErrorKind,
    ReservedEventError,
    RoomcastError,
    UsageError,
)
from roomcast.server import (
    BroadcastOperator,
    Handshake,
    Namespace,
    Server,
    Socket,
    SocketOperator,
)
from roomcast.types import Limits, PacketType

__all__ = [
    "AckTimeoutError",
    "BroadcastOperator",
    "ConnectError",
    "DisconnectedError",
    "EncodeError",
    "Handshake",
    "Limits",
    "MissingDependencyError",
    "Namespace",
    "PacketError",
    "PacketErrorKind",
    "PacketType",
    "ReservedEventError",
    "RoomcastError",
    "Server",
    "Socket",
    "SocketOperator",
    "UsageError",
]

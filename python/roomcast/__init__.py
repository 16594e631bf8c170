"""Socket.IO for Python: a server for asyncio with a Rust core."""

from roomcast.errors import (
    AckTimeoutError,
    ConnectError,
    DisconnectedError,
    EncodeError,
    HandlerError,
    MissingDependencyError,
    PacketError,
    PacketErrorKind,
    ReservedEventError,
    RoomcastError,
    UsageError,
    ValidationError,
)
from roomcast.server import (
    AckReport,
    BroadcastOperator,
    Handshake,
    Namespace,
    ParentNamespace,
    Server,
    Socket,
    SocketOperator,
    event,
)
from roomcast.types import Limits, PacketType

__all__ = [
    "AckReport",
    "AckTimeoutError",
    "BroadcastOperator",
    "ConnectError",
    "DisconnectedError",
    "EncodeError",
    "HandlerError",
    "Handshake",
    "Limits",
    "MissingDependencyError",
    "Namespace",
    "PacketError",
    "PacketErrorKind",
    "PacketType",
    "ParentNamespace",
    "ReservedEventError",
    "RoomcastError",
    "Server",
    "Socket",
    "SocketOperator",
    "UsageError",
    "ValidationError",
    "event",
]

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
    AckReport,
    BroadcastOperator,
    ConnectionStateRecovery,
    Handshake,
    Namespace,
    ParentNamespace,
    RecoveryFailure,
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
    "ConnectionStateRecovery",
    "DisconnectedError",
    "EncodeError",
    "Handshake",
    "Limits",
    "MissingDependencyError",
    "Namespace",
    "PacketError",
    "PacketErrorKind",
    "PacketType",
    "ParentNamespace",
    "RecoveryFailure",
    "ReservedEventError",
    "RoomcastError",
    "Server",
    "Socket",
    "SocketOperator",
    "UsageError",
    "event",
]

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
from roomcast.types import Limits, PacketType

__all__ = [
    "AckTimeoutError",
    "ConnectError",
    "DisconnectedError",
    "EncodeError",
    "Limits",
    "MissingDependencyError",
    "PacketError",
    "PacketErrorKind",
    "PacketType",
    "ReservedEventError",
    "RoomcastError",
    "UsageError",
]

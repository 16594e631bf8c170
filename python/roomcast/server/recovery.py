"""Connection state recovery: the option, and why a recovery may fail.

A client whose line breaks comes back with a new connection, and with the private id of its session and the offset of the last event
that it has seen. If the session is still kept it goes on: the same id, rooms and data, and first the events that it missed.
`sessions` keeps, `recoverable` has the adapter and the socket.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Final

from roomcast.engine.fields import check_keys
from roomcast.engine.options import check_seconds

__all__ = [
    "OPTION",
    "RECOVERABLE_REASONS",
    "ConnectionStateRecovery",
    "RecoveryFailure",
    "read_connection_state_recovery",
]

OPTION: Final = "connection_state_recovery"

RECOVERABLE_REASONS: Final = frozenset(
    {
        "transport error",
        "transport close",
        "forced close",
        "ping timeout",
        "server shutting down",
        "forced server close",
    }
)
"""Reasons of a disconnect after which the session is kept (socket.io, ``RECOVERABLE_DISCONNECT_REASONS``)."""


class RecoveryFailure(Enum):
    """Why a client that wanted its session back has got a new one; `Socket.recovery_failure`.

    Attributes:
        UNKNOWN_SESSION: There is no session of this private id: it never was, it has ended by a disconnect of either side, it was
            recovered already, or it is gone for so long that nothing is known of it.
        EXPIRED: It was kept for ``max_disconnection_duration``.
        EVICTED: ``max_sessions`` was reached, or ``max_packets`` or ``max_bytes`` by events that it might have missed.
        UNKNOWN_OFFSET: The offset is none that this server has given.
        IN_USE: It was recovered a moment ago, and that socket is connected.
        TOO_LARGE: What it missed is more than ``limits.send_buffer_size``.
        STORAGE_ERROR: The adapter could not reach its storage, or raised an exception, which went to the error hooks.
    """

    UNKNOWN_SESSION = "unknown session"
    EXPIRED = "expired"
    EVICTED = "evicted"
    UNKNOWN_OFFSET = "unknown offset"
    IN_USE = "in use"
    TOO_LARGE = "too large"
    STORAGE_ERROR = "storage error"

    @property
    def counter(self) -> str:
        """What it is called in ``io.engine.counters``."""
        return f"recovery_{self.name.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStateRecovery:
    """What a server keeps for clients whose line has broken. The bounds are those of the whole server.

    Attributes:
        max_disconnection_duration: Seconds for which a session is kept.
        skip_middlewares: Whether the middlewares of the namespace are not asked again about a client that has recovered.
        max_packets: Events that are kept. Beyond: the oldest goes.
        max_bytes: Bytes of all events that are kept, with what is kept beside them. Beyond: the oldest goes.
        max_sessions: Sessions that are kept. Beyond: the oldest goes.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of its range.

    Source:
        socket.io, ``ServerOptions.connectionStateRecovery``; the bounds are roomcast's, the reference has none but the time.
    """

    max_disconnection_duration: float = 120.0
    skip_middlewares: bool = True
    max_packets: int = 100_000
    max_bytes: int = 64_000_000
    max_sessions: int = 10_000

    def __post_init__(self) -> None:
        check_seconds(self, "max_disconnection_duration")
        if not isinstance(self.skip_middlewares, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
            raise TypeError(f"{OPTION}: skip_middlewares must be True or False")
        for name in ("max_packets", "max_bytes", "max_sessions"):
            value: object = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{OPTION}: {name} must be an int, not {type(value).__name__}")
            if value < 0:
                raise ValueError(f"{OPTION}: {name} must be zero or more, not {value!r}")


def read_connection_state_recovery(
    value: bool | Mapping[str, Any] | ConnectionStateRecovery | None,
) -> ConnectionStateRecovery | None:
    """Read the option ``connection_state_recovery`` of a server.

    Args:
        value: ``False`` or ``None`` for off, ``True`` for the usual, a mapping of the fields of `ConnectionStateRecovery` (also an
            empty one), or one.

    Raises:
        TypeError: If a key is unknown, and then it names the nearest right one; or if something has the wrong type.
        ValueError: If a value is out of its range.
    """
    if value is None or value is False:
        return None
    if value is True:
        return ConnectionStateRecovery()
    if isinstance(value, ConnectionStateRecovery):
        return value
    if not isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
        raise TypeError(
            f"{OPTION} must be a bool, a mapping or a ConnectionStateRecovery, not {type(value).__name__}"
        )
    check_keys(value, [field.name for field in fields(ConnectionStateRecovery)], OPTION)
    return ConnectionStateRecovery(**value)

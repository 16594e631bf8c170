"""How a socket emits."""

from dataclasses import dataclass
from typing import Final

__all__ = ["PLAIN", "SocketFlags"]


@dataclass(frozen=True, slots=True)
class SocketFlags:
    """How a socket emits.

    Attributes:
        timeout: Seconds to wait for an acknowledgement.
        volatile: Whether the event may be dropped.
        compress: Whether transports may compress it.

    Source:
        socket.io, ``BroadcastFlags``.
    """

    timeout: float | None = None
    volatile: bool = False
    compress: bool = True


PLAIN: Final = SocketFlags()

"""How a socket emits."""

from typing import Final, NamedTuple

__all__ = ["PLAIN", "SocketFlags"]


class SocketFlags(NamedTuple):
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

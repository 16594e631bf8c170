"""Why a client has disconnected, in python-socketio's words."""

from typing import Final

__all__ = ["Reason", "reason_of"]


class Reason:
    """What a ``disconnect`` handler gets; ``AsyncServer.reason``.

    Source:
        python-engineio, ``BaseServer.reason``.
    """

    SERVER_DISCONNECT: Final = "server disconnect"
    CLIENT_DISCONNECT: Final = "client disconnect"
    PING_TIMEOUT: Final = "ping timeout"
    TRANSPORT_CLOSE: Final = "transport close"
    TRANSPORT_ERROR: Final = "transport error"


CLOSED_BY_CLIENT: Final = "closed by the client"
"""What the engine says of a client on polling that has said goodbye."""

_REASONS: Final = {
    "client namespace disconnect": Reason.CLIENT_DISCONNECT,
    "server namespace disconnect": Reason.SERVER_DISCONNECT,
    "forced close": Reason.SERVER_DISCONNECT,
    "server shutting down": Reason.SERVER_DISCONNECT,
    "parse error": Reason.TRANSPORT_ERROR,
}


def reason_of(reason: str, details: str | None) -> str:
    """Return python-socketio's word for a reason of roomcast's; those that both have are the same."""
    if reason == Reason.TRANSPORT_CLOSE and details == CLOSED_BY_CLIENT:
        return Reason.CLIENT_DISCONNECT
    return _REASONS.get(reason, reason)

"""What a server says first, whichever version it has."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, cast

__all__ = ["Opened", "is_old", "read_open"]

_OLD: Final = re.compile(r'\s*\d+:0\{"sid"')
"""The length and the open packet of Engine.IO 3, as Socket.IO 2 sends it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open packet.

    Attributes:
        sid: The session.
        ping_interval: Seconds between heartbeats.
        ping_timeout: Seconds that an answer to one may take.
        max_payload: Bytes that a message may have; 0 if it does not say.
        upgrades: The transports that it offers to move to.
    """

    sid: str
    ping_interval: float
    ping_timeout: float
    max_payload: int
    upgrades: tuple[str, ...]


def is_old(text: str) -> bool:
    """Say whether an answer is one of Socket.IO 2."""
    return _OLD.match(text) is not None


def read_open(text: str) -> Opened | None:
    """Read an open packet; return ``None`` if it is none."""
    if not text.startswith("0{"):
        return None
    try:
        fields = cast("dict[str, Any]", json.loads(text[1:].partition("\x1e")[0]))
        return Opened(
            sid=str(fields["sid"]),
            ping_interval=float(fields["pingInterval"]) / 1000,
            ping_timeout=float(fields["pingTimeout"]) / 1000,
            max_payload=int(fields.get("maxPayload", 0)),
            upgrades=tuple(map(str, fields.get("upgrades", ()))),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None

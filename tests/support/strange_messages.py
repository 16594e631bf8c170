"""Cluster messages of every type, and what becomes of messages that nobody meant."""

import random
from typing import Any, Final

__all__ = ["MESSAGES_DATA", "OPTIONS", "PACKET", "STRANGE", "mutated"]

OPTIONS: Final[dict[str, Any]] = {"rooms": ["room"], "except": ["x"], "flags": {"volatile": True}}
PACKET: Final[dict[str, Any]] = {"type": 2, "data": ["hello", 1, {"a": [None, "x"]}]}

MESSAGES_DATA: Final[list[tuple[int, dict[str, Any]]]] = [
    (3, {"packet": PACKET, "opts": OPTIONS}),
    (3, {"packet": PACKET, "opts": OPTIONS, "requestId": "1"}),
    (4, {"opts": OPTIONS, "rooms": ["x"]}),
    (5, {"opts": OPTIONS, "rooms": ["x"]}),
    (7, {"opts": OPTIONS, "requestId": "1"}),
    (8, {"requestId": "1", "sockets": [{"id": "x", "handshake": {}, "rooms": [], "data": {}}]}),
    (9, {"packet": ["sum", 1], "requestId": "1"}),
    (10, {"packet": 1, "requestId": "1"}),
    (11, {"clientCount": 1, "requestId": "1"}),
]
"""Types and data as they are in both formats that have cluster messages."""

STRANGE: Final[list[Any]] = [None, True, -1, 2**70, 1.5, "", [], {}, [[]], {"a": 1}]
"""Values of the wrong type for nearly every place."""


def mutated(randomly: random.Random, message: bytes) -> bytes:
    """Return a message with something wrong: others, cut off, changed, or more bytes."""
    changed = bytearray(message)
    match randomly.randrange(4):
        case 0:
            return randomly.randbytes(randomly.randrange(60))
        case 1:
            return bytes(changed[: randomly.randrange(len(changed) + 1)])
        case 2:
            for _ in range(randomly.randrange(1, 4)):
                changed[randomly.randrange(len(changed))] = randomly.randrange(256)
        case _:
            begin = randomly.randrange(len(changed))
            changed[begin:begin] = randomly.randbytes(randomly.randrange(1, 9))
    return bytes(changed)

"""The offsets of connection state recovery: which texts behind an event's arguments are one."""

import re
import time
from functools import reduce
from typing import Final

__all__ = ["is_offset"]

OFFSET: Final = re.compile(
    r"(?P<time>[0-9A-Za-z_-]{7})|[0-9A-Za-z_-]{7}\.[0-9A-Za-z_-]{1,13}|[0-9]{13}-[0-9]+|[0-9a-f]{24}"
)
"""What they look like: those of memory (the reference's and ours), of Redis streams, of MongoDB."""

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"

TOLERANCE: Final = 366 * 24 * 3_600.0
"""Seconds by which the clocks of a server and its client may differ."""


def is_offset(text: str) -> bool:
    """Say whether a text is an offset.

    Volatile events have none, and may end with any text. So one of seven characters, which is the time, has to be about now: that rules
    out all words that do not happen to begin like this year.

    Source:
        socket.io-adapter, ``SessionAwareAdapter`` and ``contrib/yeast.ts``.
    """
    found = OFFSET.fullmatch(text)
    if found is None:
        return False
    digits = found["time"]
    if digits is None:
        return True
    milliseconds: int = reduce(lambda number, digit: number * 64 + DIGITS.index(digit), digits, 0)
    return abs(milliseconds / 1_000 - time.time()) < TOLERANCE

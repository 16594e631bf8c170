"""What MessagePack has no form for: dates have one of the reference's, everything else that of JSON.

The core calls `convert` for an object that it cannot write itself and that the caller's ``default=`` hook has not taken, and the
other two for what arrives.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from roomcast.codec.convert import convert as convert_to_json
from roomcast.msgpack.extension import Ext

__all__ = ["convert", "date", "timestamp"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)


def convert(value: object) -> Any:
    """Return what stands for a value, or ``NotImplemented`` for a type that nobody knows.

    A ``datetime`` becomes milliseconds since 1970 as JavaScript's ``Date``; one without a time zone is local time, which has no
    form where UTC would be beyond Python's years. Everything else becomes what it is in JSON.

    Source:
        notepack.io 2.2.0, ``lib/encode.js``.
    """
    if not isinstance(value, datetime):
        return convert_to_json(value)
    if value.utcoffset() is None:
        try:
            value = value.astimezone(UTC)
        except (OverflowError, ValueError):  # local time of the first or last day that Python has
            return NotImplemented
    milliseconds = (value - EPOCH) // MILLISECOND
    return Ext(0, milliseconds.to_bytes(8, signed=True))


def date(milliseconds: int) -> datetime:
    """Return the time of a ``Date``.

    Raises:
        OverflowError: If it is before the year 1 or after 9999.
    """
    return EPOCH + timedelta(milliseconds=milliseconds)


def timestamp(seconds: int, nanoseconds: int) -> datetime:
    """Return the time of a timestamp, to the microsecond.

    Raises:
        OverflowError: If it is before the year 1 or after 9999.
    """
    return EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)

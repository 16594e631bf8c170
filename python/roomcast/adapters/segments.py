"""What carries a request from one worker to another over the broker: the bytes of segments of streams.

A segment is a head and bytes. It travels in the channel of the worker that it is for, and names who has sent it. Within one direction
of a stream segments are numbered, since a broker may lose messages, and a stream with a hole is worth nothing: it is broken then.
"""

import struct
from typing import Final, NamedTuple

from roomcast.engine.streams import SEGMENT_SIZE, Flag
from roomcast.engine.ways import NAME, NAME_LENGTH

__all__ = ["Segment", "pack_segment", "read_segment"]

HEAD: Final = struct.Struct(f">B{NAME_LENGTH}sQI")


class Segment(NamedTuple):
    """A segment that has come."""

    flags: int
    sender: str
    id: int
    number: int
    data: bytes


def pack_segment(
    flags: int, sender: bytes, id: int = 0, number: int = 0, data: bytes = b""
) -> bytes:
    """Return the bytes of a segment."""
    return HEAD.pack(flags, sender, id, number) + data


def read_segment(message: bytes) -> Segment:
    """Read a segment.

    Raises:
        ValueError: If it is none.
    """
    if not HEAD.size <= len(message) <= HEAD.size + SEGMENT_SIZE:
        raise ValueError("a segment of a wrong size")
    flags, name, id, number = HEAD.unpack_from(message)
    sender = name.decode("latin-1")
    if flags & ~Flag.ALL or not NAME.fullmatch(sender):
        raise ValueError("no segment")
    return Segment(flags, sender, id, number, message[HEAD.size :])

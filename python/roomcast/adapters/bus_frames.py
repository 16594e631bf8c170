"""What workers of one host say to each other, as frames on a stream.

=========  =================  =====================================================================================
kind       name, payload      means
=========  =================  =====================================================================================
HELLO      a worker, VERSION  who speaks; the first frame of each connection
WANT       a channel          from now on messages in that channel are to be sent to the speaker
UNWANT     a channel          from now on they are not
READY                         so far that was everything that the speaker wants
HEARD                         the READY of the other end has been read
MESSAGE    a channel, bytes   a message
=========  =================  =====================================================================================
"""

import struct
from enum import IntEnum
from typing import Final

from roomcast.adapters.wire import MAX_SIZE

__all__ = ["VERSION", "Frame", "FrameError", "Frames", "Kind", "frame"]

HEAD: Final = struct.Struct(">BII")

MAX_NAME: Final = 1_000_000
"""Bytes of a name: that of a room, as long as a client's message at most."""

VERSION: Final = b"1"
"""Of these frames, and of what is in their messages. Workers of different versions do not understand each other."""


class Kind(IntEnum):
    """What a frame says."""

    HELLO = 1
    WANT = 2
    UNWANT = 3
    READY = 4
    HEARD = 5
    MESSAGE = 6


KINDS: Final = {int(kind): kind for kind in Kind}

Frame = tuple[Kind, bytes, bytes]
"""What it says, its name and its payload."""


class FrameError(ValueError):
    """Bytes that no worker sends."""


def frame(kind: Kind, name: bytes = b"", payload: bytes = b"") -> bytes:
    """Return a frame's bytes."""
    return HEAD.pack(kind, len(name), len(payload)) + name + payload


class Frames:
    """Makes frames of the bytes of one connection."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take what has come, and return the frames that are complete with it.

        Raises:
            FrameError: If they are none.
        """
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._needed:
                return []
            data = bytes(rest)
            rest.clear()
        frames: list[Frame] = []
        begin, end = 0, len(data)
        self._needed = HEAD.size
        while end - begin >= HEAD.size:
            number, name_size, size = HEAD.unpack_from(data, begin)
            kind = KINDS.get(number)
            if kind is None or name_size > MAX_NAME or size > MAX_SIZE:
                raise FrameError(f"no frame: kind {number}, {name_size} and {size} bytes")
            middle = begin + HEAD.size + name_size
            behind = middle + size
            if behind > end:
                self._needed = behind - begin
                break
            frames.append((kind, data[begin + HEAD.size : middle], data[middle:behind]))
            begin = behind
        rest += data[begin:]
        return frames

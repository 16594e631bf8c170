"""What MessagePack has no form of its own for, and nobody here knows."""

from typing import NamedTuple

__all__ = ["Ext"]


class Ext(NamedTuple):
    """An extension of MessagePack: it is what arrives where a peer sends one that roomcast does not know, and can be sent.

    Attributes:
        code: Its type, -128 to 127. 0 belongs to the reference's parser (dates, ``undefined``, buffers), -1 are timestamps.
        data: Its bytes.
    """

    code: int
    data: bytes

"""permessage-deflate by hand, with Python's zlib: what a client sends, and what is in a server's frames."""

import zlib
from typing import Final

__all__ = ["OFFER", "bomb", "deflated", "frames_of", "inflated", "inflated_frames"]

OFFER: Final = "permessage-deflate; client_max_window_bits"
"""What browsers and Node.js offer."""

TAIL: Final = b"\x00\x00\xff\xff"
"""What each message ends with before it is sent, and is left out (RFC 7692, section 7.2.1)."""

BLOCK: Final = 1 << 20

_Compressor = type(zlib.compressobj())


def deflated(payload: bytes, compressor: _Compressor | None = None) -> bytes:
    """Return the payload of a compressed frame; with a compressor in the context of its earlier messages."""
    compressor = compressor or zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def inflated(payload: bytes, window_bits: int = 15) -> bytes:
    """Return what a compressed frame says that stands alone and keeps to a window."""
    return zlib.decompressobj(-window_bits).decompress(payload + TAIL)


def bomb(megabytes: int) -> bytes:
    """Return the payload of a compressed frame that becomes so many MiB of zeros; a thousandth of that."""
    compressor = zlib.compressobj(9, wbits=-15)
    # Each block stands alone, so that one can be repeated.
    block = compressor.compress(bytes(BLOCK)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return (block * megabytes).removesuffix(TAIL)


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    """Take a server's frames apart: first byte and payload of each."""
    found: list[tuple[int, bytes]] = []
    while data:
        size, start = data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        assert len(data) >= start + size, "the last frame is cut"
        found.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return found


def inflated_frames(frames: list[tuple[int, bytes]], window_bits: int = 15) -> list[str | bytes]:
    """Return the messages of a server's frames, of which each stands alone."""
    messages: list[str | bytes] = []
    for first, payload in frames:
        data = inflated(payload, window_bits) if first & 0x40 else payload
        messages.append(data.decode() if first & 0xF == 1 else data)
    return messages

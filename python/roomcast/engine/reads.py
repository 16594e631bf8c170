"""What asyncio's own loop reads into."""

from typing import Final

__all__ = ["keep_reads_on_heap"]

LARGER: Final = 524_288
"""Bytes; more than the 262 144 that asyncio asks for with each read."""


def keep_reads_on_heap() -> None:
    """Let the memory of reads come from the heap.

    asyncio allocates 256 KiB for each read and shrinks it to what has come. glibc maps pages for whatever has 128 KiB or more, until
    one that large is freed as it was allocated, which shrunk ones never are: three calls of the system and a page fault for each
    read, or 12 µs, as much as everything else that becomes of a small event. uvloop has a buffer of its own.

    Source:
        mallopt(3), ``M_MMAP_THRESHOLD``: the threshold is dynamic.
    """
    bytes(LARGER)

"""What this process takes of the machine."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

__all__ = ["MemoryWatch", "open_files", "resident", "watch_memory"]

INTERVAL: Final = 0.005
"""Seconds between two looks at the memory."""

PAGE: Final = resource.getpagesize()


def open_files() -> int:
    """Return how many file descriptors are open."""
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Return the bytes of memory that are in use (RSS)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


class MemoryWatch:
    """The highest that the memory has been while somebody looked."""

    def __init__(self) -> None:
        self.start = self.peak = resident()

    @property
    def rise(self) -> int:
        """Bytes that it rose above its start."""
        return self.peak - self.start

    def look(self) -> None:
        """Note how high it is."""
        self.peak = max(self.peak, resident())


@asynccontextmanager
async def watch_memory() -> AsyncIterator[MemoryWatch]:
    """Look at the memory again and again until the end of the block."""
    watch = MemoryWatch()

    async def look() -> None:
        while True:
            watch.look()
            await asyncio.sleep(INTERVAL)

    looking = asyncio.create_task(look())
    try:
        yield watch
    finally:
        looking.cancel()
        watch.look()

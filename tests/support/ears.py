"""What clients of a cluster hear, and when its nodes hear again, for tests that do harm to the broker."""

import time
from typing import Any

from roomcast import Server
from roomcast.testing import Socket
from support.served import eventually

__all__ = ["Ear", "heard_again"]


class Ear:
    """What a client hears of ``n``."""

    def __init__(self, socket: Socket) -> None:
        self.heard: list[int] = []
        socket.on("n", self.heard.append)

    async def hears(self, number: int) -> None:
        await eventually(lambda: number in self.heard)


async def heard_again(*nodes: tuple[Server, Any]) -> float:
    """Wait until nodes listen and publish; return after how many seconds."""
    begin = time.monotonic()
    await eventually(lambda: all(adapter.health.ok for _, adapter in nodes))
    return time.monotonic() - begin

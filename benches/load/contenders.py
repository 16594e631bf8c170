"""The servers that meet on a WebSocket, by the names that results have, and how each is started."""

from collections.abc import Callable
from typing import Final

from measured import OURS
from servers import floor, node, python, socketioxide

__all__ = ["ASYNC", "ASYNCIO", "COALESCED", "COMMANDS", "FLOOR", "NODE", "PEER", "RUST", "UVICORN"]

ASYNC: Final = "roomcast, async def"
ASYNCIO: Final = "roomcast, asyncio's loop"
UVICORN: Final = "roomcast, uvicorn --ws"
PEER: Final = "python-socketio"
NODE: Final = "Node.js socket.io"
RUST: Final = "socketioxide"
FLOOR: Final = "floor"
COALESCED: Final = "floor, coalesced"

PING_INTERVAL: Final = 25.0

COMMANDS: Final[dict[str, Callable[[], list[str]]]] = {
    OURS: lambda: python(OURS, ws="alone", handlers="def"),
    ASYNC: lambda: python(OURS, ws="alone", handlers="async"),
    ASYNCIO: lambda: python(OURS, ws="alone", handlers="def", loop="asyncio"),
    UVICORN: lambda: python(OURS, ws="direct", handlers="def"),
    PEER: lambda: python(PEER),
    NODE: lambda: node(PING_INTERVAL),
    RUST: socketioxide,
    FLOOR: lambda: floor("send"),
    COALESCED: lambda: floor("coalesce"),
}

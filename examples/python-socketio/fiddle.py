"""An application beside the server, something that goes on in the background, and hooks of the lifespan: ``uvicorn fiddle:app``."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from roomcast import compat as socketio

sio = socketio.AsyncServer(async_mode="asgi", logger=False, engineio_logger=False)
state: dict[str, Any] = {"started": False, "ticks": 0}
ticking: list[asyncio.Task[None]] = []


async def pages(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    """Answer everything that is not for the server."""
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"the application"})


async def tick() -> None:
    """Count, and tell everybody."""
    while True:
        await sio.sleep(0.05)
        state["ticks"] += 1
        await sio.emit("tick", (state["ticks"], state["started"]))


def startup() -> None:
    """Note that the application has started."""
    state["started"] = True


async def shutdown() -> None:
    """Stop counting."""
    for task in ticking:
        task.cancel()
    await sio.shutdown()


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    """Tell the client what it has sent, and begin to count with the first one."""
    if not ticking:
        ticking.append(sio.start_background_task(tick))
    await sio.emit("hello", (auth, environ["asgi.scope"]["type"], sio.transport(sid)), to=sid)


@sio.event
async def measure(sid: str, size: int) -> tuple[int, bytes]:
    """Answer with two arguments, one of them binary."""
    return size, b"\x00" * size


app = socketio.ASGIApp(sio, pages, on_startup=startup, on_shutdown=shutdown)

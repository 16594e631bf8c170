"""How long an event takes there and back, in python-socketio's API, with a page beside the server: ``uvicorn latency:app``."""

from pathlib import Path

from roomcast import compat as socketio

sio = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(sio, static_files={"/": str(Path(__file__).with_name("latency.html"))})


@sio.event
async def ping_from_client(sid: str) -> None:
    """Send one back."""
    await sio.emit("pong_from_server", room=sid)

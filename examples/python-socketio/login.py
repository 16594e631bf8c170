"""Sessions, and clients that are refused, in python-socketio's API: ``uvicorn login:app``."""

from typing import Any

from roomcast import compat as socketio
from roomcast.compat.exceptions import ConnectionRefusedError as Refused

USERS = {"secret": "ada", "password": "bob"}

sio = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(sio, socketio_path="/live/socket.io")


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: Any) -> bool | None:
    """Let in who has a token that is somebody's."""
    if not auth:
        return False
    token = auth.get("token")
    if token not in USERS:
        raise Refused("authentication failed", {"token": token})
    await sio.save_session(sid, {"name": USERS[token], "agent": environ.get("HTTP_X_AGENT")})
    return None


@sio.event
async def rename(sid: str, name: str) -> str:
    """Change the name, and answer with the one before."""
    async with sio.session(sid) as session:
        before: str = session["name"]
        session["name"] = name
    return before


@sio.event
async def whoami(sid: str) -> dict[str, Any]:
    """Answer with the session."""
    return dict(await sio.get_session(sid))


@sio.event
async def disconnect(sid: str, reason: str) -> None:
    """Tell everybody who has left, and why; the session is still there."""
    session = await sio.get_session(sid)
    await sio.emit("left", (session["name"], reason))

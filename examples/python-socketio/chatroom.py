"""A chat with rooms in python-socketio's API. The import is the only line that knows whose server it is.

``uvicorn chatroom:app``, or ``roomcast serve chatroom:app``.
"""

from typing import Any

from roomcast import compat as socketio

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
app = socketio.ASGIApp(sio)

Message = dict[str, Any]


@sio.event
async def connect(sid: str, environ: Message) -> None:
    """Greet the new one, and tell everybody."""
    await sio.emit("reply", {"data": "connected"}, room=sid)
    await sio.emit("people", {"joined": sid})


@sio.event
def disconnect(sid: str) -> None:
    """Say on the console who has left."""
    print("disconnected", sid)


@sio.event
async def to_me(sid: str, message: Message) -> None:
    """Answer the sender alone."""
    await sio.emit("reply", {"data": message["data"]}, room=sid)


@sio.event
async def to_all(sid: str, message: Message) -> None:
    """Pass a message to everybody."""
    await sio.emit("reply", {"data": message["data"]})


@sio.event
async def to_others(sid: str, message: Message) -> None:
    """Pass a message to everybody but the sender."""
    await sio.emit("reply", {"data": message["data"]}, skip_sid=sid)


@sio.event
async def enter(sid: str, message: Message) -> None:
    """Enter a room."""
    await sio.enter_room(sid, message["room"])
    await sio.emit("reply", {"data": f"entered {message['room']}"}, to=sid)


@sio.event
async def leave(sid: str, message: Message) -> None:
    """Leave a room."""
    await sio.leave_room(sid, message["room"])
    await sio.emit("reply", {"data": f"left {message['room']}"}, to=sid)


@sio.on("to room")
async def to_room(sid: str, message: Message) -> None:
    """Pass a message to a room."""
    await sio.emit("reply", {"data": message["data"]}, room=message["room"])


@sio.on("close room")
async def close_room(sid: str, message: Message) -> None:
    """Tell a room that it is no more."""
    await sio.emit("reply", {"data": "the room is closing"}, room=message["room"])
    await sio.close_room(message["room"])


@sio.on("my rooms")
async def my_rooms(sid: str) -> list[Any]:
    """Answer with the rooms of the sender."""
    return sorted(sio.rooms(sid), key=str)


@sio.on("leave us")
async def leave_us(sid: str) -> None:
    """Disconnect the sender."""
    await sio.disconnect(sid)

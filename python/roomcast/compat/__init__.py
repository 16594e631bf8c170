"""roomcast for applications of python-socketio: its packets inside that library, and a server in the place of that library's.

>>> import socketio
>>> from roomcast.compat import Packet
>>> sio = socketio.AsyncServer(async_mode="asgi", serializer=Packet)

>>> from roomcast import compat as socketio
>>> sio = socketio.AsyncServer(async_mode="asgi")
>>> app = socketio.ASGIApp(sio)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from roomcast.compat.installing import install, uninstall
from roomcast.compat.msgpack_packet import MsgPackPacket, StrictMsgPackPacket
from roomcast.compat.packet import Packet, StrictPacket

if TYPE_CHECKING:
    from roomcast.compat import exceptions
    from roomcast.compat.asgi import ASGIApp
    from roomcast.compat.namespace import AsyncNamespace
    from roomcast.compat.server import AsyncServer

__all__ = [
    "ASGIApp",
    "AsyncNamespace",
    "AsyncServer",
    "MsgPackPacket",
    "Packet",
    "StrictMsgPackPacket",
    "StrictPacket",
    "exceptions",
    "install",
    "uninstall",
]

_SERVER: Final = {"ASGIApp": "asgi", "AsyncNamespace": "namespace", "AsyncServer": "server"}
"""What is imported when it is asked for, as packets need nothing of it, and where it is."""

_ELSEWHERE: Final = {
    "AsyncAioPikaManager": "AsyncServer(adapter=roomcast.RedisAdapter(url))",
    "AsyncClient": "roomcast.connect(url)",
    "AsyncClientNamespace": "roomcast.connect(url)",
    "AsyncManager": "AsyncServer() without a client_manager",
    "AsyncRedisManager": "AsyncServer(adapter=roomcast.RedisAdapter(url)), and roomcast.Emitter in other processes",
    "AsyncSimpleClient": "roomcast.connect(url)",
    "Server": "AsyncServer: roomcast is for asyncio",
    "WSGIApp": "ASGIApp: roomcast is for asyncio",
}
"""Names of python-socketio, and what stands for them."""


def __getattr__(name: str) -> Any:
    if name in _SERVER:
        return getattr(import_module(f"roomcast.compat.{_SERVER[name]}"), name)
    if name == "exceptions":
        return import_module("roomcast.compat.exceptions")
    hint = f"; in its place there is {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
    raise AttributeError(f"module 'roomcast.compat' has no attribute {name!r}{hint}")

"""roomcast inside an application of python-socketio.

>>> import socketio
>>> from roomcast.compat import Packet
>>> sio = socketio.AsyncServer(async_mode="asgi", serializer=Packet)
"""

from roomcast.compat.installing import install, uninstall
from roomcast.compat.msgpack_packet import MsgPackPacket, StrictMsgPackPacket
from roomcast.compat.packet import Packet, StrictPacket

__all__ = [
    "MsgPackPacket",
    "Packet",
    "StrictMsgPackPacket",
    "StrictPacket",
    "install",
    "uninstall",
]

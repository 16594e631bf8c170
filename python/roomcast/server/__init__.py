"""The server: Socket.IO's namespaces, sockets, rooms and acknowledgements over Engine.IO connections."""

from roomcast.server.adapter import Adapter, BroadcastOptions
from roomcast.server.broadcast import BroadcastOperator
from roomcast.server.client import Client
from roomcast.server.handshake import Handshake
from roomcast.server.namespace import Namespace
from roomcast.server.server import Server
from roomcast.server.socket import Socket, SocketOperator

__all__ = [
    "Adapter",
    "BroadcastOperator",
    "BroadcastOptions",
    "Client",
    "Handshake",
    "Namespace",
    "Server",
    "Socket",
    "SocketOperator",
]

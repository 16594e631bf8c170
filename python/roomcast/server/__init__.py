"""The server: Socket.IO's namespaces, sockets, rooms and acknowledgements over Engine.IO connections."""

from roomcast.server.acks import AckReport
from roomcast.server.adapter import Adapter, BroadcastOptions
from roomcast.server.broadcast import BroadcastOperator
from roomcast.server.client import Client
from roomcast.server.handshake import Handshake
from roomcast.server.methods import event
from roomcast.server.namespace import Namespace
from roomcast.server.operator import SocketOperator
from roomcast.server.parent import ParentNamespace
from roomcast.server.recovery import ConnectionStateRecovery, RecoveryFailure
from roomcast.server.server import Server
from roomcast.server.socket import Socket

__all__ = [
    "AckReport",
    "Adapter",
    "BroadcastOperator",
    "BroadcastOptions",
    "Client",
    "ConnectionStateRecovery",
    "Handshake",
    "Namespace",
    "ParentNamespace",
    "RecoveryFailure",
    "Server",
    "Socket",
    "SocketOperator",
    "event",
]

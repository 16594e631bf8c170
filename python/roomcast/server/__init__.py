"""The server: Socket.IO's namespaces, sockets, rooms and acknowledgements over Engine.IO connections."""

from roomcast.server.acks import AckReport
from roomcast.server.adapter import Adapter, AdapterFactory, BroadcastOptions
from roomcast.server.broadcast import BroadcastOperator
from roomcast.server.client import Client
from roomcast.server.handshake import Handshake
from roomcast.server.methods import event
from roomcast.server.namespace import Namespace
from roomcast.server.operator import SocketOperator
from roomcast.server.parent import ParentNamespace
from roomcast.server.recovery import ConnectionStateRecovery, RecoveryFailure
from roomcast.server.remote import FetchedSockets, RemoteHandshake, RemoteSocket
from roomcast.server.server import Server
from roomcast.server.socket import Socket

__all__ = [
    "AckReport",
    "Adapter",
    "AdapterFactory",
    "BroadcastOperator",
    "BroadcastOptions",
    "Client",
    "ConnectionStateRecovery",
    "FetchedSockets",
    "Handshake",
    "Namespace",
    "ParentNamespace",
    "RecoveryFailure",
    "RemoteHandshake",
    "RemoteSocket",
    "Server",
    "Socket",
    "SocketOperator",
    "event",
]

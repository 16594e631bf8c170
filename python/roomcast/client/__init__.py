"""The client: `connect`, and `Manager` for several namespaces on one connection."""

from roomcast.client.manager import Manager, connect
from roomcast.client.operator import SocketOperator
from roomcast.client.options import ConnectOptions, ManagerOptions, Options, SocketOptions
from roomcast.client.socket import Socket
from roomcast.client.transport import Details

__all__ = [
    "ConnectOptions",
    "Details",
    "Manager",
    "ManagerOptions",
    "Options",
    "Socket",
    "SocketOperator",
    "SocketOptions",
    "connect",
]

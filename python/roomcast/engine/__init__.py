"""Engine.IO: connections and what carries them.

`connection` is the protocol without any I/O; `server` and `transports` are the rim that reads, writes and sleeps.
"""

from roomcast.engine.connection import Connection, ConnectionState
from roomcast.engine.requests import Request

__all__ = ["Connection", "ConnectionState", "Request"]

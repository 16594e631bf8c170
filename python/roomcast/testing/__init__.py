"""A test kit: clients inside the process, without a port, over lines that tests break, on a clock that they move.

>>> from roomcast import testing
>>> async with testing.connect(io) as socket:
...     assert await socket.emit_with_ack("say", "hello") == ("delivered", 5)

The server is the real one, middlewares, codec and outbox included, behind real ASGI; only what lies between the application and the
network is missing. Nothing but roomcast is needed; `roomcast.testing.pytest` is a plugin that is loaded where it is asked for.
"""

from typing import Protocol, Unpack

from roomcast.client.operator import SocketOperator
from roomcast.testing.clock import Clock, ClockEventLoop, new_event_loop, run, running_clock
from roomcast.testing.line import Direction, Line
from roomcast.testing.manager import Manager, connect
from roomcast.testing.options import App, Auth, ConnectOptions, ManagerOptions, Options
from roomcast.testing.socket import Socket

__all__ = [
    "App",
    "Auth",
    "Clock",
    "ClockEventLoop",
    "Connect",
    "ConnectOptions",
    "Direction",
    "Line",
    "Manager",
    "ManagerOptions",
    "Options",
    "Socket",
    "SocketOperator",
    "connect",
    "new_event_loop",
    "run",
    "running_clock",
]


class Connect(Protocol):
    """The type of the fixture ``connect``."""

    def __call__(self, app: App, nsp: str = "/", **options: Unpack[ConnectOptions]) -> Socket:
        """Return a client as `connect` does, which is disconnected at the end of the test."""
        ...

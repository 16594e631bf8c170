"""The exceptions of python-socketio, under the names by which applications raise and catch them.

Source:
    python-socketio, ``socketio.exceptions``.
"""

from typing import Any

from roomcast.errors import RoomcastError

__all__ = [
    "BadNamespaceError",
    "ConnectionError",
    "ConnectionRefusedError",
    "DisconnectedError",
    "SocketIOError",
    "TimeoutError",
]


class SocketIOError(RoomcastError):
    """Base of the others."""


class ConnectionError(SocketIOError):  # noqa: A001  python-socketio's name
    """A connection was not made; of these the server raises none."""


class ConnectionRefusedError(ConnectionError):  # noqa: A001  python-socketio's name
    """Raised by a ``connect`` handler to refuse a client.

    Attributes:
        error_args: What the client gets: a ``message``, and ``data`` where there is more.
    """

    error_args: dict[str, Any]

    def __init__(self, *args: Any) -> None:
        """Take a message, and what else the client may know."""
        super().__init__(*args)
        self.error_args = {"message": str(args[0]) if args else "Connection rejected by server"}
        if len(args) > 1:
            self.error_args["data"] = args[1] if len(args) == 2 else args[1:]


class TimeoutError(SocketIOError):  # noqa: A001  python-socketio's name
    """A client did not answer in time, or will not any more."""


class BadNamespaceError(SocketIOError):
    """A client has not joined a namespace; there so that programs can catch it, servers never raise it."""


class DisconnectedError(SocketIOError):
    """A client was disconnected; there so that programs can catch it, servers never raise it."""

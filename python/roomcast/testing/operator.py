"""A socket with flags for what it emits."""

from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from roomcast.events import Listener
from roomcast.server.acks import checked_timeout
from roomcast.server.operator import SocketFlags

if TYPE_CHECKING:
    from roomcast.testing.socket import Socket

__all__ = ["SocketOperator"]


class SocketOperator:
    """A socket with flags for what it emits, immutable; what `Socket.timeout`, `Socket.volatile` and `Socket.compress` return."""

    __slots__ = ("_flags", "_socket")

    def __init__(self, socket: "Socket", flags: SocketFlags) -> None:
        """Take a socket and how it emits."""
        self._socket = socket
        self._flags = flags

    @property
    def volatile(self) -> "SocketOperator":
        """The same, for events that may be dropped."""
        return SocketOperator(self._socket, replace(self._flags, volatile=True))

    def compress(self, compress: bool) -> "SocketOperator":
        """The same, for events that may be compressed or not."""
        return SocketOperator(self._socket, replace(self._flags, compress=compress))

    def timeout(self, seconds: float) -> "SocketOperator":
        """The same, with a time-out for the acknowledgement."""
        return SocketOperator(self._socket, replace(self._flags, timeout=checked_timeout(seconds)))

    def emit(self, event: str, *args: Any, ack: Listener | None = None) -> Awaitable[None]:
        """Send an event as `Socket.emit` does; with a time-out ``ack`` is called with ``(error, *args)``."""
        return self._socket.emit_within(self._flags, event, args, ack)

    def emit_with_ack(self, event: str, *args: Any) -> Awaitable[Any]:
        """Get the server's answer as `Socket.emit_with_ack` does; with a time-out it raises `AckTimeoutError` if it is late."""
        return self._socket.request_within(self._flags, event, args)

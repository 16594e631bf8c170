"""A socket with flags for what it emits."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

from roomcast.events import Listener
from roomcast.server.broadcast import Broadcaster, BroadcastOperator
from roomcast.sockets.acks import checked_timeout
from roomcast.sockets.flags import SocketFlags
from roomcast.typed import Event

if TYPE_CHECKING:
    from roomcast.server.socket import Socket

__all__ = ["SocketOperator"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class SocketOperator(Broadcaster):
    """A socket with flags for what it emits, immutable; what `Socket.timeout`, `Socket.volatile` and `Socket.compress` return.

    Source:
        socket.io has these flags on the socket itself, where the next emit takes them away.
    """

    __slots__ = ("_flags", "_socket")

    def __init__(self, socket: "Socket", flags: SocketFlags) -> None:
        """Take a socket and how it emits."""
        self._socket = socket
        self._flags = flags

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everybody in the namespace but the socket, with the same flags."""
        return self._operator()

    @property
    def volatile(self) -> "SocketOperator":
        """The same, for events that may be dropped; see `Broadcaster.volatile`."""
        return SocketOperator(self._socket, self._flags._replace(volatile=True))

    def compress(self, compress: bool) -> "SocketOperator":
        """The same, for events that may be compressed or not; see `Broadcaster.compress`."""
        return SocketOperator(self._socket, self._flags._replace(compress=compress))

    def timeout(self, seconds: float) -> "SocketOperator":
        """The same, with a time-out for the acknowledgement; as `Socket.timeout`."""
        return SocketOperator(self._socket, self._flags._replace(timeout=checked_timeout(seconds)))

    @overload
    def emit(
        self, event: Event[Any, *Ts], *args: *Ts, ack: Listener | None = None
    ) -> Awaitable[None]: ...
    @overload
    def emit(self, event: str, *args: Any, ack: Listener | None = None) -> Awaitable[None]: ...
    def emit(self, event: Any, *args: object, ack: Listener | None = None) -> Awaitable[None]:
        """Send an event as `Socket.emit` does; with a time-out ``ack`` is called with ``(error, *args)``.

        The error is ``None``, `AckTimeoutError` or `DisconnectedError`; with an error there are no arguments.
        """
        return self._socket.emit_within(self._flags, event, args, ack)

    def send(self, *args: Any) -> Awaitable[None]:
        """Send an event named ``message``; otherwise as `emit`."""
        return self.emit("message", *args)

    @overload
    def emit_with_ack(self, event: Event[R, *Ts], *args: *Ts) -> Awaitable[R]: ...
    @overload
    def emit_with_ack(self, event: str, *args: Any) -> Awaitable[Any]: ...
    def emit_with_ack(self, event: Any, *args: object) -> Awaitable[Any]:
        """Get the client's answer as `Socket.emit_with_ack` does; with a time-out it raises `AckTimeoutError` if it is late."""
        return self._socket.request_within(self._flags, event, args)

    def _operator(self) -> BroadcastOperator:
        operator, flags = self._socket.broadcast, self._flags
        return operator.with_(
            operator.options._replace(
                timeout=flags.timeout,
                volatile=flags.volatile,
                compress=flags.compress,
            )
        )

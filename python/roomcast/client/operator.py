"""The emits of a client's socket, and the same with flags."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any, TypeVar, TypeVarTuple, overload

from roomcast.events import Listener
from roomcast.sockets.acks import checked_timeout
from roomcast.sockets.flags import PLAIN, SocketFlags
from roomcast.typed import Event

__all__ = ["Emitting", "SocketOperator"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class Emitting(ABC):
    """What emits to a server."""

    __slots__ = ()

    @property
    def volatile(self) -> "SocketOperator":
        """The same, for events that are dropped unless they can be sent at once."""
        return self._with(self._get_flags()._replace(volatile=True))

    def compress(self, compress: bool) -> "SocketOperator":
        """The same, for events that may be compressed or not."""
        return self._with(self._get_flags()._replace(compress=compress))

    def timeout(self, seconds: float) -> "SocketOperator":
        """The same, with a time-out for the acknowledgement of what is emitted next.

        Raises:
            TypeError: If it is not a number.
            ValueError: If it is negative or not finite.
        """
        return self._with(self._get_flags()._replace(timeout=checked_timeout(seconds)))

    @overload
    def emit(
        self, event: Event[Any, *Ts], *args: *Ts, ack: Listener | None = None
    ) -> Awaitable[None]: ...
    @overload
    def emit(self, event: str, *args: Any, ack: Listener | None = None) -> Awaitable[None]: ...
    def emit(self, event: Any, *args: object, ack: Listener | None = None) -> Awaitable[None]:
        """Send an event to the server; while the socket is not connected it is kept, and sent as soon as it is.

        Args:
            event: The event's name, none of the reserved ones; or its declaration in an event map (`roomcast.typed`).
            args: Anything that JSON knows, and bytes. They are encoded before the call returns.
            ack: Asks for an acknowledgement; a function or a coroutine function, called with its arguments. With a time-out it is called
                with ``(error, *args)``: the error is ``None``, `AckTimeoutError` or `DisconnectedError`. Without one it is forgotten
                if the socket disconnects.

        Returns:
            Something to await for back pressure, or to ignore.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
            SendBufferError: If there is no room for it, and the option ``send_buffer_policy`` is ``raise``.
        """
        return self.emit_within(self._get_flags(), event, args, ack)

    def send(self, *args: Any) -> Awaitable[None]:
        """Send an event named ``message``; otherwise as `emit`."""
        return self.emit("message", *args)

    @overload
    def emit_with_ack(self, event: Event[R, *Ts], *args: *Ts) -> Awaitable[R]: ...
    @overload
    def emit_with_ack(self, event: str, *args: Any) -> Awaitable[Any]: ...
    def emit_with_ack(self, event: Any, *args: object) -> Awaitable[Any]:
        """Send an event and get the server's answer.

        Returns:
            A future of the answer: one argument → itself, several → a tuple, none → ``None``. It raises `DisconnectedError` if the
            socket disconnects first, and `AckTimeoutError` if the answer is late where there is a time-out.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
            SendBufferError: As by `emit`.

        Source:
            socket.io-client, ``Socket.emitWithAck``. Differs from it: further arguments are not dropped.
        """
        return self.request_within(self._get_flags(), event, args)

    @abstractmethod
    def emit_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...], ack: Listener | None
    ) -> Awaitable[None]:
        """Emit with flags, and with an acknowledgement for a function."""

    @abstractmethod
    def request_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...]
    ) -> Awaitable[Any]:
        """Emit, with an acknowledgement for one who awaits."""

    def _get_flags(self) -> SocketFlags:
        return PLAIN

    def _with(self, flags: SocketFlags) -> "SocketOperator":
        return SocketOperator(self, flags)


class SocketOperator(Emitting):
    """A socket with flags for what it emits, immutable; what its ``timeout``, ``volatile`` and ``compress`` return."""

    __slots__ = ("_flags", "_socket")

    def __init__(self, socket: Emitting, flags: SocketFlags) -> None:
        """Take a socket and how it emits."""
        self._socket = socket
        self._flags = flags

    def emit_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...], ack: Listener | None
    ) -> Awaitable[None]:
        """Emit from the socket."""
        return self._socket.emit_within(flags, event, args, ack)

    def request_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...]
    ) -> Awaitable[Any]:
        """Emit from the socket."""
        return self._socket.request_within(flags, event, args)

    def _get_flags(self) -> SocketFlags:
        return self._flags

    def _with(self, flags: SocketFlags) -> "SocketOperator":
        return SocketOperator(self._socket, flags)

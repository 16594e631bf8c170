"""Choose whom an event is for.

`Broadcaster` is what everything that can broadcast has in common: the server, a namespace, a socket and the operator itself.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple, overload

from roomcast.errors import AckTimeoutError, UsageError
from roomcast.events import Listener
from roomcast.server.acks import AckReport
from roomcast.server.adapter import BroadcastOptions
from roomcast.sockets.acks import checked_timeout
from roomcast.typed import Event

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace
    from roomcast.server.remote import FetchedSockets

__all__ = ["EVERYBODY", "BroadcastOperator", "Broadcaster", "Emitter", "room_names"]

EVERYBODY: Final = BroadcastOptions()

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


def room_names(rooms: tuple[str | Iterable[str], ...]) -> tuple[str, ...]:
    """Flatten rooms as ``to("a", "b")`` and ``to(["a", "b"])`` give them.

    Raises:
        TypeError: If a name is not a ``str``.
    """
    names: list[str] = []
    for room in rooms:
        if isinstance(room, str) or not isinstance(room, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            names.append(room)
        else:
            names.extend(room)
    for name in names:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a room must be a str, not {type(name).__name__}")
    return tuple(names)


class Broadcaster(ABC):
    """The choice of recipients; every call gives a new operator and changes nothing."""

    __slots__ = ()

    def to(self, *rooms: str | Iterable[str]) -> "BroadcastOperator":
        """Choose the sockets of rooms; called again, of those rooms too.

        Args:
            rooms: Names of rooms or ids of sockets, one by one or in lists.

        Raises:
            TypeError: If a name is not a ``str``.
        """
        operator = self._operator()
        options = operator.options
        return operator.with_(options._replace(rooms=options.rooms + room_names(rooms)))

    def in_(self, *rooms: str | Iterable[str]) -> "BroadcastOperator":
        """Choose the sockets of rooms; the same as `to`."""
        return self.to(*rooms)

    def except_(self, *rooms: str | Iterable[str]) -> "BroadcastOperator":
        """Leave out the sockets of rooms, whatever other rooms they are in; arguments as for `to`."""
        operator = self._operator()
        options = operator.options
        return operator.with_(options._replace(except_=options.except_ + room_names(rooms)))

    def all_of(self, *rooms: str | Iterable[str]) -> "BroadcastOperator":
        """Choose only sockets that are in every one of these rooms; arguments as for `to`.

        Source:
            roomcast; the reference can only unite rooms.
        """
        operator = self._operator()
        options = operator.options
        return operator.with_(options._replace(all_of=options.all_of + room_names(rooms)))

    @property
    def local(self) -> "BroadcastOperator":
        """Choose only clients of this server, not those of the others in its cluster."""
        operator = self._operator()
        return operator.with_(operator.options._replace(local=True))

    @property
    @abstractmethod
    def volatile(self) -> Any:
        """The same choice, for events that may be dropped: whoever is not writable at the instant of the emit is passed over.

        A connection is writable unless its client is behind: on a WebSocket while the network takes what is sent, on polling
        while a request waits for something.
        """

    @abstractmethod
    def compress(self, compress: bool) -> Any:
        """The same choice, for events that transports may compress or, with ``False``, send as they are.

        Nothing is compressed that an option has not allowed: ``per_message_deflate`` for WebSockets, ``http_compression`` for
        polling.

        Source:
            socket.io, ``compress``. Differs from it: there a WebSocket compresses whatever the flag says.
        """

    @abstractmethod
    def _operator(self) -> "BroadcastOperator":
        """Return an operator with the choice made so far."""


class Emitter(Broadcaster):
    """What can emit to several sockets at once."""

    __slots__ = ()

    @property
    def volatile(self) -> "BroadcastOperator":
        """The same choice, for events that may be dropped; see `Broadcaster.volatile`."""
        operator = self._operator()
        return operator.with_(operator.options._replace(volatile=True))

    def compress(self, compress: bool) -> "BroadcastOperator":
        """The same choice, for events that may be compressed or not; see `Broadcaster.compress`."""
        operator = self._operator()
        return operator.with_(operator.options._replace(compress=compress))

    def timeout(self, seconds: float) -> "BroadcastOperator":
        """Wait for acknowledgements this long.

        Raises:
            ValueError: If it is negative or not finite.
        """
        operator = self._operator()
        return operator.with_(operator.options._replace(timeout=checked_timeout(seconds)))

    @overload
    def emit(
        self, event: Event[Any, *Ts], *args: *Ts, ack: Listener | None = None
    ) -> Awaitable[None]: ...
    @overload
    def emit(self, event: str, *args: Any, ack: Listener | None = None) -> Awaitable[None]: ...
    def emit(self, event: Any, *args: object, ack: Listener | None = None) -> Awaitable[None]:
        """Send an event to every socket that is chosen, each once.

        Args:
            event: The event's name, none of the reserved ones; or its declaration in an event map (`roomcast.typed`).
            args: Anything that JSON knows, and bytes. They are encoded before the call returns.
            ack: Called with ``(error, responses)``: of each client the first argument of its answer, in order of arrival.
                It needs a `timeout`.

        Returns:
            Something to await for back pressure, or to ignore.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
            UsageError: If there is an ``ack`` without a time-out.
        """
        operator = self._operator()
        adapter = operator.nsp.adapter
        if ack is None:
            return adapter.broadcast(event, args, operator.options)
        operator.require_timeout()
        handlers = operator.nsp.server.handlers

        def done(report: AckReport, responses: list[Any]) -> None:
            error = None if report.complete else AckTimeoutError(responses)
            handlers.call(ack, (error, responses), None, event)

        return adapter.broadcast_with_ack(event, args, operator.options, done)

    def send(self, *args: Any) -> Awaitable[None]:
        """Send an event named ``message``; otherwise as `emit`."""
        return self.emit("message", *args)

    @overload
    def emit_with_ack(self, event: Event[R, *Ts], *args: *Ts) -> Awaitable[list[R]]: ...
    @overload
    def emit_with_ack(self, event: str, *args: Any) -> Awaitable[list[Any]]: ...
    def emit_with_ack(self, event: Any, *args: object) -> Awaitable[list[Any]]:
        """Send an event and collect the answers; it needs a `timeout`.

        Returns:
            A future of the answers: of each client the first argument, in order of arrival. It raises `AckTimeoutError`,
            whose ``responses`` are the answers so far, if somebody does not answer in time or leaves. Nobody to ask: an empty
            list.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
            UsageError: If there is no time-out.

        Source:
            socket.io, ``BroadcastOperator.emitWithAck``. Differs from it: a missing time-out is an error, there it is one
            millisecond.
        """
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

        def done(report: AckReport, responses: list[Any]) -> None:
            if future.done():
                return
            if report.complete:
                future.set_result(responses)
            else:
                future.set_exception(AckTimeoutError(responses))
                future.exception()  # so that one who does not wait for it is not told off

        self._collect(event, args, done)
        return future

    @overload
    def emit_with_ack_report(self, event: Event[Any, *Ts], *args: *Ts) -> Awaitable[AckReport]: ...
    @overload
    def emit_with_ack_report(self, event: str, *args: Any) -> Awaitable[AckReport]: ...
    def emit_with_ack_report(self, event: Any, *args: object) -> Awaitable[AckReport]:
        """Send an event and learn of every client whether it answered, was too late, or left; it needs a `timeout`.

        Returns:
            A future of the `AckReport`; a client that does not answer is no error.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
            UsageError: If there is no time-out.

        Source:
            roomcast.
        """
        future: asyncio.Future[AckReport] = asyncio.get_running_loop().create_future()

        def done(report: AckReport, responses: list[Any]) -> None:
            if not future.done():
                future.set_result(report)

        self._collect(event, args, done)
        return future

    def fetch_sockets(self) -> "Awaitable[FetchedSockets]":
        """Return something to await for the sockets that are chosen: of all of them, wherever they are connected.

        Those of this node are `Socket`, those of others `RemoteSocket`. Where a node does not answer, the list has what the others
        said, and `FetchedSockets.complete` is false.

        Source:
            socket.io, ``fetchSockets``. Differs from it: there one node that does not answer is an error.
        """
        operator = self._operator()
        return operator.nsp.adapter.fetch_sockets(operator.options)

    def sockets_join(self, *rooms: str | Iterable[str]) -> Awaitable[None]:
        """Let the sockets that are chosen join rooms; arguments as for `Broadcaster.to`."""
        operator = self._operator()
        return operator.nsp.adapter.add_sockets(operator.options, room_names(rooms))

    def sockets_leave(self, *rooms: str | Iterable[str]) -> Awaitable[None]:
        """Let the sockets that are chosen leave rooms; arguments as for `Broadcaster.to`."""
        operator = self._operator()
        return operator.nsp.adapter.del_sockets(operator.options, room_names(rooms))

    def disconnect_sockets(self, close: bool = False) -> Awaitable[None]:
        """Disconnect the sockets that are chosen.

        Args:
            close: Make each leave all of its namespaces, and close its connection.
        """
        operator = self._operator()
        return operator.nsp.adapter.disconnect_sockets(operator.options, close)

    def _collect(
        self, event: str, args: tuple[Any, ...], done: Callable[[AckReport, list[Any]], None]
    ) -> None:
        operator = self._operator()
        operator.require_timeout()
        operator.nsp.adapter.broadcast_with_ack(event, args, operator.options, done)


class BroadcastOperator(Emitter):
    """A choice of sockets of one namespace, immutable: keep it, share it, choose further from it.

    Attributes:
        nsp: The namespace.
        options: The choice.

    Source:
        socket.io, ``BroadcastOperator``.
    """

    __slots__ = ("nsp", "options")

    def __init__(self, nsp: "Namespace", options: BroadcastOptions = EVERYBODY) -> None:
        """Take a namespace and a choice."""
        self.nsp = nsp
        self.options = options

    def with_(self, options: BroadcastOptions) -> "BroadcastOperator":
        """Return an operator with another choice."""
        return BroadcastOperator(self.nsp, options)

    def require_timeout(self) -> None:
        """Refuse to wait for acknowledgements for ever: one client that leaves would keep them waiting.

        Raises:
            UsageError: If there is no time-out.
        """
        if self.options.timeout is None:
            raise UsageError("acknowledgements of a broadcast need a time-out: .timeout(seconds)")

    def _operator(self) -> "BroadcastOperator":
        return self

"""What emitters of all formats have in common: the choice of sockets, and how a message gets to the broker.

Source:
    socket.io-redis-emitter 5.1.0, ``lib/index.ts``.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Generic, Self, TypeVar

from roomcast.adapters.blocking import BlockingClient
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.wire import RequestType
from roomcast.adapters.wiring import AnyPublisher
from roomcast.codec import Encoder
from roomcast.errors import EncodeError, ReservedEventError
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.broadcast import EVERYBODY, room_names
from roomcast.server.namespace import SERVER_EVENTS

__all__ = ["AsyncioEmitter", "BlockingEmitter", "EmitterOperator", "EmitterWire"]

R = TypeVar("R")
"""What an operation returns."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that an emitter that closes waits for the broker to take what is left."""


class EmitterWire(ABC):
    """A format: the commands that the broker gets.

    Attributes:
        encoder: Says what cannot be emitted.
        notepack: MessagePack.
    """

    def __init__(self, default: Callable[[Any], Any] | None) -> None:
        """Take the hook for objects that JSON does not know."""
        self.notepack = Notepack(default)
        self.encoder = Encoder(default=default)

    @abstractmethod
    def broadcast(
        self, nsp: str, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> tuple[bytes, ...]:
        """Return what sends an event."""

    @abstractmethod
    def change(
        self, nsp: str, kind: RequestType, options: BroadcastOptions, what: dict[str, Any]
    ) -> tuple[bytes, ...]:
        """Return what lets sockets join, leave or disconnect."""

    @abstractmethod
    def server_side_emit(self, nsp: str, items: list[Any]) -> tuple[bytes, ...]:
        """Return what sends an event to servers.

        Raises:
            TypeError: If a value cannot travel.
            ValueError: The same.
        """


class EmitterOperator(Generic[R]):
    """A choice of sockets of one namespace, immutable: keep it, share it, choose further from it.

    Attributes:
        nsp: The namespace.
        options: The choice.
    """

    __slots__ = ("_send", "_wire", "nsp", "options")

    def __init__(
        self,
        wire: EmitterWire,
        send: Callable[[tuple[bytes, ...]], R],
        nsp: str = "/",
        options: BroadcastOptions = EVERYBODY,
    ) -> None:
        """Take a choice; programs begin with an emitter."""
        self._wire = wire
        self._send = send
        self.nsp = nsp
        self.options = options

    def of(self, nsp: str) -> "EmitterOperator[R]":
        """Choose the sockets of another namespace, all of them; a missing leading slash is added."""
        name = nsp if nsp.startswith("/") else f"/{nsp}"
        return EmitterOperator(self._wire, self._send, name)

    def to(self, *rooms: str | Iterable[str]) -> "EmitterOperator[R]":
        """Choose the sockets of rooms; called again, of those rooms too.

        Args:
            rooms: Names of rooms or ids of sockets, one by one or in lists.

        Raises:
            TypeError: If a name is not a ``str``.
        """
        return self._with(rooms=self.options.rooms + room_names(rooms))

    def in_(self, *rooms: str | Iterable[str]) -> "EmitterOperator[R]":
        """Choose the sockets of rooms; the same as `to`."""
        return self.to(*rooms)

    def except_(self, *rooms: str | Iterable[str]) -> "EmitterOperator[R]":
        """Leave out the sockets of rooms; arguments as for `to`."""
        return self._with(except_=self.options.except_ + room_names(rooms))

    def all_of(self, *rooms: str | Iterable[str]) -> "EmitterOperator[R]":
        """Choose only sockets that are in every one of these rooms, and on roomcast nodes; arguments as for `to`."""
        return self._with(all_of=self.options.all_of + room_names(rooms))

    @property
    def volatile(self) -> "EmitterOperator[R]":
        """The same choice, for events that may be dropped."""
        return self._with(volatile=True)

    def compress(self, compress: bool) -> "EmitterOperator[R]":
        """The same choice, for events that transports may compress or not."""
        return self._with(compress=compress)

    def emit(self, event: str, *args: Any) -> R:
        """Send an event to every socket that is chosen.

        Raises:
            BrokerError: If the broker has not taken it.
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
        """
        wire = self._wire
        wire.encoder.encode_event(self.nsp, event, args)
        return self._send(wire.broadcast(self.nsp, event, args, self.options))

    def sockets_join(self, *rooms: str | Iterable[str]) -> R:
        """Let the sockets that are chosen join rooms; arguments as for `to`."""
        return self._change(RequestType.REMOTE_JOIN, {"rooms": room_names(rooms)})

    def sockets_leave(self, *rooms: str | Iterable[str]) -> R:
        """Let the sockets that are chosen leave rooms; arguments as for `to`."""
        return self._change(RequestType.REMOTE_LEAVE, {"rooms": room_names(rooms)})

    def disconnect_sockets(self, close: bool = False) -> R:
        """Disconnect the sockets that are chosen.

        Args:
            close: Make each leave all of its namespaces, and close its connection.
        """
        return self._change(RequestType.REMOTE_DISCONNECT, {"close": close})

    def server_side_emit(self, event: str, *args: Any) -> R:
        """Send an event to this namespace of all servers of the cluster; whom it is for plays no part.

        Raises:
            BrokerError: If the broker has not taken it.
            EncodeError: If an argument cannot travel.
            ReservedEventError: If the event belongs to the library.
        """
        if event in SERVER_EVENTS:
            raise ReservedEventError(event)
        try:
            words = self._wire.server_side_emit(self.nsp, [event, *args])
        except (TypeError, ValueError) as error:
            raise EncodeError(str(error)) from error
        return self._send(words)

    def _change(self, kind: RequestType, what: dict[str, Any]) -> R:
        return self._send(self._wire.change(self.nsp, kind, self.options, what))

    def _with(self, **changes: Any) -> "EmitterOperator[R]":
        return EmitterOperator(self._wire, self._send, self.nsp, self.options._replace(**changes))


class AsyncioEmitter(EmitterOperator[Awaitable[None]]):
    """What emits from an asyncio program. It belongs to one event loop."""

    def __init__(self, publisher: AnyPublisher, wire: EmitterWire) -> None:
        """Prepare; the connection is made with the first message."""
        super().__init__(wire, self._execute)
        self._publisher = publisher
        self._is_started = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait until the broker has what was sent, and close the connection."""
        if self._is_started:
            self._is_started = False
            await self._publisher.drained(CLOSE_TIMEOUT)
            await self._publisher.close()

    def _execute(self, words: tuple[bytes, ...]) -> Awaitable[None]:
        if not self._is_started:
            self._is_started = True
            self._publisher.start()
        return self._publisher.ask(*words)


class BlockingEmitter(EmitterOperator[None]):
    """What emits from a program without asyncio. It may be shared by threads."""

    def __init__(self, redis: Any, new_wire: Callable[[], EmitterWire]) -> None:
        """Prepare; the connection is made with the first message."""
        client = BlockingClient(redis)
        super().__init__(new_wire(), client.execute)
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of a client that was given."""
        self._client.close()

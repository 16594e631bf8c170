"""Emitters: what reaches the clients of a cluster from a program that serves nobody, as a worker of a queue, a script or a thread.

Source:
    socket.io-redis-emitter 5.1.0, ``lib/index.ts``.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, Final, Generic, Self, TypeVar

from roomcast.adapters.broker import Broker, BrokerError, require_redis
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.publisher import QUEUE_SIZE, Publisher
from roomcast.adapters.wire import (
    EMITTER,
    KEY,
    Channels,
    Requests,
    RequestType,
    write_choice,
    write_options,
)
from roomcast.codec import Encoder
from roomcast.errors import EncodeError, ReservedEventError
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.broadcast import room_names
from roomcast.server.namespace import SERVER_EVENTS

__all__ = ["Emitter", "EmitterOperator", "SyncEmitter"]

R = TypeVar("R")
"""What an operation returns."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that `Emitter.close` waits for the broker to take what is left."""


class _Wire(Generic[R]):
    """What all operators of an emitter share."""

    def __init__(
        self,
        key: str,
        default: Callable[[Any], Any] | None,
        send: Callable[[bytes, bytes], R],
    ) -> None:
        self.key = key
        self.notepack = Notepack(default)
        self.requests = Requests(self.notepack)
        self.encoder = Encoder(default=default)
        self.send = send


class EmitterOperator(Generic[R]):
    """A choice of sockets of one namespace, immutable: keep it, share it, choose further from it.

    Attributes:
        nsp: The namespace.
        options: The choice.
    """

    __slots__ = ("_channels", "_wire", "nsp", "options")

    def __init__(self, wire: "_Wire[R]", nsp: str, options: BroadcastOptions) -> None:
        """Take a choice; programs begin with an emitter."""
        self._wire = wire
        self._channels = Channels.of(wire.key, nsp)
        self.nsp = nsp
        self.options = options

    def of(self, nsp: str) -> "EmitterOperator[R]":
        """Choose the sockets of another namespace, all of them; a missing leading slash is added."""
        name = nsp if nsp.startswith("/") else f"/{nsp}"
        return EmitterOperator(self._wire, name, BroadcastOptions())

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
        wire, options = self._wire, self.options
        wire.encoder.encode_event(self.nsp, event, args)
        travelling = write_options(options)
        ordered = {name: travelling.pop(name) for name in ("rooms", "flags", "except")}
        pack = wire.notepack.pack
        message = b"\x93%b\x83\xa4type\x02\xa4data%b\xa3nsp%b%b" % (
            pack(EMITTER),
            wire.notepack.pack_event(self.nsp, event, args),
            pack(self.nsp),
            pack(ordered | travelling),
        )
        channels = self._channels
        return wire.send(
            channels.own if options.all_of else channels.of_rooms(options.rooms), message
        )

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
        request = {
            "uid": EMITTER,
            "type": RequestType.SERVER_SIDE_EMIT,
            "data": [event, *args],
        }
        try:
            message = self._wire.requests.write(request)
        except (TypeError, ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error
        return self._wire.send(self._channels.request, message)

    def _change(self, kind: RequestType, what: dict[str, Any]) -> R:
        options, channels = self.options, self._channels
        request = {"type": kind, "opts": write_choice(options)} | what
        channel = channels.own if options.all_of else channels.request
        return self._wire.send(channel, self._wire.requests.write(request))

    def _with(self, **changes: Any) -> "EmitterOperator[R]":
        return EmitterOperator(self._wire, self.nsp, replace(self.options, **changes))


class _Root(EmitterOperator[R]):
    """An emitter: every choice begins with it, and means everybody in ``/``."""

    def __init__(self, key: str, default: Callable[[Any], Any] | None) -> None:
        super().__init__(_Wire(key, default, self._send), "/", BroadcastOptions())

    @abstractmethod
    def _send(self, channel: bytes, message: bytes) -> R: ...


class Emitter(_Root[Awaitable[None]]):
    """Emits into a cluster from an asyncio program. It belongs to one event loop.

    What an operation returns may be awaited, until the broker has the message, or ignored. While the broker cannot be reached nothing
    is kept: awaiting raises `BrokerError`.

    ::

        async with Emitter("redis://localhost") as emitter:
            await emitter.to("room").emit("hello", 1)
    """

    def __init__(
        self, redis: Any, *, key: str = KEY, default: Callable[[Any], Any] | None = None
    ) -> None:
        """Prepare; the connection is made with the first message.

        Args:
            redis: As for `RedisAdapter`.
            key: As for `RedisAdapter`.
            default: Called for an object that JSON does not know.

        Raises:
            MissingDependencyError: If redis-py or msgpack is not installed.
            TypeError: If ``redis`` is neither a URL nor a client of `redis.asyncio`.
        """
        super().__init__(key, default)
        self._publisher = Publisher(Broker(redis), Counter(), queue_size=QUEUE_SIZE)
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

    def _send(self, channel: bytes, message: bytes) -> Awaitable[None]:
        if not self._is_started:
            self._is_started = True
            self._publisher.start()
        return self._publisher.ask(b"PUBLISH", channel, message)


class SyncEmitter(_Root[None]):
    """Emits into a cluster from a program without asyncio: a worker of Celery, a script, a thread. It may be shared by threads.

    Every operation returns when the broker has the message.
    """

    def __init__(
        self, redis: Any, *, key: str = KEY, default: Callable[[Any], Any] | None = None
    ) -> None:
        """Prepare; the connection is made with the first message.

        Args:
            redis: A URL, or a client of redis-py (`redis.Redis`).
            key: As for `RedisAdapter`.
            default: Called for an object that JSON does not know.

        Raises:
            MissingDependencyError: If redis-py or msgpack is not installed.
            TypeError: If ``redis`` is neither.
        """
        library = require_redis("redis")
        super().__init__(key, default)
        self._own = isinstance(redis, str)
        if isinstance(redis, str):
            redis = library.Redis.from_url(redis, protocol=2)
        elif not isinstance(redis, library.Redis):
            raise TypeError(f"redis must be a URL or a redis.Redis, not {type(redis).__name__}")
        self._client: Any = redis
        self._error: type[Exception] = library.RedisError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of a client that was given."""
        if self._own:
            self._client.close()

    def _send(self, channel: bytes, message: bytes) -> None:
        try:
            self._client.execute_command("PUBLISH", channel, message)
        except (self._error, OSError) as error:
            raise BrokerError(str(error)) from error

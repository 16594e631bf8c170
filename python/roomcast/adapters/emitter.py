"""Emitters: what reaches the clients of a cluster from a program that serves nobody, as a worker of a queue, a script or a thread.

Source:
    socket.io-redis-emitter 5.1.0, ``lib/index.ts``.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from roomcast.adapters.emitting import AsyncioEmitter, BlockingEmitter, EmitterWire
from roomcast.adapters.wire import (
    EMITTER,
    KEY,
    Channels,
    Requests,
    RequestType,
    write_choice,
    write_options,
)
from roomcast.adapters.wiring import lone_publisher
from roomcast.server.adapter import BroadcastOptions

__all__ = ["Emitter", "SyncEmitter"]


class ClassicWire(EmitterWire):
    """The format of ``@socket.io/redis-emitter``."""

    def __init__(self, key: str, default: Callable[[Any], Any] | None) -> None:
        """Take what the names of all channels begin with."""
        super().__init__(default)
        self._key = key
        self._requests = Requests(self.notepack)

    def broadcast(
        self, nsp: str, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> tuple[bytes, ...]:
        """Return what sends an event."""
        travelling = write_options(options)
        ordered = {name: travelling.pop(name) for name in ("rooms", "flags", "except")}
        pack = self.notepack.pack
        message = b"\x93%b\x83\xa4type\x02\xa4data%b\xa3nsp%b%b" % (
            pack(EMITTER),
            self.notepack.pack_event(nsp, event, args),
            pack(nsp),
            pack(ordered | travelling),
        )
        channels = Channels.of(self._key, nsp)
        channel = channels.own if options.all_of else channels.of_rooms(options.rooms)
        return b"PUBLISH", channel, message

    def change(
        self, nsp: str, kind: RequestType, options: BroadcastOptions, what: dict[str, Any]
    ) -> tuple[bytes, ...]:
        """Return what lets sockets join, leave or disconnect."""
        request = {"type": kind, "opts": write_choice(options)} | what
        channels = Channels.of(self._key, nsp)
        channel = channels.own if options.all_of else channels.request
        return b"PUBLISH", channel, self._requests.write(request)

    def server_side_emit(self, nsp: str, items: list[Any]) -> tuple[bytes, ...]:
        """Return what sends an event to servers."""
        request = {"uid": EMITTER, "type": RequestType.SERVER_SIDE_EMIT, "data": items}
        return b"PUBLISH", Channels.of(self._key, nsp).request, self._requests.write(request)


class Emitter(AsyncioEmitter):
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
            MissingDependencyError: If redis-py or hiredis is not installed.
            TypeError: If ``redis`` is something else.
        """
        super().__init__(lone_publisher(redis, Counter()), ClassicWire(key, default))


class SyncEmitter(BlockingEmitter):
    """Emits into a cluster from a program without asyncio: a worker of Celery, a script, a thread. It may be shared by threads.

    Every operation returns when the broker has the message.
    """

    def __init__(
        self, redis: Any, *, key: str = KEY, default: Callable[[Any], Any] | None = None
    ) -> None:
        """Prepare; the connection is made with the first message.

        Args:
            redis: A URL, or a client of redis-py (`redis.Redis`). Of a Redis Cluster: a list of URLs of some members, or a
                `redis.RedisCluster`.
            key: As for `RedisAdapter`.
            default: Called for an object that JSON does not know.

        Raises:
            MissingDependencyError: If redis-py or hiredis is not installed.
            TypeError: If ``redis`` is something else.
            ValueError: If a URL is none.
        """
        super().__init__(redis, lambda: ClassicWire(key, default))

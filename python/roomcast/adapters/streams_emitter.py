"""Emitters into a cluster over Redis Streams.

Source:
    socket.io-redis-streams-emitter 0.1.1, ``lib/index.ts``.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from roomcast.adapters.emitting import AsyncioEmitter, BlockingEmitter, EmitterWire
from roomcast.adapters.entries import MAX_LEN, OWN, STREAM_NAME, Entries, stream_of
from roomcast.adapters.messages import REQUEST_TYPES
from roomcast.adapters.wire import EMITTER, RequestType, write_choice
from roomcast.adapters.wiring import lone_publisher
from roomcast.server.adapter import BroadcastOptions

__all__ = ["StreamsEmitter", "SyncStreamsEmitter"]


class StreamsWire(EmitterWire):
    """The format of ``@socket.io/redis-streams-emitter``. Differs from it: it knows several streams, and binary arguments."""

    def __init__(
        self, name: str, count: int, max_len: int, default: Callable[[Any], Any] | None
    ) -> None:
        """Take which streams, and how long."""
        for given, value in (("stream_count", count), ("max_len", max_len)):
            if isinstance(value, bool) or value < 1:
                raise ValueError(f"{given} must be positive, not {value!r}")
        super().__init__(default)
        self._name = name
        self._count = count
        self._max_len = b"%d" % max_len

    def broadcast(
        self, nsp: str, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> tuple[bytes, ...]:
        """Return what sends an event."""
        entries = Entries(self.notepack, EMITTER, nsp)
        return self._add(entries, nsp, *entries.broadcast(event, args, options, packet_nsp=True))

    def change(
        self, nsp: str, kind: RequestType, options: BroadcastOptions, what: dict[str, Any]
    ) -> tuple[bytes, ...]:
        """Return what lets sockets join, leave or disconnect."""
        number = REQUEST_TYPES[kind] + (OWN if options.all_of else 0)
        opts: dict[str, Any] = write_choice(options) | {"flags": {}}
        return self._request(nsp, number, {"opts": opts} | what)

    def server_side_emit(self, nsp: str, items: list[Any]) -> tuple[bytes, ...]:
        """Return what sends an event to servers."""
        return self._request(nsp, REQUEST_TYPES[RequestType.SERVER_SIDE_EMIT], {"packet": items})

    def _request(self, nsp: str, kind: int, fields: dict[str, Any]) -> tuple[bytes, ...]:
        entries = Entries(self.notepack, EMITTER, nsp)
        return self._add(entries, nsp, kind, entries.data(fields))

    def _add(self, entries: Entries, nsp: str, kind: int, data: bytes) -> tuple[bytes, ...]:
        stream = stream_of(self._name, self._count, nsp)
        words = entries.write(kind, data)
        return b"XADD", stream, b"MAXLEN", b"~", self._max_len, b"*", *words


class StreamsEmitter(AsyncioEmitter):
    """Emits into a cluster of `RedisStreamsAdapter` from an asyncio program; otherwise as `Emitter`. It belongs to one event loop."""

    def __init__(
        self,
        redis: Any,
        *,
        stream_name: str = STREAM_NAME,
        stream_count: int = 1,
        max_len: int = MAX_LEN,
        default: Callable[[Any], Any] | None = None,
    ) -> None:
        """Prepare; the connection is made with the first message.

        Args:
            redis: As for `RedisStreamsAdapter`.
            stream_name: As for `RedisStreamsAdapter`.
            stream_count: The same; 1 where the cluster has the official adapter's default.
            max_len: The same.
            default: Called for an object that JSON does not know.

        Raises:
            MissingDependencyError: If redis-py or hiredis is not installed.
            TypeError: If ``redis`` is something else.
            ValueError: If a number is not positive, or a URL is none.
        """
        publisher = lone_publisher(redis, Counter())
        super().__init__(publisher, StreamsWire(stream_name, stream_count, max_len, default))


class SyncStreamsEmitter(BlockingEmitter):
    """The same from a program without asyncio; otherwise as `SyncEmitter`. It may be shared by threads."""

    def __init__(
        self,
        redis: Any,
        *,
        stream_name: str = STREAM_NAME,
        stream_count: int = 1,
        max_len: int = MAX_LEN,
        default: Callable[[Any], Any] | None = None,
    ) -> None:
        """Prepare; the connection is made with the first message.

        Args:
            redis: As for `SyncEmitter`.
            stream_name: As for `RedisStreamsAdapter`.
            stream_count: The same; 1 where the cluster has the official adapter's default.
            max_len: The same.
            default: Called for an object that JSON does not know.

        Raises:
            MissingDependencyError: If redis-py or hiredis is not installed.
            TypeError: If ``redis`` is something else.
            ValueError: If a number is not positive, or a URL is none.
        """
        super().__init__(redis, lambda: StreamsWire(stream_name, stream_count, max_len, default))

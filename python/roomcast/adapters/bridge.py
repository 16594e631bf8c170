"""`PythonSocketIOBridge`: makes a server one of a cluster of python-socketio's servers and of what emits to them.

Every roomcast node has a bridge of its own and serves its own clients by it, as every server of python-socketio does. So that no client
gets anything twice, a message of a roomcast node says whether an adapter brings it to the others, and these then leave it alone.

Source:
    python-socketio 5.18.1, ``AsyncPubSubManager``, ``AsyncRedisManager``.
"""

import logging
import uuid
from collections.abc import Callable
from secrets import randbits
from typing import TYPE_CHECKING, Any, Final

from roomcast.adapters.bridged import BridgedAck, bridged
from roomcast.adapters.collecting import RemoteAck
from roomcast.adapters.link import LONGEST_PAUSE
from roomcast.adapters.member import AdapterHealth, BrokerMember
from roomcast.adapters.publisher import MAX_HOLDS, QUEUE_SIZE, QueuePolicy
from roomcast.adapters.pythonwire import (
    CHANNEL,
    Callback,
    PickledError,
    ask_by,
    is_shared,
    origin_of,
    read,
    read_answer,
    read_emit,
    read_text,
    write,
    write_emit,
)
from roomcast.adapters.wire import InvalidMessageError, read_names
from roomcast.codec import Encoder
from roomcast.engine.ways import Way
from roomcast.errors import UsageError
from roomcast.logs import Once, printable
from roomcast.server.adapter import Adapter, AdapterFactory, BroadcastOptions, PassingAdapter
from roomcast.server.metrics import MeasuredAdapter
from roomcast.server.recoverable import SessionAwareAdapter

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace

__all__ = ["PythonSocketIOBridge"]

CALLBACK_TIMEOUT: Final = 60.0
"""Seconds for an answer that a server of python-socketio wants; what its own ``call`` waits for at most, unless told otherwise."""

ID_BITS: Final = 53
"""Of the number of a question: nobody guesses it, and every JSON reads it exactly."""

NOBODY: Final = 0
"""The number of a question whose answers are not gathered."""

log = logging.getLogger("roomcast.adapters")


class PythonSocketIOBridge(BrokerMember):
    """A connection to the Redis or Valkey channel of python-socketio; for ``Server(adapter=…)``.

    Servers of python-socketio with a ``RedisManager`` or an ``AsyncRedisManager``, and processes with a write-only one, emit to the
    clients of this server, and it to theirs. Messages are JSON, as of python-socketio 5.14 and later, and written as of 5.15.1; pickles
    are never read.

    Every roomcast node of a cluster has one, and each client gets everything once: the nodes tell each other by ``adapter``, or, where
    there is none, by the bridge itself.

    Events:

    - ``health``: `AdapterHealth`, whenever the node begins or ceases to hear the channel, or to be heard there.

    Attributes:
        counters: What was published, received, dropped and why, by name; see the guide on clusters.
        publisher: What goes out.
        subscriber: What comes in.
        host_id: The id of this node among python-socketio's servers.

    Source:
        python-socketio, ``AsyncRedisManager``.
    """

    def __init__(
        self,
        redis: Any,
        *,
        channel: str = CHANNEL,
        adapter: AdapterFactory | None = None,
        callback_timeout: float = CALLBACK_TIMEOUT,
        queue_size: int = QUEUE_SIZE,
        queue_policy: QueuePolicy = "drop_oldest",
    ) -> None:
        """Prepare; connections are made when the server starts.

        Args:
            redis: A URL (``redis://``, ``rediss://``, ``unix://``), or a client of `redis.asyncio`, also one that Sentinel has given.
            channel: The channel of python-socketio's managers.
            adapter: What the roomcast nodes of the cluster have for each other, as a `RedisAdapter`; the same for all of them.
                ``None`` where the bridge is all they have.
            callback_timeout: Seconds that clients of this node have for an answer that a server of python-socketio wants.
            queue_size: Bytes that wait for the broker at most.
            queue_policy: What is dropped beyond: ``drop_oldest`` or ``drop_newest``.

        Raises:
            MissingDependencyError: If redis-py is not installed.
            TypeError: If ``redis`` is neither, or the adapter is none.
            ValueError: If a value is out of its range.
        """
        self._redis = redis
        super().__init__(
            queue_size=queue_size,
            queue_policy=queue_policy,
            hold=lambda: LONGEST_PAUSE / MAX_HOLDS,  # the other servers come back, too
        )
        if not 0 < callback_timeout < float("inf"):
            raise ValueError(f"callback_timeout must be positive, not {callback_timeout!r}")
        if adapter is not None and not callable(getattr(adapter, "new_adapter", None)):
            raise TypeError("adapter must be an AdapterFactory, as roomcast.RedisAdapter(...) is")
        self.host_id = uuid.uuid4().hex
        self._inner = adapter
        self._callback_timeout = callback_timeout
        self._channel = channel.encode()
        self.subscriber.add({self._channel: self._on_message})
        self._encoder = Encoder()
        self._adapters: dict[str, Adapter] = {}
        self._pending: dict[int, BridgedAck] = {}
        self._once = Once()

    @property
    def health(self) -> AdapterHealth:
        """How the node stands at this moment with the channel, and with what its adapter needs: well if it does with both."""
        own = super().health
        inner: object = self._inner
        if not isinstance(inner, MeasuredAdapter):
            return own
        other = inner.health
        return AdapterHealth(
            listening=own.listening and other.listening,
            publishing=own.publishing and other.publishing,
            deaf_for=max(own.deaf_for, other.deaf_for),
            queued=own.queued + other.queued,
        )

    async def start(self) -> None:
        """Connect to the broker, in the running event loop; returns when the node listens, or the first attempt has failed.

        The server does this by itself when it begins to serve. A program that only emits, and serves nobody, does it.
        """
        if self._inner is not None:
            await self._inner.start()
        await super().start()

    async def close(self) -> None:
        """Leave the cluster: hear nothing more, send what waits, close the connections."""
        await super().close()
        if self._inner is not None:
            await self._inner.close()

    # What follows is for the server and for its adapters.

    @property
    def way(self) -> Way | None:
        """The way of the adapter beside it to workers of other hosts, if that has one."""
        inner: object = self._inner
        return inner.way if isinstance(inner, PassingAdapter) else None

    def new_adapter(self, nsp: "Namespace") -> Adapter:
        """Return a new adapter for a namespace.

        Raises:
            UsageError: If another server has this bridge already, or this one has another bridge.
        """
        server = nsp.server
        if self._server is not None and self._server is not server:
            raise UsageError("a PythonSocketIOBridge belongs to one server: make another one")
        if self._server is None:
            self._server = server
            self._encoder = Encoder(default=server.options.default)
        if self._inner is not None:
            adapter = self._inner.new_adapter(nsp)
        else:
            sessions = server.sessions
            adapter = Adapter(nsp) if sessions is None else SessionAwareAdapter(nsp, sessions)
        self._adapters[nsp.name] = adapter
        return bridged(adapter, self)

    def emit(
        self,
        nsp: str,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        ack: BridgedAck | None = None,
    ) -> None:
        """Let python-socketio's servers send an event."""
        if ack is None:
            self._emit(nsp, event, args, options, None)
            return
        id = 1 + randbits(ID_BITS - 1)
        self._pending[id] = ack
        ack.on_end = lambda: self._end(id)
        self._emit(nsp, event, args, options, ask_by(options.rooms[0], nsp, id))

    def ask(self, nsp: str, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Let them send an event that clients may answer, to nobody: they get what their handlers expect."""
        self._emit(nsp, event, args, options, ask_by(nsp, nsp, NOBODY))

    def tell(self, method: str, nsp: str, **fields: str) -> None:
        """Let them do something with a socket or a room."""
        origin = origin_of(self._is_shared)
        message = write(method, self.host_id, namespace=nsp, roomcast=origin, **fields)
        self.publisher.publish(self._channel, message)

    def cannot_say(self, what: str) -> None:
        """Count what their format has no words for; the first of its kind is logged."""
        self.counters["inexpressible"] += 1
        if self._once.is_first("inexpressible", what):
            log.info(
                "%s does not reach python-socketio: its format knows rooms, and the ids of those whom to leave out",
                what,
            )

    def forget(self, nsp: str) -> None:
        """Learn that a namespace is no more."""
        self._adapters.pop(nsp, None)

    @property
    def _is_shared(self) -> bool:
        """Whether an adapter brings to the roomcast nodes what is said here."""
        return self._inner is not None

    def _end(self, id: int) -> None:
        self._pending.pop(id, None)

    def _emit(
        self,
        nsp: str,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        callback: list[Any] | None,
    ) -> None:
        if options.volatile and not self.publisher.connected:
            self.counters["dropped_volatile"] += 1
            return
        message = write_emit(
            self._encoder,
            event,
            args,
            namespace=nsp,
            room=_one_or_all(options.rooms),
            skip_sid=_one_or_all(options.except_),
            callback=callback,
            host_id=self.host_id,
            roomcast=origin_of(self._is_shared),
        )
        self.publisher.publish(self._channel, message)

    def _on_message(self, channel: bytes, data: bytes) -> None:
        """Take a message of the channel. Any bytes may come: what is no message of the format has no effect."""
        try:
            self._take_message(read(data))
        except PickledError:
            self.counters["pickled"] += 1
            if self._once.is_first("pickled", ""):
                log.warning(
                    "a pickled message in %s was dropped, unread: where it comes from, upgrade python-socketio to 5.15.1",
                    printable(channel.decode()),
                )
        except InvalidMessageError as error:
            self._refuse("invalid", str(error))
        except Exception as error:  # noqa: BLE001  a message must not end the reading of the others
            self._refuse("undeliverable", str(error))

    def _take_message(self, message: dict[str, Any]) -> None:
        method, is_own = message["method"], message["host_id"] == self.host_id
        if method == "callback":
            self._on_callback(message, is_own)
            return
        handle = self._HANDLERS.get(method)
        if handle is None:
            raise InvalidMessageError("an unknown method")
        nsp = read_text(message, "namespace")
        adapter = self._adapters.get(nsp)
        if is_own:
            self.counters["own"] += 1
        elif self._is_shared and is_shared(message):
            self.counters["shared"] += 1
        elif adapter is None:
            self.counters["foreign_namespaces"] += 1
        else:
            handle(self, adapter, message)

    def _on_emit(self, adapter: Adapter, message: dict[str, Any]) -> None:
        emit = read_emit(message)
        options = BroadcastOptions(rooms=emit.rooms, except_=emit.skipped, local=True)
        if emit.callback is None:
            adapter.broadcast(emit.event, emit.args, options)
        else:
            ack = self._asking(adapter, emit.callback)
            adapter.ask(emit.event, emit.args, options, ack)
            ack.begin()

    def _asking(self, adapter: Adapter, callback: Callback) -> RemoteAck:
        """Return what sends the answers of clients to who has asked."""

        def answered(sid: str, args: tuple[Any, ...]) -> None:
            try:
                answer = callback.write(args)
            except (TypeError, ValueError) as error:
                self._refuse("undeliverable", f"an answer: {error}")
            else:
                self.publisher.publish(self._channel, answer)

        timers = adapter.nsp.server.engine.timers
        return RemoteAck(self._callback_timeout, timers, answered, lambda sid: None)

    def _on_callback(self, message: dict[str, Any], is_own: bool) -> None:
        id, args = read_answer(message)
        ack = self._pending.get(id) if is_own else None
        if ack is None:  # for somebody else, too late, or nobody waits for it
            self.counters["foreign_responses"] += 1
        else:
            ack.answered(args)

    def _on_disconnect(self, adapter: Adapter, message: dict[str, Any]) -> None:
        socket = adapter.rooms.get(read_text(message, "sid"))
        if socket is not None:
            socket.disconnect()

    def _on_enter_room(self, adapter: Adapter, message: dict[str, Any]) -> None:
        adapter.add_all(read_text(message, "sid"), _rooms(message))

    def _on_leave_room(self, adapter: Adapter, message: dict[str, Any]) -> None:
        sid = read_text(message, "sid")
        for room in _rooms(message):
            adapter.del_(sid, room)

    def _on_close_room(self, adapter: Adapter, message: dict[str, Any]) -> None:
        rooms = _rooms(message)
        adapter.del_sockets(BroadcastOptions(rooms=rooms, local=True), rooms)

    _HANDLERS: Final[
        dict[str, Callable[["PythonSocketIOBridge", Adapter, dict[str, Any]], None]]
    ] = {
        "emit": _on_emit,
        "disconnect": _on_disconnect,
        "enter_room": _on_enter_room,
        "leave_room": _on_leave_room,
        "close_room": _on_close_room,
    }

    def _refuse(self, counter: str, reason: str) -> None:
        """Count a message that is dropped; the first of its kind is logged."""
        self.counters[counter] += 1
        if self._once.is_first(counter, ""):
            log.warning("a message of python-socketio was dropped: %s", printable(reason))


def _rooms(message: dict[str, Any]) -> tuple[str, ...]:
    """Return the one room that a message names."""
    room = message.get("room")
    return read_names([room])


def _one_or_all(names: tuple[str, ...]) -> list[str] | str | None:
    """Return rooms or ids as they travel."""
    if not names:
        return None
    return names[0] if len(names) == 1 else list(names)

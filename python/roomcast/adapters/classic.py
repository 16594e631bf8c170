"""The classic bus: pub/sub channels, as socket.io-redis-adapter speaks on them.

Every node hears every message of its namespaces. What is not for anybody here is dropped before its payload is looked at, by the
channel, which names the room where there is exactly one.

Beside that format, and ignored by Node.js nodes: the sequence numbers of `gaps.py`, whose an answer is (``uid``, ``sid``), and a
channel between roomcast nodes for what the format has no place for.

Source:
    socket.io-redis-adapter 8.3.0, ``RedisAdapter``.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from roomcast.adapters.broker import BrokerError
from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.collecting import ClusterAck, Fetch, Responses
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.receiving import ClassicReceiver, Node, new_uid
from roomcast.adapters.subscriber import Handler, glob_escaped
from roomcast.adapters.wire import RequestType, write_choice, write_options
from roomcast.errors import EncodeError
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.remote import FetchedSockets
from roomcast.sockets.acks import Done

__all__ = ["POSITION_DELAY", "ClassicBus"]

POSITION_DELAY: Final = 1.0
"""Seconds after a message until the node says which number it has reached."""

POSITION_INTERVAL: Final = 10.0
"""Seconds after which it says that again where it has sent nothing: a node that was deaf meanwhile finds its gap."""

log = logging.getLogger("roomcast.adapters")


class ClassicBus(ClassicReceiver):
    """One namespace on the classic bus. It belongs to the event loop of its server.

    Attributes:
        position: The number of the last message that it has published.
    """

    def __init__(
        self,
        node: Node,
        adapter: ClusterAdapter,
        notepack: Notepack,
        on_close: Callable[["ClassicBus"], None],
    ) -> None:
        """Subscribe to the channels of a namespace."""
        super().__init__(node, adapter, notepack)
        self.position = 0
        self._on_close = on_close
        channels = self._channels
        pack = notepack.pack
        self._head = b"\x94" + self._own_head + b"\x83\xa4type\x02\xa4data"
        self._middle = b"\xa3nsp" + pack(self._nsp.name)
        self._to_all = pack(write_options(BroadcastOptions()))
        self._servers = 1
        self._announced = -1
        self._timer: asyncio.TimerHandle | None = None
        self._patterns: dict[bytes, Handler] = {
            glob_escaped(channels.broadcast) + b"*": self.on_broadcast
        }
        self._names: dict[bytes, Handler] = {
            channels.request: self.on_request,
            channels.response: self.on_response,
            b"%b%b#" % (channels.response, self.uid.encode()): self.on_response,
            channels.own: self.on_own,
        }
        node.subscriber.add(self._names, self._patterns)

    def close(self) -> None:
        """End: the namespace is no more."""
        self.stop()
        self._node.subscriber.remove(self._names, self._patterns)
        self._on_close(self)

    def stop(self) -> None:
        """Say nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def broadcast(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Let the other nodes send an event."""
        node = self._node
        if options.volatile and not node.publisher.connected:
            node.count("dropped_volatile")
            return
        rooms = options.rooms
        plain = (
            not (rooms or options.except_ or options.all_of or options.volatile)
            and options.compress
        )
        travelling = self._to_all if plain else self._notepack.pack(write_options(options))
        message = b"%b%b%b%b\xcf%b" % (
            self._head,
            self._notepack.pack_event(self._nsp.name, event, args),
            self._middle,
            travelling,
            self._next_position().to_bytes(8, "big"),
        )
        channel = self._own_channel() if options.all_of else self._channels.of_rooms(rooms)
        node.publisher.publish(channel, message)

    def ask(
        self,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        new_ack: Callable[[Callable[[], None]], ClusterAck],
    ) -> ClusterAck:
        """Let the other nodes send an event, and collect the answers."""
        id = new_uid()
        ack = new_ack(lambda: self._forget(id))
        pack = self._notepack.pack
        message = b"\x86%b%b%b%b" % (
            pack("uid") + pack(self.uid) + pack("requestId") + pack(id),
            b"\xa4type\x07\xa6packet\x83\xa4type\x02\xa4data",
            self._notepack.pack_event(self._nsp.name, event, args),
            self._middle
            + b"\xa4opts"
            + pack(write_options(options, timeout=True))
            + b"\xa3seq"
            + pack(self._next_position()),
        )
        channel = self._request_channel(options)
        self._pending[id] = ack
        self._node.publisher.publish(channel, message)
        self._ask_count(channel, lambda count: ack.servers(None if count is None else count - 1))
        return ack

    def join(self, options: BroadcastOptions, rooms: tuple[str, ...], leave: bool) -> None:
        """Let the sockets of other nodes join rooms, or leave them."""
        kind = RequestType.REMOTE_LEAVE if leave else RequestType.REMOTE_JOIN
        self._request(options, {"type": kind, "opts": write_choice(options), "rooms": rooms})

    def disconnect(self, options: BroadcastOptions, close: bool) -> None:
        """Let the other nodes disconnect sockets."""
        kind = RequestType.REMOTE_DISCONNECT
        self._request(options, {"type": kind, "opts": write_choice(options), "close": close})

    async def fetch(self, options: BroadcastOptions, found: FetchedSockets) -> FetchedSockets:
        """Add the sockets of other nodes."""
        id = new_uid()
        fetch = Fetch()
        self._pending[id] = fetch
        try:
            kind = RequestType.REMOTE_FETCH
            self._request(options, {"requestId": id, "type": kind, "opts": write_choice(options)})
            count = await self._count(self._request_channel(options))
            if count is None:
                found.servers = None
                return found
            await fetch.wait(count - 1, self._node.requests_timeout)
        finally:
            self._forget(id)
        found.extend(fetch.sockets)
        found.servers = max(count, 1)
        found.answered = 1 + fetch.answers
        return found

    def server_side_emit(
        self, event: str, args: tuple[Any, ...], done: Done | None, timeout: float
    ) -> None:
        """Send an event to the other servers.

        Raises:
            EncodeError: If an argument cannot travel.
        """
        request: dict[str, Any] = {"type": RequestType.SERVER_SIDE_EMIT, "data": [event, *args]}
        if done is None:
            self._request(BroadcastOptions(), request)
            return
        id = new_uid()
        self._request(BroadcastOptions(), {"requestId": id} | request)
        timers = self._nsp.server.engine.timers
        responses = Responses(done, timeout, timers, lambda: self._forget(id))
        self._pending[id] = responses
        self._ask_count(
            self._channels.request,
            lambda count: responses.servers(None if count is None else count - 1),
        )

    async def count(self) -> int:
        """Return the number of servers, this one included; the last one known if nobody can be asked."""
        count = await self._count(self._channels.request)
        return self._servers if count is None else count

    def announce(self, again: float = POSITION_INTERVAL) -> None:
        """Say which number has been reached, and say it again after some seconds."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(again, self.announce)
        self._announced = self.position
        message = {"uid": self.uid, "type": RequestType.POSITION, "seq": self.position}
        self._node.publisher.publish(self._channels.own, self._requests.write(message))

    def _next_position(self) -> int:
        if self._announced == self.position:  # the first message since
            self._node.ensure_started()
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # before there is one; it will say so when there is
                pass
            else:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = loop.call_later(POSITION_DELAY, self.announce)
        self.position += 1
        return self.position

    def _request(self, options: BroadcastOptions, request: dict[str, Any]) -> None:
        channel = self._request_channel(options)
        position = self.position + 1
        try:
            data = self._requests.write({"uid": self.uid} | request | {"seq": position})
        except (TypeError, OverflowError, ValueError) as error:
            raise EncodeError(str(error)) from error
        self._next_position()
        self._node.publisher.publish(channel, data)

    def _request_channel(self, options: BroadcastOptions) -> bytes:
        return self._own_channel() if options.all_of else self._channels.request

    def _own_channel(self) -> bytes:
        if self._once.is_first(self._nsp.name, "all_of"):
            log.info("all_of reaches the sockets of roomcast nodes only: Node.js does not know it")
        return self._channels.own

    def _forget(self, id: str) -> None:
        self._pending.pop(id, None)

    async def _count(self, channel: bytes) -> int | None:
        try:
            reply = await self._node.publisher.ask(b"PUBSUB", b"NUMSUB", channel)
        except BrokerError:
            return None
        count = int(reply[1])
        if channel == self._channels.request:
            self._servers = max(count, 1)
        return count

    def _ask_count(self, channel: bytes, take: Callable[[int | None], None]) -> None:
        async def ask() -> None:
            take(await self._count(channel))

        self._nsp.server.handlers.run(ask())

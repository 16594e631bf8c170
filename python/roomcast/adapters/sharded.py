"""`ShardedRedisAdapter`: a cluster over sharded pub/sub, in which a node hears only what is for rooms that it has.

A namespace has a channel that all its nodes hear, one for the answers to each node, and in the dynamic modes one for each room, which
those nodes hear that have it. Beside those, between roomcast nodes, one for what the format has no place for.

Source:
    socket.io-redis-adapter 8.3.0, ``lib/sharded-adapter.ts``.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.exchange import Exchange
from roomcast.adapters.gaps import Gaps
from roomcast.adapters.message_bus import MessageBus
from roomcast.adapters.node import BrokerNode
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.passing import BrokerWay
from roomcast.adapters.publisher import QUEUE_SIZE, QueuePolicy
from roomcast.adapters.receiving import Node
from roomcast.adapters.wire import KEY, RequestType, read_options
from roomcast.server.adapter import BroadcastOptions

if TYPE_CHECKING:
    from roomcast.adapters.ends import Handler

__all__ = ["ShardedRedisAdapter", "SubscriptionMode"]

SubscriptionMode = Literal["dynamic", "dynamic-private", "static"]
"""Which rooms have a channel of their own: those that are no ids of sockets, all, or none."""

ID_LENGTH: Final = 20
"""UTF-16 units of the id of a socket. In the mode ``dynamic`` a room with a name of that length has no channel, as in the reference."""

JOIN_GRACE: Final = 2.0
"""Seconds after `sockets_join` for which what is sent to those rooms goes to all nodes: they may not hear the rooms' channels yet."""

MAX_GRACES: Final = 10_000
"""Rooms for which that is so at once. Beyond: the one that was joined first has no grace any more."""


class ShardedBus(MessageBus):
    """One namespace on the sharded bus. It belongs to the event loop of its server."""

    def __init__(
        self,
        node: Node,
        adapter: ClusterAdapter,
        notepack: Notepack,
        on_close: Callable[[Exchange], None],
        *,
        prefix: str,
        mode: SubscriptionMode,
    ) -> None:
        """Subscribe to the channels that every node of a namespace has."""
        super().__init__(
            node, adapter, notepack, on_close, prefix=prefix, sharded=True, packed=False
        )
        self._mode = mode
        self._graces: dict[str, float] = {}
        self._room_channels: dict[bytes, Handler] = {}
        adapter.tells_rooms = mode != "static"

    def close(self) -> None:
        """End: the namespace is no more."""
        self._adapter.tells_rooms = False
        self._node.subscriber.remove(shards=self._room_channels)
        self._room_channels.clear()
        super().close()

    def room_created(self, room: str) -> None:
        """Hear what is sent to a room."""
        channel = self._channel_of(room)
        if channel is not None and channel not in self._room_channels:
            self._room_channels[channel] = self.on_message
            self._node.subscriber.add(shards={channel: self.on_message})

    def room_deleted(self, room: str) -> None:
        """Hear no more what is sent to a room."""
        channel = self._channel_of(room)
        if channel is not None and self._room_channels.pop(channel, None) is not None:
            self._gaps.pop(channel, None)
            self._node.subscriber.remove(shards={channel: self.on_message})

    def broadcast(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Let the other nodes send an event."""
        node, messages = self._node, self._messages
        if options.volatile and not node.publisher.connected:
            node.count("dropped_volatile")
            return
        channel = self._broadcast_channel(options)
        begun = messages.write_broadcast(event, args, options)
        data = self._numbered(channel, partial(messages.numbered, begun))
        self._publish(channel, data)

    def join(self, options: BroadcastOptions, rooms: tuple[str, ...], leave: bool) -> None:
        """Let the sockets of other nodes join rooms, or leave them."""
        super().join(options, rooms, leave)
        if not leave and self._mode != "static":
            end = self._nsp.server.engine.now() + JOIN_GRACE
            for room in rooms:
                self._graces.pop(room, None)
                self._graces[room] = end
            while len(self._graces) > MAX_GRACES:
                del self._graces[next(iter(self._graces))]

    def _take_message(self, message: dict[str, Any], gaps: Gaps) -> None:
        if message["type"] != RequestType.BROADCAST or "requestId" in message:
            super()._take_message(message, gaps)
        elif self._take_sequence(message, gaps):
            self._take_broadcast(message)

    def _take_broadcast(self, message: dict[str, Any]) -> None:
        adapter = self._adapter
        options = read_options(message.get("opts"))
        if adapter.concerns_choice(options):
            adapter.deliver(*self._event_of(message), options)
        else:
            self._node.count("foreign_rooms")

    def _broadcast_channel(self, options: BroadcastOptions) -> bytes:
        rooms = options.rooms
        if len(rooms) != 1 or options.all_of:
            return self._request_channel(options)
        graces = self._graces
        if graces and rooms[0] in graces:
            if self._nsp.server.engine.now() < graces[rooms[0]]:
                return self._channel
            del graces[rooms[0]]
        return self._channel_of(rooms[0]) or self._channel

    def _channel_of(self, room: str) -> bytes | None:
        """Return the channel of a room, if it has one."""
        if self._mode == "static":
            return None
        if self._mode == "dynamic" and _units(room) == ID_LENGTH:
            return None
        return b"%b%b#" % (self._channel, room.encode("utf-8", "replace"))


def _units(text: str) -> int:
    """Return how long JavaScript says that a text is."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


class ShardedRedisAdapter(BrokerNode):
    """A cluster over sharded pub/sub of Redis 7 or Valkey, in the format of ``createShardedAdapter``; for ``Server(adapter=…)``.

    A node does not even receive what is sent to a room that it does not have. Node.js servers with that adapter take part. It
    belongs to one server, and to its event loop. Whatever becomes of the broker, clients of this node get what is emitted on it.

    Events:

    - ``health``: `AdapterHealth`, whenever the node begins or ceases to hear the others, or to be heard.
    - ``gap``: ``(namespace, sender, missing)``: so many messages of another roomcast node never arrived.

    Attributes:
        channel_prefix: What the names of all channels begin with.
        subscription_mode: Which rooms have a channel of their own.
        counters: What was published, received, dropped and why, by name; see the guide on clusters.
        requests_timeout: Seconds that other nodes have for an answer.
        publisher: What goes out.
        subscriber: What comes in.

    Source:
        socket.io-redis-adapter, ``createShardedAdapter``.
    """

    sharded = True

    def __init__(
        self,
        redis: Any,
        *,
        channel_prefix: str = KEY,
        subscription_mode: SubscriptionMode = "dynamic",
        requests_timeout: float = 5.0,
        queue_size: int = QUEUE_SIZE,
        queue_policy: QueuePolicy = "drop_oldest",
        pass_requests: bool = False,
    ) -> None:
        """Prepare; connections are made when the server starts.

        Args:
            redis: As for `RedisAdapter`.
            channel_prefix: What the names of all channels begin with; the same for all nodes.
            subscription_mode: Which rooms have a channel of their own, the same for all nodes: with ``dynamic`` those whose name is
                not 20 characters long, as the ids of sockets are; with ``dynamic-private`` all, ids of sockets among them; with
                ``static`` none.
            requests_timeout: Seconds that other nodes have for an answer.
            queue_size: Bytes that wait for the broker at most; of a Redis Cluster, for each member.
            queue_policy: What is dropped beyond: ``drop_oldest`` or ``drop_newest``.
            pass_requests: Whether a request for a session of another roomcast node is passed to it over the broker, so that the nodes
                need no sticky connections; the same for all nodes.

        Raises:
            MissingDependencyError: If redis-py or hiredis is not installed.
            TypeError: If ``redis`` is something else.
            ValueError: If a value is out of its range.
        """
        if subscription_mode not in get_args(SubscriptionMode):
            modes = ", ".join(get_args(SubscriptionMode))
            raise ValueError(f"subscription_mode: {subscription_mode!r} is none of {modes}")
        super().__init__(
            redis,
            requests_timeout=requests_timeout,
            queue_size=queue_size,
            queue_policy=queue_policy,
            pass_requests=pass_requests,
        )
        self.channel_prefix = channel_prefix
        if pass_requests:
            self._way = BrokerWay(self, channel_prefix, sharded=True)
        self.subscription_mode: SubscriptionMode = subscription_mode

    def _new_bus(self, adapter: ClusterAdapter, notepack: Notepack) -> ShardedBus:
        return ShardedBus(
            self,
            adapter,
            notepack,
            self._forget,
            prefix=self.channel_prefix,
            mode=self.subscription_mode,
        )

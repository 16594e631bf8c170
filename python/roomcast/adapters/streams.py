"""`RedisStreamsAdapter`: a cluster over Redis Streams, in which a node that was away for a moment hears what it has missed.

Events and what changes rooms or ends sockets are entries of a stream, which the broker keeps for a while and every node reads. What is
answered at once or not at all, as acknowledgements, fetches and events between servers, travels over pub/sub.

Source:
    socket.io-redis-streams-adapter 0.3.1, ``lib/adapter.ts``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from roomcast.adapters.broker import command
from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.entries import (
    MAX_LEN,
    OWN,
    STREAM_NAME,
    Entries,
    peek_options,
    read_entry,
    read_head,
    stream_of,
    unpolled_stream_of,
)
from roomcast.adapters.exchange import Exchange
from roomcast.adapters.gaps import Gaps
from roomcast.adapters.message_bus import MessageBus
from roomcast.adapters.messages import BROADCAST, REQUEST_TYPES
from roomcast.adapters.node import BrokerNode
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.passing import BrokerWay
from roomcast.adapters.publisher import QUEUE_SIZE, Append, Publishing, QueuePolicy
from roomcast.adapters.reader import StreamReader
from roomcast.adapters.receiving import Node
from roomcast.adapters.session_store import SESSION_KEY_PREFIX, Broadcast
from roomcast.adapters.streams_recovery import StreamsSessionAdapter
from roomcast.adapters.wire import (
    KEY,
    InvalidMessageError,
    RequestType,
    is_object,
    read_event,
    read_options,
    write_choice,
)
from roomcast.adapters.wiring import (
    AnyAppender,
    AnyPublisher,
    AnySubscriber,
    wired_streams,
)
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.sessions import Sessions

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace

__all__ = ["RedisStreamsAdapter", "StreamsBus"]

READ_COUNT: Final = 100
"""Entries that a read brings at most, unless told otherwise. The reference's."""

MAX_STREAMS: Final = 1_024
"""Streams of a cluster at most: each is a connection of each node."""

DURABLE: Final = frozenset(
    {RequestType.REMOTE_JOIN, RequestType.REMOTE_LEAVE, RequestType.REMOTE_DISCONNECT}
)
"""The requests that are entries of the stream."""

BROADCASTS: Final = (b"%d" % BROADCAST, b"%d" % (BROADCAST + OWN))
"""How the type of an entry says that it is one."""


class StreamsNode(Node, Protocol):
    """What a bus needs of the node."""

    appender: AnyAppender


class StreamsBus(MessageBus):
    """One namespace on the streams bus. It belongs to the event loop of its server.

    Attributes:
        stream: The stream of its entries.
        reader: What reads it.
        unpolled: The stream that only Node.js servers write to for this namespace, if there is one.
    """

    def __init__(
        self,
        node: StreamsNode,
        adapter: ClusterAdapter,
        notepack: Notepack,
        on_close: Callable[[Exchange], None],
        *,
        reader: StreamReader,
        unpolled: bytes | None,
        max_len: int,
        prefix: str,
        sharded: bool,
        only_plaintext: bool,
    ) -> None:
        """Subscribe to the channels of a namespace."""
        super().__init__(
            node, adapter, notepack, on_close, prefix=prefix, sharded=sharded, packed=True
        )
        nsp = adapter.nsp.name
        self.stream = reader.name
        self.reader = reader
        self.unpolled = unpolled
        self._nsp_bytes = nsp.encode("utf-8", "replace")
        self._appender = node.appender
        self._uid_bytes = self.uid.encode()
        self._entries = Entries(notepack, self.uid, nsp, only_plaintext=only_plaintext)
        self._appending = self._entries.appending(reader.name, max_len)

    def broadcast(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Let the other nodes send an event."""
        if options.volatile and not self._appender.connected:
            self._node.count("dropped_volatile")
            return
        self.append_broadcast(event, args, options)

    def append_broadcast(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> int:
        """Append an event to the stream; return its number."""
        kind, data = self._entries.broadcast(event, args, options, packet_nsp=False)
        if options.all_of:
            self._say_all_of()
        return self._append(kind, data)

    def on_entry(self, id: bytes, fields: dict[bytes, bytes]) -> None:
        """Take an entry of the stream."""
        if fields.get(b"uid") == self._uid_bytes:
            self._node.count("own")
            self._guarded(lambda: self._adapter.own_entry(id, fields))
        else:
            self._guarded(lambda: self._take_entry(id, fields))

    def _take_entry(self, id: bytes, fields: dict[bytes, bytes]) -> None:
        if fields.get(b"type") in BROADCASTS and not self._is_wanted(fields.get(b"data", b"")):
            head = read_head(fields)
            if not head["uid"]:
                raise InvalidMessageError("no sender")
            if self._take_sequence(head, self._gaps.setdefault(self.stream, Gaps())):
                self._node.count("foreign_rooms")
            return
        read = read_entry(self._notepack, fields)
        if read["type"] > OWN:
            read["type"] -= OWN
        is_answer, message = self._messages.translated(read)
        if is_answer:  # of a node of version 0.2, which waits for ours there
            raise InvalidMessageError("an answer in the stream")
        gaps = self._gaps.setdefault(self.stream, Gaps())
        if message.get("type") != RequestType.BROADCAST or message.get("requestId") is not None:
            self._take_request(message, gaps)
        elif self._take_sequence(message, gaps):
            event = self._event_of(message)
            self._adapter.deliver_entry(id, *event, read_options(message.get("opts")))

    def _is_wanted(self, data: bytes) -> bool:
        """Say whether a broadcast may be for somebody here."""
        options = peek_options(data)
        return options is None or self._adapter.concerns_choice(options)

    def read_broadcast(self, fields: dict[bytes, bytes]) -> Broadcast | None:
        """Return what an entry of any node is to deliver; ``None`` if it is for another namespace, or no broadcast."""
        if fields.get(b"nsp") != self._nsp_bytes or fields.get(b"type") not in BROADCASTS:
            return None
        try:
            data = read_entry(self._notepack, fields)["data"]
            if not is_object(data) or "requestId" in data or not is_object(data.get("packet")):
                return None
            event = read_event(data["packet"] | {"nsp": self._nsp.name}, self._nsp.name)
            assert event is not None
            return Broadcast(*event, read_options(data.get("opts")))
        except InvalidMessageError:
            return None

    def order(self, *words: bytes) -> None:
        """Let the broker do something that nobody waits for."""
        self._appender.order(command(*words))

    async def query(self, *words: bytes) -> Any:
        """Ask the broker something.

        Raises:
            BrokerError: If it does not answer, or refuses.
        """
        return await self._appender.ask(*words)

    def count_dropped(self, counter: str, reason: str) -> None:
        """Count something that is dropped; the first of its kind is logged."""
        self._refuse(counter, reason)

    @property
    def notepack(self) -> Notepack:
        """MessagePack, with the hook of the server."""
        return self._notepack

    @property
    def is_prompt(self) -> bool:
        """Whether what is appended now comes back in a moment, as far as anybody knows."""
        return self._appender.connected and self.reader.listening

    def _append(self, kind: int, data: bytes) -> int:
        self._node.ensure_started()
        position, _ = self.numbering.next(self.stream)
        mark = Append(self.stream, self._uid_bytes, position)
        self._appender.append(mark, self._appending(kind, data, position))
        return position

    def _send_request(self, options: BroadcastOptions, request: dict[str, Any]) -> None:
        kind: RequestType = request["type"]
        if kind not in DURABLE:
            super()._send_request(options, request)
            return
        fields = {name: value for name, value in request.items() if name != "type"}
        data = self._entries.data(fields | {"opts": write_choice(options) | {"flags": {}}})
        if options.all_of:
            self._say_all_of()
        self._append(REQUEST_TYPES[kind] + (OWN if options.all_of else 0), data)

    def _send_position(self, channel: bytes, position: int) -> None:
        if channel == self.stream:
            kind = REQUEST_TYPES[RequestType.POSITION] + OWN
            self._appender.order(self._appending(kind, b"{}", position))
        else:
            super()._send_position(channel, position)


class RedisStreamsAdapter(BrokerNode):
    """A cluster over Redis Streams, in the format of ``@socket.io/redis-streams-adapter`` 0.3; for ``Server(adapter=…)``.

    Node.js servers with that adapter take part. A node that was away for a moment reads what it has missed. With
    ``connection_state_recovery`` a client may come back to another node than it has left. It belongs to one server, and to its event
    loop. Whatever becomes of the broker, clients of this node get what is emitted on it.

    Events:

    - ``health``: `AdapterHealth`, whenever the node begins or ceases to hear the others, or to be heard.
    - ``gap``: ``(namespace, sender, missing)``: so many messages of another roomcast node never arrived. Namespace and sender are empty
      for entries that the broker dropped before this node has read them: whose they were is not known.

    Attributes:
        stream_name: The name of the stream, or what the names begin with.
        stream_count: How many streams the namespaces are spread over.
        counters: What was published, received, dropped and why, by name; see the guide on clusters.
        requests_timeout: Seconds that other nodes have for an answer.
        publisher: What goes out.
        subscriber: What comes in over pub/sub.
        readers: What comes in from streams, by their names.

    Source:
        socket.io-redis-streams-adapter, ``createAdapter``.
    """

    def __init__(
        self,
        redis: Any,
        *,
        stream_name: str = STREAM_NAME,
        stream_count: int = 1,
        channel_prefix: str = KEY,
        use_sharded_pubsub: bool = False,
        max_len: int = MAX_LEN,
        read_count: int = READ_COUNT,
        session_key_prefix: str = SESSION_KEY_PREFIX,
        only_plaintext: bool = False,
        requests_timeout: float = 5.0,
        queue_size: int = QUEUE_SIZE,
        queue_policy: QueuePolicy = "drop_oldest",
        pass_requests: bool = False,
    ) -> None:
        """Prepare; connections are made when the server starts.

        Args:
            redis: As for `RedisAdapter`. Two connections are made, and one for each stream; of a Redis Cluster, one to each member to
                publish, one for subscriptions (with ``use_sharded_pubsub`` one to each master), and one for each stream.
            stream_name: The name of the stream, the same for all nodes; what the names begin with if there are several.
            stream_count: How many streams the namespaces are spread over, by their names; the same for all nodes.
            channel_prefix: What the names of all channels begin with; the same for all nodes.
            use_sharded_pubsub: Whether what is not in a stream travels over sharded pub/sub; the same for all nodes.
            max_len: Entries of a stream that the broker keeps, or somewhat more.
            read_count: Entries that one read brings at most.
            session_key_prefix: What the keys of sessions begin with, the same for all nodes; for ``connection_state_recovery``.
            only_plaintext: Whether bytes in a stream are written as the numbers that JavaScript's JSON has for them, so that a person
                can read the entries. Receivers get objects then, and no bytes.
            requests_timeout: Seconds that other nodes have for an answer.
            queue_size: Bytes that wait for the broker at most; of a Redis Cluster, for each member.
            queue_policy: What is dropped beyond: ``drop_oldest`` or ``drop_newest``.
            pass_requests: Whether a request for a session of another roomcast node is passed to it over pub/sub, so that the nodes
                need no sticky connections; the same for all nodes.

        Raises:
            MissingDependencyError: If redis-py or hiredis is not installed.
            TypeError: If ``redis`` is something else.
            ValueError: If a value is out of its range.
        """
        for name, value, most in (
            ("stream_count", stream_count, MAX_STREAMS),
            ("max_len", max_len, 2**53),
            ("read_count", read_count, 2**31),
        ):
            if isinstance(value, bool) or not 1 <= value <= most:
                raise ValueError(f"{name} must be from 1 to {most}, not {value!r}")
        self.readers: dict[bytes, StreamReader] = {}
        self._sharded = use_sharded_pubsub
        super().__init__(
            redis,
            requests_timeout=requests_timeout,
            queue_size=queue_size,
            queue_policy=queue_policy,
            pass_requests=pass_requests,
        )
        self.stream_name = stream_name
        self.stream_count = stream_count
        self._channel_prefix = channel_prefix
        if pass_requests:
            self._way = BrokerWay(self, channel_prefix, sharded=use_sharded_pubsub)
        self._max_len = max_len
        self._read_count = read_count
        self._only_plaintext = only_plaintext
        self._session_key_prefix = session_key_prefix
        self._buses_by_nsp: dict[bytes, StreamsBus] = {}
        for number in range(stream_count):
            name = stream_name if stream_count == 1 else f"{stream_name}-{number}"
            self._read(name.encode())

    def _wired(self, how: Publishing) -> tuple[AnyPublisher, AnySubscriber]:
        self.appender, subscriber, self._place_of = wired_streams(
            self._redis, self.counters, how, sharded=self._sharded or self.sharded
        )
        return self.appender, subscriber

    def _new_bus(self, adapter: ClusterAdapter, notepack: Notepack) -> StreamsBus:
        nsp = adapter.nsp.name
        unpolled = unpolled_stream_of(self.stream_name, self.stream_count, nsp)
        if unpolled is not None and unpolled not in self.readers:
            reader = self._read(unpolled)
            if self._loop is not None:
                reader.start()
        bus = StreamsBus(
            self,
            adapter,
            notepack,
            self._forget,
            reader=self.readers[stream_of(self.stream_name, self.stream_count, nsp)],
            unpolled=unpolled,
            max_len=self._max_len,
            prefix=self._channel_prefix,
            sharded=self._sharded,
            only_plaintext=self._only_plaintext,
        )
        self._buses_by_nsp[nsp.encode("utf-8", "replace")] = bus
        if isinstance(adapter, StreamsSessionAdapter):
            adapter.reach(bus, self._session_key_prefix)
        return bus

    def _new_recoverable(self, nsp: "Namespace", sessions: Sessions) -> StreamsSessionAdapter:
        return StreamsSessionAdapter(nsp, sessions)

    def _forget(self, bus: Exchange) -> None:
        super()._forget(bus)
        for nsp, each in list(self._buses_by_nsp.items()):
            if each is bus:
                del self._buses_by_nsp[nsp]

    def _read(self, stream: bytes) -> StreamReader:
        reader = self.readers[stream] = StreamReader(
            self._place_of(stream),
            self.counters,
            stream,
            count=self._read_count,
            take=self._take_entry,
            on_change=self._changed,
            on_trimmed=self._trimmed,
        )
        return reader

    def _trimmed(self, missing: int) -> None:
        self.count("gaps")
        self.count("trimmed", missing)
        self._tell("gap", "", "", missing)

    def _take_entry(self, id: bytes, fields: dict[bytes, bytes]) -> None:
        bus = self._buses_by_nsp.get(fields.get(b"nsp", b""))
        if bus is None:
            self.count("foreign_namespaces")
        else:
            bus.on_entry(id, fields)

    @property
    def _listening(self) -> bool:
        return self.subscriber.listening and all(
            reader.listening for reader in self.readers.values()
        )

    def _start_ears(self) -> None:
        super()._start_ears()
        for reader in self.readers.values():
            reader.start()

    async def _tried(self) -> None:
        await super()._tried()
        for reader in list(self.readers.values()):
            await reader.tried()

    async def _close_ears(self) -> None:
        await super()._close_ears()
        for reader in list(self.readers.values()):
            await reader.close()

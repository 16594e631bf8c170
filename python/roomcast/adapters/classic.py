"""The classic bus: pub/sub channels, as socket.io-redis-adapter speaks on them.

Every node hears every message of its namespaces. What is not for anybody here is dropped before its payload is looked at, by the
channel, which names the room where there is exactly one.

Beside that format, and ignored by Node.js nodes: the sequence numbers of `gaps.py`, whose an answer is (``uid``, ``sid``), and a
channel between roomcast nodes for what the format has no place for.

Source:
    socket.io-redis-adapter 8.3.0, ``RedisAdapter``.
"""

from collections.abc import Callable
from secrets import choice
from typing import TYPE_CHECKING, Any, Final

from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.exchange import Exchange
from roomcast.adapters.gaps import Gaps
from roomcast.adapters.notepack import Notepack, UnpackError
from roomcast.adapters.receiving import Node
from roomcast.adapters.subscriber import glob_escaped
from roomcast.adapters.wire import (
    MAX_SIZE,
    Channels,
    InvalidMessageError,
    RequestType,
    is_list,
    read_event,
    read_options,
    write_options,
)
from roomcast.server.adapter import BroadcastOptions

if TYPE_CHECKING:
    from roomcast.adapters.ends import Handler

__all__ = ["ClassicBus"]

UID_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
UID_LENGTH: Final = 6

ARRAY_3: Final = b"\x93"
ARRAY_4: Final = b"\x94"
UINT64: Final = b"\xcf"
POSITION_SIZE: Final = 9
"""Bytes of a sequence number behind a broadcast: always in the longest form, so that it is found from the end."""

PEEK_SIZE: Final = 1_024
"""Bytes from which on the options of a broadcast are read before its payload."""


class ClassicBus(Exchange):
    """One namespace on the classic bus. It belongs to the event loop of its server."""

    def __init__(
        self,
        node: Node,
        adapter: ClusterAdapter,
        notepack: Notepack,
        on_close: Callable[[Exchange], None],
        *,
        key: str,
        answers_specifically: bool,
    ) -> None:
        """Subscribe to the channels of a namespace."""
        self.uid = self._new_id()
        channels = self._channels = Channels.of(key, adapter.nsp.name)
        # All channels share their numbers: every node hears all of them.
        super().__init__(node, adapter, notepack, on_close, channels.own)
        pack = notepack.pack
        self._answers_specifically = answers_specifically
        self._gaps = Gaps()
        self._room_start = len(channels.broadcast)
        self._own_head = pack(self.uid)
        self._head = b"\x94" + self._own_head + b"\x83\xa4type\x02\xa4data"
        self._middle = b"\xa3nsp" + pack(self._nsp.name)
        self._to_all = pack(write_options(BroadcastOptions()))
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
        self._node.subscriber.remove(self._names, self._patterns)
        super().close()

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
        body = b"%b%b%b%b\xcf" % (
            self._head,
            self._notepack.pack_event(self._nsp.name, event, args),
            self._middle,
            travelling,
        )
        message = self._numbered(
            self._channels.own, lambda position, _: body + position.to_bytes(8, "big")
        )
        channel = self._own_channel() if options.all_of else self._channels.of_rooms(rooms)
        node.publisher.publish(channel, message)

    def on_broadcast(self, channel: bytes, data: bytes) -> None:
        """Take a broadcast of another node, or an emitter."""
        node = self._node
        if data[1:8] == self._own_head and data[:1] == ARRAY_4:
            node.count("own")
            return
        if not self._take_position(data):
            return
        room_bytes = channel[self._room_start : -1]
        if room_bytes:
            try:
                room = room_bytes.decode("utf-8", "surrogatepass")
                wanted = self._adapter.concerns(room)
            except UnicodeError:
                self._refuse("invalid", "a room that is no text")
                return
        else:
            wanted = self._adapter.concerns_anybody
        if not wanted:
            node.count("foreign_rooms")
            return
        self._deliver(data, peek=not room_bytes and len(data) >= PEEK_SIZE)

    def on_own(self, channel: bytes, data: bytes) -> None:
        """Take what roomcast nodes say to each other alone: a broadcast or a request."""
        if data[:1] not in (ARRAY_3, ARRAY_4):
            self.on_request(channel, data)
        elif data[1:8] == self._own_head:
            self._node.count("own")
        elif self._take_position(data):
            self._deliver(data, peek=len(data) >= PEEK_SIZE)

    def _take_position(self, data: bytes) -> bool:
        """Look at the number of a broadcast, if it has one; say whether the message is to be read."""
        if len(data) <= MAX_SIZE:
            if data[:1] != ARRAY_4 or data[-POSITION_SIZE : -POSITION_SIZE + 1] != UINT64:
                return True
            position = int.from_bytes(data[1 - POSITION_SIZE :], "big")
            return self._heard(self._gaps, data[2:8], position)
        self._refuse("too_large", f"{len(data)} bytes")
        return False

    def _deliver(self, data: bytes, *, peek: bool) -> None:
        """Send a broadcast of another node to the sockets of this one."""
        adapter, notepack = self._adapter, self._notepack
        try:
            if peek:
                options = read_options(notepack.unpack_item(data, 2))
                named = options.rooms or options.all_of
                if named and not any(map(adapter.concerns, named)):
                    self._node.count("foreign_rooms")
                    return
            message = notepack.unpack(data)
            if not is_list(message) or len(message) < 3:
                raise InvalidMessageError("no broadcast")
            uid, packet, given = message[:3]
            if uid == self.uid:
                self._node.count("own")
                return
            options = read_options(given)
            event = read_event(packet, self._nsp.name)
        except (UnpackError, InvalidMessageError) as error:
            self._refuse("invalid", str(error))
            return
        if event is None:
            self._node.count("foreign_namespaces")
            return
        self._guarded(lambda: adapter.deliver(event[0], event[1], options))

    def on_request(self, channel: bytes, data: bytes) -> None:
        """Take a request."""
        self._guarded(lambda: self._take_request(self._requests.read(data), self._gaps))

    def on_response(self, channel: bytes, data: bytes) -> None:
        """Take an answer."""
        self._guarded(lambda: self._take_answer(self._requests.read(data)))

    def _send_ask(
        self, id: str, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> None:
        pack = self._notepack.pack
        body = b"\x86%b\xa4type\x07\xa6packet\x83\xa4type\x02\xa4data%b%b\xa4opts%b\xa3seq" % (
            pack("uid") + pack(self.uid) + pack("requestId") + pack(id),
            self._notepack.pack_event(self._nsp.name, event, args),
            self._middle,
            pack(write_options(options, timeout=True)),
        )
        message = self._numbered(self._channels.own, lambda position, _: body + pack(position))
        self._node.publisher.publish(self._request_channel(options), message)

    def _send_request(self, options: BroadcastOptions, request: dict[str, Any]) -> None:
        data = self._numbered(
            self._channels.own,
            lambda position, _: self._requests.write(
                {"uid": self.uid} | request | {"seq": position}
            ),
        )
        self._node.publisher.publish(self._request_channel(options), data)

    def _send_answer(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        kind = answer.get("type")
        is_ack = kind == RequestType.BROADCAST_ACK
        data = self._notepack.pack(answer) if is_ack else self._requests.write(answer)
        channel = self._channels.response
        uid = request.get("uid")
        # Answers to events between servers travel on the common channel always, as in the reference.
        if (
            self._answers_specifically
            and isinstance(uid, str)
            and kind != RequestType.SERVER_SIDE_EMIT
        ):
            channel = b"%b%b#" % (channel, uid.encode("utf-8", "replace"))
        self._node.publisher.publish(channel, data)

    def _send_position(self, channel: bytes, position: int) -> None:
        message = {"uid": self.uid, "type": RequestType.POSITION, "seq": position}
        self._node.publisher.publish(channel, self._requests.write(message))

    async def _count_servers(self, *, own: bool) -> int:
        channel = self._channels.own if own else self._channels.request
        return await self._node.publisher.subscribers(channel, sharded=False)

    def _request_channel(self, options: BroadcastOptions) -> bytes:
        return self._own_channel() if options.all_of else self._channels.request

    def _own_channel(self) -> bytes:
        self._say_all_of()
        return self._channels.own

    def _new_id(self) -> str:
        return "".join([choice(UID_ALPHABET) for _ in range(UID_LENGTH)])

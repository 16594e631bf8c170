"""What the sharded and the streams bus have in common: the cluster messages of socket.io-adapter on pub/sub channels.

A namespace has a channel that all its nodes hear, one for the answers to each node, and between roomcast nodes one for what the format
has no place for.

Source:
    socket.io-adapter 2.5.8, ``lib/cluster-adapter.ts``.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.exchange import Exchange
from roomcast.adapters.gaps import Gaps
from roomcast.adapters.messages import Messages, new_uid
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.receiving import Node
from roomcast.adapters.wire import (
    InvalidMessageError,
    RequestType,
    read_event,
    write_choice,
)
from roomcast.server.adapter import BroadcastOptions

if TYPE_CHECKING:
    from roomcast.adapters.ends import Handler

__all__ = ["MessageBus"]


class MessageBus(Exchange):
    """One namespace on such a bus. It belongs to the event loop of its server."""

    def __init__(
        self,
        node: Node,
        adapter: ClusterAdapter,
        notepack: Notepack,
        on_close: Callable[[Exchange], None],
        *,
        prefix: str,
        sharded: bool,
        packed: bool,
    ) -> None:
        """Subscribe to the channels that every node of a namespace has.

        Args:
            node: As for an `Exchange`.
            adapter: The same.
            notepack: The same.
            on_close: The same.
            prefix: What the names of all channels begin with.
            sharded: Whether the channels are sharded ones.
            packed: Whether all messages are MessagePack.
        """
        self.uid = new_uid()
        nsp = adapter.nsp.name
        self._channel = f"{prefix}#{nsp}#".encode()
        self._own = f"{prefix}-roomcast#{nsp}#".encode()
        super().__init__(node, adapter, notepack, on_close, self._channel)
        self._sharded = sharded
        self._messages = Messages(notepack, self.uid, nsp, packed=packed)
        # What was heard in a channel is forgotten with it: what comes after is no gap.
        self._gaps: dict[bytes, Gaps] = {}
        names: dict[bytes, Handler] = {
            self._channel: self.on_message,
            self._answers_to(self.uid): self.on_message,
            self._own: self.on_message,
        }
        self._subscribed = {"shards" if sharded else "channels": names}
        node.subscriber.add(**self._subscribed)

    def close(self) -> None:
        """End: the namespace is no more."""
        self._node.subscriber.remove(**self._subscribed)
        super().close()

    def on_message(self, channel: bytes, data: bytes) -> None:
        """Take whatever has come over pub/sub."""
        if self._messages.is_own(data):
            self._node.count("own")
            return
        self._guarded(lambda: self._take(channel, data))

    def _take(self, channel: bytes, data: bytes) -> None:
        is_answer, message = self._messages.read(data)
        if not message:
            self._node.count("foreign_namespaces")
        elif is_answer:
            self._take_answer(message)
        else:
            gaps = self._gaps.setdefault(channel, Gaps())
            if message.pop("first") is True:
                gaps.forget(str(message["uid"]).encode("utf-8", "replace"))
            self._take_message(message, gaps)

    def _take_message(self, message: dict[str, Any], gaps: Gaps) -> None:
        """Take what is no answer.

        Raises:
            InvalidMessageError: If it is no message.
        """
        self._take_request(message, gaps)

    def _event_of(self, message: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
        """Return the name and the arguments of a broadcast's event.

        Raises:
            InvalidMessageError: If it has none.
        """
        event = read_event(message.get("packet"), self._nsp.name)
        assert event is not None  # its namespace was looked at
        return event

    def _publish(self, channel: bytes, data: bytes) -> None:
        self._node.publisher.publish(channel, data, sharded=self._sharded)

    def _send_ask(
        self, id: str, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> None:
        channel, messages = self._request_channel(options), self._messages
        begun = messages.write_broadcast(event, args, options, id)
        self._publish(channel, self._numbered(channel, partial(messages.numbered, begun)))

    def _send_request(self, options: BroadcastOptions, request: dict[str, Any]) -> None:
        channel = self._request_channel(options)
        if "opts" in request:  # the reference takes the flags for granted
            request = request | {"opts": write_choice(options) | {"flags": {}}}
        self._publish(
            channel, self._numbered(channel, partial(self._messages.write_request, request))
        )

    def _send_answer(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        uid = request.get("uid")
        if not isinstance(uid, str):
            raise InvalidMessageError("nobody to answer")
        self._publish(self._answers_to(uid), self._messages.write_answer(answer))

    def _send_position(self, channel: bytes, position: int) -> None:
        request = {"type": RequestType.POSITION}
        self._publish(channel, self._messages.write_request(request, position, False))

    async def _count_servers(self, *, own: bool) -> int:
        channel = self._own if own else self._channel
        return await self._node.publisher.subscribers(channel, sharded=self._sharded)

    def _new_id(self) -> str:
        return new_uid()

    def _answers_to(self, uid: str) -> bytes:
        return b"%b%b#" % (self._channel, uid.encode("utf-8", "replace"))

    def _request_channel(self, options: BroadcastOptions) -> bytes:
        if not options.all_of:
            return self._channel
        self._say_all_of()
        return self._own

"""What this node asks of the others, whatever the format that it travels in; how others are answered is the other half, `receiving.py`."""

import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.collecting import ClusterAck, Fetch, Responses
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.numbering import Numbering
from roomcast.adapters.receiving import Node, Receiver
from roomcast.adapters.wire import RequestType, write_choice
from roomcast.errors import BrokerError, EncodeError
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.remote import FetchedSockets
from roomcast.sockets.acks import Done

__all__ = ["Exchange"]

log = logging.getLogger("roomcast.adapters")


class Exchange(Receiver):
    """Both halves of one namespace on a bus. It belongs to the event loop of its server."""

    def __init__(
        self,
        node: Node,
        adapter: ClusterAdapter,
        notepack: Notepack,
        on_close: Callable[["Exchange"], None],
        main: bytes,
    ) -> None:
        """Prepare.

        Args:
            node: What the namespaces share.
            adapter: The adapter of the namespace.
            notepack: MessagePack.
            on_close: Called at the end.
            main: The channel that every node hears, as `Numbering` knows it.
        """
        super().__init__(node, adapter, notepack)
        self.numbering = Numbering(main, self._send_position)
        self._on_close = on_close
        self._servers = 1

    @abstractmethod
    def broadcast(self, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Let the other nodes send an event."""

    @abstractmethod
    def _send_request(self, options: BroadcastOptions, request: dict[str, Any]) -> None:
        """Send a request, with the fields of the classic format, to the nodes that the options can mean.

        Raises:
            TypeError: If a value cannot travel.
            ValueError: The same.
        """

    @abstractmethod
    def _send_ask(
        self, id: str, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> None:
        """Send a broadcast whose answers are collected."""

    @abstractmethod
    def _send_position(self, channel: bytes, position: int) -> None:
        """Say in a channel which number has been reached."""

    @abstractmethod
    async def _count_servers(self, *, own: bool) -> int:
        """Ask the broker how many nodes have the namespace; ``own`` for those of roomcast.

        Raises:
            BrokerError: If it does not answer.
        """

    @abstractmethod
    def _new_id(self) -> str:
        """Return an id for a request."""

    def close(self) -> None:
        """End: the namespace is no more."""
        self.stop()
        self._on_close(self)

    def stop(self) -> None:
        """Say nothing more by itself."""
        self.numbering.stop()

    def room_created(self, room: str) -> None:
        """Learn that there may be somebody in a room; only a bus with channels for rooms asks for it."""

    def room_deleted(self, room: str) -> None:
        """Learn that there is nobody in a room any more."""

    def ask(
        self,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        new_ack: Callable[[Callable[[], None]], ClusterAck],
    ) -> ClusterAck:
        """Let the other nodes send an event, and collect the answers."""
        id = self._new_id()
        ack = new_ack(lambda: self._forget(id))
        self._pending[id] = ack
        try:
            self._send_ask(id, event, args, options)
        except BaseException:
            self._forget(id)
            raise
        self._ask_count(
            bool(options.all_of), lambda count: ack.servers(None if count is None else count - 1)
        )
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
        id = self._new_id()
        fetch = Fetch()
        self._pending[id] = fetch
        try:
            kind = RequestType.REMOTE_FETCH
            self._request(options, {"requestId": id, "type": kind, "opts": write_choice(options)})
            count = await self._count(own=bool(options.all_of))
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
        id = self._new_id()
        self._request(BroadcastOptions(), {"requestId": id} | request)
        timers = self._nsp.server.engine.timers
        responses = Responses(done, timeout, timers, lambda: self._forget(id))
        self._pending[id] = responses
        self._ask_count(
            False, lambda count: responses.servers(None if count is None else count - 1)
        )

    async def count(self) -> int:
        """Return the number of servers, this one included; the last one known if nobody can be asked."""
        count = await self._count(own=False)
        return self._servers if count is None else count

    def _request(self, options: BroadcastOptions, request: dict[str, Any]) -> None:
        try:
            self._send_request(options, request)
        except (TypeError, ValueError) as error:
            raise EncodeError(str(error)) from error

    def _numbered(self, channel: bytes, write: Callable[[int, bool], bytes]) -> bytes:
        """Return a message for a channel; ``write`` gets its number, and whether the numbers of the channel begin with it."""
        self._node.ensure_started()
        position, is_first = self.numbering.next(channel)
        try:
            return write(position, is_first)
        except BaseException:
            self.numbering.undo(channel)
            raise

    def _say_all_of(self) -> None:
        if self._once.is_first(self._nsp.name, "all_of"):
            log.info("all_of reaches the sockets of roomcast nodes only: Node.js does not know it")

    def _forget(self, id: str) -> None:
        self._pending.pop(id, None)

    async def _count(self, *, own: bool) -> int | None:
        try:
            count = await self._count_servers(own=own)
        except BrokerError:
            return None
        if not own:
            self._servers = max(count, 1)
        return count

    def _ask_count(self, own: bool, take: Callable[[int | None], None]) -> None:
        async def ask() -> None:
            take(await self._count(own=own))

        self._nsp.server.handlers.run(ask())

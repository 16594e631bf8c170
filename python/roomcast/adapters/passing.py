"""The way to workers of other hosts: requests for their sessions travel over the broker, and the answers come back there.

Each worker hears one channel, which its name is in. A request is a `Stream` of segments between two of them. Over that of a GET or a POST
the request travels, and its answer; over that of a WebSocket its messages, for as long as it lasts.

What becomes of a stream where something fails:

    =============================  =============================================================================================
    what                           what happens
    =============================  =============================================================================================
    nobody hears the channel       the broker says so with the first segment: the worker is lost
    a worker has died              the same, with the next segment or sign of life that it is asked for
    a host hangs or is cut off     after `MAX_SILENCE` looks in vain its streams are broken, and the worker is lost
    a connection to the broker     all streams of this worker are broken, since segments may be missing; the others are told when
    breaks                         it is back, and till then nobody can be reached
    =============================  =============================================================================================

On a Redis Cluster the channels are sharded ones, whatever else the adapter speaks: the member that has a channel's slot has all who hear
it, and only it knows at once that nobody does. What it has counted nobody for may have been heard at a member that was the master a moment
ago, or by nobody: a segment behind it, with the next look, lets the other end find the hole. Where a connection to a member breaks, or the slot of a channel moves, that is so for the
workers whose channels it concerns.

Who can publish on the broker can speak as any client; that is so with everything that travels there.
"""

import asyncio
import contextlib
import logging
from functools import partial
from secrets import randbits
from typing import TYPE_CHECKING, Any, Final

from roomcast.adapters.publishers import Publishers
from roomcast.adapters.receiving import NodeOverBroker
from roomcast.adapters.segments import Segment, pack_segment, read_segment
from roomcast.engine.asgi import ASGIApplication, Receive, Scope, Send
from roomcast.engine.passing import end_all, pass_request, serve_request
from roomcast.engine.streams import Flag, Stream
from roomcast.engine.ways import UnreachableError, WorkerLostError
from roomcast.errors import BrokerError, UsageError
from roomcast.logs import Once

if TYPE_CHECKING:
    from roomcast.adapters.ends import Handlers

__all__ = ["BrokerWay"]

LOOK_INTERVAL: Final = 2.0
"""Seconds between two looks whether anything has come from a worker that there are streams with."""

MAX_SILENCE: Final = 4
"""Looks in vain after which a worker is lost; it is asked for a sign of life from the first one on."""

MAX_QUEUED: Final = 4_000_000
"""Bytes that wait for the broker above which streams wait, so that broadcasts find their place in the queue."""

SHARE: Final = 4
"""Of a small queue, streams wait above a quarter: the rest is for broadcasts."""

LEAST_QUEUE: Final = 300_000
"""Bytes that a queue must have room for: four segments, and what belongs to them."""

PAUSE: Final = 0.01
"""Seconds until streams that wait for the broker look again."""

READY_LOOKS: Final = 100
"""Such pauses that the first session waits until the broker has confirmed the channel of this worker."""

ID_BITS: Final = 64

log = logging.getLogger("roomcast.adapters")


class _Peer:
    """Another worker that there are streams with, or were a moment ago; what carries these.

    Attributes:
        name: The worker.
        channel: What it hears.
        streams: The streams.
        unheard: Streams of which a segment may have been heard by nobody, though there is somebody.
        has_spoken: Whether anything has come from it since the last look.
        misses: Looks in vain.
    """

    __slots__ = ("_way", "channel", "has_spoken", "misses", "name", "streams", "unheard")

    def __init__(self, way: "BrokerWay", name: str, channel: bytes) -> None:
        self._way = way
        self.name = name
        self.channel = channel
        self.streams: dict[int, Stream] = {}
        self.unheard: set[int] = set()
        self.has_spoken = True
        self.misses = 0

    def schedule(self, stream: Stream) -> None:
        stream.loop.call_soon(stream.flush)

    def send(self, stream: Stream, flags: int, data: bytes) -> bool:
        return self._way.send(self, stream, flags, data)

    def forget(self, stream: Stream) -> None:
        del self.streams[stream.id]
        self._way.forget(stream)


class BrokerWay:
    """The broker of an adapter, as a `Way`. It belongs to the event loop of its server."""

    def __init__(self, node: NodeOverBroker, prefix: str, *, sharded: bool) -> None:
        """Prepare.

        Args:
            node: Has the connections.
            prefix: What the names of all channels begin with.
            sharded: Whether the channels are sharded ones; of a Redis Cluster they are in any case.

        Raises:
            UsageError: If the queue is too small.
        """
        if node.publisher.limit < LEAST_QUEUE:
            raise UsageError(f"pass_requests needs a queue_size of at least {LEAST_QUEUE}")
        self._has_members = isinstance(node.publisher, Publishers)
        sharded = sharded or self._has_members
        self._node = node
        self._max_queued = min(MAX_QUEUED, node.publisher.limit // SHARE)
        self._prefix = prefix
        self._publish_command = b"SPUBLISH" if sharded else b"PUBLISH"
        self._sharded = sharded
        self._name = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serve_here: ASGIApplication | None = None
        self._channels: Handlers = {}
        self._peers: dict[str, _Peer] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._stalled: set[Stream] = set()
        self._owed: list[tuple[_Peer, int]] = []
        self._counting: dict[_Peer, asyncio.Task[None]] = {}
        self._look: asyncio.TimerHandle | None = None
        self._once = Once()

    def start(self, loop: asyncio.AbstractEventLoop, name: str, serve: ASGIApplication) -> None:
        """Hear the channel of a name."""
        self._loop, self._name, self._serve_here = loop, name.encode(), serve
        self._channels = {self._channel_of(name): self._on_message}
        self._node.ensure_started()
        if self._sharded:
            self._node.subscriber.add(shards=self._channels)
        else:
            self._node.subscriber.add(self._channels)
        self._look = loop.call_later(LOOK_INTERVAL, self._on_look)

    def stop(self) -> None:
        """Hear nothing more, and break what is on its way."""
        if self._loop is None:
            return
        if self._look is not None:
            self._look.cancel()
        if self._sharded:
            self._node.subscriber.remove(shards=self._channels)
        else:
            self._node.subscriber.remove(self._channels)
        self._loop = None
        self._break_all()

    async def ready(self) -> None:
        """Wait until the broker has confirmed the channel, or cannot be reached, or takes too long."""
        subscriber = self._node.subscriber
        await subscriber.tried()
        for _ in range(READY_LOOKS):
            if subscriber.settled or not subscriber.listening:
                return
            await asyncio.sleep(PAUSE)
        log.warning("the broker has not confirmed the channel of this worker")

    async def close(self) -> None:
        """Let requests that were passed here end, then hear nothing more."""
        await end_all(self._serving)
        self.stop()

    def leads_to(self, name: str) -> bool:
        """Say that whoever is not known otherwise may be on another host."""
        return True

    async def pass_on(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a worker of another host serve a request; as `Way.pass_on`."""
        if self._loop is None or not self._works(name):
            raise UnreachableError
        self._node.count("passed_on")
        stream = self._new_stream(name, randbits(ID_BITS), opens=True)
        try:
            await pass_request(stream, scope, receive, send)
        except OSError as error:
            raise (WorkerLostError if self._works(name) else UnreachableError) from error

    def changed(self) -> None:
        """Learn that a connection to the broker has broken, or is there again."""
        for peer in self._peers.values():
            if not self._works(peer.name):
                _reset_all(peer)
        self._pay()

    def _works(self, name: str) -> bool:
        """Say whether another worker hears this one, and it the other."""
        node, sharded = self._node, self._sharded
        return node.publisher.reaches(self._channel_of(name), sharded=sharded) and all(
            node.subscriber.hears(channel, sharded=sharded) for channel in self._channels
        )

    def _break_all(self) -> None:
        """Break all streams: segments may be missing. The others learn it as soon as the broker is back."""
        for peer in self._peers.values():
            _reset_all(peer)

    def _on_message(self, channel: bytes, data: bytes) -> None:
        """Take a segment. Any bytes may come: what is no segment has no effect."""
        try:
            segment = read_segment(data)
        except ValueError as error:
            self._node.count("invalid")
            if self._once.is_first("invalid", ""):
                log.warning("a message of the cluster was dropped: %s", error)
            return
        peer = self._peer(segment.sender)
        peer.has_spoken = True
        flags, id = segment.flags, segment.id
        stream = peer.streams.get(id)
        if flags & Flag.PING:
            self._publish(peer, Flag.PONG, 0, 0, b"")
        elif flags & Flag.RESET:
            if stream is not None:
                stream.end()
        elif stream is not None:
            _take(stream, segment)
        elif flags & Flag.OPEN:
            self._begin(segment)
        elif not flags:  # the other end does not know yet that it is over
            self._publish(peer, Flag.RESET, id, 0, b"")

    def _begin(self, segment: Segment) -> None:
        """Serve a request that comes with the first segment of a stream."""
        if self._loop is None:
            return
        self._node.count("passed_here")
        stream = self._new_stream(segment.sender, segment.id, opens=False)
        _take(stream, segment)
        assert self._serve_here is not None
        task = self._loop.create_task(serve_request(stream, self._serve_here))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def send(self, peer: _Peer, stream: Stream, flags: int, data: bytes) -> bool:
        """Send a segment, for a peer; as `roomcast.engine.streams.Carrier.send`."""
        if flags & (Flag.RESET | Flag.TAKEN):
            self._publish(peer, flags, stream.id, 0, data)
            return True
        if data and self._node.publisher.size > self._max_queued:
            self._stall(stream)
            return False
        self._publish(peer, flags, stream.id, stream.sent, data)
        stream.sent += 1
        return True

    def forget(self, stream: Stream) -> None:
        """Drop a stream that is over, for a peer."""
        self._stalled.discard(stream)

    def _new_stream(self, name: str, id: int, *, opens: bool) -> Stream:
        assert self._loop is not None
        peer = self._peer(name)
        stream = peer.streams[id] = Stream(id, self._loop, peer, opens=opens)
        return stream

    def _publish(self, peer: _Peer, flags: int, id: int, number: int, data: bytes) -> None:
        message = pack_segment(flags, self._name, id, number, data)
        published = self._node.publisher.ask(self._publish_command, peer.channel, message)
        published.add_done_callback(partial(self._on_published, peer, flags, id))

    def _on_published(
        self, peer: _Peer, flags: int, id: int, published: "asyncio.Future[Any]"
    ) -> None:
        """Learn what has become of a segment, and how many have heard it: of a worker that is gone there is nobody."""
        if published.cancelled():
            return
        failed = published.exception() is not None
        if not failed and published.result():
            return
        if not flags & (Flag.PING | Flag.PONG):
            # What says that bytes were taken has no number by which it would be missed.
            if failed or flags & Flag.TAKEN:
                self._lost(peer, id)
            else:
                peer.unheard.add(id)
        if not failed:
            self._look_for(peer)

    def _lost(self, peer: _Peer, id: int) -> None:
        """Break a stream that has a hole: perhaps nothing follows by which the other end finds it."""
        stream = peer.streams.get(id)
        if stream is not None:
            stream.end()
        self._owed.append((peer, id))
        if self._loop is not None and self._works(peer.name):
            self._loop.call_later(PAUSE, self._pay)

    def _show_holes(self, peer: _Peer) -> None:
        """Send something behind what may not have been heard; of a stream that is over here, that it is."""
        unheard, peer.unheard = peer.unheard, set()
        for id in unheard:
            stream = peer.streams.get(id)
            if stream is None:
                self._publish(peer, Flag.RESET, id, 0, b"")
            else:
                self._publish(peer, 0, id, stream.sent, b"")
                stream.sent += 1

    def _look_for(self, peer: _Peer) -> None:
        """Give a worker up that nobody has heard for, unless its member may not be the one that it listens at."""
        if not self._has_members:
            _end_all(peer)
        elif self._loop is not None and peer not in self._counting:
            counting = self._counting[peer] = self._loop.create_task(self._count(peer))
            counting.add_done_callback(lambda _: self._counting.pop(peer, None))

    async def _count(self, peer: _Peer) -> None:
        """Look whether a worker hears at all: one whose member has become a replica a moment ago hears there, and is not counted."""
        with contextlib.suppress(BrokerError):
            if await self._node.publisher.subscribers(peer.channel, sharded=True):
                return
        _end_all(peer)

    def _pay(self) -> None:
        """Let other workers know which streams are broken, those that can be reached."""
        owed, self._owed = self._owed, []
        for peer, id in owed:
            if self._works(peer.name):
                self._publish(peer, Flag.RESET, id, 0, b"")
            else:
                self._owed.append((peer, id))

    def _stall(self, stream: Stream) -> None:
        assert self._loop is not None
        if not self._stalled:
            self._loop.call_later(PAUSE, self._go_on)
        self._stalled.add(stream)

    def _go_on(self) -> None:
        stalled, self._stalled = self._stalled, set()
        for stream in stalled:
            stream.flush()

    def _on_look(self) -> None:
        """Look whether the workers that there are streams with are there."""
        if self._loop is None:
            return
        self._look = self._loop.call_later(LOOK_INTERVAL, self._on_look)
        for name, peer in list(self._peers.items()):
            if not peer.streams and not peer.unheard:
                del self._peers[name]
                continue
            self._show_holes(peer)
            if peer.has_spoken:
                peer.has_spoken, peer.misses = False, 0
            elif peer.misses >= MAX_SILENCE:
                log.info("a worker of another host does not answer any more")
                _reset_all(peer)
            else:
                peer.misses += 1
                self._publish(peer, Flag.PING, 0, 0, b"")

    def _peer(self, name: str) -> _Peer:
        peer = self._peers.get(name)
        if peer is None:
            peer = self._peers[name] = _Peer(self, name, self._channel_of(name))
        return peer

    def _channel_of(self, name: str) -> bytes:
        return f"{self._prefix}-roomcast-worker#{name}#".encode()


def _take(stream: Stream, segment: Segment) -> None:
    """Give a stream a segment, unless there is a hole before it."""
    if not segment.flags & Flag.TAKEN:
        if segment.number != stream.heard:
            stream.reset()
            return
        stream.heard += 1
    stream.take(segment.flags, segment.data)


def _reset_all(peer: _Peer) -> None:
    """Break all streams with a worker, which learns it if it can."""
    for stream in list(peer.streams.values()):
        stream.reset()


def _end_all(peer: _Peer) -> None:
    """Break all streams with a worker that is gone."""
    peer.unheard.clear()
    for stream in list(peer.streams.values()):
        stream.end()

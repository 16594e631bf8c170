"""What takes part in a cluster, or in something else over a broker: its connections, and how it stands with them.

Nodes of a cluster (`node.py`) and the bridge to python-socketio (`bridge.py`) are such members.
"""

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from roomcast.adapters.ends import Incoming, Outgoing
from roomcast.adapters.publisher import Publishing, QueuePolicy
from roomcast.adapters.wiring import AnyPublisher, AnySubscriber, wired
from roomcast.events import EventEmitter

if TYPE_CHECKING:
    from roomcast.server.server import Server

__all__ = ["DRAIN_TIMEOUT", "AdapterHealth", "BrokerMember", "IncomingT", "Member", "OutgoingT"]

OutgoingT = TypeVar("OutgoingT", bound=Outgoing)
IncomingT = TypeVar("IncomingT", bound=Incoming)

DRAIN_TIMEOUT: Final = 1.0
"""Seconds that a member that closes waits until what it has to send has been taken."""


@dataclass(frozen=True, slots=True)
class AdapterHealth:
    """How a node stands with its broker, or with the other workers.

    Attributes:
        listening: Whether it hears the other nodes. A node that does not is deaf: its clients get what is emitted here, and
            nothing of what is emitted elsewhere.
        publishing: Whether the others hear it.
        deaf_for: Seconds since it has last listened, or since its start; 0 while it does.
        queued: Bytes that wait to be sent.
    """

    listening: bool
    publishing: bool
    deaf_for: float
    queued: int

    @property
    def ok(self) -> bool:
        """Whether it hears and is heard."""
        return self.listening and self.publishing


class Member(EventEmitter, Generic[OutgoingT, IncomingT]):
    """A member. It belongs to one server, and to its event loop.

    Attributes:
        counters: What was published, received, dropped and why, by name; see the guide on clusters.
        publisher: What goes out.
        subscriber: What comes in.
    """

    def __init__(
        self,
        *,
        queue_size: int,
        queue_policy: QueuePolicy,
        hold: Callable[[], float],
    ) -> None:
        """Prepare; connections are made at the start.

        Args:
            queue_size: As for `Publishing`.
            queue_policy: The same.
            hold: The same.
        """
        super().__init__()
        self.counters: Counter[str] = Counter()
        self.publisher, self.subscriber = self._wired(
            Publishing(
                queue_size=queue_size,
                queue_policy=queue_policy,
                on_change=self._changed,
                hold=hold,
            )
        )
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._deaf_since = 0.0
        self._was_listening = False

    @abstractmethod
    def _wired(self, how: Publishing) -> tuple[OutgoingT, IncomingT]:
        """Return what goes out and what comes in. The first is started first, and closed last."""

    @property
    def health(self) -> AdapterHealth:
        """How it stands with the others at this moment."""
        listening = self._listening
        now = self._loop.time() if self._loop is not None else 0.0
        return AdapterHealth(
            listening=listening,
            publishing=self.publisher.connected,
            deaf_for=0.0 if listening else now - self._deaf_since,
            queued=self.publisher.size,
        )

    async def start(self) -> None:
        """Connect, in the running event loop; returns when the node hears and is heard, or the first attempts have failed.

        The server does this by itself when it begins to serve. A program that only emits, and serves nobody, does it.
        """
        self.ensure_started()
        await self._tried()

    async def close(self) -> None:
        """Leave the cluster: hear nothing more, send what waits, close the connections."""
        self._closed = True
        if self._loop is None:
            return
        # What was published early is for those of whom it learns by hearing them.
        with suppress(TimeoutError):
            await asyncio.wait_for(self.publisher.tried(), DRAIN_TIMEOUT)
        await self._close_ears()
        await self.publisher.drained(DRAIN_TIMEOUT)
        await self.publisher.close()

    # What follows is for the server and for what belongs to the member.

    def ensure_started(self) -> None:
        """Begin to work, if there is an event loop, and a new one."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop is self._loop or self._closed:
            return
        self._loop = loop
        self._deaf_since = loop.time()
        self.publisher.start()
        self._start_ears()

    @property
    def _listening(self) -> bool:
        """Whether everything is heard that should be."""
        return self.subscriber.listening

    def _start_ears(self) -> None:
        """Begin to hear."""
        self.subscriber.start()

    async def _tried(self) -> None:
        """Wait until everything is heard and can be sent, or the first attempts have failed."""
        await self.publisher.tried()
        await self.subscriber.tried()

    async def _close_ears(self) -> None:
        """Hear nothing more."""
        await self.subscriber.close()

    def _changed(self) -> None:
        """Learn that a connection works, or works no more."""
        if self._closed or self._loop is None:
            return
        listening = self._listening
        if self._was_listening and not listening:
            self._deaf_since = self._loop.time()
        self._was_listening = listening
        self._tell("health", self.health)

    def _tell(self, event: str, *args: Any) -> None:
        if self._server is not None:
            for listener in self._take(event):
                self._server.handlers.call(listener, args, None, event)


class BrokerMember(Member[AnyPublisher, AnySubscriber]):
    """A member over a broker."""

    sharded: bool = False
    """Whether it needs sharded channels."""

    _redis: Any
    """As for `wired`; to be set before anything else."""

    def _wired(self, how: Publishing) -> tuple[AnyPublisher, AnySubscriber]:
        return wired(self._redis, self.counters, how, sharded=self.sharded)

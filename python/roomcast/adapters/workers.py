"""`WorkersAdapter`: the workers of one host as a cluster, without a broker."""

from typing import TYPE_CHECKING, Final

from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.node import ClusterNode
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.publisher import QUEUE_SIZE, Publishing, QueuePolicy
from roomcast.adapters.sharded import ShardedBus
from roomcast.adapters.wire import KEY
from roomcast.adapters.workers_publisher import WorkersPublisher
from roomcast.adapters.workers_subscriber import WorkersSubscriber
from roomcast.engine.directory import Directory

if TYPE_CHECKING:
    from roomcast.adapters.exchange import Exchange

__all__ = ["WorkersAdapter"]

PREFIX: Final = "bus-"
"""What the sockets of the bus begin with, beside those over which requests are passed."""


class WorkersAdapter(ClusterNode[WorkersPublisher, WorkersSubscriber]):
    """A cluster of the workers of one host, over Unix sockets in a directory; for ``Server(adapter=…)``.

    What ``Server(workers=…)`` has if it is given no other adapter. A worker gets what is for rooms that it has, and nothing else. It
    belongs to one server, and to its event loop.

    Events:

    - ``health``: `AdapterHealth`, whenever the worker begins or ceases to hear the others, or to be heard.
    - ``gap``: ``(namespace, sender, missing)``: so many messages of another worker never arrived.

    Attributes:
        counters: What was published, received, dropped and why, by name; see the guide on clusters.
        requests_timeout: Seconds that other workers have for an answer.
        publisher: What goes out.
        subscriber: What comes in.

    Source:
        roomcast; what the official cluster adapter of Node.js is to its cluster module.
    """

    def __init__(
        self,
        directory: str,
        *,
        requests_timeout: float = 5.0,
        queue_size: int = QUEUE_SIZE,
        queue_policy: QueuePolicy = "drop_oldest",
    ) -> None:
        """Prepare; the other workers are found when the server starts.

        Args:
            directory: The directory of the workers' sockets, the same for all of them; it is made if it is not there, and must be for
                this user alone.
            requests_timeout: Seconds that other workers have for an answer.
            queue_size: Bytes that wait at most for a worker that does not read, for each of them.
            queue_policy: What is dropped beyond: ``drop_oldest`` or ``drop_newest``.

        Raises:
            UsageError: If the directory is not for this user alone, or its name is too long for sockets.
            ValueError: If a value is out of its range.
        """
        self._directory = Directory(directory, PREFIX)
        super().__init__(
            requests_timeout=requests_timeout, queue_size=queue_size, queue_policy=queue_policy
        )

    def _wired(self, how: Publishing) -> tuple[WorkersPublisher, WorkersSubscriber]:
        directory, counters = self._directory, self.counters
        publisher = WorkersPublisher(directory, counters, how)
        return publisher, WorkersSubscriber(directory, counters, publisher, on_change=how.on_change)

    def _new_bus(self, adapter: ClusterAdapter, notepack: Notepack) -> "Exchange":
        return ShardedBus(self, adapter, notepack, self._forget, prefix=KEY, mode="dynamic")

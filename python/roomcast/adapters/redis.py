"""`RedisAdapter`: makes a server one node of a cluster over Redis or Valkey, beside Node.js servers and emitters."""

from typing import Any

from roomcast.adapters.classic import ClassicBus
from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.node import BrokerNode
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.passing import BrokerWay
from roomcast.adapters.publisher import QUEUE_SIZE, QueuePolicy
from roomcast.adapters.wire import KEY

__all__ = ["RedisAdapter"]


class RedisAdapter(BrokerNode):
    """A cluster over Redis or Valkey pub/sub, in the format of ``@socket.io/redis-adapter``; for ``Server(adapter=…)``.

    Node.js servers with that adapter, and emitters of both languages, take part in it. It belongs to one server, and to its event
    loop. Whatever becomes of the broker, clients of this node get what is emitted on it.

    Events:

    - ``health``: `AdapterHealth`, whenever the node begins or ceases to hear the others, or to be heard.
    - ``gap``: ``(namespace, sender, missing)``: so many messages of another roomcast node never arrived.

    Attributes:
        key: What the names of all channels begin with.
        counters: What was published, received, dropped and why, by name; see the guide on clusters.
        requests_timeout: Seconds that other nodes have for an answer.
        answers_specifically: Whether answers travel to the node that has asked, and not to all.
        publisher: What goes out.
        subscriber: What comes in.

    Source:
        socket.io-redis-adapter, ``createAdapter``.
    """

    def __init__(
        self,
        redis: Any,
        *,
        key: str = KEY,
        requests_timeout: float = 5.0,
        publish_on_specific_response_channel: bool = True,
        queue_size: int = QUEUE_SIZE,
        queue_policy: QueuePolicy = "drop_oldest",
        pass_requests: bool = False,
    ) -> None:
        """Prepare; connections are made when the server starts.

        Args:
            redis: A URL (``redis://``, ``rediss://``, ``unix://``), or a client of `redis.asyncio`, also one that Sentinel has given.
                Of a Redis Cluster: a list of URLs of some members, or a `redis.asyncio.RedisCluster`. Of a client only the settings are
                used; three connections are enough for a node, of a Redis Cluster two for each member, and none of them is the client's.
            key: What the names of all channels begin with; the same for all nodes.
            requests_timeout: Seconds that other nodes have for an answer.
            publish_on_specific_response_channel: Whether answers travel to the node that has asked, and not to all. Differs from
                socket.io-redis-adapter, where that is off: all nodes of version 8 listen there.
            queue_size: Bytes that wait for the broker at most; of a Redis Cluster, for each member.
            queue_policy: What is dropped beyond: ``drop_oldest`` or ``drop_newest``.
            pass_requests: Whether a request for a session of another roomcast node is passed to it over the broker, so that the nodes
                need no sticky connections; the same for all nodes.

        Raises:
            MissingDependencyError: If redis-py or hiredis is not installed.
            TypeError: If ``redis`` is something else.
            ValueError: If a value is out of its range.
        """
        super().__init__(
            redis,
            requests_timeout=requests_timeout,
            queue_size=queue_size,
            queue_policy=queue_policy,
            pass_requests=pass_requests,
        )
        self.key = key
        if pass_requests:
            self._way = BrokerWay(self, key, sharded=False)
        self.answers_specifically = publish_on_specific_response_channel

    def _new_bus(self, adapter: ClusterAdapter, notepack: Notepack) -> ClassicBus:
        return ClassicBus(
            self,
            adapter,
            notepack,
            self._forget,
            key=self.key,
            answers_specifically=self.answers_specifically,
        )

"""What an emitter without asyncio sends with: a client of redis-py, its own or that of the program, to one broker or a Redis Cluster."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final, cast

from roomcast.adapters.broker import require_redis
from roomcast.errors import BrokerError

__all__ = ["BlockingClient"]

HOST: Final = "localhost"
PORT: Final = 6379
"""Where a broker is whose URL does not say that."""


class BlockingClient:
    """The client. It may be shared by threads."""

    def __init__(self, redis: Any) -> None:
        """Prepare; the connection is made with the first command.

        Args:
            redis: A URL or a `redis.Redis`; of a Redis Cluster, several URLs or a `redis.RedisCluster`.

        Raises:
            MissingDependencyError: If redis-py is not installed.
            TypeError: If ``redis`` is something else.
            ValueError: If a URL is none, or there is none at all.
        """
        library = require_redis("redis")
        self._own = isinstance(redis, str | list | tuple)
        self._lock = Lock()
        self._client: Any = None
        self._make: Callable[[], Any]
        if isinstance(redis, str):
            self._client = library.Redis.from_url(redis, protocol=2)
        elif isinstance(redis, list | tuple):
            self._make = _cluster_of(library, cast("Sequence[Any]", redis))
        elif isinstance(redis, library.Redis | library.RedisCluster):
            self._client = redis
        else:
            raise TypeError(
                "redis must be a URL, several URLs of a Redis Cluster, a redis.Redis or a redis.RedisCluster, "
                f"not {type(redis).__module__}.{type(redis).__qualname__}"
            )
        exceptions = require_redis("redis.exceptions")
        self._errors = (exceptions.RedisError, exceptions.RedisClusterException, OSError)

    def execute(self, words: tuple[bytes, ...]) -> None:
        """Let the broker do something.

        Raises:
            BrokerError: If it has not done it.
        """
        try:
            with self._lock:
                if self._client is None:  # one of a Redis Cluster connects when it is made
                    self._client = self._make()
            self._client.execute_command(words[0].decode(), *words[1:])
        except self._errors as error:
            raise BrokerError(str(error)) from error

    def close(self) -> None:
        """Close the connections, unless they are those of a client that was given."""
        if self._own and self._client is not None:
            self._client.close()


def _cluster_of(library: Any, urls: Sequence[Any]) -> Callable[[], Any]:
    """Return what makes a client of a Redis Cluster; the first URL has the settings."""
    if not urls:
        raise ValueError("redis must be at least one URL")
    for url in urls:
        if not isinstance(url, str):
            raise TypeError(f"redis must be URLs, not {type(url).__name__}")
    places = [library.connection.parse_url(url) for url in urls]
    cluster = require_redis("redis.cluster")

    def make() -> Any:
        others = [
            cluster.ClusterNode(place.get("host", HOST), place.get("port", PORT))
            for place in places[1:]
        ]
        return cluster.RedisCluster.from_url(urls[0], startup_nodes=others, protocol=2)

    return make

"""The broker: how a connection to Redis or Valkey is made, and what this package needs of redis-py.

Connections are made one by one, outside of any pool, from what a URL or a client of the program says: a subscriber must know when
its connection breaks, and redis-py's own `PubSub` reconnects without a word. They speak RESP2, in which a message takes fewer
steps than in RESP3, and have no time-outs of their own: who holds one watches over it (`link.py`).
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from roomcast.adapters.line import CONNECT_TIMEOUT, Connection, Line
from roomcast.errors import MissingDependencyError

__all__ = ["Broker", "broker_of", "bulk", "command", "require_redis", "seeds_of"]

OVERRIDES: Final[dict[str, Any]] = {
    "decode_responses": False,
    "health_check_interval": 0,
    "protocol": 2,
    "retry": None,
    "retry_on_error": [],
    "retry_on_timeout": False,
    "socket_connect_timeout": CONNECT_TIMEOUT,
    "socket_timeout": None,
}

FOREIGN: Final = (
    "maint_",
    "oss_cluster_",
    "maintenance_",
    "orig_",
    "himport_",
    "event_dispatcher",
    "redis_connect_func",
    "max_connections",
)
"""What the options of a pool begin with that concern the pool, and make no sense for a single connection."""


def require_redis(module: str) -> Any:
    """Import a module of redis-py, or of what comes with it.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        install = 'pip install "roomcast[redis]"'
        name = module.partition(".")[0]
        raise MissingDependencyError(f"a cluster over Redis needs {name}: {install}") from error


def command(*words: bytes) -> bytes:
    """Return a command in RESP."""
    return b"*%d\r\n%b" % (len(words), bulk(*words))


def bulk(*words: bytes) -> bytes:
    """Return words of a command in RESP, but for their number, which stands in front."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class Broker:
    """Where connections go to."""

    def __init__(
        self, make: Callable[..., Connection], settings: Mapping[str, Any], pool: object = None
    ) -> None:
        """Take redis-py's class of connections, and what they are made with.

        Args:
            make: The class.
            settings: Its arguments; what concerns pools is left out.
            pool: What has to live as long as this: a Sentinel's connections refer to it weakly.
        """
        self._errors = require_redis("redis.exceptions")
        require_redis("hiredis")
        self._make = make
        self._pool = pool
        self._options: dict[str, Any] = {
            name: value for name, value in settings.items() if not name.startswith(FOREIGN)
        } | OVERRIDES

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; of a Unix socket, its path."""
        options = self._options
        return str(options.get("host", options.get("path"))), int(options.get("port", 0))

    def at(self, address: tuple[str, int]) -> "Broker":
        """Return another broker that wants the same settings."""
        return Broker(self._make, self._options | {"host": address[0], "port": address[1]})

    def line(self) -> Line:
        """Return a new connection, to be opened."""
        return Line(self._make(**self._options), self._errors)


def broker_of(target: Any) -> Broker:
    """Return one broker.

    Args:
        target: A URL, as redis-py takes it (``redis://``, ``rediss://``, ``unix://``), or a client of `redis.asyncio`, also one
            that Sentinel has given.

    Raises:
        MissingDependencyError: If redis-py is not installed.
        TypeError: If it is something else.
        ValueError: If the URL is none.
    """
    asynchronous = require_redis("redis.asyncio")
    if isinstance(target, str):
        target = asynchronous.Redis.from_url(target)
    elif not isinstance(target, asynchronous.Redis):
        raise TypeError(
            "redis must be a URL, several URLs of a Redis Cluster, or a client of redis.asyncio, "
            f"not {type(target).__module__}.{type(target).__qualname__}"
        )
    pool = target.connection_pool
    return Broker(pool.connection_class, pool.connection_kwargs, pool)


def seeds_of(target: Any) -> list[Broker] | None:
    """Return the members of a Redis Cluster that are named by a client of it or by several URLs; ``None`` for anything else.

    Raises:
        MissingDependencyError: If redis-py is not installed.
        TypeError: If there are things among the URLs that are none.
        ValueError: If a URL is none, or there is none at all.
    """
    if isinstance(target, list | tuple):
        urls = cast("Sequence[Any]", target)
        if not urls:
            raise ValueError("redis must be at least one URL")
        return [*map(broker_of, urls)]
    if not isinstance(target, require_redis("redis.asyncio").RedisCluster):
        return None
    members: list[Any] = [*target.nodes_manager.startup_nodes.values()]
    return [Broker(each.connection_class, each.connection_kwargs) for each in members]

"""The broker: how a connection to Redis or Valkey is made, and what this package needs of redis-py.

Connections are made one by one, outside of any pool, from what a URL or a client of the program says: a subscriber must know when
its connection breaks, and redis-py's own `PubSub` reconnects without a word. They speak RESP2, in which a message takes fewer
steps than in RESP3, and have no time-outs of their own: who holds one watches over it (`link.py`).
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from roomcast.adapters.line import CONNECT_TIMEOUT, Connection, Line
from roomcast.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Broker", "bulk", "command", "require_redis"]

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

FOREIGN: Final = ("maint_", "oss_cluster_", "maintenance_", "orig_", "himport_", "event_dispatcher")
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

    def __init__(self, target: Any) -> None:
        """Take where that is.

        Args:
            target: A URL, as redis-py takes it (``redis://``, ``rediss://``, ``unix://``), or a client of `redis.asyncio`, also one
                that Sentinel has given.

        Raises:
            MissingDependencyError: If redis-py is not installed.
            TypeError: If it is something else.
            ValueError: If the URL is none.
        """
        asynchronous = require_redis("redis.asyncio")
        self._errors = require_redis("redis.exceptions")
        require_redis("hiredis")
        if isinstance(target, str):
            target = asynchronous.Redis.from_url(target)
        elif not isinstance(target, asynchronous.Redis):
            raise TypeError(
                f"redis must be a URL or a client of redis.asyncio, not {type(target).__name__}"
            )
        pool = target.connection_pool
        self._pool = pool  # a Sentinel's connections refer to it weakly
        options: dict[str, Any] = {
            name: value
            for name, value in pool.connection_kwargs.items()
            if not name.startswith(FOREIGN)
        }
        self._make: Callable[..., Connection] = pool.connection_class
        self._options: dict[str, Any] = options | OVERRIDES

    def line(self) -> Line:
        """Return a new connection, to be opened."""
        return Line(self._make(**self._options), self._errors)

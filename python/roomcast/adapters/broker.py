"""The broker: how a connection to Redis or Valkey is made, and what this package needs of redis-py.

Connections are made one by one, outside of any pool, from what a URL or a client of the program says: a subscriber must know when
its connection breaks, and redis-py's own `PubSub` reconnects without a word. They speak RESP2, in which a message takes fewer
steps than in RESP3, and have no time-outs of their own: who holds one watches over it (`link.py`).
"""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from roomcast.errors import BrokerError, MissingDependencyError

__all__ = ["Broker", "BrokerError", "Line", "command", "require_redis"]

CONNECT_TIMEOUT: Final = 1.0
"""Seconds that a connection may take to be made, with its authentication."""

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


class Connection(Protocol):
    """What is used of redis-py's connections."""

    async def connect(self) -> None: ...
    async def disconnect(self, nowait: bool = ...) -> None: ...
    async def send_packed_command(self, command: list[bytes]) -> None: ...
    async def read_response(
        self, disable_decoding: bool = ..., *, disconnect_on_error: bool = ...
    ) -> Any: ...


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
    parts = [b"*%d\r\n" % len(words)]
    parts.extend([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
    return b"".join(parts)


class Line:
    """One connection to the broker, open or not.

    Attributes:
        reads: How many replies and messages it has brought; who watches over it looks whether that grows.
    """

    __slots__ = ("_connection", "_errors", "_reply_error", "reads")

    def __init__(self, connection: Connection, errors: Any) -> None:
        """Take a connection that is not open yet, and redis-py's module of exceptions."""
        self.reads = 0
        self._connection = connection
        self._errors: tuple[type[Exception], ...] = (errors.RedisError, OSError, EOFError)
        self._reply_error: type[Exception] = errors.ResponseError

    async def open(self) -> None:
        """Connect and authenticate.

        Raises:
            BrokerError: If that fails, or takes too long.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._connection.connect()
        except BaseException as error:
            await self.close()
            if isinstance(error, (*self._errors, TimeoutError)):
                raise BrokerError(str(error) or "the broker does not answer") from error
            raise

    async def send(self, commands: Sequence[bytes]) -> None:
        """Send commands, and wait while the broker is behind.

        Raises:
            BrokerError: If the connection is broken.
        """
        try:
            await self._connection.send_packed_command([b"".join(commands)])
        except self._errors as error:
            raise BrokerError(str(error)) from error

    async def read(self) -> Any:
        """Return the next reply, or the exception that stands for a command that was refused.

        Raises:
            BrokerError: If the connection is broken.
        """
        try:
            reply = await self._connection.read_response(
                disable_decoding=True, disconnect_on_error=False
            )
        except self._reply_error as error:
            reply = error
        except self._errors as error:
            raise BrokerError(str(error)) from error
        self.reads += 1
        return reply

    async def close(self) -> None:
        """Close it at once, whatever state it is in."""
        writer: Any = getattr(self._connection, "_writer", None)
        if (
            writer is not None
        ):  # redis-py would wait for a peer that is gone to take what is not sent yet
            writer.transport.abort()
        try:
            await self._connection.disconnect(nowait=True)
        except self._errors:
            return


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

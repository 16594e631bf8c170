"""One connection to the broker: commands out, replies and messages in.

redis-py opens it, with all that takes: TLS, authentication, Sentinel. From then on its transport is ours, and hiredis reads what comes
where it arrives, in the callback of the event loop. A message of the cluster costs no task that wakes up for it, which is most of
what a small one costs otherwise: 10.5 µs by way of redis-py's streams, 6 like this.
"""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

from roomcast.errors import BrokerError

__all__ = ["CONNECT_TIMEOUT", "Connection", "Line", "RefusedError"]

CONNECT_TIMEOUT: Final = 1.0
"""Seconds that a connection may take to be made, with its authentication."""

MAX_UNREAD: Final = 1_000_000
"""Bytes that may have come before anybody reads them; beyond, the broker has to wait."""

SLICE: Final = 0.01
"""Seconds for which replies that are there already may hold the loop."""

SLICE_REPLIES: Final = 64
"""Replies after which the clock is looked at."""

NOTHING: Final = object()
"""What hiredis returns while a reply is not complete."""


class Connection(Protocol):
    """What is used of redis-py's connections."""

    async def connect(self) -> None:
        """Open it, and authenticate."""

    async def disconnect(self, nowait: bool = ...) -> None:
        """Close it."""


class RefusedError(Exception):
    """A reply that says why a command was not obeyed, beginning with its code (``READONLY``, ``MOVED`` …)."""


class Line(asyncio.Protocol):
    """One connection to the broker, open or not.

    Attributes:
        reads: How often something has come; who watches over it looks whether that grows.
        on_writable: Called when a broker that was behind takes more.
    """

    __slots__ = (
        "_broken",
        "_connection",
        "_errors",
        "_is_behind",
        "_is_paused",
        "_loop",
        "_replies",
        "_take",
        "_transport",
        "_unread",
        "_waiter",
        "_writers",
        "on_writable",
        "reads",
    )

    def __init__(self, connection: Connection, errors: Any) -> None:
        """Take a connection that is not open yet, and redis-py's module of exceptions."""
        self.reads = 0
        self._connection = connection
        self._errors: tuple[type[Exception], ...] = (errors.RedisError, OSError, EOFError)
        self._replies: Any = importlib.import_module("hiredis").Reader(
            protocolError=BrokerError, replyError=RefusedError, notEnoughData=NOTHING
        )
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._broken: BrokerError | None = BrokerError("not open")
        self._waiter: asyncio.Future[None] | None = None
        self._take: Callable[[Any], None] | None = None
        self._unread = 0
        self._is_paused = False
        self._is_behind = False
        self._writers: list[asyncio.Future[None]] = []
        self.on_writable: Callable[[], None] = lambda: None

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
        writer: Any = getattr(self._connection, "_writer", None)
        reader: Any = getattr(self._connection, "_reader", None)
        transport = cast("asyncio.Transport", writer.transport)
        if transport.is_closing() or reader.at_eof():
            raise BrokerError("the broker has closed the connection")
        self._transport = transport
        self._broken = None
        transport.set_protocol(self)

    def write(self, commands: Sequence[bytes]) -> bool:
        """Send commands; say whether the broker would take more at once. If not, `on_writable` is called when it does.

        What is given to a broken connection is lost.
        """
        if self._transport is None:
            return False
        self._transport.write(b"".join(commands))
        return not self._is_behind

    async def send(self, commands: Sequence[bytes]) -> None:
        """Send commands, and wait while the broker is behind.

        Raises:
            BrokerError: If the connection is broken.
        """
        if not self.write(commands) and self._transport is not None:
            waiter = self._loop.create_future()
            self._writers.append(waiter)
            await waiter
        if self._transport is None:
            raise BrokerError(str(self._broken))

    async def read(self) -> Any:
        """Return the next reply, or the `RefusedError` that stands for one.

        Raises:
            BrokerError: If the connection is broken.
        """
        while True:
            reply = self._replies.gets()
            if reply is not NOTHING:
                return reply
            self._all_read()
            if self._broken is not None:
                raise BrokerError(str(self._broken))
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def deliver(self, take: Callable[[Any], None]) -> None:
        """Give each reply to a function, in the callback that it arrives in, until the connection breaks.

        Raises:
            BrokerError: If that happens.
            Exception: What the function raises.
        """
        if self._broken is not None:
            raise BrokerError(str(self._broken))
        self._waiter = self._loop.create_future()
        self._take = take
        self._give()
        try:
            await self._waiter
        finally:
            self._take = self._waiter = None
        raise BrokerError(str(self._broken))

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

    # What follows is for the event loop.

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self.reads += 1
        self._replies.feed(data)
        if self._take is not None:
            if not self._is_paused:
                self._give()
            return
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        self._unread += len(data)
        # Whoever waits gets what has come, and asks again.
        if waiter is None and self._unread > MAX_UNREAD:
            self._pause()

    def pause_writing(self) -> None:
        """Learn that the broker is behind."""
        self._is_behind = True

    def resume_writing(self) -> None:
        """Learn that it is not any more."""
        self._is_behind = False
        self._wake_writers()
        self.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the connection has broken, or was closed."""
        self._broken = BrokerError(str(exc) if exc else "the broker has closed the connection")
        self._transport = None
        self._wake_writers()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _give(self) -> None:
        """Give what has come to who takes it, as much as one turn of the loop is for."""
        take, gets = self._take, self._replies.gets
        if take is None:
            return
        count = 0
        end = 0.0
        try:
            while (reply := gets()) is not NOTHING:
                take(reply)
                count += 1
                if not count % SLICE_REPLIES:
                    now = self._loop.time()
                    if not end:
                        end = now + SLICE
                    elif now >= end:
                        self._pause()
                        self._loop.call_soon(self._give)
                        return
        except Exception as error:  # noqa: BLE001  it is raised by `deliver`
            self._take = None
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
            return
        self._all_read()

    def _all_read(self) -> None:
        self._unread = 0
        if self._is_paused:
            self._is_paused = False
            if self._transport is not None:
                self._transport.resume_reading()

    def _pause(self) -> None:
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _wake_writers(self) -> None:
        writers, self._writers = self._writers, []
        for waiter in writers:
            if not waiter.done():
                waiter.set_result(None)

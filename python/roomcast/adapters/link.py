"""One connection to the broker that is there whenever it can be: opened, watched over, opened again.

Half-open connections are the reason for the watch: the peer is gone and nobody says so. Where nothing comes for half a second the
broker is asked for a sign of life, and after two seconds without one the connection is given up. The watch counts how often it has
looked in vain, not the time: after a stall of this process what has arrived meanwhile is read before it looks again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import uniform
from typing import Final, Protocol

from roomcast.adapters.line import Line
from roomcast.errors import BrokerError
from roomcast.logs import printable

__all__ = ["LONGEST_PAUSE", "MAX_REASON", "Lines", "Link"]

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks whether anything has come."""

MAX_SILENCE: Final = 4
"""Looks in vain after which a connection is given up."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5
"""Seconds between two attempts to connect; the pause doubles. With the second that an attempt may take, a broker that is back is
found within two seconds, also where an attempt that had begun before hangs."""

MAX_REASON: Final = 200
"""Characters of what the broker, or the way to it, says in a log: enough for an address."""

log = logging.getLogger("roomcast.adapters")


class Lines(Protocol):
    """Where connections go to, as a `Broker`."""

    def line(self) -> Line:
        """Return a new connection, to be opened."""
        ...


class Link:
    """Keeps a connection. It belongs to the event loop in which `start` was called.

    Attributes:
        working: Whether there is a connection, and it does what it is for, as far as anybody knows.
        connections: How often it was opened.
        since: The loop's time when it last began to work.
    """

    def __init__(
        self,
        broker: Lines,
        purpose: str,
        *,
        serve: Callable[[Line], Awaitable[None]],
        ping: Callable[[Line], Awaitable[None]],
        on_lost: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            broker: Where to connect to.
            purpose: What it is for, in a log: "cannot …".
            serve: Works with a connection until that breaks; calls `works` as soon as it does.
            ping: Makes the broker say something.
            on_lost: Called after each connection and each vain attempt.
            on_change: Called when `working` has changed.
        """
        self.working = False
        self.connections = 0
        self.since = 0.0
        self._broker = broker
        self._purpose = purpose
        self._serve = serve
        self._ping = ping
        self._on_lost = on_lost
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._tried: asyncio.Future[None] | None = None
        self._pause = FIRST_PAUSE
        self._complained = False

    def start(self) -> None:
        """Connect, now and whenever that is needed, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._tried = loop.create_future()
        self._task = loop.create_task(self._run())

    async def tried(self) -> None:
        """Wait until it works, or the first attempt has failed."""
        if self._tried is not None:
            await asyncio.shield(self._tried)

    def works(self) -> None:
        """Learn from `serve` that the connection does what it is for."""
        self._pause = FIRST_PAUSE
        if self._complained:
            self._complained = False
            log.info("can %s again", self._purpose)
        if not self.working:
            self.since = asyncio.get_running_loop().time()
        self._set_working(True)
        self._first_attempt_over()

    async def close(self) -> None:
        """Close the connection, and open no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    async def _run(self) -> None:
        while True:
            line = self._broker.line()
            try:
                await line.open()
                self.connections += 1
                await self._watch(line)
            except BrokerError as error:
                if not self._complained:
                    self._complained = True
                    log.warning("cannot %s: %s", self._purpose, printable(error, MAX_REASON))
            finally:
                await line.close()
                self._on_lost()
                self._set_working(False)
                self._first_attempt_over()
            # So that the nodes of a cluster do not come all at once.
            await asyncio.sleep(uniform(self._pause / 2, self._pause))  # noqa: S311
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _watch(self, line: Line) -> None:
        """Serve a connection until it breaks, or nothing comes any more."""
        serving = asyncio.ensure_future(self._serve(line))
        seen, silent = line.reads, 0
        try:
            while True:
                done, _ = await asyncio.wait((serving,), timeout=LOOK_INTERVAL)
                if done:
                    serving.result()
                    return
                if line.reads != seen:
                    seen, silent = line.reads, 0
                    continue
                silent += 1
                if silent == 1:
                    await asyncio.wait(
                        (asyncio.ensure_future(self._ping(line)),), timeout=LOOK_INTERVAL
                    )
                elif silent >= MAX_SILENCE:
                    raise BrokerError("the broker does not answer")
        finally:
            if not serving.done():
                serving.cancel()
                await asyncio.wait((serving,))

    def _set_working(self, working: bool) -> None:
        if working != self.working:
            self.working = working
            self._on_change()

    def _first_attempt_over(self) -> None:
        if self._tried is not None and not self._tried.done():
            self._tried.set_result(None)

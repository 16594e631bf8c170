"""Time that tests move: an event loop in which nobody waits for a timer.

Time stands still while code runs. What happens when all of it waits:

    ==============================  =====================================================================================
    nothing but a timer can end it  time jumps to that timer: a heartbeat, a time-out, an `asyncio.sleep`
    a socket of the system, or a    time goes as fast as everybody's, because whoever is out there has no part in ours
    thread of the loop's executor,
    may end it
    `Clock.advance` is under way    time jumps from timer to timer in any case, up to where it was to go
    ==============================  =====================================================================================

Between two timers everything that is ready runs, so that what a timer sets off has happened before the next one. The rule sits
in the selector, which every loop asks to wait and which alone knows that there is nothing else to do; nothing of asyncio is
replaced, and nothing private of it used.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

from roomcast.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from _typeshed import FileDescriptorLike

__all__ = ["Clock", "ClockEventLoop", "new_event_loop", "run"]

START: Final = 1024.0
"""What a new clock shows, in seconds. Not 0, which programs take for a time that was never set."""

OWN_FILES: Final = 1
"""The pipe by which a loop wakes itself; every other file that it waits for belongs to somebody."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Clock:
    """The time of one event loop, its `asyncio.AbstractEventLoop.time`; `time.time` and `datetime` go on as ever.

    Attributes:
        jumps: Whether time jumps to the next timer when nothing else can happen. To be set to ``False`` where threads answer
            that the loop does not know of, such as those of anyio; then only `advance` jumps.
    """

    def __init__(self) -> None:
        """Take a clock that stands at its start."""
        self.jumps = True
        self.outsiders = 0
        self._now = START
        self._moving = 0
        self._settling: list[asyncio.Future[None]] = []

    def time(self) -> float:
        """Return the seconds that it shows."""
        return self._now

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that falls into it, in its order.

        Args:
            seconds: How much. The server is up to 10 ms late with its own deadlines, as it is in life.

        Raises:
            ValueError: If it is negative.
            UsageError: If the clock is that of another loop.
        """
        if seconds < 0:
            raise ValueError("time does not go back")
        loop = self._loop()
        arrived = loop.create_future()
        timer = loop.call_at(self._now + seconds, _finish, arrived)
        self._moving += 1
        try:
            await arrived
        finally:
            self._moving -= 1
            timer.cancel()
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that needs no time, until everybody waits for a timer or for the world outside."""
        settled: asyncio.Future[None] = self._loop().create_future()
        self._settling.append(settled)
        await settled

    def _loop(self) -> asyncio.AbstractEventLoop:
        if running_clock() is not self:
            raise UsageError("this is the clock of another event loop than the one that is running")
        return asyncio.get_running_loop()

    # What follows is for the loop.

    def tell_settled(self) -> bool:
        """Wake those who wait for the moment at which nothing is left to do; say whether there were any."""
        settling, self._settling = self._settling, []
        for settled in settling:
            _finish(settled)
        return bool(settling)

    def may_jump(self, files: int) -> bool:
        """Say whether nobody but a timer can do anything.

        Args:
            files: How many files the loop waits for.
        """
        if self._moving:
            return True
        return self.jumps and not self.outsiders and files <= OWN_FILES

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class ClockEventLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio on a clock of its own.

    Attributes:
        clock: The clock.
    """

    def __init__(self) -> None:
        """Make a loop, and its clock."""
        self.clock = Clock()
        super().__init__(_Selector(self.clock))

    def time(self) -> float:
        """Return what the clock shows."""
        return self.clock.time()

    def run_in_executor(
        self, executor: "Executor | None", func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function in a thread; until it is done, time goes as fast as everybody's."""
        future = super().run_in_executor(executor, func, *args)
        self.clock.outsiders += 1
        future.add_done_callback(self._outsider_left)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Wait for the threads, which take as long as they do."""
        self.clock.outsiders += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self.clock.outsiders -= 1

    def _outsider_left(self, _: object) -> None:
        self.clock.outsiders -= 1


def new_event_loop() -> ClockEventLoop:
    """Return a new event loop on a clock; what ``loop_factory`` of `asyncio.Runner` takes."""
    return ClockEventLoop()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, in an event loop on a clock."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


def running_clock() -> Clock:
    """Return the clock of the loop that is running.

    Raises:
        UsageError: If it has none.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, ClockEventLoop):
        raise UsageError(
            f"{type(loop).__name__} has no clock that tests can move: run the test with roomcast.testing.run(main()),"
            " or under pytest-asyncio 1.4 or newer with the plugin roomcast.testing.pytest"
        )
    return loop.clock


class _Selector(selectors.BaseSelector):
    """Waits as the table at the head of this module says."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._files = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        clock, files = self._clock, self._files
        events = files.select(0)
        if events or (timeout is not None and timeout <= 0) or clock.tell_settled():
            return events
        if timeout is not None and clock.may_jump(len(files.get_map())):
            clock.pass_by(timeout)
            return events
        begin = time.monotonic()
        events = files.select(timeout)
        clock.pass_by(time.monotonic() - begin)
        return events

    def register(
        self, fileobj: "FileDescriptorLike", events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._files.register(fileobj, events, data)

    def unregister(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        return self._files.unregister(fileobj)

    def modify(
        self, fileobj: "FileDescriptorLike", events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._files.modify(fileobj, events, data)

    def get_map(self) -> "Mapping[FileDescriptorLike, selectors.SelectorKey]":
        return self._files.get_map()

    def close(self) -> None:
        self._files.close()


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)

"""Waiting for one of two things without a task for either.

A GET that is held waits for its answer, and for the end of its line, of which ASGI tells by ``receive`` alone. `Either` steps the
awaitable of the server inside the task that waits, as ``await`` does, and takes what that waits for as a second reason to wake
up. A task of its own for it would take twice the time and the memory of the GET.
"""

import asyncio
import logging
import types
from collections.abc import Awaitable, Generator, Iterator
from typing import Any, TypeAlias, TypeVar

__all__ = ["Either"]

_T = TypeVar("_T")

log = logging.getLogger("roomcast.engine")


class Either:
    """Something that may be told once, and an awaitable to wait for meanwhile.

    Attributes:
        told: Whether it was told.
    """

    __slots__ = ("_loop", "_wakeup", "told")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wakeup: asyncio.Future[None] | None = None
        self.told = False

    def tell(self) -> None:
        """Let who waits go on."""
        self.told = True
        self._wake()

    @types.coroutine
    def or_(self, awaitable: Awaitable[_T]) -> Generator[Any, Any, _T | None]:
        """Await something, but only until this is told; ``None`` then, and the awaitable has been cancelled.

        What is thrown into the task meanwhile is the awaitable's to handle, as with ``await``.

        Raises:
            BaseException: What comes out of the awaitable, unless that was cancelled here.
        """
        steps = awaitable.__await__()
        waits_for: Any = None
        thrown: _Thrown = []
        while not self.told or thrown:
            try:
                waits_for = _throw(steps, thrown) if thrown else next(steps)
            except StopIteration as end:
                result: _T = end.value
                return result
            try:
                yield from self._wait(waits_for)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  handed on
                thrown.append(error)
        yield from _give_up(steps, waits_for)
        return None

    def _wait(self, waits_for: Any) -> Generator[Any, Any, None]:
        if not asyncio.isfuture(waits_for):
            yield waits_for  # ``asyncio.sleep(0)``: it goes on with the next iteration of the loop
            return
        # Source: CPython, ``Task.__step``: whoever takes a future from an awaitable does so, for the next who waits for it.
        waits_for._asyncio_future_blocking = False  # noqa: SLF001  the protocol of futures
        self._wakeup = self._loop.create_future()
        waits_for.add_done_callback(self._wake)
        try:
            yield from self._wakeup
        except asyncio.CancelledError:
            waits_for.cancel()
            raise
        finally:
            waits_for.remove_done_callback(self._wake)

    def _wake(self, _: object = None) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)


_Thrown: TypeAlias = list[BaseException]
"""What is to be thrown into an awaitable next, if anything.

An exception in a variable would hold the frame of that by its traceback, and only the collector would free the two.
"""


def _throw(steps: Iterator[Any], thrown: _Thrown) -> Any:
    """Go on with an awaitable that something is thrown into, up to the next thing that it waits for."""
    throw = getattr(steps, "throw", None)
    if throw is None:  # a server's own kind of future
        raise thrown.pop()
    return throw(thrown.pop())


def _give_up(steps: Iterator[Any], waits_for: Any) -> Generator[Any, Any, None]:
    """Cancel an awaitable that has begun, as its task would."""
    if asyncio.isfuture(waits_for):
        waits_for.cancel()
    thrown: _Thrown = [asyncio.CancelledError()]
    interrupted = False
    while True:
        try:
            waits_for = _throw(steps, thrown) if thrown else next(steps)
        except StopIteration:
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if interrupted and task is not None and task.cancelling():
                raise
            return
        except Exception as error:  # noqa: BLE001  as that of a task that nobody asks
            log.debug("ended with: %s", error)
            return
        try:
            yield waits_for
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001  handed on
            thrown.append(error)
            interrupted = True

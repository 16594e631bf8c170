"""Start a coroutine in place: it runs at once up to its first real wait.

A handler that never waits is over when `start` returns, and the handlers of one socket start in the order of its events whether
they are ``def`` or ``async def``. Everything in the coroutine runs inside a task of its own, its first step too, so that
``asyncio.current_task``, ``asyncio.timeout``, ``TaskGroup`` and cancellation mean what they mean everywhere: stepping the
coroutine by hand, in the task of the reader, would let a ``timeout`` of a handler cancel the reader.

From Python 3.12 on this is what ``eager_start`` of `asyncio.Task` does. Python 3.11 has no such thing, and its C tasks schedule
their first step when they are made. There the class below, a subclass of asyncio's own pure-Python task, takes that step itself.
It leans on private names, but on those of one finished version of Python.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["start"]

_T = TypeVar("_T")

if sys.version_info >= (3, 12):

    def start(
        coroutine: Coroutine[Any, Any, _T], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[_T]:
        """Run a coroutine up to its first wait; return its task, which may be done."""
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:
    import contextvars
    from asyncio import tasks

    if TYPE_CHECKING:
        _PyTask = asyncio.Task[Any]
    else:
        _PyTask = tasks._PyTask  # noqa: SLF001  see above

    class _Task(_PyTask):
        """asyncio's task, whose first step is taken by `start`."""

        # Source: CPython 3.11, ``asyncio.tasks.Task.__init__`` without the line that schedules the first step.
        def __init__(
            self, coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop
        ) -> None:
            super(_PyTask, self).__init__(loop=loop)  # the future's
            self._name = getattr(coroutine, "__qualname__", "handler")
            self._num_cancels_requested = 0
            self._must_cancel = False
            self._fut_waiter = None
            self._coro = coroutine
            self._context = contextvars.copy_context()
            tasks._register_task(self)  # noqa: SLF001

        def start(self, loop: asyncio.AbstractEventLoop) -> None:
            """Take the first step, in the place of the task that is running now."""
            step: Callable[[], None] = getattr(self, "_Task__step")  # noqa: B009  mangled otherwise
            outer = asyncio.current_task(loop)
            if outer is not None:
                tasks._leave_task(loop, outer)  # noqa: SLF001
            try:
                self._context.run(step)
            finally:
                if outer is not None:
                    tasks._enter_task(loop, outer)  # noqa: SLF001

    def start(
        coroutine: Coroutine[Any, Any, _T], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[_T]:
        """Run a coroutine up to its first wait; return its task, which may be done."""
        task = _Task(coroutine, loop)
        task.start(loop)
        return task

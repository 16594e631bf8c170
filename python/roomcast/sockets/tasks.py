"""Start a coroutine in place: it runs at once up to its first real wait.

A handler that never waits is over when `start` returns, and the handlers of one socket start in the order of its events whether
they are ``def`` or ``async def``. Everything in the coroutine runs inside a task of its own, its first step too, so that
``asyncio.current_task``, ``asyncio.timeout``, ``TaskGroup`` and cancellation mean what they mean everywhere: stepping the
coroutine by hand, in the task of the reader, would let a ``timeout`` of a handler cancel the reader.

From Python 3.12 on this is what ``eager_start`` of `asyncio.Task` does. Python 3.11 has no such thing, and its C tasks schedule
their first step when they are made. There the class below, a subclass of asyncio's own pure-Python task, takes that step itself;
a coroutine that is over after it costs a third of what asyncio's own step would. It leans on private names, but on those of one
finished version of Python.
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

    class _Outcome:
        """Stands for a coroutine whose first step is over: repeats what came of that."""

        def __init__(self, outcome: Any, error: BaseException | None) -> None:
            self._outcome = outcome
            self._error = error

        def send(self, _: None) -> Any:
            if self._error is not None:
                raise self._error
            return self._outcome

        def throw(self, error: BaseException) -> Any:
            raise error

    class _Task(_PyTask):
        """asyncio's task, whose first step is taken by `start`."""

        # Source: CPython 3.11, ``asyncio.tasks.Task.__init__`` and ``asyncio.futures.Future.__init__`` without the line that
        # schedules the first step. It is in `asyncio.all_tasks` from its first wait on: most are over before.
        def __init__(
            self, coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop
        ) -> None:
            self._loop = loop  # type: ignore[misc]  # a property of the task in C only
            self._callbacks: list[Any] = []
            self._name = getattr(coroutine, "__qualname__", "handler")
            self._num_cancels_requested = 0
            self._must_cancel = False
            self._fut_waiter = None
            self._coro: Any = coroutine
            self._context = contextvars.copy_context()

        def start(self, loop: asyncio.AbstractEventLoop) -> None:
            """Take the first step, in the place of the task that is running now."""
            coroutine = self._coro
            outcome: Any = None
            error: BaseException | None = None
            outer = asyncio.current_task(loop)
            if outer is not None:
                _leave(loop, outer)
            try:
                _enter(loop, self)
                try:
                    outcome = self._context.run(coroutine.send, None)
                except StopIteration as end:
                    if not self._must_cancel:
                        super(_PyTask, self).set_result(end.value)  # the future's
                        return
                    error = end
                except BaseException as raised:  # noqa: BLE001  asyncio says below what becomes of it
                    error = raised
                finally:
                    _leave(loop, self)
                self._coro = _Outcome(outcome, error)
                try:
                    self._context.run(self._step)
                finally:
                    self._coro = coroutine
            finally:
                if outer is not None:
                    _enter(loop, outer)
            if not self.done():
                tasks._register_task(self)  # noqa: SLF001

        def _step(self) -> None:
            step: Callable[[], None] = getattr(self, "_Task__step")  # noqa: B009  mangled otherwise
            step()

    _enter = tasks._enter_task  # noqa: SLF001
    _leave = tasks._leave_task  # noqa: SLF001

    def start(
        coroutine: Coroutine[Any, Any, _T], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[_T]:
        """Run a coroutine up to its first wait; return its task, which may be done."""
        task = _Task(coroutine, loop)
        task.start(loop)
        return task

"""Run the code of applications: start it in place, take its result, and contain what it raises.

Whatever a handler does, the connection lives on: an exception is logged once, with the event and the socket's id, and handed
to the hooks of ``on_error``. Only ``KeyboardInterrupt`` and ``SystemExit`` go on after that, because they are meant for the
program. A task that is cancelled from outside (the loop ends) is not an error of its handler.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from roomcast.events import Listener
from roomcast.logs import printable
from roomcast.sockets.answers import Answer
from roomcast.sockets.observing import HandlerObserver, observed
from roomcast.sockets.tasks import start

__all__ = ["Handlers", "Subject", "is_contained"]

_FATAL: Final = (KeyboardInterrupt, SystemExit)


class Subject(Protocol):
    """The socket that a handler is for."""

    @property
    def id(self) -> str | None:
        """Its id."""
        ...

    @property
    def error_hooks(self) -> Sequence[Callable[[BaseException, Any, str], Any]]:
        """Called with the exception, the socket and the event."""
        ...


SubjectT = TypeVar("SubjectT", bound=Subject)


class Handlers(Generic[SubjectT]):
    """Runs handlers for one server, or for one connection of a client. It belongs to one event loop.

    Attributes:
        errors: How many exceptions were reported.
    """

    def __init__(self, log: logging.Logger) -> None:
        """Run none yet.

        Args:
            log: Where exceptions are logged.
        """
        self._log = log
        self._hooks: list[Callable[[BaseException, SubjectT | None, str], Any]] = []
        self._observers: tuple[HandlerObserver, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self.errors = 0

    def add_hook(self, hook: Callable[[BaseException, SubjectT | None, str], Any]) -> None:
        """Call a hook for every exception of a handler."""
        self._hooks.append(hook)

    def observe(self, observer: HandlerObserver) -> None:
        """Let an observer watch every handler that begins from now on."""
        self._observers = (*self._observers, observer)

    def call(
        self,
        handler: Listener,
        args: tuple[Any, ...],
        socket: SubjectT | None,
        event: str,
        answer: Answer | None = None,
    ) -> None:
        """Run a handler; a coroutine starts in place and goes on by itself.

        Args:
            handler: A function or a coroutine function.
            args: Its arguments.
            socket: The socket it concerns, for the error hook.
            event: The event, for the error hook.
            answer: Gets what it returns.

        Cost:
            A call; for a coroutine a task, which the loop only gets to see if it waits.
        """
        for begin in self._observers:
            handler = observed(handler, begin(event, socket))
        try:
            result = handler(*args)
            if result is None or not hasattr(result, "__await__"):
                if answer is not None:
                    answer.returned(result)
                return
        except BaseException as error:  # noqa: BLE001  contained, see the head of this module
            self._failed(error, socket, event, answer)
            return
        self._go_on(result, socket, event, answer)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Start a coroutine that contains its own exceptions, and keep it alive."""
        task = start(coroutine, asyncio.get_running_loop())
        if not task.done():
            self._keep(task)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def report(
        self, error: BaseException, socket: SubjectT | None, event: str, *, log_it: bool = True
    ) -> None:
        """Log an exception once and hand it to the hooks: those of the socket, of its namespace, and of the server."""
        self.errors += 1
        if log_it:
            self._write(error, socket, event)
        hooks = self._hooks if socket is None else [*socket.error_hooks, *self._hooks]
        for hook in hooks:
            try:
                result = hook(error, socket, event)
            except Exception as failed:  # noqa: BLE001  a hook must not end what it watches over
                self._log.error("the error hook failed", exc_info=failed)
            else:
                if result is not None and hasattr(result, "__await__"):
                    self.run(self._finish_hook(result))

    async def cancel(self) -> None:
        """Cancel the handlers that have not ended, but for the one that asks, and wait until they have."""
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _write(self, error: BaseException, socket: SubjectT | None, event: str) -> None:
        """Log an exception."""
        self._log.error(
            "handler of %s failed, socket %s",
            printable(event),
            "none" if socket is None else socket.id,
            exc_info=error,
        )

    def _failed(
        self, error: BaseException, socket: SubjectT | None, event: str, answer: Answer | None
    ) -> None:
        if answer is not None:
            answer.raised(error)
        self.report(error, socket, event)
        if isinstance(error, _FATAL):
            raise error

    def _go_on(
        self,
        awaitable: Awaitable[Any],
        socket: SubjectT | None,
        event: str,
        answer: Answer | None,
    ) -> None:
        """Start what a handler has returned, and take its result when it comes."""
        coroutine = awaitable if inspect.iscoroutine(awaitable) else _result_of(awaitable)
        try:
            task = start(coroutine, asyncio.get_running_loop())
        except _FATAL as error:
            self._failed(error, socket, event, answer)
            raise
        if task.done():
            self._ended(task, socket, event, answer)
            return
        self._keep(task)
        task.add_done_callback(
            lambda task: self._ended(task, socket, event, answer),
        )

    def _ended(
        self,
        task: asyncio.Task[Any],
        socket: SubjectT | None,
        event: str,
        answer: Answer | None,
    ) -> None:
        try:
            result = task.result()
            if answer is not None:
                answer.returned(result)
        except BaseException as error:  # noqa: BLE001  contained, see the head of this module
            if not (isinstance(error, asyncio.CancelledError) and task.cancelling()):
                self._failed(error, socket, event, answer)

    async def _finish_hook(self, awaitable: Awaitable[Any]) -> None:
        try:
            await awaitable
        except Exception as failed:  # noqa: BLE001  as above
            self._log.error("the error hook failed", exc_info=failed)


def is_contained(error: BaseException) -> bool:
    """Say whether an exception ends with its report: it is not meant for the program, nor for the task that is running."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or not task.cancelling()
    return not isinstance(error, _FATAL)


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable

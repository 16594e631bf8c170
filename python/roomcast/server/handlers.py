"""Run the code of applications: start it in place, take its result, and contain what it raises.

Whatever a handler does, the connection lives on: an exception is logged once, with the event and the socket's id, and handed
to the hooks of `Server.on_error`. Only ``KeyboardInterrupt`` and ``SystemExit`` go on after that, because they are meant for the
program. A task that is cancelled from outside (the loop ends) is not an error of its handler. A `ValidationError` is the client's
doing: of those of one address and event the first is logged, in a line.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol

from roomcast.engine.logs import Once, printable
from roomcast.errors import ValidationError
from roomcast.events import Listener
from roomcast.server.tasks import start

if TYPE_CHECKING:
    from roomcast.server.socket import Socket

__all__ = ["Answer", "ErrorHook", "Handlers", "is_contained"]

ErrorHook = Callable[[BaseException, "Socket | None", str], Any]
"""Called with the exception, the socket it concerns, and the event; a function or a coroutine function."""

log = logging.getLogger("roomcast.server")

_FATAL: Final = (KeyboardInterrupt, SystemExit)


class Answering(Protocol):
    """Who sends an acknowledgement."""

    def answer(self, id: int, args: tuple[Any, ...]) -> None:
        """Send the acknowledgement of an event."""


class Answer:
    """The acknowledgement of one event, made of what its handlers return.

    It is sent once: the first result that is not ``None`` is the answer; if all handlers are done and none gave one, the answer
    is empty. If one of them raised and none gave a result, there is no answer, unless it was a `ValidationError`: then the answer
    is ``{"error": "validation", "path": …, "message": …}``, with what the first one says.
    """

    __slots__ = ("_failed", "_id", "_open", "_refusal", "_socket")

    def __init__(self, socket: Answering, id: int, handlers: int) -> None:
        self._socket: Answering | None = socket
        self._id = id
        self._open = handlers
        self._failed = False
        self._refusal: dict[str, str] | None = None

    def returned(self, result: Any) -> None:
        """Take the result of one handler.

        Raises:
            EncodeError: If it has no JSON form.
        """
        self._open -= 1
        if result is not None:
            args: tuple[Any, ...] = (result,)
            if isinstance(result, tuple):
                args = result  # pyright: ignore[reportUnknownVariableType]
            self._send(args)
        elif not self._open:
            self._end()

    def raised(self, error: BaseException) -> None:
        """Learn that one handler gave no result."""
        self._open -= 1
        self._failed = True
        if isinstance(error, ValidationError) and self._refusal is None:
            self._refusal = {"error": "validation", "path": error.path, "message": error.message}
        if not self._open:
            self._end()

    def _end(self) -> None:
        if self._refusal is not None:
            self._send((self._refusal,))
        elif not self._failed:
            self._send(())

    def _send(self, args: tuple[Any, ...]) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.answer(self._id, args)


class Handlers:
    """Runs handlers for one server. It belongs to one event loop."""

    def __init__(self) -> None:
        self._hooks: list[ErrorHook] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._misfits = Once()

    def add_hook(self, hook: ErrorHook) -> None:
        """Call a hook for every exception of a handler."""
        self._hooks.append(hook)

    def call(
        self,
        handler: Listener,
        args: tuple[Any, ...],
        socket: "Socket | None",
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
        self, error: BaseException, socket: "Socket | None", event: str, *, log_it: bool = True
    ) -> None:
        """Log an exception once and hand it to the hooks: those of the socket, of its namespace, and of the server."""
        if log_it:
            log.error(
                "handler of %s failed, socket %s",
                printable(event),
                "none" if socket is None else socket.id,
                exc_info=error,
            )
        hooks = self._hooks if socket is None else [*socket.error_hooks, *self._hooks]
        for hook in hooks:
            try:
                result = hook(error, socket, event)
            except Exception:
                log.exception("the error hook failed")
            else:
                if result is not None and hasattr(result, "__await__"):
                    self.run(_finish_hook(result))

    def _failed(
        self, error: BaseException, socket: "Socket | None", event: str, answer: Answer | None
    ) -> None:
        if answer is not None:
            answer.raised(error)
        if isinstance(error, ValidationError) and socket is not None:
            self._log_misfit(error, socket, event)
            self.report(error, socket, event, log_it=False)
        else:
            self.report(error, socket, event)
        if isinstance(error, _FATAL):
            raise error

    def _log_misfit(self, error: ValidationError, socket: "Socket", event: str) -> None:
        address = printable(socket.conn.request.address)
        if self._misfits.is_first(address, event):
            log.info(
                "%s does not fit its handler, from %s: %s at %s",
                printable(event),
                address,
                printable(error.message),
                printable(error.path),
            )

    def _go_on(
        self,
        awaitable: Awaitable[Any],
        socket: "Socket | None",
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
        socket: "Socket | None",
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


def is_contained(error: BaseException) -> bool:
    """Say whether an exception ends with its report: it is not meant for the program, nor for the task that is running."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or not task.cancelling()
    return not isinstance(error, _FATAL)


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _finish_hook(awaitable: Awaitable[Any]) -> None:
    try:
        await awaitable
    except Exception:
        log.exception("the error hook failed")

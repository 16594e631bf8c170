"""Watching handlers run: what measures them, or traces them."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from roomcast.events import Listener

__all__ = ["HandlerObserver", "HandlerRun", "observed"]


class HandlerRun(Protocol):
    """One run of a handler, as an observer sees it.

    A context manager, entered for what the handler does at once, and left before it is over if it is a coroutine function, whose
    coroutine is then entered by itself, in the task and the context that it runs in.
    """

    def __enter__(self) -> object:
        """Begin, or go on."""
        ...

    def __exit__(self, *_: object) -> None:
        """Cease for now."""

    def end(self, error: BaseException | None) -> None:
        """Learn that the handler is over, and what it has raised."""


HandlerObserver = Callable[[str, Any], HandlerRun]
"""Called with the event and the socket, or ``None``, before a handler runs."""


def observed(handler: Listener, run: HandlerRun) -> Listener:
    """Return a handler that tells of one run of itself."""

    def call(*args: Any) -> Any:
        try:
            with run:
                result = handler(*args)
        except BaseException as error:
            run.end(error)
            raise
        if result is not None and hasattr(result, "__await__"):
            return _finish(result, run)
        run.end(None)
        return result

    return call


async def _finish(result: Awaitable[Any], run: HandlerRun) -> Any:
    try:
        with run:
            value = await result
    except BaseException as error:
        run.end(error)
        raise
    run.end(None)
    return value

"""What an acknowledgement is to one who waits for it."""

import asyncio
from collections.abc import Callable
from math import isfinite
from typing import Any

__all__ = ["Done", "checked_timeout", "settler", "value_of"]

Done = Callable[[Exception | None, tuple[Any, ...]], None]
"""Called once, with an error or with the arguments of the answer."""


def value_of(args: tuple[Any, ...]) -> Any:
    """Return an answer as the value of an expression: none → ``None``, one → itself, several → a tuple."""
    if len(args) == 1:
        return args[0]
    return args or None


def settler(future: asyncio.Future[Any]) -> Done:
    """Return what puts an answer into a future."""

    def done(error: Exception | None, args: tuple[Any, ...]) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value_of(args))
        else:
            future.set_exception(error)
            future.exception()  # so that one who does not wait for it is not told off

    return done


def checked_timeout(seconds: float) -> float:
    """Return a time-out that can be waited for.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is negative or not finite.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"timeout must be a number of seconds, not {type(seconds).__name__}")
    if not isfinite(seconds) or seconds < 0:
        raise ValueError(f"timeout must be zero or more and finite, not {seconds!r}")
    return float(seconds)

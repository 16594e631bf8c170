"""What the verbs of the server return that may reach other nodes: something to await, and on one node nothing to wait for."""

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

from roomcast.engine.outbox import DONE

__all__ = ["All", "Known"]

T = TypeVar("T")


class Known(Generic[T]):
    """A result that is there already; awaiting it does not suspend."""

    __slots__ = ("_result",)

    def __init__(self, result: T) -> None:
        """Take the result."""
        self._result = result

    def __await__(self) -> Generator[Any, None, T]:
        """Return it."""
        yield from ()
        return self._result


class All:
    """Several things to wait for, one after the other."""

    __slots__ = ("_waits",)

    def __init__(self, waits: list[Awaitable[None]]) -> None:
        self._waits = waits

    @staticmethod
    def of(waits: list[Awaitable[None]]) -> Awaitable[None]:
        """Return what waits for all, which is nothing where none has anything to wait for."""
        left = [wait for wait in waits if wait is not DONE]
        return All(left) if left else DONE

    def __await__(self) -> Generator[Any, None, None]:
        """Wait for each."""
        for wait in self._waits:
            yield from wait.__await__()

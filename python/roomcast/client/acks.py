"""The acknowledgements that a client waits for."""

import asyncio
from collections.abc import Callable
from typing import Any

from roomcast.errors import AckTimeoutError, DisconnectedError
from roomcast.sockets.acks import Done

__all__ = ["Acks"]


class Acks:
    """The acknowledgements that a socket waits for. It belongs to the loop of its client."""

    def __init__(self) -> None:
        """Wait for none."""
        self._next_id = 0
        self._waiting: dict[int, tuple[Done, asyncio.TimerHandle | None]] = {}

    def next_id(self) -> int:
        """Return the next id; they are counted from 0 and never begin anew.

        Source:
            socket.io-client, ``Socket.ids``.
        """
        id = self._next_id
        self._next_id += 1
        return id

    def expect(
        self, id: int, done: Done, timeout: float | None, on_late: Callable[[int], None]
    ) -> None:
        """Wait for an answer.

        Args:
            id: Its id.
            done: Called once with an error or the arguments.
            timeout: Seconds to wait at most; ``None`` waits without end.
            on_late: Called with the id if the time is over.
        """
        timer = None
        if timeout is not None:
            timer = asyncio.get_running_loop().call_later(timeout, self._late, id, on_late)
        self._waiting[id] = (done, timer)

    def answered(self, id: int, args: tuple[Any, ...]) -> None:
        """Hand an answer on; one that nobody waits for is ignored."""
        done = self.forget(id)
        if done is not None:
            done(None, args)

    def disconnected(self, but: set[int]) -> None:
        """Hand on that there will be no answers.

        Args:
            but: The ids of those that were not sent yet, which may still come.
        """
        for id in [id for id in self._waiting if id not in but]:
            done = self.forget(id)
            if done is not None:
                done(DisconnectedError(), ())

    def forget(self, id: int) -> Done | None:
        """Wait for an answer no longer; return who did."""
        done, timer = self._waiting.pop(id, (None, None))
        if timer is not None:
            timer.cancel()
        return done

    def _late(self, id: int, on_late: Callable[[int], None]) -> None:
        done = self.forget(id)
        on_late(id)
        if done is not None:
            done(AckTimeoutError(), ())

"""Acknowledgements that this server has asked for: who waits, until when, and for what.

An `Ack` stands in the table of each socket that is to answer, under its id, and leaves it with the answer, the time-out or the
disconnect, whichever comes first. Deadlines wait in the server's one timer.
"""

import asyncio
from collections.abc import Callable, Iterable
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Protocol

from roomcast.engine.heartbeat import Timers
from roomcast.errors import AckTimeoutError, DisconnectedError

if TYPE_CHECKING:
    from roomcast.server.socket import Socket

__all__ = ["Ack", "BroadcastAck", "Done", "SocketAck", "checked_timeout", "settler", "value_of"]

Done = Callable[[Exception | None, tuple[Any, ...]], None]
"""Called once, with an error or with the arguments of the answer."""


class Ack(Protocol):
    """What stands in a socket's table under an ack id."""

    def answered(self, socket: "Socket", args: tuple[Any, ...]) -> None:
        """Take a socket's answer; it has left the socket's table."""

    def disconnected(self, socket: "Socket") -> None:
        """Learn that a socket will not answer any more; it has left the socket's table."""


class SocketAck:
    """The acknowledgement of one socket."""

    __slots__ = ("_done", "_id", "_socket", "_timers", "deadline", "tick")

    def __init__(
        self, socket: "Socket", id: int, done: Done, timeout: float | None, timers: Timers
    ) -> None:
        self._socket = socket
        self._id = id
        self._done = done
        self._timers = timers
        self.deadline = inf if timeout is None else timers.now() + timeout
        self.tick: int | None = None
        timers.add(self)

    def answered(self, socket: "Socket", args: tuple[Any, ...]) -> None:
        """Hand the answer on."""
        self._timers.remove(self)
        self._done(None, args)

    def disconnected(self, socket: "Socket") -> None:
        """Hand on that there will be none."""
        self._timers.remove(self)
        self._done(DisconnectedError(), ())

    def on_deadline(self, now: float) -> None:
        """Stop waiting."""
        self.deadline = inf
        self.forget()
        self._done(AckTimeoutError(), ())

    def forget(self) -> None:
        """Leave the table without a word: nobody waits any more."""
        self._timers.remove(self)
        self._socket.forget_ack(self._id)


class BroadcastAck:
    """The acknowledgements of everybody that a broadcast reached: of each the first argument, in order of arrival.

    A client that leaves without an answer is not subtracted, as in the reference: the broadcast then runs into its time-out.
    """

    __slots__ = ("_done", "_id", "_responses", "_timers", "_waiting", "deadline", "tick")

    def __init__(
        self, sockets: Iterable["Socket"], id: int, done: Done, timeout: float, timers: Timers
    ) -> None:
        self._waiting: set[Socket] = set(sockets)
        self._id = id
        self._done = done
        self._timers = timers
        self._responses: list[Any] = []
        self.deadline = timers.now() + timeout
        self.tick: int | None = None
        timers.add(self)

    def answered(self, socket: "Socket", args: tuple[Any, ...]) -> None:
        """Collect an answer; the last one completes the broadcast."""
        self._waiting.discard(socket)
        self._responses.append(args[0] if args else None)
        if not self._waiting:
            self._timers.remove(self)
            self._done(None, (self._responses,))

    def disconnected(self, socket: "Socket") -> None:
        """Keep waiting for the time-out."""

    def on_deadline(self, now: float) -> None:
        """Stop waiting; the answers that did arrive go along."""
        self.deadline = inf
        self.forget()
        self._done(AckTimeoutError(self._responses), (self._responses,))

    def forget(self) -> None:
        """Leave every table without a word: nobody waits any more."""
        self._timers.remove(self)
        for socket in self._waiting:
            socket.forget_ack(self._id)


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

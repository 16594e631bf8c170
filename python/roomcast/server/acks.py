"""Acknowledgements that this server has asked for: who waits, until when, and for what.

An `Ack` stands in the table of each socket that is to answer, under its id, and leaves it with the answer, the time-out or the
disconnect, whichever comes first. Deadlines wait in the server's one timer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from roomcast.engine.heartbeat import Timers
from roomcast.errors import AckTimeoutError, DisconnectedError
from roomcast.sockets.acks import Done, value_of

if TYPE_CHECKING:
    from roomcast.server.socket import Socket

__all__ = ["Ack", "AckReport", "BroadcastAck", "SocketAck"]


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
        self._socket.ack_timed_out(self._id)
        self._done(AckTimeoutError(), ())

    def forget(self) -> None:
        """Leave the table without a word: nobody waits any more."""
        self._timers.remove(self)
        self._socket.forget_ack(self._id)


@dataclass(frozen=True, slots=True)
class AckReport:
    """What became of a broadcast that asked for acknowledgements, by the ids of the sockets.

    Attributes:
        answered: The answers in order of arrival: one argument → itself, several → a tuple, none → ``None``.
        timed_out: Who did not answer in time.
        gone: Who disconnected before an answer.
        others: The answers of sockets of other nodes that did not say whose they are: the first argument of each.
        others_timed_out: How many sockets of other nodes did not answer in time.
        servers_timed_out: How many servers of the cluster did not say in time how many sockets they have asked; ``None`` if
            nobody could say how many there are.
    """

    answered: dict[str, Any]
    timed_out: tuple[str, ...]
    gone: tuple[str, ...]
    others: tuple[Any, ...] = ()
    others_timed_out: int = 0
    servers_timed_out: int | None = 0

    @property
    def complete(self) -> bool:
        """Whether everybody has answered."""
        return (
            not self.timed_out
            and not self.gone
            and not self.others_timed_out
            and self.servers_timed_out == 0
        )


class BroadcastAck:
    """The acknowledgements of everybody that a broadcast reached.

    It is over when everybody has answered or left, or at its deadline; what comes later is ignored.

    Source:
        socket.io-adapter, ``broadcastWithAck``. Differs from it: there one who leaves is waited for until the deadline.
    """

    __slots__ = (
        "_answers",
        "_begun",
        "_done",
        "_gone",
        "_timers",
        "_waiting",
        "deadline",
        "tick",
    )

    def __init__(
        self, done: Callable[[AckReport, list[Any]], None], timeout: float, timers: Timers
    ) -> None:
        """Prepare to wait.

        Args:
            done: Called once, with the report and the first argument of each answer, in order of arrival.
            timeout: Seconds to wait at most.
            timers: Where the deadline waits.
        """
        self._waiting: dict[Socket, int] = {}
        self._answers: dict[str, tuple[Any, ...]] = {}
        self._gone: list[str] = []
        self._begun = False
        self._done: Callable[[AckReport, list[Any]], None] | None = done
        self._timers = timers
        self.deadline = timers.now() + timeout
        self.tick: int | None = None

    def expect(self, socket: "Socket", id: int) -> None:
        """Wait for a socket too."""
        self._waiting[socket] = id
        socket.expect_ack(id, self)

    def begin(self) -> None:
        """Wait; at once over if there is nobody to wait for, or nobody any more."""
        self._begun = True
        if self._waiting:
            self._timers.add(self)
        else:
            self._finish()

    def answered(self, socket: "Socket", args: tuple[Any, ...]) -> None:
        """Collect an answer."""
        if self._waiting.pop(socket, None) is not None:
            self._answers[socket.id] = args
            self._settle()

    def disconnected(self, socket: "Socket") -> None:
        """Note who is gone."""
        if self._waiting.pop(socket, None) is not None:
            self._gone.append(socket.id)
            self._settle()

    def on_deadline(self, now: float) -> None:
        """Stop waiting."""
        self.deadline = inf
        for socket, id in self._waiting.items():
            socket.ack_timed_out(id)
        self._finish()

    def _settle(self) -> None:
        if self._begun and not self._waiting:
            self._timers.remove(self)
            self._finish()

    def _finish(self) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        answers = {id: value_of(args) for id, args in self._answers.items()}
        timed_out = tuple([socket.id for socket in self._waiting])
        self._waiting.clear()
        responses = [args[0] if args else None for args in self._answers.values()]
        done(AckReport(answers, timed_out, tuple(self._gone)), responses)

"""What is asked of the other nodes of a cluster, until they have answered or the time is over.

Nodes that do not answer are no error: whoever asks gets what the others said, and how many did not.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from roomcast.engine.heartbeat import Timers
from roomcast.errors import AckTimeoutError
from roomcast.server.acks import AckReport
from roomcast.server.remote import RemoteSocket
from roomcast.sockets.acks import Done, value_of

if TYPE_CHECKING:
    from roomcast.server.socket import Socket

__all__ = ["ClusterAck", "Fetch", "RemoteAck", "Responses"]

AckDone = Callable[[AckReport, list[Any]], None]


class ClusterAck:
    """The acknowledgements of a broadcast to the whole cluster.

    It is over when this node has its own, every other one has said how many sockets it asked, and as many have answered or left; or
    at the deadline.

    Source:
        socket.io, ``BroadcastOperator.emit`` with an acknowledgement. Differs from it: sockets of roomcast nodes that leave are
        not waited for, and what is missing is said.
    """

    def __init__(
        self,
        done: AckDone,
        timeout: float,
        timers: Timers,
        *,
        single: bool,
        on_end: Callable[[], None],
    ) -> None:
        """Begin to wait.

        Args:
            done: Called once, with the report and the first argument of each answer, those of this node first.
            timeout: Seconds to wait at most.
            timers: Where the deadline waits.
            single: Whether one answer is enough.
            on_end: Called when it is over.
        """
        self._done: AckDone | None = done
        self._timers = timers
        self._single = single
        self._on_end = on_end
        self._report: AckReport | None = None
        self._responses: list[Any] = []
        self._servers: int | None = None
        self._is_known = False
        self._counts: list[int] = []
        self._answers: dict[str, Any] = {}
        self._others: list[Any] = []
        self._gone: list[str] = []
        self._over = False
        self.deadline = timers.now() + timeout
        self.tick: int | None = None
        timers.add(self)

    def here(self, report: AckReport, responses: list[Any]) -> None:
        """Take what came of the sockets of this node."""
        self._report = report
        self._responses = responses + self._responses
        self._settle()

    def servers(self, others: int | None) -> None:
        """Learn how many other nodes there are; ``None`` if nobody can be asked."""
        self._is_known = True
        self._servers = others
        self._settle()

    def counted(self, sockets: int) -> None:
        """Learn how many sockets another node has asked."""
        self._counts.append(sockets)
        self._settle()

    def answered(self, id: str | None, args: tuple[Any, ...]) -> None:
        """Take the answer of a socket elsewhere; ``None`` if its node does not say whose."""
        first = args[0] if args else None
        if id is None:
            self._others.append(first)
        elif id in self._answers:
            return
        else:
            self._answers[id] = value_of(args)
        self._responses.append(first)
        self._settle()

    def left(self, id: str) -> None:
        """Learn that a socket elsewhere will not answer."""
        self._gone.append(id)
        self._settle()

    def on_deadline(self, now: float) -> None:
        """Stop waiting; what is still to come of this node comes in the same moment."""
        self.deadline = inf
        self._over = True
        self._settle()

    @property
    def _outstanding(self) -> int:
        heard = len(self._answers) + len(self._others) + len(self._gone)
        return max(sum(self._counts) - heard, 0)

    def _settle(self) -> None:
        complete = self._is_known and (
            self._servers is None or (len(self._counts) >= self._servers and not self._outstanding)
        )
        enough = self._single and bool(self._responses)
        if self._done is None or not (
            (self._report is not None and (self._over or complete)) or enough
        ):
            return
        done, self._done = self._done, None
        self._timers.remove(self)
        self._on_end()
        report = self._report or AckReport({}, (), ())
        if enough:
            done(AckReport(report.answered | self._answers, (), ()), self._responses)
            return
        missing = None if self._servers is None else max(self._servers - len(self._counts), 0)
        done(
            replace(
                report,
                answered=report.answered | self._answers,
                gone=(*report.gone, *self._gone),
                others=tuple(self._others),
                others_timed_out=self._outstanding,
                servers_timed_out=missing,
            ),
            self._responses,
        )


class RemoteAck:
    """The acknowledgements that another node has asked the sockets of this one for; each answer is sent on as it comes."""

    def __init__(
        self,
        timeout: float,
        timers: Timers,
        on_answer: Callable[[str, tuple[Any, ...]], None],
        on_gone: Callable[[str], None],
    ) -> None:
        """Prepare to wait.

        Args:
            timeout: Seconds to wait at most.
            timers: Where the deadline waits.
            on_answer: Called with the id of each socket that answers, and its answer.
            on_gone: Called with the id of each that leaves before.
        """
        self._waiting: dict[Socket, int] = {}
        self._timers = timers
        self._on_answer = on_answer
        self._on_gone = on_gone
        self.deadline = timers.now() + timeout
        self.tick: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, socket: "Socket", id: int) -> None:
        """Wait for a socket too."""
        self._waiting[socket] = id
        socket.expect_ack(id, self)

    def begin(self) -> None:
        """Wait, if there is anybody to wait for."""
        if self._waiting:
            self._timers.add(self)

    def answered(self, socket: "Socket", args: tuple[Any, ...]) -> None:
        """Send an answer on."""
        if self._waiting.pop(socket, None) is not None:
            self._on_answer(socket.id, args)
            self._settle()

    def disconnected(self, socket: "Socket") -> None:
        """Say who is gone."""
        if self._waiting.pop(socket, None) is not None:
            self._on_gone(socket.id)
            self._settle()

    def on_deadline(self, now: float) -> None:
        """Stop waiting."""
        self.deadline = inf
        for socket, id in self._waiting.items():
            socket.forget_ack(id)
        self._waiting.clear()

    def _settle(self) -> None:
        if not self._waiting:
            self._timers.remove(self)


class Fetch:
    """The sockets that other nodes tell of."""

    def __init__(self) -> None:
        self.sockets: list[RemoteSocket] = []
        self.answers = 0
        self._servers: int | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def told(self, sockets: list[RemoteSocket]) -> None:
        """Take the answer of one node."""
        self.sockets.extend(sockets)
        self.answers += 1
        self._settle()

    async def wait(self, servers: int, seconds: float) -> None:
        """Wait until so many other nodes have answered, or so long."""
        self._servers = servers
        self._settle()
        await asyncio.wait((self._ended,), timeout=seconds)

    def _settle(self) -> None:
        if self._servers is not None and self.answers >= self._servers and not self._ended.done():
            self._ended.set_result(None)


class Responses:
    """The answers of other nodes to an event of `server_side_emit`."""

    def __init__(
        self, done: Done, timeout: float, timers: Timers, on_end: Callable[[], None]
    ) -> None:
        """Begin to wait.

        Args:
            done: Called once: with the answers, or with `AckTimeoutError` and the answers so far.
            timeout: Seconds to wait at most.
            timers: Where the deadline waits.
            on_end: Called when it is over.
        """
        self._done: Done | None = done
        self._timers = timers
        self._on_end = on_end
        self._servers: int | None = None
        self._responses: list[Any] = []
        self.deadline = timers.now() + timeout
        self.tick: int | None = None
        timers.add(self)

    def servers(self, others: int | None) -> None:
        """Learn how many other nodes there are; ``None`` if nobody can be asked."""
        self._servers = others
        if others is None:
            self._finish(AckTimeoutError(self._responses))
        else:
            self._settle()

    def answered(self, response: Any) -> None:
        """Take the answer of one node."""
        self._responses.append(response)
        self._settle()

    def on_deadline(self, now: float) -> None:
        """Stop waiting."""
        self.deadline = inf
        self._finish(AckTimeoutError(self._responses))

    def _settle(self) -> None:
        if self._servers is not None and len(self._responses) >= self._servers:
            self._finish(None)

    def _finish(self, error: AckTimeoutError | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._timers.remove(self)
            self._on_end()
            done(error, (self._responses,))

"""A namespace whose servers of python-socketio are told what it emits, beside what its adapter does."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from math import inf
from typing import Any, Protocol

from roomcast.adapters.pythonwire import is_id
from roomcast.engine.heartbeat import Timers
from roomcast.errors import UsageError
from roomcast.server.acks import AckReport
from roomcast.server.adapter import Adapter, BroadcastOptions

__all__ = ["BridgedAck", "BridgedAdapter", "Foreign", "bridged"]

AckDone = Callable[[AckReport, list[Any]], None]


class Foreign(Protocol):
    """What reaches the servers of python-socketio. No call waits."""

    def emit(
        self,
        nsp: str,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        ack: "BridgedAck | None" = None,
    ) -> None:
        """Let them send an event."""

    def ask(self, nsp: str, event: str, args: tuple[Any, ...], options: BroadcastOptions) -> None:
        """Let them send an event whose answers are not gathered."""

    def tell(self, method: str, nsp: str, **fields: str) -> None:
        """Let them do something with a socket or a room."""

    def cannot_say(self, what: str) -> None:
        """Count what their format has no words for."""

    def forget(self, nsp: str) -> None:
        """Learn that the namespace is no more."""


class BridgedAdapter(Adapter):
    """What stands before the adapter of a namespace; made of it by `bridged`.

    Sockets of this node alone are nobody else's business. What the format of python-socketio cannot say is not said: an event must
    not reach those whom it leaves out.
    """

    foreign: Foreign

    def broadcast(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> Awaitable[None]:
        """Send an event to everybody whom the options name; as `Adapter.broadcast`."""
        wait = super().broadcast(event, args, options)
        if self._travels(options, "an event"):
            self.foreign.emit(self.nsp.name, event, args, options)
        return wait

    def broadcast_with_ack(
        self,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        done: AckDone,
    ) -> Awaitable[None]:
        """Send an event as `broadcast` does, and collect the acknowledgements.

        Of the servers of python-socketio one alone is waited for, that of an id: they do not say how many they have asked.
        """
        if not self._travels(options, "an event"):
            return super().broadcast_with_ack(event, args, options, done)
        nsp = self.nsp.name
        if len(options.rooms) != 1 or not is_id(options.rooms[0]):
            wait = super().broadcast_with_ack(event, args, options, done)
            self.foreign.ask(nsp, event, args, options)
            return wait
        assert options.timeout is not None
        ack = BridgedAck(done, options.timeout, self.nsp.server.engine.timers)
        wait = super().broadcast_with_ack(event, args, options, ack.here)
        self.foreign.emit(nsp, event, args, options, ack)
        return wait

    def add_sockets(self, options: BroadcastOptions, rooms: Iterable[str]) -> Awaitable[None]:
        """Let the sockets that the options name join rooms; python-socketio knows those that are named by their ids."""
        names = tuple(rooms)
        for id in self._named(options, "joining of rooms"):
            for room in names:
                self.foreign.tell("enter_room", self.nsp.name, sid=id, room=room)
        return super().add_sockets(options, names)

    def del_sockets(self, options: BroadcastOptions, rooms: Iterable[str]) -> Awaitable[None]:
        """Let the sockets that the options name leave rooms; python-socketio knows ids, and rooms that everybody leaves."""
        names = tuple(rooms)
        nsp = self.nsp.name
        if {*options.rooms} == {*names} and not (options.except_ or options.all_of):
            if not options.local:
                for room in names:
                    self.foreign.tell("close_room", nsp, room=room)
        else:
            for id in self._named(options, "leaving of rooms"):
                for room in names:
                    self.foreign.tell("leave_room", nsp, sid=id, room=room)
        return super().del_sockets(options, names)

    def disconnect_sockets(self, options: BroadcastOptions, close: bool) -> Awaitable[None]:
        """Disconnect the sockets that the options name; python-socketio knows ids, and ends no connection by them."""
        for id in self._named(options, "disconnecting"):
            self.foreign.tell("disconnect", self.nsp.name, sid=id)
        return super().disconnect_sockets(options, close)

    def close(self) -> None:
        """End: the namespace is no more."""
        self.foreign.forget(self.nsp.name)
        super().close()

    def _travels(self, options: BroadcastOptions, what: str) -> bool:
        """Say whether something concerns sockets elsewhere, and can be said."""
        rooms = options.rooms
        if options.local or (len(rooms) == 1 and self.rooms.get(rooms[0]) is not None):
            return False
        if options.all_of or not all(map(is_id, options.except_)):
            self.foreign.cannot_say(what)
            return False
        return True

    def _named(self, options: BroadcastOptions, what: str) -> list[str]:
        """Return the ids of sockets elsewhere, if ids are all that is named."""
        if not self._travels(options, what):
            return []
        if options.except_ or not options.rooms or not all(map(is_id, options.rooms)):
            self.foreign.cannot_say(what)
            return []
        return [id for id in options.rooms if self.rooms.get(id) is None]


def bridged(adapter: Adapter, foreign: Foreign) -> Adapter:
    """Put the bridge before an adapter, whatever that is.

    It gets a class of its own, with `BridgedAdapter` before what it was: what the server, recovery and the adapter itself know of it
    stays true, and what does not concern the bridge costs nothing.

    Raises:
        UsageError: If there is a bridge already.
    """
    kind = type(adapter)
    if issubclass(kind, BridgedAdapter):
        raise UsageError("a server has one bridge to python-socketio")
    adapter.__class__ = type(f"Bridged{kind.__name__}", (BridgedAdapter, kind), {})
    assert isinstance(adapter, BridgedAdapter)
    adapter.foreign = foreign
    return adapter


class BridgedAck:
    """The answer of the one socket that was asked: by its own node, wherever in the cluster, or by a server of python-socketio.

    Nobody knows which server has it, and none says that it has it not: where there is no such socket, it is over at the deadline.

    Attributes:
        on_end: Called when it is over.
    """

    def __init__(self, done: AckDone, timeout: float, timers: Timers) -> None:
        """Begin to wait.

        Args:
            done: Called once, with the report and the first argument of the answer.
            timeout: Seconds to wait at most.
            timers: Where the deadline waits.
        """
        self.on_end: Callable[[], None] = lambda: None
        self._done: AckDone | None = done
        self._timers = timers
        self._report: AckReport | None = None
        self._over = False
        self.deadline = timers.now() + timeout
        self.tick: int | None = None
        timers.add(self)

    def here(self, report: AckReport, responses: list[Any]) -> None:
        """Take what came of the roomcast nodes."""
        heard_of = report.answered or report.others or report.gone or report.timed_out
        if heard_of or report.others_timed_out or self._over:
            self._finish(report, responses)
        else:
            self._report = report

    def answered(self, args: tuple[Any, ...]) -> None:
        """Take the answer that a server of python-socketio has brought."""
        first = args[0] if args else None
        self._finish(AckReport({}, (), (), others=(first,)), [first])

    def on_deadline(self, now: float) -> None:
        """Stop waiting; what is still to come of the roomcast nodes comes in the same moment."""
        self.deadline = inf
        self._over = True
        if self._report is not None:
            self._finish(replace(self._report, servers_timed_out=None), [])

    def _finish(self, report: AckReport, responses: list[Any]) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._timers.remove(self)
            self.on_end()
            done(report, responses)

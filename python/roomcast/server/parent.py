"""Dynamic namespaces: a parent says by a pattern or a predicate which names it stands for, and makes a child for each in use."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from roomcast.errors import UsageError
from roomcast.server.acks import AckReport
from roomcast.server.adapter import Adapter, BroadcastOptions
from roomcast.server.namespace import Namespace
from roomcast.server.remote import FetchedSockets
from roomcast.server.results import All
from roomcast.sockets.acks import Done
from roomcast.sockets.signatures import check_takes

if TYPE_CHECKING:
    from roomcast.server.server import Server
    from roomcast.server.socket import Socket

__all__ = ["NamespacePredicate", "ParentNamespace"]

NamespacePredicate = Callable[[str, Any], bool | Awaitable[bool]]
"""Says whether a client may have a namespace: called with its name and the client's auth. A function or a coroutine function."""

NO_NAME: Final = "/_parent"

NO_ANSWERS: Final = AckReport({}, (), ())


class ParentNamespace(Namespace):
    """Stands for the namespaces whose names it matches. What is sent to it reaches the clients of all its children.

    A child is made when a client asks for it first. It gets the middlewares, handlers, ``connection`` listeners and error hooks
    that the parent has at that moment, and goes when its last socket does, unless ``cleanup_empty_child_namespaces`` is off.

    Attributes:
        children: Its children by name.
        kind: The class of its children.

    Source:
        socket.io, ``ParentNamespace``. Differs from it: rooms, sockets and acknowledgements work here too, those of all children
        together.
    """

    def __init__(
        self,
        server: "Server",
        match: "re.Pattern[str] | NamespacePredicate",
        kind: type[Namespace] = Namespace,
    ) -> None:
        """Make a parent; programs use `Server.of`."""
        self.children: dict[str, Namespace] = {}
        self.kind = kind
        if not isinstance(match, re.Pattern):
            check_takes(match, 2, 2, "a predicate of namespaces")
        self._match = match
        super().__init__(server, NO_NAME)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._match!r}>"

    @property
    def sockets(self) -> dict[str, "Socket"]:
        """The connected sockets of all children by id. A new dict."""
        return {
            id: socket for child in self.children.values() for id, socket in child.sockets.items()
        }

    @property
    def sockets_count(self) -> int:
        """How many sockets of this server are connected to the children."""
        return sum(child.sockets_count for child in self.children.values())

    @property
    def rooms(self) -> set[str]:
        """The rooms of all children. A new set."""
        return {room for child in self.children.values() for room in child.rooms}

    def room_size(self, room: str) -> int:
        """Return how many sockets are in the rooms of this name of all children."""
        return sum(child.room_size(room) for child in self.children.values())

    # What follows is for the other parts of the server.

    def matches_pattern(self, name: str) -> bool:
        """Say whether a name matches the pattern; a predicate has none."""
        return isinstance(self._match, re.Pattern) and self._match.search(name) is not None

    async def matches(self, name: str, auth: Mapping[str, Any]) -> bool:
        """Say whether a client may have a namespace of this name."""
        if isinstance(self._match, re.Pattern):
            return self.matches_pattern(name)
        allowed = self._match(name, auth)
        return bool(await allowed if isawaitable(allowed) else allowed)

    def make_child(self, name: str, kind: type[Namespace]) -> Namespace:
        """Return a new child."""
        child = kind(self.server, name)
        child.inherit(self)
        self.children[name] = child
        return child

    def _new_adapter(self) -> Adapter:
        return ParentAdapter(self)


class ParentAdapter(Adapter):
    """Reaches the sockets of all children."""

    def __init__(self, parent: ParentNamespace) -> None:
        """Take the parent."""
        super().__init__(parent)
        self._parent = parent

    def broadcast(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> Awaitable[None]:
        """Send an event in every child; as `Adapter.broadcast`."""
        waits = [adapter.broadcast(event, args, options) for adapter in self._adapters()]
        return All.of(waits)

    def broadcast_with_ack(
        self,
        event: str,
        args: tuple[Any, ...],
        options: BroadcastOptions,
        done: Callable[[AckReport, list[Any]], None],
    ) -> Awaitable[None]:
        """Send an event in every child, and collect the acknowledgements of all, wherever in the cluster they are.

        The answers are in the order of the children, and those of one child in the order of their arrival.
        """
        adapters = self._adapters()
        together = _AcksTogether(len(adapters), done)
        waits = [
            adapter.broadcast_with_ack(event, args, options, together.of(number))
            for number, adapter in enumerate(adapters)
        ]
        return All.of(waits)

    def fetch_sockets(self, options: BroadcastOptions) -> Awaitable[FetchedSockets]:
        """Return what gives the sockets of all children."""
        return _fetch([adapter.fetch_sockets(options) for adapter in self._adapters()])

    def add_sockets(self, options: BroadcastOptions, rooms: Iterable[str]) -> Awaitable[None]:
        """Let sockets of all children join rooms."""
        names = tuple(rooms)
        return All.of([adapter.add_sockets(options, names) for adapter in self._adapters()])

    def del_sockets(self, options: BroadcastOptions, rooms: Iterable[str]) -> Awaitable[None]:
        """Let sockets of all children leave rooms."""
        names = tuple(rooms)
        return All.of([adapter.del_sockets(options, names) for adapter in self._adapters()])

    def disconnect_sockets(self, options: BroadcastOptions, close: bool) -> Awaitable[None]:
        """Disconnect sockets of all children."""
        return All.of([adapter.disconnect_sockets(options, close) for adapter in self._adapters()])

    def server_side_emit(
        self, event: str, args: tuple[Any, ...], done: Done | None, timeout: float
    ) -> Awaitable[None]:
        """Refuse: the other servers have children of their own.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "server_side_emit needs one namespace: emit from a child, or from the server"
        )

    def select(self, options: BroadcastOptions) -> "list[Socket]":
        """Return the sockets of all children that the options name."""
        return [socket for adapter in self._adapters() for socket in adapter.select(options)]

    def _adapters(self) -> list[Adapter]:
        # A list, because user code that runs meanwhile may let children come and go.
        return [child.adapter for child in self._parent.children.values()]


class _AcksTogether:
    """Puts the acknowledgements of children together; over when each child has its own."""

    def __init__(self, children: int, done: Callable[[AckReport, list[Any]], None]) -> None:
        self._done = done
        self._missing = children
        self._reports: list[tuple[AckReport, list[Any]]] = [(NO_ANSWERS, [])] * children
        if not children:
            done(NO_ANSWERS, [])

    def of(self, number: int) -> Callable[[AckReport, list[Any]], None]:
        """Return what a child calls, once."""

        def done(report: AckReport, responses: list[Any]) -> None:
            self._reports[number] = report, responses
            self._missing -= 1
            if not self._missing:
                self._finish()

        return done

    def _finish(self) -> None:
        reports = [report for report, _ in self._reports]
        silent = [report.servers_timed_out for report in reports]
        known = [servers for servers in silent if servers is not None]
        together = AckReport(
            answered={id: each for report in reports for id, each in report.answered.items()},
            timed_out=tuple([id for report in reports for id in report.timed_out]),
            gone=tuple([id for report in reports for id in report.gone]),
            others=tuple([each for report in reports for each in report.others]),
            others_timed_out=sum(report.others_timed_out for report in reports),
            # The servers of one child are those of the next: the most that were silent in any.
            servers_timed_out=max(known) if len(known) == len(silent) else None,
        )
        self._done(together, [each for _, responses in self._reports for each in responses])


async def _fetch(asked: list[Awaitable[FetchedSockets]]) -> FetchedSockets:
    """Put the sockets of all children together; the servers are those of the child that has fewest answers."""
    found = [await each for each in asked]
    result = FetchedSockets(socket for each in found for socket in each)
    for each in found:
        if not each.complete:
            result.servers, result.answered = each.servers, each.answered
    return result

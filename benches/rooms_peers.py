"""Who else can say who is in a room: python-socketio's manager, Python's sets, and socket.io-adapter under Node.js."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from socketio import AsyncManager  # type: ignore[import-untyped]  # it has no types

from roomcast._core import Rooms
from rooms import Case, Population
from timing import Call

__all__ = ["PEERS", "Node", "Socket"]

NODE: Final = Path(__file__).with_name("node")


class Socket:
    """What a broadcast reaches."""

    __slots__ = ("__weakref__", "id", "number")

    def __init__(self, id: str, number: int) -> None:
        self.id = id
        self.number = number


Make = Callable[[Case], Call]
"""Makes the call for a case; it returns a list, of sockets or of ids."""


def _roomcast(population: Population) -> Make:
    index = Rooms[Socket]()
    for number, id in enumerate(population.ids):
        index.add(id, Socket(id, number))
    for name, members in population.rooms.items():
        for number in members:
            index.join(population.ids[number], (name,))

    def call(case: Case) -> Any:
        return index.select(case.to, case.all_of, case.except_)

    return lambda case: Call(call, case)


def _sets(population: Population) -> Make:
    sockets = [Socket(id, number) for number, id in enumerate(population.ids)]
    rooms = {name: {sockets[n] for n in members} for name, members in population.rooms.items()}

    def call(case: Case) -> Any:
        reached = set[Socket]().union(*(rooms[name] for name in case.to))
        if case.all_of:
            first, *others = (rooms[name] for name in case.all_of)
            reached = first.intersection(*others)
        return list(reached.difference(*(rooms[name] for name in case.except_)))

    return lambda case: Call(call, case)


def _socketio(population: Population) -> Make:
    manager: Any = AsyncManager()
    for name, members in population.rooms.items():
        for number in members:
            id = population.ids[number]
            manager.basic_enter_room(id, "/", name, eio_sid=id)

    def sids(room: str) -> set[str]:
        return {sid for sid, _ in manager.get_participants("/", room)}

    # It unites rooms; sets of ids do here what it leaves to the application. Its own skip_sid is a list, so quadratic.
    def call(case: Case) -> Any:
        skip = set[str]().union(*map(sids, case.except_))
        if case.all_of:
            first, *others = case.all_of
            keep = set.intersection(*map(sids, others))
            return [eio for sid, eio in manager.get_participants("/", first) if sid in keep]
        participants = manager.get_participants("/", list(case.to))
        return [eio for sid, eio in participants if sid not in skip]

    return lambda case: Call(call, case)


PEERS: Final[dict[str, Callable[[Population], Make]]] = {
    "roomcast": _roomcast,
    "Python sets": _sets,
    "python-socketio": _socketio,
}


class Node:
    """socket.io-adapter in a child process that times one sample whenever it is asked to."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            ["node", *arguments, "rooms.js"],
            cwd=NODE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **question: Any) -> Any:
        """Ask for one thing of rooms.js; return its answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": do, **question}) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

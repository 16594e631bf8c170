"""Bytes that one membership takes, both ways of it: python benches/rooms_memory.py PEER SHAPE PAIRS.

It is the growth of the process while sockets that are there already join, one room at a time; so each measurement is a
process of its own. A peer's own records of sockets are not in it, nor the names, which are there before.
"""

import ctypes
import gc
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from socketio import AsyncManager  # type: ignore[import-untyped]  # it has no types

from roomcast._core import Rooms
from rooms import ids
from rooms_peers import Node

__all__ = ["PEERS", "SHAPES", "bytes_a_pair"]

NODE: Final = "socket.io-adapter"


def _large(pairs: int) -> list[list[int]]:
    return [list(range(10)) for _ in range(pairs // 10)]


def _single(pairs: int) -> list[list[int]]:
    return [[0] for _ in range(pairs)]


def _scattered(members: int) -> Callable[[int], list[list[int]]]:
    def rooms(pairs: int) -> list[list[int]]:
        choose, among = random.Random(0).sample, range(max(10, pairs // members))
        return [choose(among, 10) for _ in range(pairs // 10)]

    return rooms


SHAPES: Final[dict[str, Callable[[int], list[list[int]]]]] = {
    "everybody in one room": _single,
    "everybody in 10 rooms": _large,
    "10 rooms each of 10 000 at random": _scattered(10_000),
    "10 rooms each of 1 000 at random": _scattered(1_000),
    "10 rooms each of 100 at random": _scattered(100),
    "10 rooms each of 10 at random": _scattered(10),
}
"""By name, the rooms of each socket for a number of pairs. "Of n" is the members that a room has on average."""

Join = Callable[[str, str], object]


def _roomcast(sockets: list[str]) -> Join:
    index = Rooms[str]()
    for id in sockets:
        index.add(id, id)
    return lambda id, room: index.join(id, (room,))


def _sets(sockets: list[str]) -> Join:
    members: dict[str, set[str]] = {}
    rooms: dict[str, set[str]] = {id: set() for id in sockets}

    def join(id: str, room: str) -> None:
        members.setdefault(room, set()).add(id)
        rooms[id].add(room)

    return join


def _socketio(sockets: list[str]) -> Join:
    manager: Any = AsyncManager()
    for id in sockets:
        manager.basic_enter_room(id, "/", None, eio_sid=id)
        manager.basic_enter_room(id, "/", id, eio_sid=id)
    return lambda id, room: manager.basic_enter_room(id, "/", room, eio_sid=id)


_PYTHON: Final = {"roomcast": _roomcast, "Python sets": _sets, "python-socketio": _socketio}
PEERS: Final = (*_PYTHON, NODE)


def _resident() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _measure(peer: str, shape: str, pairs: int) -> float:
    joined = SHAPES[shape](pairs)
    sockets = ids(len(joined))
    if peer == NODE:
        with Node("--expose-gc") as node:
            return float(node.ask("memory", ids=sockets, rooms=joined))
    names = {number: f"room{number}" for numbers in joined for number in numbers}
    join = _PYTHON[peer](sockets)
    before = _resident()
    for id, numbers in zip(sockets, joined, strict=True):
        for number in numbers:
            join(id, names[number])
    return (_resident() - before) / sum(map(len, joined))


def bytes_a_pair(peer: str, shape: str, pairs: int) -> float:
    """Return what a process of its own has measured."""
    command = [sys.executable, __file__, peer, shape, str(pairs)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return float(json.loads(result.stdout))


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))

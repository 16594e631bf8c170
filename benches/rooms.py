"""The sockets and rooms that selections are timed on, and what each selection should give.

Of twice as many sockets as a room has members, r1 holds the first half, r2 as many from a quarter on, and r3 every eighth
of both. The ids are of the length that Socket.IO makes.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["CASES", "MAX_SIZE", "SIZES", "Case", "Population", "ids"]

SIZES: Final = (1_000, 10_000, 100_000)
MAX_SIZE: Final = 1_000_000


def ids(count: int) -> list[str]:
    """Return that many ids of 20 characters."""
    return [f"{number:020d}" for number in range(count)]


@dataclass(frozen=True)
class Case:
    """A selection, in the words of a broadcast."""

    to: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()


CASES: Final = {
    "one-room": Case(to=("r1",)),
    "union-minus": Case(to=("r1", "r2"), except_=("r3",)),
    "intersection": Case(all_of=("r1", "r2")),
}


class Population:
    """So many members in each of r1 and r2."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.ids = ids(2 * size)
        self.rooms = {
            "r1": range(size),
            "r2": range(size // 2, size // 2 + size),
            "r3": range(0, size // 2 + size, 8),
        }

    def expected(self, case: Case) -> set[int]:
        """Return the numbers of the sockets that a case reaches."""
        rooms = {name: set(members) for name, members in self.rooms.items()}
        reached = set[int]().union(*(rooms[name] for name in case.to or case.all_of))
        reached.intersection_update(*(rooms[name] for name in case.all_of))
        return reached.difference(*(rooms[name] for name in case.except_))

    def examined(self, case: Case) -> int:
        """Return the members of the rooms named: what the cost of a selection should be linear in."""
        return sum(len(self.rooms[name]) for name in (*case.to, *case.all_of, *case.except_))

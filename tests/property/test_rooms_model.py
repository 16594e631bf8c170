"""The room index against a dictionary of sets."""

from collections import Counter

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roomcast._core import Rooms

IDS = ["a", "b", "c", "d", "e"]
# Ids among them: a room of the same name is another room.
NAMES = [*IDS, "r", "s", "t", "日本"]

ids = st.sampled_from(IDS)
names = st.sampled_from(NAMES)
selections = st.lists(names, max_size=3)


class RoomsMachine(RuleBasedStateMachine):
    """Does the same to both and looks for a difference."""

    def __init__(self) -> None:
        super().__init__()
        self.index: Rooms[object] = Rooms()
        self.sockets: dict[str, object] = {}
        self.rooms: dict[str, set[str]] = {}

    def named(self, name: str) -> set[str]:
        return {name} if name in self.rooms else {i for i, r in self.rooms.items() if name in r}

    def room_names(self) -> set[str]:
        return set[str]().union(*self.rooms.values())

    @rule(id=ids)
    def add(self, id: str) -> None:
        socket = object()
        try:
            self.index.add(id, socket)
        except ValueError:
            assert id in self.rooms
        else:
            assert id not in self.rooms
            self.sockets[id], self.rooms[id] = socket, set()

    @rule(id=ids)
    def remove(self, id: str) -> None:
        before = self.room_names()
        self.rooms.pop(id, None)
        self.sockets.pop(id, None)
        assert Counter(self.index.remove(id)) == Counter(before - self.room_names())

    @rule(id=ids, joined=st.lists(names, max_size=4))
    def join(self, id: str, joined: list[str]) -> None:
        known = self.rooms.get(id)
        new = [] if known is None else [n for n in dict.fromkeys(joined) if n not in known | {id}]
        assert self.index.join(id, joined) == new
        if known is not None:
            known.update(new)

    @rule(id=ids, name=names)
    def leave(self, id: str, name: str) -> None:
        known = self.rooms.get(id, set())
        assert self.index.leave(id, name) == (name in known)
        known.discard(name)

    @precondition(lambda self: self.rooms)
    @rule(to=selections, all_of=selections, except_=selections)
    def select(self, to: list[str], all_of: list[str], except_: list[str]) -> None:
        expected = set[str]().union(*map(self.named, to)) if to else set(self.rooms)
        expected = expected.intersection(*map(self.named, all_of))
        expected = expected.difference(*map(self.named, except_))
        found = self.index.select(to, all_of, except_)
        assert Counter(map(id, found)) == Counter(id(self.sockets[it]) for it in expected)

    @invariant()
    def looks_the_same(self) -> None:
        assert len(self.index) == len(self.rooms)
        assert Counter(self.index.room_names()) == Counter(self.room_names())
        for name in NAMES:
            assert self.index.members(name) == len(self.named(name))
            assert self.index.get(name) is self.sockets.get(name)
            own = {name} if name in self.rooms else set[str]()
            assert self.index.rooms_of(name) == self.rooms.get(name, set()) | own


RoomsMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestRooms = RoomsMachine.TestCase

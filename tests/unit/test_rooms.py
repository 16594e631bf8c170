"""The room index: who is in which room, and whom a broadcast reaches."""

import gc
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from roomcast._core import Rooms


class Socket:
    """Stands for any object that a server keeps in the index."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.index: Rooms[Socket] | None = None


def index_of(**rooms: list[str]) -> Rooms[str]:
    """Return an index with the rooms of each id; a socket is its own id in upper case."""
    index = Rooms[str]()
    for id, names in rooms.items():
        index.add(id, id.upper())
        index.join(id, names)
    return index


def test_add_refuses_an_id_that_is_there() -> None:
    index = index_of(a=["r"])
    with pytest.raises(ValueError, match="there already"):
        index.add("a", "other")
    assert index.get("a") == "A"
    assert len(index) == 1


def test_add_takes_an_id_again_after_remove() -> None:
    index = index_of(a=["r"])
    index.remove("a")
    index.add("a", "again")
    assert index.get("a") == "again"
    assert index.rooms_of("a") == {"a"}
    assert index.members("r") == 0


def test_remove_returns_the_rooms_that_ceased_to_exist() -> None:
    index = index_of(a=["r", "s"], b=["s"])
    assert index.remove("a") == ["r"]
    assert index.remove("a") == []
    assert index.get("a") is None
    assert index.room_names() == ["s"]
    assert index.select() == ["B"]


def test_join_returns_the_rooms_that_are_new() -> None:
    index = index_of(a=["r"])
    assert index.join("a", ["s", "r", "t", "s"]) == ["s", "t"]
    assert index.join("a", iter(("u",))) == ["u"]
    assert index.join("nobody", ["r"]) == []
    assert index.rooms_of("a") == {"a", "r", "s", "t", "u"}


def test_join_changes_nothing_when_the_iterable_fails() -> None:
    def names() -> Iterator[str]:
        yield "s"
        raise RuntimeError

    index = index_of(a=["r"])
    with pytest.raises(RuntimeError):
        index.join("a", names())
    assert index.rooms_of("a") == {"a", "r"}


def test_leave_says_whether_the_socket_was_in_the_room() -> None:
    index = index_of(a=["r"])
    assert index.leave("a", "r") is True
    assert index.leave("a", "r") is False
    assert index.leave("nobody", "r") is False
    assert index.room_names() == []


def test_rooms_of_is_a_new_set() -> None:
    index = index_of(a=["r"])
    index.rooms_of("a").clear()
    assert index.rooms_of("a") == {"a", "r"}
    assert index.rooms_of("nobody") == set()


def test_own_rooms_are_a_separate_key_space() -> None:
    index = index_of(eve=["alice", "r"], alice=["r"])
    assert index.join("alice", ["alice"]) == []
    assert index.leave("alice", "alice") is False
    assert index.members("alice") == 1
    assert index.select(["alice"]) == ["ALICE"]
    assert index.select(["r"], except_=["alice"]) == ["EVE"]
    assert index.select(["r"], all_of=["alice"]) == ["ALICE"]
    assert index.rooms_of("eve") == {"eve", "alice", "r"}
    assert sorted(index.room_names()) == ["alice", "r"]
    index.remove("alice")
    assert index.select(["alice"]) == ["EVE"], "the ordinary room of that name was there all along"


@pytest.mark.parametrize(
    ("to", "all_of", "except_", "expected"),
    [
        ((), (), (), "ABCD"),
        (("r",), (), (), "AB"),
        (("r", "s"), (), (), "ABC"),
        (("r", "r", "a"), (), (), "AB"),
        (("none",), (), (), ""),
        (("r", "none"), (), (), "AB"),
        ((), ("r", "s"), (), "B"),
        ((), ("r", "none"), (), ""),
        (("r", "s"), ("t",), (), "AC"),
        ((), (), ("r",), "CD"),
        (("r", "s"), (), ("t", "none"), "B"),
        (("r", "s"), (), ("b",), "AC"),
        (("d", "r"), (), ("d",), "AB"),
        (("a", "b", "c"), ("s",), ("c",), "B"),
    ],
)
def test_select_is_union_and_intersection_and_difference(
    to: tuple[str, ...], all_of: tuple[str, ...], except_: tuple[str, ...], expected: str
) -> None:
    index = index_of(a=["r", "t"], b=["r", "s"], c=["s", "t"], d=[])
    assert sorted(index.select(to, all_of, except_)) == list(expected)
    assert sorted(index.select(list(to), except_=list(except_), all_of=list(all_of))) == list(
        expected
    )


def test_select_reaches_a_socket_once_in_rooms_of_every_size() -> None:
    index = Rooms[int]()
    names = {"small": 3, "flat": 1_000, "array": 3_000, "bitmap": 20_000}
    for number in range(30_000):
        index.add(str(number), number)
    for name, size in names.items():
        for number in reversed(range(size)):
            index.join(str(number), [name])
    for name, size in names.items():
        assert index.members(name) == size
        assert sorted(index.select([name])) == list(range(size))
        for other, other_size in names.items():
            assert len(index.select([name, other])) == max(size, other_size)
            assert len(index.select(all_of=[name, other])) == min(size, other_size)
            assert len(index.select([name], except_=[other])) == max(0, size - other_size)


def test_select_returns_the_objects_themselves() -> None:
    index = Rooms[Socket]()
    socket = Socket("a")
    index.add("a", socket)
    assert index.select(["a"])[0] is socket
    assert index.get("a") is socket


def test_none_is_a_socket_like_any_other() -> None:
    index = Rooms[None]()
    index.add("a", None)
    assert index.select(["a"]) == [None]


@pytest.mark.parametrize("names", ["room", 7, [7], [b"r"], ["r", None]])
def test_names_are_several_str(names: object) -> None:
    index = index_of(a=["r"])
    with pytest.raises(TypeError):
        index.select(names)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(TypeError):
        index.join("a", names)  # type: ignore[arg-type]  # wrong on purpose
    assert index.rooms_of("a") == {"a", "r"}


def test_a_lone_surrogate_is_no_name() -> None:
    index = index_of(a=["r"])
    with pytest.raises(UnicodeEncodeError):
        index.join("a", ["\ud800"])


def test_names_may_be_any_other_text() -> None:
    index = Rooms[int]()
    names = ["", "\0", "é", "日本", "🎉", "a" * 10_000]
    for number, name in enumerate(names):
        index.add(name + "id", number)
        index.join(name + "id", [name])
    assert set(index.room_names()) == set(names)
    for number, name in enumerate(names):
        assert index.select([name]) == [number]


def test_rooms_takes_a_type_at_run_time() -> None:
    assert isinstance(Rooms[int](), Rooms)


def test_references_are_neutral() -> None:
    index = Rooms[Socket]()
    socket = Socket("a")
    before = sys.getrefcount(socket)
    index.add("a", socket)
    index.join("a", ["r"])
    for _ in range(100):
        index.select(["r", "a"])
        index.get("a")
        with pytest.raises(ValueError, match="there"):
            index.add("a", socket)
    assert sys.getrefcount(socket) == before + 1
    index.remove("a")
    assert sys.getrefcount(socket) == before


def test_a_cycle_through_the_index_is_collected() -> None:
    index = Rooms[Socket]()
    socket = Socket("a")
    socket.index = index
    index.add("a", socket)
    index.join("a", ["r"])
    seen = weakref.ref(socket)
    del index, socket
    gc.collect()
    assert seen() is None


def test_a_socket_released_by_remove_may_call_the_index() -> None:
    index = Rooms[Socket]()
    calls: list[object] = []

    class Returning(Socket):
        def __del__(self) -> None:
            calls.append(index.get("a"))
            index.add("b", Socket("b"))
            calls.append(len(index.select()))

    index.add("a", Returning("a"))
    index.join("a", ["r"])
    assert index.remove("a") == ["r"]
    assert calls == [None, 1]


def test_a_name_that_is_dropped_may_call_the_index() -> None:
    index = index_of(a=["r"])
    calls: list[int] = []

    class Name(str):
        __slots__ = ()

        def __del__(self) -> None:
            calls.append(index.members("r"))

    assert index.join("a", (Name(name) for name in ("r", "r"))) == []
    assert index.select(Name(name) for name in ("r",)) == ["A"]  # type: ignore[arg-type]  # any iterable will do
    assert calls == [1, 1, 1]


def test_an_iterable_of_names_may_call_the_index() -> None:
    index = index_of(a=["r"])

    def names() -> Iterator[str]:
        index.add("b", "B")
        yield "s"
        index.remove("a")

    assert index.join("a", names()) == [], "the socket was gone before it could join"
    assert index.rooms_of("b") == {"b"}
    assert index.room_names() == []


def test_a_collection_in_the_midst_of_calls_may_call_the_index() -> None:
    index = Rooms[Socket]()
    calls = 0

    class Cyclic:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            nonlocal calls
            calls += 1
            index.select(["r"])

    for number in range(50):
        index.add(str(number), Socket(str(number)))
        index.join(str(number), ["r"])
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            Cyclic()
            index.select(["r"])
            index.rooms_of("1")
            index.room_names()
            index.join("1", ["s"])
            index.leave("1", "s")
    finally:
        gc.set_threshold(*thresholds)
    assert calls > 100


def test_threads_may_share_an_index() -> None:
    index = Rooms[int]()
    errors: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for step in range(500):
                id = f"{thread}-{step}"
                index.add(id, step)
                index.join(id, ["r", f"own-{thread}"])
                index.select(["r"], except_=[id])
                if step % 2:
                    index.remove(id)
        except BaseException as error:  # noqa: BLE001  handed to the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(index) == index.members("r") == 1_000
    assert index.members("own-0") == 250

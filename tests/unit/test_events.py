import pytest

from roomcast.events import EventEmitter


@pytest.fixture
def emitter():
    return EventEmitter()


def fire(emitter, event, *args):
    return [listener(*args) for listener in emitter._take(event)]


def test_listeners_are_called_in_order(emitter):
    assert emitter.on("x", lambda: 1).on("x", lambda: 2) is emitter
    assert fire(emitter, "x") == [1, 2]
    assert fire(emitter, "y") == []


def test_decorators_give_the_function_back(emitter):
    def function():
        return 1

    assert emitter.on("x")(function) is function
    assert emitter.once("x")(function) is function
    assert emitter.listeners("x") == [function, function]
    assert fire(emitter, "x") == [1, 1]
    assert emitter.listeners("x") == [function]


def test_once_is_gone_before_its_call(emitter):
    seen = []
    assert emitter.once("x", lambda: seen.append(emitter.listeners("x"))) is emitter
    fire(emitter, "x")
    fire(emitter, "x")
    assert seen == [[]]


def test_off_removes_the_newest_of_several(emitter):
    calls = []
    first, second = lambda: calls.append(1), lambda: calls.append(2)
    emitter.on("x", first).on("x", second).once("x", first)
    assert emitter.off("x", first) is emitter
    fire(emitter, "x")
    assert calls == [1, 2]
    emitter.off("x", first)
    emitter.off("x", first)
    emitter.off("unknown", first)
    assert emitter.listeners("x") == [second]


def test_off_finds_a_bound_method_by_equality(emitter):
    class Owner:
        def method(self):
            pass

    owner = Owner()
    emitter.on("x", owner.method)
    emitter.off("x", owner.method)
    assert emitter.listeners("x") == []


def test_off_removes_all(emitter):
    emitter.on("x", print).on("x", repr).on("y", print)
    emitter.off("x")
    assert emitter.listeners("x") == []
    assert emitter.listeners("y") == [print]
    emitter.off()
    assert emitter.listeners("y") == []
    assert EventEmitter().off().listeners("x") == []


def test_change_while_firing_does_not_disturb(emitter):
    calls = []

    def first():
        calls.append("first")
        emitter.off("x", second)
        emitter.on("x", lambda: calls.append("third"))

    def second():
        calls.append("second")

    emitter.on("x", first).on("x", second)
    fire(emitter, "x")
    assert calls == ["first", "second"]
    calls.clear()
    emitter.off("x", first)
    fire(emitter, "x")
    assert calls == ["third"]


def test_new_listener_is_told_before_the_addition(emitter):
    seen = []
    emitter.on(
        "newListener",
        lambda event, listener: seen.append((event, listener, emitter.listeners(event))),
    )
    assert seen == []
    emitter.on("x", print)
    emitter.once("x", repr)
    assert seen == [("x", print, []), ("x", repr, [print])]


def test_remove_listener_is_told_after_the_removal(emitter):
    seen = []
    emitter.on(
        "removeListener",
        lambda event, listener: seen.append((event, listener, emitter.listeners(event))),
    )
    emitter.on("x", list).once("x", dict)
    fire(emitter, "x")
    emitter.off("x", list)
    assert seen == [("x", dict, [list]), ("x", list, [])]


def test_remove_listener_may_remove_the_rest(emitter):
    seen = []

    @emitter.on("removeListener")
    def removed(event, listener):
        seen.append(listener)
        emitter.off("x")

    emitter.on("x", print).on("x", repr)
    emitter.off("x")
    assert sorted(seen, key=repr) == sorted([print, repr], key=repr)


def test_listener_must_be_callable(emitter):
    with pytest.raises(TypeError, match="must be callable, not int"):
        emitter.on("x", 1)
    with pytest.raises(TypeError, match="must be callable"):
        emitter.once("x")(None)
    assert emitter.listeners("x") == []


def test_names_of_attributes_are_only_names(emitter):
    assert fire(emitter, "__init__") == []
    emitter.on("__class__", lambda: 1)
    assert fire(emitter, "__class__") == [1]

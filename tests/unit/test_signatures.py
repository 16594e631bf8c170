import operator
from functools import partial

import pytest

from roomcast import Namespace, Server
from roomcast.sockets.signatures import MANY, accepted, check_takes


class Callable:
    def method(self, one, two):
        pass

    @staticmethod
    def static(one):
        pass

    def __call__(self, one):
        pass


@pytest.mark.parametrize(
    ("handler", "count"),
    [
        (lambda: None, 0),
        (lambda one: None, 1),
        (lambda one, two, three, four: None, 3),
        (lambda *rest: None, 3),
        (lambda one, *rest: None, 3),
        (Callable().method, 2),
        (Callable.static, 1),
        (Callable(), 1),
        (operator.add, 2),
        (print, 3),  # takes any number
        (min, 3),  # has no signature
    ],
    ids=range(11),
)
def test_handler_gets_as_many_arguments_as_it_takes(handler, count):
    assert accepted(handler, (1, 2, 3)) == (1, 2, 3)[:count]


@pytest.mark.parametrize(
    ("function", "least", "most"),
    [
        (lambda: None, 0, 0),
        (lambda one: None, 1, 1),
        (lambda one, two=2: None, 1, 1),
        (lambda one, two=2: None, 2, 2),
        (lambda *rest: None, 3, 3),
        (lambda one, *rest: None, 1, MANY),
        (lambda one, *, key=1: None, 1, 1),
        (lambda one, **more: None, 1, 1),
        (Callable().method, 2, 2),
        (Callable.static, 1, 1),
        (Callable(), 1, 1),
        (partial(Callable().method, 1), 1, 1),
        (operator.add, 2, 2),
        (print, 3, 3),
        (min, 3, 3),
        ([].append, 1, 1),
    ],
    ids=range(16),
)
def test_function_that_takes_its_arguments_is_let_through(function, least, most):
    check_takes(function, least, most, "a handler")


@pytest.mark.parametrize(
    ("function", "least", "most", "text"),
    [
        (lambda: None, 1, 1, "gets one argument, but .* takes 0"),
        (lambda one, two: None, 1, 1, "gets one argument, but .* needs 2"),
        (lambda one, two, three, *rest: None, 2, 2, "gets 2 arguments, but .* needs 3"),
        (lambda one, *, key: None, 1, 1, "needs keywords"),
        (Callable().method, 1, 1, "needs 2"),
        (Callable.static, 2, 2, "takes 1"),
        (Callable(), 2, MANY, "takes 1"),
        (partial(print, flush=True), 1, 1, None),
        (partial(Callable().method, 1, 2), 1, 1, "takes 0"),
        (operator.add, 1, 1, "needs 2"),
        (None, 0, MANY, "must be callable, not NoneType"),
    ],
    ids=range(11),
)
def test_function_that_cannot_take_its_arguments_is_refused(function, least, most, text):
    if text is None:
        check_takes(function, least, most, "a handler")
        return
    with pytest.raises(TypeError, match=text):
        check_takes(function, least, most, "a handler")


def nothing():
    pass


def four(one, two, three, four):
    pass


@pytest.mark.parametrize(
    "register",
    [
        lambda io: io.on("connection", nothing),
        lambda io: io.on("connect", four),
        lambda io: io.on("new_namespace", nothing),
        lambda io: io.event("connection")(nothing),
        lambda io: io.event("chat message")(nothing),
        lambda io: io.event(nothing),
        lambda io: io.event("disconnect")(four),
        lambda io: io.use(nothing),
        lambda io: io.on_error(nothing),
        lambda io: io.of("/x").on_error(nothing),
        lambda io: io.of(nothing),
        lambda io: io.of(1),
        lambda io: io.of("/x", type("Chat", (Namespace,), {"on_message": lambda self: None})),
    ],
    ids=range(13),
)
def test_wrong_function_is_an_error_where_it_is_registered(register):
    with pytest.raises(TypeError):
        register(Server())


def test_function_with_fewer_parameters_than_an_event_of_the_library_is_let_through():
    io = Server()
    io.event("disconnect")(nothing)
    io.event("disconnecting")(lambda socket, reason: None)

import pytest

from roomcast import Limits, Server


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("pingInterval", "did you mean 'ping_interval'?"),
        ("ping_intervall", "did you mean 'ping_interval'?"),
        ("pingTimeout", "did you mean 'ping_timeout'?"),
        ("maxHttpBufferSize", "did you mean 'max_http_buffer_size'?"),
        ("pathh", "did you mean 'path'?"),
        ("max_depth", "limits=Limits(max_depth=...)"),
        ("maxAttachments", "limits=Limits(max_attachments=...)"),
    ],
)
def test_unknown_option_names_the_nearest_right_one(given, hint):
    with pytest.raises(TypeError) as caught:
        Server(**{given: 1})
    assert repr(given) in str(caught.value)
    assert hint in str(caught.value)


def test_unknown_option_without_a_neighbour():
    with pytest.raises(TypeError, match=r"^unknown option 'zzz'$"):
        Server(zzz=1)


def test_defaults_are_the_references():
    options = Server().options
    assert options.path == "/socket.io"
    assert (options.ping_interval, options.ping_timeout, options.connect_timeout) == (25, 20, 45)
    assert options.limits == Limits()
    assert options.default is None


def test_option_of_a_limit_sets_the_same_field():
    assert Server(max_http_buffer_size=5).options.limits.max_http_buffer_size == 5
    limits = Limits(max_http_buffer_size=5, max_depth=7)
    assert Server(limits=limits).options.limits == limits
    assert Server(limits=limits, max_http_buffer_size=5).options.limits == limits
    both = Server(limits=Limits(max_depth=7), max_http_buffer_size=5).options.limits
    assert both == limits


def test_contradicting_options_are_refused():
    with pytest.raises(ValueError, match="is 6 as an option, but 5 in limits"):
        Server(limits=Limits(max_http_buffer_size=5), max_http_buffer_size=6)


@pytest.mark.parametrize("name", ["ping_interval", "ping_timeout", "connect_timeout"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (25_000_000, ValueError),
        ("25", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_times_are_seconds_within_reason(name, value, error):
    with pytest.raises(error, match=name):
        Server(**{name: value})


@pytest.mark.parametrize("path", ["", "socket.io", "/a b", "/a\r\nx", "/\0", "/é"])
def test_path_is_plain_and_absolute(path):
    with pytest.raises(ValueError, match="path"):
        Server(path=path)


def test_path_may_end_with_a_slash():
    assert Server(path="/x/").engine.path == Server(path="/x").engine.path == "/x/"
    assert Server(path="/").engine.path == "/"


def test_wrong_types_are_refused():
    with pytest.raises(TypeError, match="default must be callable"):
        Server(default=1)
    with pytest.raises(TypeError, match="limits must be Limits"):
        Server(limits={"max_depth": 1})
    with pytest.raises(TypeError, match="max_http_buffer_size"):
        Server(max_http_buffer_size="1")


def test_namespace_gets_its_slash():
    io = Server()
    assert io.of("a") is io.of("/a")
    assert io.of("/") is io
    assert repr(io.of("a")) == "<Namespace '/a'>"
    assert repr(io) == "<Server '/'>"


def test_handlers_must_be_callable():
    io = Server()
    with pytest.raises(TypeError, match="handler must be callable"):
        io.event("x")(None)

from dataclasses import fields

import pytest

from roomcast import Limits, Server
from roomcast.server.options import Options, ServerOptions


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
    with pytest.raises(TypeError, match="a handler of x must be callable"):
        io.event("x")(None)


@pytest.mark.parametrize(
    ("option", "value", "error", "text"),
    [
        ("transports", ["polling", "webtransport"], ValueError, "webtransport"),
        ("transports", ["ws"], ValueError, "'ws' is none of polling, websocket"),
        ("transports", [], ValueError, "at least one"),
        ("transports", ["polling", "polling"], ValueError, "each once"),
        ("transports", "polling", TypeError, "sequence of names"),
        ("allow_upgrades", 1, TypeError, "allow_upgrades must be True or False"),
        ("add_trailing_slash", "no", TypeError, "add_trailing_slash must be True or False"),
        ("http_compression", -1, ValueError, "zero or more"),
        ("http_compression", "yes", TypeError, "http_compression must be"),
        ("http_compression", {"treshold": 1}, TypeError, "one key, 'threshold'"),
        ("allow_request", True, TypeError, "allow_request must be callable"),
        ("generate_id", "x", TypeError, "generate_id must be callable"),
        ("default", 1, TypeError, "default must be callable"),
        ("path", 1, TypeError, "path must be a str"),
        ("limits", {}, TypeError, "limits must be Limits"),
        ("cors", {"origins": "*", "credentials": True}, ValueError, "credentials"),
        ("cors", "example.com", ValueError, "example.com"),
        ("cors", {"origins": "*", "allowedHeaders": ["x"]}, TypeError, "allowed_headers"),
        ("cookie", {"name": "a;b"}, ValueError, "name"),
        ("cookie", "a\r\nb", ValueError, "name"),
        ("cookie", {"httpOnly": True}, TypeError, "http_only"),
        ("trusted_proxies", ["*"], ValueError, "0.0.0.0/0"),
        ("trusted_proxies", ["localhost"], ValueError, "localhost"),
    ],
)
def test_value_that_makes_no_sense_is_refused_at_construction(option, value, error, text):
    with pytest.raises(error) as caught:
        Server(**{option: value})
    assert text in str(caught.value)


def test_options_are_named_once_for_checkers_and_once_for_the_program():
    assert set(ServerOptions.__annotations__) == {field.name for field in fields(Options)} | {
        "max_http_buffer_size"
    }


def test_defaults_of_the_engine_are_the_references():
    options = Server().options
    assert options.transports == ("polling", "websocket")
    assert options.upgrades == ("websocket",)
    assert options.upgrade_timeout == 10
    assert options.compression_threshold == 1024
    assert options.cookie is None
    assert options.prefix == "/socket.io/"
    assert Server(http_compression=False).options.compression_threshold is None
    assert Server(http_compression=7).options.compression_threshold == 7
    assert Server(trusted_proxies=[]).options.trusted_proxies is None

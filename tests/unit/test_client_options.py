from math import inf, nan

import pytest

from roomcast.client import Manager, connect

URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"reconection": True}, TypeError, "reconnection"),
        ({"reconnection_delay": "1"}, TypeError, "reconnection_delay"),
        ({"reconnection_delay": -1}, ValueError, "reconnection_delay"),
        ({"reconnection_delay_max": inf}, ValueError, "reconnection_delay_max"),
        ({"randomization_factor": 1.1}, ValueError, "randomization_factor"),
        ({"randomization_factor": nan}, ValueError, "randomization_factor"),
        ({"reconnection_attempts": -1}, ValueError, "reconnection_attempts"),
        ({"reconnection_attempts": nan}, ValueError, "reconnection_attempts"),
        ({"reconnection_attempts": True}, TypeError, "reconnection_attempts"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"request_timeout": "x"}, TypeError, "request_timeout"),
        ({"transports": []}, ValueError, "transports"),
        ({"transports": ["websocket", "websocket"]}, ValueError, "transports"),
        ({"transports": ["pigeon"]}, ValueError, "transports"),
        ({"transports": "webtransport"}, ValueError, "transports"),
        ({"path": "socket.io"}, ValueError, "path"),
        ({"timestamp_param": ""}, ValueError, "timestamp_param"),
        ({"extra_headers": {"X": 1}}, TypeError, "extra_headers"),
        ({"extra_headers": {"X Y": "1"}}, ValueError, "extra_headers"),
        ({"extra_headers": {"X": "a\r\nB: c"}}, ValueError, "line break"),
        ({"extra_headers": {"X": "a\nB: c"}}, ValueError, "line break"),
        ({"extra_headers": {"Host": "h"}}, ValueError, "transport"),
        ({"extra_headers": {"Sec-WebSocket-Key": "h"}}, ValueError, "transport"),
        ({"transport_options": {"pigeon": {}}}, ValueError, "pigeon"),
        ({"transport_options": {"polling": {"quary": {}}}}, TypeError, "quer"),
        ({"protocols": ["a b"]}, ValueError, "protocols"),
        ({"proxy": "socks5://h:1"}, ValueError, "proxy"),
        ({"proxy": "http://"}, ValueError, "proxy"),
        ({"send_buffer_policy": "drop"}, ValueError, "send_buffer_policy"),
        ({"send_buffer_packets": -1}, ValueError, "send_buffer_packets"),
        ({"retries": -1}, ValueError, "retries"),
        ({"retries": 1.5}, TypeError, "retries"),
        ({"retries": True}, TypeError, "retries"),
        ({"ack_timeout": -1}, ValueError, "timeout"),
        ({"ack_timeout": "1"}, TypeError, "timeout"),
        ({"auth": "token"}, TypeError, "auth"),
    ],
)
def test_option_that_cannot_be_meant_raises_at_the_call(options, error, words):
    with pytest.raises(error, match=words):
        connect(URL, **options)


@pytest.mark.parametrize(
    ("attempts", "count"), [(0, inf), (inf, inf), (3, 3), (1_000_000, 1_000_000)]
)
def test_no_attempts_are_endless_ones(attempts, count):
    assert Manager(URL, reconnection_attempts=attempts).options.attempts == count


def test_defaults_are_those_of_the_reference():
    options = Manager(URL).options
    assert (options.path, options.order) == ("/socket.io", ("polling", "websocket"))
    assert options.attempts == inf
    assert (options.reconnection_delay, options.reconnection_delay_max) == (1, 5)
    assert (options.randomization_factor, options.timeout) == (0.5, 20)
    assert (options.upgrade, options.try_all_transports, options.remember_upgrade) == (
        True,
        False,
        False,
    )


def test_manager_has_no_namespace():
    with pytest.raises(ValueError, match="namespace /chat"):
        Manager(f"{URL}/chat")


def test_options_of_a_transport_take_the_place_of_the_general_ones():
    options = Manager(
        URL, query={"a": 1}, transport_options={"websocket": {"query": {"b": 2}}}
    ).options
    assert options.of("polling", "query") == {"a": 1}
    assert options.of("websocket", "query") == {"b": 2}

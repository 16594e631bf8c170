"""The option ``connection_state_recovery``."""

import pytest

from roomcast import ConnectionStateRecovery, Server
from roomcast.server.recoverable import SessionAwareAdapter


@pytest.mark.parametrize("value", [None, False])
def test_it_is_off(value):
    for io in (Server(), Server(connection_state_recovery=value)):
        assert io.options.connection_state_recovery is None
        assert io.sessions is None
        assert not io.adapter.recovers


@pytest.mark.parametrize("value", [True, {}, ConnectionStateRecovery()])
def test_it_is_on_with_the_defaults_of_the_reference(value):
    io = Server(connection_state_recovery=value)
    options = io.options.connection_state_recovery
    assert options == ConnectionStateRecovery(
        max_disconnection_duration=120.0, skip_middlewares=True
    )
    assert isinstance(io.adapter, SessionAwareAdapter)
    assert isinstance(io.of("/x").adapter, SessionAwareAdapter)


def test_fields():
    given = {"max_disconnection_duration": 5, "skip_middlewares": False, "max_packets": 1}
    options = Server(connection_state_recovery=given).options.connection_state_recovery
    assert options == ConnectionStateRecovery(**given)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("maxDisconnectionDuration", "did you mean 'max_disconnection_duration'?"),
        ("skipMiddlewares", "did you mean 'skip_middlewares'?"),
        ("max_session", "did you mean 'max_sessions'?"),
        ("zzz", "unknown key 'zzz'"),
    ],
)
def test_unknown_keys_are_told_the_right_one(key, hint):
    with pytest.raises(TypeError) as caught:
        Server(connection_state_recovery={key: 1})
    assert "connection_state_recovery" in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (1, TypeError),
        ("yes", TypeError),
        ({"max_disconnection_duration": 0}, ValueError),
        ({"max_disconnection_duration": float("inf")}, ValueError),
        ({"max_disconnection_duration": "5"}, TypeError),
        ({"skip_middlewares": 1}, TypeError),
        ({"max_packets": -1}, ValueError),
        ({"max_bytes": 1.5}, TypeError),
        ({"max_sessions": True}, TypeError),
    ],
)
def test_values_are_checked(value, error):
    with pytest.raises(error, match=r"connection_state_recovery|max_disconnection_duration"):
        Server(connection_state_recovery=value)


def test_the_misspelt_option_is_told_too():
    with pytest.raises(TypeError, match="did you mean 'connection_state_recovery'"):
        Server(connectionStateRecovery={})

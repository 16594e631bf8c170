"""The state table of an Engine.IO connection, without a loop, a clock or a line."""

import json
from math import inf

import pytest

from roomcast.engine.connection import Connection, ConnectionState, Settings
from roomcast.engine.requests import Request


class Line:
    """Plays transport, outbox, owner and receiver, and writes down what happens."""

    name = "websocket"
    congested = False

    def __init__(self):
        self.log = []
        self.sent = []
        self.counted = []
        self.slow_clients = []

    def close(self, *, discard=None):
        self.log.append("outbox closed" if discard is None else f"line closed, {discard=}")

    def carry(self, other):
        pass

    def on_close_packet(self):
        return self.name == "polling"

    def call(self, listener, args):
        listener(*args)

    def push_text(self, text):
        self.sent.append(text)

    def count(self, name):
        self.counted.append(name)

    def schedule(self, connection):
        self.log.append(("scheduled", connection.deadline))

    def forget(self, connection):
        self.log.append("forgotten")

    def slow(self, connection, dropped):
        self.slow_clients.append((connection, dropped))

    def on_message(self, data):
        self.log.append(data)

    def on_close(self, reason, details):
        self.log.append((reason, details))


REQUEST = Request(
    method="GET", path="/", query_string=b"", headers=(), address="127.0.0.1", secure=False
)


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def connection(line):
    made = Connection(
        "sid",
        REQUEST,
        transport=line,
        outbox=line,
        settings=Settings(25.0, 20.0, 10.0, 1000, ("websocket",)),
        owner=line,
    )
    assert made.state is ConnectionState.OPENING
    made.open(line, 100.0)
    assert made.state is ConnectionState.OPEN
    assert line.log == [("scheduled", 125.0)]
    line.log.clear()
    return made


def test_open_packet(connection, line):
    (packet,) = line.sent
    assert packet == (
        '0{"sid":"sid","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}'
    )
    assert json.loads(packet[1:])["sid"] == connection.id
    assert connection.protocol == 4
    assert connection.close_reason is None


def test_messages_are_handed_on(connection, line):
    connection.receive_text("4hello", 101.0)
    connection.receive_binary(b"x", 101.0)
    connection.receive_text("bAQI=", 101.0)
    connection.receive_text("bAQI", 101.0)  # padding may be missing, as in the reference
    connection.receive_text("b@@@@", 101.0)
    connection.receive_text("bA", 101.0)
    connection.receive_text("bé", 101.0)
    assert line.log == ["4hello", b"x", b"\x01\x02", b"\x01\x02", b"", b"", b""]
    assert connection.deadline == 125.0


def test_ping_and_pong(connection, line):
    connection.on_deadline(125.0)
    assert line.sent[1:] == ["2"]
    assert connection.deadline == 145.0
    connection.receive_text("3", 126.0)
    assert connection.deadline == 151.0
    assert line.log == [("scheduled", 151.0)]


def test_missing_pong(connection, line):
    connection.on_deadline(125.0)
    connection.on_deadline(145.0)
    assert line.log == [
        "forgotten",
        "outbox closed",
        ("ping timeout", None),
        "line closed, discard=True",
    ]
    assert connection.state is ConnectionState.CLOSED
    assert connection.close_reason == "ping timeout"
    assert connection.deadline == inf


@pytest.mark.parametrize("first", ["4x", "6", "bAQ==", b"x"])
def test_first_other_packet_extends_the_wait_once_per_ping(connection, first):
    def receive(data, now):
        if isinstance(data, str):
            connection.receive_text(data, now)
        else:
            connection.receive_binary(data, now)

    receive(first, 110.0)  # not waiting: nothing to extend
    assert connection.deadline == 125.0
    connection.on_deadline(125.0)
    receive(first, 140.0)
    assert connection.deadline == 160.0
    receive(first, 150.0)
    assert connection.deadline == 160.0
    connection.receive_text("3", 155.0)
    connection.on_deadline(180.0)
    receive(first, 190.0)
    assert connection.deadline == 210.0


@pytest.mark.parametrize(
    ("packet", "reason", "details"),
    [
        ("2", "transport error", "invalid heartbeat direction"),
        ("", "parse error", "not an Engine.IO packet"),
        ("7", "parse error", "not an Engine.IO packet"),
        ("é", "parse error", "not an Engine.IO packet"),
    ],
)
def test_packets_that_may_not_be(connection, line, packet, reason, details):
    connection.receive_text(packet, 101.0)
    assert (reason, details) in line.log
    assert connection.state is ConnectionState.CLOSED


@pytest.mark.parametrize("packet", ["0", "1", "5", "6"])
def test_packets_without_a_meaning(connection, line, packet):
    connection.receive_text(packet, 101.0)
    assert line.log == []
    assert connection.state is ConnectionState.OPEN


@pytest.mark.parametrize("end", ["close", "lost", "overflow"])
def test_the_end_comes_once_and_nothing_after_it(connection, line, end):
    if end == "close":
        connection.close("server shutting down")
        expected = ("server shutting down", None), "line closed, discard=False"
    elif end == "lost":
        connection.lost("transport close", "close code 1005")
        expected = ("transport close", "close code 1005"), "line closed, discard=True"
    else:
        connection.on_overflow()
        assert line.slow_clients == [(connection, 0)]
        expected = ("forced close", "slow client"), "line closed, discard=True"
    assert line.log == ["forgotten", "outbox closed", *expected]
    connection.close()
    connection.lost("transport close")
    connection.receive_text("4x", 101.0)
    connection.receive_binary(b"x", 101.0)
    connection.on_deadline(101.0)
    assert len(line.log) == 4


def test_close_packet_ends_a_connection_on_polling(connection, line):
    line.name = "polling"
    connection.receive_text("1", 101.0)
    assert ("transport close", "closed by the client") in line.log


def test_events_of_a_connection(connection):
    heard = []
    connection.on("heartbeat", lambda: heard.append("heartbeat"))
    connection.on("close", lambda *args: heard.append(args))
    connection.receive_text("3", 101.0)
    connection.close("forced close", "why")
    assert heard == ["heartbeat", ("forced close", "why")]


def test_end_before_the_opening_tells_nobody_above(line):
    connection = Connection(
        "sid",
        REQUEST,
        transport=line,
        outbox=line,
        settings=Settings(1, 1, 1, 1, ()),
        owner=line,
    )
    connection.lost("transport close")
    assert line.log == ["forgotten", "outbox closed", "line closed, discard=True"]


def test_line_is_closed_even_if_the_layer_above_fails(connection, line):
    def fail(reason, details):
        raise KeyboardInterrupt

    line.on_close = fail
    with pytest.raises(KeyboardInterrupt):
        connection.close()
    assert line.log[-1] == "line closed, discard=False"

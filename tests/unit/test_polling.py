"""The tables of polling and of the upgrade from it, without a loop, a clock or a line."""

from math import inf

import pytest

from roomcast._core import Encoder, Outbox
from roomcast.engine.connection import Connection, ConnectionState, Settings
from roomcast.engine.outbox import new_flusher
from roomcast.engine.polling import LINGER, Polling
from roomcast.engine.requests import Request
from roomcast.engine.upgrade import Probe
from roomcast.types import Limits


class Loop:
    """Calls at once, so that every packet is flushed when it is pushed; or never, as in the middle of an iteration."""

    stands = False

    def call_soon(self, callback):
        if not self.stands:
            callback()

    def create_future(self):
        raise AssertionError("nobody waits here")


class World:
    """Plays the server and the layer above, and writes down what happens."""

    def __init__(self):
        self.log = []
        self.counted = []
        self.loop = Loop()
        self.time = 100.0
        self.scheduled = set()

    def now(self):
        return self.time

    def schedule(self, item):
        self.scheduled.add(item)

    def unschedule(self, item):
        self.scheduled.discard(item)

    def forget(self, connection):
        self.scheduled.discard(connection)

    def linger(self, connection):
        self.log.append("lingers")

    def ended(self, connection):
        self.log.append("ended")

    def call(self, listener, args):
        listener(*args)

    def count(self, name):
        self.counted.append(name)

    def slow(self, connection, dropped):
        self.counted.append("send_buffer_size")

    def on_message(self, data):
        self.log.append(data)

    def on_close(self, reason, details):
        self.log.append((reason, details))


class Ask:
    """A GET or a POST."""

    def __init__(self):
        self.answered = None

    def answer(self, payload, *, compress=True):
        assert self.answered is None
        self.answered = payload

    def refuse(self):
        assert self.answered is None
        self.answered = "refused"


class Line:
    """A WebSocket."""

    name = "websocket"

    def __init__(self):
        self.sent = []
        self.carries = None
        self.ended = None

    def send_text(self, text):
        self.sent.append(text)

    def end(self):
        self.ended = "by the probe"

    def carry(self, connection):
        self.carries = connection
        self.flush()

    def flush(self):
        if self.carries is not None:
            while (first := self.carries.outbox.pop()) is not None:
                packet, _ = first
                self.sent.append(packet if isinstance(packet, str) else packet.text)

    def close(self, *, discard):
        self.ended = f"{discard=}"


SETTINGS = Settings(25.0, 20.0, 10.0, 100, ("websocket",))


@pytest.fixture
def world():
    return World()


@pytest.fixture
def connection(world):
    outbox = Outbox(new_flusher(world.loop, Limits()))
    request = Request(
        method="GET",
        path="/",
        query_string=b"transport=polling",
        headers=(),
        address="",
        secure=False,
    )
    made = Connection(
        "sid", request, transport=Polling(outbox), outbox=outbox, settings=SETTINGS, owner=world
    )
    made.open(world, world.time)
    assert outbox.take_payload(1000)[0].startswith(b'0{"sid":"sid","upgrades":["websocket"]')
    return made


def get(connection):
    ask = Ask()
    connection.transport.on_poll(ask)
    return ask


def push(connection, *texts):
    for text in texts:
        connection.outbox.push(Encoder().encode_event("/", text, ()))


def test_get_waits_for_a_packet(connection):
    ask = get(connection)
    assert ask.answered is None
    push(connection, "a")
    assert ask.answered == b'42["a"]'
    push(connection, "b", "c")
    assert get(connection).answered == b'42["b"]\x1e42["c"]'
    assert get(connection).answered is None


def test_ping_is_a_packet_like_others(connection):
    ask = get(connection)
    connection.on_deadline(125.0)
    assert ask.answered == b"2"


def test_answer_stays_within_the_limit_and_cuts_between_messages(connection):
    connection.outbox.push(Encoder().encode_event("/", "x", (b"a" * 30, b"b" * 30, b"c" * 90)))
    push(connection, "next")
    payloads = [get(connection).answered for _ in range(4)]
    assert payloads[0].startswith(b'452-["x"') or payloads[0].startswith(b'453-["x"')
    messages = b"\x1e".join(payloads).split(b"\x1e")
    assert [message[:2] for message in messages] == [b"45", b"bY", b"bY", b"bY", b"42"]
    assert all(len(p) <= 100 or b"\x1e" not in p for p in payloads)
    assert connection.outbox.size == 0


def test_second_get_ends_the_connection_and_both_are_answered(connection, world):
    first, second = get(connection), get(connection)
    assert first.answered == b"1"
    assert second.answered == "refused"
    assert world.log == [("transport error", "overlap from client"), "ended"]


def test_get_that_is_lost_ends_the_connection(connection, world):
    polling, ask = connection.transport, get(connection)
    polling.on_poll_gone(Ask())  # another one: nothing
    polling.on_poll_gone(ask)
    assert world.log == [("transport error", "poll connection closed prematurely"), "ended"]
    polling.on_poll_gone(ask)
    assert get(connection).answered == "refused"


def test_post_hands_its_packets_on(connection, world):
    post = Ask()
    assert connection.transport.on_post(post)
    assert connection.transport.on_post_body(post, ["4a", b"\x01", "3"], 101.0)
    assert world.log == ["4a", b"\x01"]
    assert post.answered is None


def test_post_may_hand_its_packets_on_in_parts(connection, world):
    polling, post = connection.transport, Ask()
    polling.on_post(post)
    assert polling.on_post_body(post, ["4a"], 101.0, more=True)
    assert polling.on_post_body(post, ["4b"], 101.0)
    assert world.log == ["4a", "4b"]
    assert polling.on_post(Ask())


def test_second_post_between_the_parts_of_one_is_an_overlap(connection, world):
    polling, post = connection.transport, Ask()
    polling.on_post(post)
    polling.on_post_body(post, ["4a"], 101.0, more=True)
    assert not polling.on_post(Ask())
    assert not polling.on_post_body(post, ["4b"], 101.0)
    assert post.answered == "refused"
    assert world.log == ["4a", ("transport error", "overlap from client"), "ended"]


def test_part_that_ends_the_connection_is_the_last(connection, world):
    polling, post = connection.transport, Ask()
    polling.on_post(post)
    assert polling.on_post_body(post, ["4a", "x", "4b"], 101.0, more=True)
    assert not polling.on_post_body(post, ["4c"], 101.0)
    assert post.answered is None  # and its answer is ok
    assert world.log == ["4a", ("parse error", "not an Engine.IO packet"), "ended"]


def test_packets_behind_a_bad_one_are_dropped(connection, world):
    post = Ask()
    connection.transport.on_post(post)
    assert connection.transport.on_post_body(
        post, ["4a", "", "4b"], 101.0
    )  # the answer is ok all the same
    assert world.log == ["4a", ("parse error", "not an Engine.IO packet"), "ended"]


def test_second_post_ends_the_connection_and_both_are_refused(connection, world):
    polling, ask, first = connection.transport, get(connection), Ask()
    assert polling.on_post(first)
    assert not polling.on_post(Ask())
    assert first.answered == "refused"
    assert ask.answered == b"1"
    assert not polling.on_post_body(first, ["4a"], 101.0)
    assert world.log == [("transport error", "overlap from client"), "ended"]


def test_post_that_is_lost_ends_the_connection(connection, world):
    post = Ask()
    connection.transport.on_post(post)
    connection.transport.on_post_gone(Ask())
    connection.transport.on_post_gone(post)
    assert world.log == [
        ("transport error", "data request connection closed prematurely"),
        "ended",
    ]


def test_post_that_is_too_large_changes_nothing(connection, world):
    post = Ask()
    connection.transport.on_post(post)
    connection.transport.on_post_too_large(post)
    assert world.log == []
    assert connection.transport.on_post(Ask())


def test_post_of_binary_content_ends_the_connection(connection, world):
    connection.transport.on_post_content()
    assert world.log == [("transport error", "invalid content"), "ended"]


def test_close_packet_of_the_client(connection, world):
    ask, post = get(connection), Ask()
    connection.transport.on_post(post)
    assert connection.transport.on_post_body(post, ["1", "4late"], 101.0)
    assert ask.answered == b"6"
    assert world.log == [("transport close", "closed by the client"), "ended"]


def test_close_with_a_get_waiting(connection, world):
    ask = get(connection)
    connection.close()
    assert ask.answered == b"1"
    assert world.log == [("forced close", None), "ended"]


def test_close_without_a_get_waits_for_one(connection, world):
    polling = connection.transport
    connection.close()
    assert world.log == [("forced close", None), "lingers"]
    assert polling.deadline == world.time + LINGER
    assert polling in world.scheduled
    assert get(connection).answered == b"6\x1e1"
    assert world.log[2:] == ["ended"]
    assert world.scheduled == set()


def test_close_with_packets_left(connection, world):
    push(connection, "a", "b")
    connection.close()
    post = Ask()
    assert connection.transport.on_post(post)
    assert connection.transport.on_post_body(post, ["4ignored"], 101.0)
    assert get(connection).answered == b'42["a"]\x1e42["b"]'
    assert get(connection).answered == b"6\x1e1"
    assert world.log == [("forced close", None), "lingers", "ended"]


def test_close_with_packets_of_the_same_moment(connection, world):
    ask = get(connection)
    world.loop.stands = True
    push(connection, "a")
    connection.close()
    assert ask.answered == b'42["a"]'
    assert get(connection).answered == b"6\x1e1"


def test_close_with_more_than_one_answer_takes(connection, world):
    ask = get(connection)
    world.loop.stands = True
    push(connection, "a" * 90, "b")
    connection.close()
    assert ask.answered == b'42["' + b"a" * 90 + b'"]'
    assert get(connection).answered == b'42["b"]'
    assert get(connection).answered == b"6\x1e1"


def test_nobody_comes_for_the_last_packets(connection, world):
    push(connection, "a")
    connection.close()
    connection.transport.on_deadline(130.0)
    assert world.log == [("forced close", None), "lingers", "ended"]
    assert connection.outbox.empty
    assert get(connection).answered == "refused"


@pytest.mark.parametrize("end", ["ping timeout", "overflow", "lost"])
def test_end_without_farewell(connection, world, end):
    push(connection, "a")
    if end == "ping timeout":
        connection.on_deadline(125.0)
        connection.on_deadline(145.0)
    elif end == "overflow":
        connection.on_overflow()
    else:
        connection.lost("transport close")
    assert world.log[-1] == "ended"
    assert get(connection).answered == "refused"


def probe(connection, world):
    line = Line()
    return Probe(connection, connection.transport, line, line, world.time), line


def test_upgrade(connection, world):
    heard = []
    connection.on("upgrading", lambda transport: heard.append(("upgrading", transport.name)))
    connection.on("upgrade", lambda transport: heard.append(("upgrade", transport.name)))
    attempt, line = probe(connection, world)
    assert connection.probe is attempt
    waiting = get(connection)
    attempt.receive_text("2probe", 101.0)
    assert line.sent == ["3probe"]
    assert waiting.answered == b"6"
    push(connection, "between")
    later = get(connection)
    assert later.answered == b'42["between"]'
    held = get(connection)
    attempt.on_deadline(attempt.deadline)
    assert held.answered == b"6"
    push(connection, "after")
    attempt.receive_text("5", 102.0)
    assert line.sent == ["3probe", '42["after"]']
    assert connection.transport is line
    assert line.carries is connection
    assert connection.upgraded
    assert connection.probe is None
    assert heard == [("upgrading", "websocket"), ("upgrade", "websocket")]
    assert world.log == ["ended"]  # polling
    assert connection.deadline == 102.0 + 25.0
    push(connection, "more")
    assert line.sent[-1] == '42["more"]'


def test_first_get_after_the_probe_is_answered_at_once_and_others_in_their_turn(connection, world):
    attempt, _ = probe(connection, world)
    attempt.receive_text("2probe", 101.0)
    push(connection, "a")
    assert get(connection).answered == b'42["a"]'
    assert get(connection).answered == b"6"
    held = get(connection)
    assert held.answered is None
    attempt.on_deadline(attempt.deadline)
    assert held.answered == b"6"
    assert get(connection).answered is None


def test_upgrade_without_a_probe_answers_what_waits(connection, world):
    attempt, line = probe(connection, world)
    ask, post = get(connection), Ask()
    polling = connection.transport
    polling.on_post(post)
    attempt.receive_text("5", 101.0)
    assert ask.answered == b"1"
    assert post.answered == "refused"
    assert not polling.on_post_body(post, ["4late"], 102.0)
    assert connection.state is ConnectionState.OPEN
    assert line.ended is None


@pytest.mark.parametrize("first", ["", "2", "3probe", "4x", "2prob", "bAQ==", "x", b"2probe"])
def test_wrong_packets_end_the_attempt_only(connection, world, first):
    attempt, line = probe(connection, world)
    if isinstance(first, str):
        attempt.receive_text(first, 101.0)
    else:
        attempt.receive_binary(first, 101.0)
    assert line.ended == "by the probe"
    assert connection.probe is None
    assert connection.state is ConnectionState.OPEN
    assert world.log == []
    attempt.receive_text("5", 101.0)  # too late
    assert isinstance(connection.transport, Polling)
    again, _ = probe(connection, world)
    again.receive_text("5", 102.0)
    assert connection.upgraded


@pytest.mark.parametrize("probed", [True, False])
def test_upgrade_that_hangs_is_given_up(connection, world, probed):
    attempt, line = probe(connection, world)
    if probed:
        attempt.receive_text("2probe", 101.0)
    while attempt.deadline < inf:
        assert attempt.deadline <= 110.0
        attempt.on_deadline(attempt.deadline)
    assert line.ended == "by the probe"
    assert connection.state is ConnectionState.OPEN


def test_lost_line_of_an_attempt_does_not_touch_the_connection(connection, world):
    attempt, _ = probe(connection, world)
    attempt.lost("transport close")
    assert connection.state is ConnectionState.OPEN
    assert connection.probe is None


def test_connection_closed_during_the_upgrade_sends_its_rest_over_the_new_line(connection, world):
    attempt, line = probe(connection, world)
    attempt.receive_text("2probe", 101.0)
    push(connection, "last")
    connection.close()
    assert line.ended is None
    attempt.receive_text("5", 102.0)
    assert line.sent == ["3probe", '42["last"]']
    assert line.ended == "discard=False"
    assert world.log == [("forced close", None), "lingers", "ended"]


@pytest.mark.parametrize("waiting", [True, False])
def test_connection_that_ends_during_the_upgrade_ends_the_attempt(connection, world, waiting):
    attempt, line = probe(connection, world)
    ask = get(connection) if waiting else None
    connection.lost("transport close")
    assert line.ended == "by the probe"
    assert ask is None or ask.answered == b"1"
    attempt.receive_text("5", 102.0)
    assert line.carries is None


def test_half_a_packet_goes_on_over_the_new_line(connection, world):
    connection.outbox.push(Encoder().encode_event("/", "x", (b"a" * 60, b"b")))
    assert get(connection).answered.startswith(b'452-["x"')
    assert not connection.outbox.empty

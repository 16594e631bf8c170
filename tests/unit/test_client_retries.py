import pytest

from roomcast.client.retries import RetryQueue
from roomcast.codec import Encoder
from roomcast.errors import AckTimeoutError, DisconnectedError


class Line:
    """What a queue sends with."""

    def __init__(self, retries):
        self.connected = True
        self.sent = []
        self.results = []
        self.queue = RetryQueue(retries, lambda: self.connected, self.send)
        self.count = 0

    def send(self, id, packet, timeout, done):
        self.sent.append(id)
        self.done = done

    def push(self):
        id = self.count
        self.count += 1
        packet = Encoder().encode_event("/", "x", (), id)
        self.queue.push(
            id, packet, lambda error, args: self.results.append((id, error and type(error))), None
        )

    def late(self):
        self.done(AckTimeoutError(), ())

    def answered(self):
        self.done(None, ())


def test_one_at_a_time():
    line = Line(1)
    line.push()
    line.push()
    assert (line.sent, len(line.queue)) == ([0], 2)
    line.answered()
    assert (line.sent, line.results) == ([0, 1], [(0, None)])
    line.answered()
    assert (len(line.queue), line.queue.size) == (0, 0)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_tries_are_counted(retries):
    line = Line(retries)
    line.push()
    line.push()
    for _ in range(retries):
        line.late()
    assert line.results == []
    line.late()
    assert line.results == [(0, AckTimeoutError)]
    assert line.sent == [0] * (retries + 1) + [1]


def test_last_try_may_succeed():
    line = Line(2)
    line.push()
    line.late()
    line.late()
    line.answered()
    assert (line.sent, line.results) == ([0, 0, 0], [(0, None)])


def test_nothing_is_sent_while_it_is_not_connected():
    line = Line(2)
    line.connected = False
    line.push()
    assert line.sent == []
    line.connected = True
    line.queue.drain(again=True)
    assert line.sent == [0]


def test_head_goes_again_with_a_new_connection():
    line = Line(2)
    line.push()
    line.push()
    line.connected = False
    line.done(DisconnectedError(), ())
    assert line.sent == [0]
    line.connected = True
    line.queue.drain(again=True)
    assert line.sent == [0, 0]
    line.answered()
    assert (line.sent, line.results) == ([0, 0, 1], [(0, None)])


def test_answer_to_one_that_is_over_is_ignored():
    line = Line(0)
    line.push()
    done = line.done
    line.push()
    line.late()
    done(None, ())
    assert (line.results, line.sent) == ([(0, AckTimeoutError)], [0, 1])

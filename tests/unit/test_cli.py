"""The parts of the command line that need no server."""

import resource
import sys

import pytest

from roomcast import Server
from roomcast.cli import serve, serving
from roomcast.cli.bench import target
from roomcast.cli.bench.load import Failure, Mark, Quantiles, Report, Snapshot
from roomcast.cli.bench.summary import rows, summarize
from roomcast.cli.bench.units import bytes_, count, seconds
from roomcast.cli.bench.words import explain
from roomcast.cli.bench.workloads import WORKLOADS
from roomcast.cli.errors import CommandError
from roomcast.cli.files import OTHERS, allow_connections, allow_most_connections


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.123, "0.123"), (7, "7"), (99.94, "99.9"), (100, "100"), (1234567.8, "1 234 568")],
)
def test_numbers_have_their_thousands_apart(number, text):
    assert count(number) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0, "0 µs"),
        (2.5e-7, "0.25 µs"),
        (0.000_999, "999 µs"),
        (0.001, "1 ms"),
        (0.123_4, "123 ms"),
        (1.5, "1.5 s"),
        (1234, "1234 s"),
    ],
)
def test_times_have_the_unit_that_suits_them(time, text):
    assert seconds(time) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (-2e6, "-2 MB"), (3.21e9, "3.21 GB")],
)
def test_bytes_have_the_unit_that_suits_them(number, text):
    assert bytes_(number) == text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
def test_many_connections_come_from_several_addresses():
    most = target.PER_SOURCE
    assert target.sources("127.0.0.1", most) == []
    assert target.sources("127.0.0.1", most + 1) == ["127.0.0.1", "127.0.0.2"]
    assert target.sources("127.0.0.1", 2 * most) == ["127.0.0.1", "127.0.0.2"]
    assert target.sources("::1", most + 1) == []
    assert target.sources("192.0.2.1", most + 1) == []


def test_addresses_of_ipv6_stand_in_brackets():
    made = target.Target("http://h", "h", ("::1", 3000), "/", "/socket.io/", b"")
    assert made.socket_address == "[::1]:3000"


def test_open_files_are_raised_as_far_as_they_may(monkeypatch):
    limits = [(100, 500)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.append(given))
    allow_connections(100 - OTHERS)
    assert limits == [(100, 500)]
    allow_connections(500 - OTHERS)
    assert limits == [(100, 500), (500, 500)]
    allow_most_connections()
    assert len(limits) == 2
    limits.append((100, 500))
    allow_most_connections()
    assert limits[-1] == (500, 500)
    with pytest.raises(CommandError, match="501 open files, and 500 are allowed"):
        allow_connections(501 - OTHERS)


def mark(at: float, received: int, cpu: float | None, server: float | None) -> Mark:
    memory = None if server is None else 1_000_000 + round(at * 1000)
    return Mark(at, received, received * 50, received * 10, cpu, server, memory)


def report(*, own: float = 0.5, server: float | None = 0.5, snapshot: Snapshot | None = None):
    times = Quantiles(0.001, 0.002, 0.003, 0.004)
    return Report(
        start=mark(0, 0, 0, server and 0),
        connected=mark(1, 0, 0, server and 0.1),
        begin=mark(2, 100, 1, server and 1),
        end=mark(4, 300, 1 + 2 * own, server and 1 + 2 * server),
        latency=times,
        finish=None,
        failure=None,
        loss=None,
        snapshot=snapshot or Snapshot("closing", 10, 300, 0, 0, 0, 0, 0, 0, 0, None),
        interrupted=False,
    )


def test_summaries_are_differences_of_marks():
    summary = summarize("echo", "http://h", report(), None)
    assert summary.connecting is not None
    assert (summary.connecting.rate, summary.connecting.server_cpu) == (10, 0.01)
    assert summary.connecting.server_memory == 200
    measured = summary.measured
    assert measured is not None
    assert (measured.messages, measured.rate, measured.bytes_in) == (200, 100, 5000)
    assert measured.server is not None
    assert (measured.server.cpu, measured.server.cpu_per_message) == (0.5, 0.005)
    assert summary.is_good


@pytest.mark.parametrize(
    ("own", "server", "limit"),
    [
        (0.95, 0.95, "this load generator was the bottleneck"),
        (0.3, 0.95, "the server's processor"),
        (0.3, 0.3, "neither processor"),
        (0.3, None, "not this load generator"),
    ],
)
def test_summaries_say_who_was_the_bottleneck(own, server, limit):
    summary = summarize("echo", "http://h", report(own=own, server=server), None)
    assert dict(rows(summary, WORKLOADS["echo"]))["limit"].startswith(limit)


def test_errors_are_counted_by_kind():
    snapshot = Snapshot("closing", 10, 300, 0, 0, 1, 2, 3, 0, 0, None)
    summary = summarize("echo", "http://h", report(snapshot=snapshot), "words")
    assert not summary.is_good
    errors = dict(rows(summary, WORKLOADS["echo"]))["errors"]
    assert errors == ("1 connection lost; 2 wrong round trips; 3 round trips too many; words")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Failure("connect", "refused"), "cannot connect to 10.0.0.1:3: refused; all made"),
        (Failure("no port", "none"), "no port of this machine is free"),
        (Failure("refused", '"no"'), 'refuses the client: "no"'),
        (Failure("system", "too many files"), "too many files; all made"),
    ],
)
def test_failures_that_tests_cannot_cause_have_words(failure, words):
    made = target.Target("http://h", "h", ("10.0.0.1", 3), "/", "/socket.io/", b"")
    text = explain(failure, made, WORKLOADS["echo"], patience=1, made="all made")
    assert words in text


def test_the_url_of_an_address_can_be_followed():
    assert serving.url("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert serving.url("::1", 80) == "http://[::1]:80/"


def test_attributes_may_have_dots():
    found = serve.find("roomcast.cli.bench.server:make_server", factory=True)
    assert isinstance(found, Server)
    with pytest.raises(CommandError, match=r'has no "make_server\.x"'):
        serve.find("roomcast.cli.bench.server:make_server.x", factory=False)

"""What is kept for clients that may come back, with a clock that the tests move."""

from collections import Counter
from math import inf

import pytest

from roomcast._core import Encoder
from roomcast.server.recovery import ConnectionStateRecovery, RecoveryFailure
from roomcast.server.sessions import EVENT_SIZE, Session, Sessions

DURATION, WINDOW = 100.0, 40.0
ENCODER = Encoder()


class Owner:
    """A server that has a clock, counters, and calls at deadlines, never early and at most a second late."""

    def __init__(self):
        self.time = 1000.0
        self.counters = Counter()
        self.item = None

    def now(self):
        return self.time

    def schedule(self, item):
        self.item = item

    def count(self, name):
        self.counters[name] += 1

    def advance(self, seconds):
        for _ in range(int(seconds)):
            self.time += 1
            if self.item is not None and self.item.deadline <= self.time:
                item, self.item = self.item, None
                item.on_deadline(self.time)
                assert item.deadline == inf or item.deadline > self.time


class Keeper:
    def __init__(self):
        self.gone = []
        self.index = {}

    def session_gone(self, session):
        self.gone.append(session.sid)


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def keeper():
    return Keeper()


@pytest.fixture
def make(owner):
    def make(**bounds):
        options = ConnectionStateRecovery(max_disconnection_duration=DURATION, **bounds)
        return Sessions(options, WINDOW, owner)

    return make


@pytest.fixture
def sessions(make):
    return make()


def emit(sessions, keeper, name="x", rooms=(), **options):
    offset = sessions.next_offset()
    packet = ENCODER.encode_event("/", name, (offset,))
    sessions.store(keeper.index, sessions.position, packet, rooms, **options)
    return offset


def begun(sessions, keeper, name="s", rooms=()):
    rooms = dict.fromkeys(rooms, sessions.position)
    return Session(name, f"pid of {name}", rooms, None, sessions.position, keeper)


def missed(sessions, session, keeper, rooms=None):
    found = sessions.find_missed(session, keeper.index, session.rooms if rooms is None else rooms)
    return [packet.text.split('"')[1] for packet in session.missed] if found else None


def test_offsets_are_positions(sessions):
    assert sessions.position_of(sessions.offset()) == 0
    for position in range(1, 50):
        offset = sessions.next_offset()
        assert sessions.position_of(offset) == position
        assert len(offset) <= 10
    prefix = offset[:8]
    assert prefix[7] == "."
    for bogus in (
        None,
        1,
        b"x",
        [],
        {},
        "",
        "x",
        prefix,
        f"{prefix}32",
        f"{prefix}-1",
        f"{prefix}01",
    ):
        assert sessions.position_of(bogus) is None
    for bogus in ("1_0", " 1", "1 ", "+1", "0x1", "A", "\uff11", "1" * 5000, "\0", "g"):
        assert sessions.position_of(prefix + bogus) is None


def test_offsets_of_other_servers_mean_nothing(make):
    assert make().position_of(make().offset()) is None


def test_a_session_is_given_back_once(sessions, keeper):
    session = begun(sessions, keeper)
    sessions.keep(session)
    assert sessions.take(session.pid, keeper) is session
    assert sessions.take(session.pid, keeper) is RecoveryFailure.UNKNOWN_SESSION
    assert keeper.gone == []


@pytest.mark.parametrize("pid", [None, 1, [], {}, "", "pid", b"x"])
def test_unknown_private_ids(sessions, keeper, pid):
    sessions.keep(begun(sessions, keeper))
    assert sessions.take(pid, keeper) is RecoveryFailure.UNKNOWN_SESSION
    assert len(sessions) == 1


def test_another_keeper_gets_nothing(sessions, keeper):
    session = begun(sessions, keeper)
    sessions.keep(session)
    assert sessions.take(session.pid, Keeper()) is RecoveryFailure.UNKNOWN_SESSION
    assert sessions.take(session.pid, keeper) is session


@pytest.mark.parametrize(("seconds", "expired"), [(99, False), (100, False), (101, True)])
def test_the_duration_of_a_session(sessions, keeper, owner, seconds, expired):
    session = begun(sessions, keeper)
    sessions.keep(session)
    owner.time += seconds  # the timers may be late, and must not matter
    taken = sessions.take(session.pid, keeper)
    assert taken is (RecoveryFailure.EXPIRED if expired else session)
    assert keeper.gone == ["s"] * expired


def test_a_session_goes_by_itself(sessions, keeper, owner):
    session = begun(sessions, keeper)
    sessions.keep(session)
    owner.advance(DURATION)
    assert len(sessions) == 1
    owner.advance(DURATION / 16 + 1)
    assert (len(sessions), keeper.gone) == (0, ["s"])
    assert owner.counters == {"recovery_sessions_expired": 1}
    assert sessions.take(session.pid, keeper) is RecoveryFailure.EXPIRED
    owner.advance(2 * DURATION)
    assert sessions.take(session.pid, keeper) is RecoveryFailure.UNKNOWN_SESSION
    assert owner.item is None  # nothing waits where nothing is kept


def test_a_session_that_is_kept_again_gets_the_rest_of_its_time(sessions, keeper, owner):
    session = begun(sessions, keeper)
    sessions.keep(session)
    owner.advance(60)
    sessions.keep(begun(sessions, keeper, "other"))
    sessions.take(session.pid, keeper)
    sessions.keep(session)
    owner.advance(48)
    assert keeper.gone == ["s"]
    owner.advance(60)
    assert keeper.gone == ["s", "other"]


def test_events_are_kept_longer_than_sessions(sessions, keeper, owner):
    emit(sessions, keeper)
    owner.advance(DURATION + WINDOW)
    assert sessions.event_count == 1
    owner.advance(DURATION / 16 + 1)
    assert (sessions.event_count, sessions.size, keeper.index) == (0, 0, {})
    assert owner.item is None


def test_a_client_that_hears_little_recovers(sessions, keeper, owner):
    # In the reference the offset would not be found any more.
    session = begun(sessions, keeper, rooms=["a"])
    heard = emit(sessions, keeper, "heard", ("a",))
    for _ in range(20):
        emit(sessions, keeper, "for others", ("b",))
        owner.advance(DURATION)
    sessions.keep(session)
    emit(sessions, keeper, "missed", ("a",))
    owner.advance(DURATION)
    assert sessions.take(session.pid, keeper) is session
    session.after = sessions.position_of(heard)
    assert missed(sessions, session, keeper) == ["missed"]


@pytest.mark.parametrize(("age", "found"), [(WINDOW - 1, False), (WINDOW + 1, True)])
def test_what_was_dropped_matters_if_it_may_not_have_arrived(make, keeper, owner, age, found):
    sessions = make(max_packets=1)
    session = begun(sessions, keeper)
    emit(sessions, keeper, "dropped")
    owner.advance(age)
    sessions.keep(session)
    emit(sessions, keeper, "missed")
    assert owner.counters == {"recovery_max_packets": 1}
    assert missed(sessions, session, keeper) == (["missed"] if found else None)
    session.after = 1  # the client has seen the one that was dropped
    assert missed(sessions, session, keeper) == ["missed"]


@pytest.mark.parametrize(("count", "kept"), [(4, 4), (5, 5), (6, 5)])
def test_max_packets(make, keeper, owner, count, kept):
    sessions = make(max_packets=5)
    for _ in range(count):
        emit(sessions, keeper, rooms=("a", "b"))
    assert sessions.event_count == kept
    assert owner.counters["recovery_max_packets"] == count - kept


def test_max_bytes(make, keeper, owner):
    probe = make()
    emit(probe, Keeper(), "0123456789")
    size = probe.size
    assert size > EVENT_SIZE
    sessions = make(max_bytes=3 * size)
    for count in range(1, 10):
        emit(sessions, keeper, "0123456789")
        assert sessions.event_count == min(count, 3)
        assert sessions.size == sessions.event_count * size <= 3 * size
        assert owner.counters["recovery_max_bytes"] == max(count - 3, 0)
    emit(sessions, keeper, "x" * 10_000)  # larger than all
    assert (sessions.event_count, sessions.size, keeper.index) == (0, 0, {})


def test_an_event_for_many_rooms_counts_them(sessions, keeper):
    emit(sessions, keeper, rooms=tuple(map(str, range(1000))))
    assert sessions.size > 100_000


@pytest.mark.parametrize(("count", "kept"), [(2, 2), (3, 3), (4, 3)])
def test_max_sessions(make, keeper, owner, count, kept):
    sessions = make(max_sessions=3)
    for number in range(count):
        sessions.keep(begun(sessions, keeper, str(number)))
    assert len(sessions) == kept
    assert keeper.gone == ["0"] * (count - kept)
    assert owner.counters["recovery_max_sessions"] == count - kept
    first = sessions.take("pid of 0", keeper)
    assert (first is RecoveryFailure.EVICTED) == (count > kept)


def test_the_reasons_of_ends_are_bounded_too(make, keeper):
    sessions = make(max_sessions=3)
    for number in range(100):
        sessions.keep(begun(sessions, keeper, str(number)))
    failures = [sessions.take(f"pid of {number}", keeper) for number in range(97)]
    assert failures.count(RecoveryFailure.EVICTED) == 3
    assert failures.count(RecoveryFailure.UNKNOWN_SESSION) == 94


def test_it_is_for_whom_the_options_name(sessions, keeper):
    session = begun(sessions, keeper, rooms=["a", "b"])
    sessions.keep(session)
    emit(sessions, keeper, "all")
    emit(sessions, keeper, "a", ("a", "a", "z"))
    emit(sessions, keeper, "z", ("z",))
    emit(sessions, keeper, "id", ("s",), ids=("s",))
    emit(sessions, keeper, "but b", ("a",), except_=("b",))
    emit(sessions, keeper, "but me", except_=("s",), ids=("s",))
    emit(sessions, keeper, "both", all_of=("a", "b"))
    emit(sessions, keeper, "one of both", all_of=("b", "z"))
    emit(sessions, keeper, "a and b", ("a", "b"))
    # Another socket's id at that time, though this one is in a room of that name.
    emit(sessions, keeper, "foreign", ("b",), ids=("b",))
    assert missed(sessions, session, keeper) == ["all", "a", "id", "both", "a and b"]
    session.after = 2
    assert missed(sessions, session, keeper) == ["id", "both", "a and b"]
    assert missed(sessions, session, keeper, {"a": 0, "b": 8}) == ["id", "but b", "a and b"]


def test_order_is_that_of_emission_whatever_the_rooms(sessions, keeper):
    session = begun(sessions, keeper, rooms=["a", "b"])
    sessions.keep(session)
    for number in range(300):
        rooms = [("a",), ("b",), (), ("s",), ("b", "a")][number % 5]
        emit(sessions, keeper, str(number), rooms)
    assert missed(sessions, session, keeper) == list(map(str, range(300)))


def test_a_room_that_is_never_quiet_keeps_no_more_than_the_bounds(make, keeper):
    sessions = make(max_packets=100)
    session = begun(sessions, keeper, rooms=["a"])
    for number in range(10_000):
        emit(sessions, keeper, str(number), ("a", f"once {number}"))
    assert len(keeper.index) == 101
    assert len(keeper.index["a"]) <= 202
    assert sum(event.packet is not None for event in keeper.index["a"]) == 100
    sessions.keep(session)
    session.after = 9_900
    assert missed(sessions, session, keeper) == list(map(str, range(9_900, 10_000)))

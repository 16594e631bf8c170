import asyncio

import pytest

from roomcast.client import inbox as module
from roomcast.client.inbox import Inbox
from roomcast.errors import DisconnectedError, EventsLostError


@pytest.fixture
def inbox():
    inbox = Inbox(3)
    inbox.begin()
    return inbox


def named(name):
    return lambda event: event[0] == name


def take(inbox, name, seconds=None):
    return asyncio.ensure_future(inbox.take(named(name), repr(name), seconds))


async def test_events_are_kept_for_a_while(inbox):
    for number in range(5):
        inbox.put(("x", number))
    assert list(inbox.events) == [("x", 2), ("x", 3), ("x", 4)]
    assert await inbox.take(named("x"), "x", None) == ("x", 2)


async def test_others_stay(inbox):
    inbox.put(("a",))
    inbox.put(("b",))
    assert await inbox.take(named("b"), "b", None) == ("b",)
    assert list(inbox.events) == [("a",)]


async def test_first_who_waits_gets_it(inbox):
    first, second = take(inbox, "x"), take(inbox, "x")
    await asyncio.sleep(0)
    inbox.put(("x", 1))
    inbox.put(("x", 2))
    assert await asyncio.gather(first, second) == [("x", 1), ("x", 2)]
    assert not inbox.events


async def test_event_of_the_library_is_told_to_all_but_readers(inbox):
    first, second = take(inbox, "connect"), take(inbox, "connect")
    reading = asyncio.ensure_future(inbox.read())
    await asyncio.sleep(0)
    inbox.tell(("connect",))
    assert await asyncio.gather(first, second) == [("connect",)] * 2
    inbox.put(("x",))
    assert await reading == ("x",)
    assert not inbox.waiting


async def test_timeout_says_what_came_instead(inbox):
    inbox.put(("other", 1, "x" * 1_000))
    with pytest.raises(TimeoutError, match=r"'x' did not come within 0.01 s; .*'other'\(1, 'xxx"):
        await take(inbox, "x", 0.01)
    assert not inbox.waiting


async def test_end_wakes_who_waits(inbox):
    waiting = take(inbox, "x")
    await asyncio.sleep(0)
    inbox.end("gone")
    with pytest.raises(DisconnectedError, match="gone"):
        await waiting
    with pytest.raises(DisconnectedError, match="gone"):
        await take(inbox, "x")
    inbox.begin()
    inbox.put(("x",))
    assert await take(inbox, "x") == ("x",)


async def test_cancelled_one_takes_nothing_along(inbox):
    waiting = take(inbox, "x")
    await asyncio.sleep(0)
    inbox.put(("x", 1))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert list(inbox.events) == [("x", 1)]
    assert not inbox.waiting


async def test_slow_reader_is_told_how_much_is_lost(inbox, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNREAD", 5)
    reading = asyncio.ensure_future(inbox.read())
    await asyncio.sleep(0)
    inbox.put(("x", 0))
    assert await reading == ("x", 0)
    for number in range(8):
        inbox.put(("x", number))
    with pytest.raises(EventsLostError) as caught:
        await inbox.read()
    assert caught.value.count == 3
    assert [await inbox.read() for _ in range(5)] == [("x", number) for number in range(3, 8)]


async def test_events_that_nobody_wanted_before_the_first_read_are_not_lost_ones():
    inbox = Inbox(2)
    inbox.begin()
    for number in range(5):
        inbox.put(("x", number))
    assert await inbox.read() == ("x", 3)

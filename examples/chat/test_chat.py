"""The chat without a port and without a browser; ``pytest examples/chat --durations=0 -vv`` shows what each test takes.

The fixtures are those of ``pytest_plugins = ["roomcast.testing.pytest"]``, which stands in the repository's ``conftest.py``.
"""

from typing import Any

import pytest
from server import MAX_TEXT, io

from roomcast import ConnectError
from roomcast.testing import Clock, Connect, Socket

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


async def enter(connect: Connect, nickname: str, *rooms: str) -> Socket:
    """Let a person in."""
    auth = {"nickname": nickname, "token": f"of {nickname}", "rooms": list(rooms)}
    person = await connect(io, auth=auth)
    assert (await person.wait_for("welcome"))[0] == nickname
    return person


def acknowledge(person: Socket) -> list[dict[str, Any]]:
    """Let a person's page show every message, which acknowledges it; return those that it shows."""
    shown: list[dict[str, Any]] = []
    person.on("message", shown.append)
    return shown


async def test_everybody_sees_who_joins_a_room(connect: Connect) -> None:
    ada = await enter(connect, "ada")
    bob = await enter(connect, "bob")
    assert await ada.emit_with_ack("join", "Tea Time") == {"room": "#tea-time"}
    while "#tea-time" not in (presence := await bob.wait_for("presence"))["rooms"]:
        pass
    assert presence == {"people": ["ada", "bob"], "rooms": {"#tea-time": ["ada"]}}


async def test_a_room_needs_a_name(connect: Connect) -> None:
    ada = await enter(connect, "ada")
    answer = await ada.emit_with_ack("join", "what? a room!")
    assert answer == {"error": "A room's name has up to 24 letters, digits, dots or dashes."}


async def test_a_message_reaches_the_others_in_the_room(connect: Connect, clock: Clock) -> None:
    ada, bob = [await enter(connect, name, "#lobby") for name in ("ada", "bob")]
    eve = await enter(connect, "eve", "#elsewhere")
    pages = [acknowledge(person) for person in (ada, bob, eve)]
    answer = await ada.emit_with_ack("message", "#lobby", {"text": "hello"})
    assert answer == {"delivered": 1}
    await clock.settle()
    assert pages == [[], [{"from": "ada", "to": "#lobby", "text": "hello"}], []]


async def test_a_room_is_for_those_inside(connect: Connect) -> None:
    eve = await enter(connect, "eve")
    await enter(connect, "ada", "#lobby")
    answer = await eve.emit_with_ack("message", "#lobby", {"text": "let me in"})
    assert answer == {"error": "You are not in #lobby."}


async def test_a_private_message_is_private(connect: Connect, clock: Clock) -> None:
    ada, bob, eve = [await enter(connect, name, "#lobby") for name in ("ada", "bob", "eve")]
    pages = [acknowledge(person) for person in (bob, eve)]
    assert await ada.emit_with_ack("message", "@bob", {"text": "psst"}) == {"delivered": 1}
    await clock.settle()
    assert pages == [[{"from": "ada", "to": "@bob", "text": "psst"}], []]


async def test_a_picture_arrives_as_it_was_sent(connect: Connect) -> None:
    ada, bob = [await enter(connect, name, "#lobby") for name in ("ada", "bob")]
    picture = {"image": PICTURE, "type": "image/png", "name": "tea.png"}
    ada.emit("message", "#lobby", picture)
    assert await bob.wait_for("message") == {"from": "ada", "to": "#lobby", **picture}


@pytest.mark.parametrize(
    "body",
    [
        "no dict",
        {"text": "a" * (MAX_TEXT + 1)},
        {"image": PICTURE, "type": "image/svg+xml", "name": "script.svg"},
    ],
)
async def test_what_is_no_message_is_refused(connect: Connect, body: object) -> None:
    ada = await enter(connect, "ada", "#lobby")
    assert "error" in await ada.emit_with_ack("message", "#lobby", body)


async def test_who_leaves_hears_no_more(connect: Connect, clock: Clock) -> None:
    ada, bob = [await enter(connect, name, "#lobby") for name in ("ada", "bob")]
    bob.emit("leave", "#lobby")
    await clock.settle()
    answer = await ada.emit_with_ack("message", "#lobby", {"text": "anybody?"})
    assert answer == {"delivered": 0}
    await bob.disconnect()
    await clock.settle()
    assert ada.received[-1] == ("presence", {"people": ["ada"], "rooms": {"#lobby": ["ada"]}})


async def test_a_page_that_does_not_answer_is_waited_for_5_seconds(
    connect: Connect, clock: Clock
) -> None:
    ada, bob, eve = [await enter(connect, name, "#lobby") for name in ("ada", "bob", "eve")]
    acknowledge(bob)
    eve.line.cut()
    begin = clock.time()
    assert await ada.emit_with_ack("message", "#lobby", {"text": "hi"}) == {"delivered": 1}
    assert clock.time() - begin == pytest.approx(5, abs=0.02)


async def test_a_nickname_is_given_once(connect: Connect) -> None:
    await enter(connect, "ada")
    with pytest.raises(ConnectError, match="Somebody here is called ADA already"):
        await connect(io, auth={"nickname": "ADA", "token": "of eve"})
    with pytest.raises(ConnectError, match="up to 20 letters"):
        await connect(io, auth={"nickname": "a b"})


async def test_a_page_whose_line_was_lost_comes_back_in_its_place(
    connect: Connect, clock: Clock
) -> None:
    ada, bob = [await enter(connect, name, "#lobby") for name in ("ada", "bob")]
    ada.line.cut()
    await ada.reconnect()  # the server still believes the old line
    assert (await bob.emit_with_ack("join", "#tea")) == {"room": "#tea"}
    assert bob.received[-1][1]["people"] == ["bob", "ada"]
    bob.emit("message", "#lobby", {"text": "wb"})
    assert (await ada.wait_for("message"))["text"] == "wb"
    await clock.advance(60)
    assert ada.connected

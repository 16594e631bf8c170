"""What the test suite of the Engine.IO protocol expects, on roomcast and on the reference.

The suite talks to a server that echoes messages. Here the messages are Socket.IO's event ``echo``, so that nothing below the
public API has to be reached, and every session has entered the namespace ``/`` before a test begins.

Source:
    socketio/engine.io-protocol, ``test-suite``: the same 24 subjects in the same order, written anew.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import websockets

from support.raw import Response, Session, answered, closed, exchange, heard, request, websocket
from support.reference import missing_reference
from support.targets import REFERENCE, TARGETS, ReferenceServers, Target, roomcast_target

POLLING: Final = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET: Final = "/socket.io/?EIO=4&transport=websocket"

OPTIONS: Final[dict[str, Any]] = {
    "ping_interval": 0.3,
    "ping_timeout": 0.2,
    "max_http_buffer_size": 1_000_000,
    "cors": {"origins": "*"},
}
"""What the suite asks of a server."""

needs_node = pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference()))


@pytest.fixture(
    params=[pytest.param(kind, marks=needs_node if kind == REFERENCE else ()) for kind in TARGETS]
)
async def target(request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    if request.param == REFERENCE:
        with ReferenceServers() as servers:
            async with servers.target(**OPTIONS) as target:
                yield target
    else:
        async with roomcast_target(request.param, **OPTIONS) as target:
            yield target


@pytest.fixture
async def session(target: Target) -> Session:
    return await Session.open(target)


@pytest.fixture
async def ws(target: Target) -> AsyncIterator[websockets.ClientConnection]:
    """A WebSocket of its own session, which has entered ``/``."""
    connection = await websocket(target, WEBSOCKET)
    assert str(await heard(connection))[0] == "0"
    await connection.send("40")
    assert str(await heard(connection)).startswith("40{")
    yield connection
    await connection.close()


def echo(text: str) -> str:
    """Return the message that is echoed as it is."""
    return f'42["echo",{json.dumps(text)}]'


BINARY: Final = '451-["echo",{"_placeholder":true,"num":0}]'
"""What announces a binary message that is echoed."""


def check_handshake(packet: str, upgrades: list[str]) -> None:
    assert packet[0] == "0"
    handshake = json.loads(packet[1:])
    assert set(handshake) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert isinstance(handshake.pop("sid"), str)
    assert handshake == {
        "upgrades": upgrades,
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": 1_000_000,
    }


async def ask(target: Target, method: str, url: str) -> Response:
    return answered(await exchange(target, request(method, url)))


async def assert_websocket_fails(target: Target, url: str) -> None:
    """Check that no session comes of it, before the 101 or right after."""
    try:
        connection = await websocket(target, url)
    except websockets.InvalidHandshake:
        return
    await closed(connection)


# Handshake


async def test_polling_opens_a_session(target):
    response = await ask(target, "GET", POLLING)
    (packet,) = response.packets
    check_handshake(packet, ["websocket"])


@pytest.mark.parametrize("query", ["transport=polling", "EIO=abc&transport=polling"])
async def test_polling_fails_with_another_protocol(target, query):
    assert (await ask(target, "GET", f"/socket.io/?{query}")).status == 400


@pytest.mark.parametrize("query", ["EIO=4", "EIO=4&transport=abc"])
async def test_polling_fails_with_another_transport(target, query):
    assert (await ask(target, "GET", f"/socket.io/?{query}")).status == 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_polling_fails_with_another_method(target, method):
    assert (await ask(target, method, POLLING)).status == 400


async def test_websocket_opens_a_session(target):
    connection = await websocket(target, WEBSOCKET)
    check_handshake(str(await heard(connection)), [])
    await connection.close()


@pytest.mark.parametrize("query", ["transport=websocket", "EIO=abc&transport=websocket"])
async def test_websocket_fails_with_another_protocol(target, query):
    await assert_websocket_fails(target, f"/socket.io/?{query}")


@pytest.mark.parametrize("query", ["EIO=4", "EIO=4&transport=abc"])
async def test_websocket_fails_with_another_transport(target, query):
    await assert_websocket_fails(target, f"/socket.io/?{query}")


# Messages


async def test_polling_carries_a_message(session):
    await session.expect_post(echo("hello"))
    assert await session.packets() == [echo("hello")]


async def test_polling_carries_several_messages(session):
    messages = [echo(f"test{number}") for number in (1, 2, 3)]
    await session.expect_post("\x1e".join(messages))
    assert await session.packets() == messages


async def test_polling_carries_text_and_binary_messages(session):
    await session.expect_post(f"{echo('hello')}\x1e{BINARY}\x1ebAQIDBA==")
    assert await session.packets() == [echo("hello"), BINARY, "bAQIDBA=="]


async def test_polling_ends_with_an_invalid_packet(session):
    assert (await session.post("abc")).status in (200, 400)
    assert (await session.get()).status == 400


async def test_polling_ends_with_two_polls(session):
    first = await session.held_get()
    assert (await session.get()).status in (400, 500)
    assert answered(await first.response()).packets == ["1"]
    assert (await session.get()).status == 400
    first.close()


async def test_websocket_carries_a_text_message(ws):
    await ws.send(echo("hello"))
    assert await heard(ws) == echo("hello")


async def test_websocket_carries_a_binary_message(ws):
    await ws.send(BINARY)
    await ws.send(b"\x01\x02\x03\x04")
    assert await heard(ws) == BINARY
    assert await heard(ws) == b"\x01\x02\x03\x04"


async def test_websocket_ends_with_an_invalid_packet(ws):
    await ws.send("abc")
    assert await closed(ws) is not None


# Heartbeat


async def test_polling_keeps_its_heartbeat(session):
    for _ in range(3):
        assert await session.packets() == ["2"]
        await session.expect_post("3")


async def test_polling_ends_without_a_pong(session):
    await asyncio.sleep(0.3 + 0.2 + 0.1)
    assert (await session.get()).status == 400


async def test_websocket_keeps_its_heartbeat(ws):
    for _ in range(3):
        assert await heard(ws) == "2"
        await ws.send("3")


async def test_websocket_ends_without_a_pong(ws):
    async with asyncio.timeout(0.3 + 0.2 + 0.3):
        assert await closed(ws) is not None


# Closing


async def test_polling_is_closed_by_the_client(session):
    poll = await session.held_get()
    await session.expect_post("1")
    assert answered(await poll.response()).packets == ["6"]
    assert (await session.get()).status == 400
    poll.close()


async def test_websocket_is_closed_after_a_close_packet(ws):
    """The packet means nothing there: what ends the session is its heartbeat."""
    await ws.send("1")
    assert await closed(ws) is not None


# Upgrade


async def test_polling_is_upgraded(session):
    connection = await session.websocket()
    await connection.send("2probe")
    assert await heard(connection) == "3probe"
    # A poll in the window does not stay: the client must finish it before it moves.
    assert await session.packets() == ["6"]
    await connection.send("5")
    await connection.send(echo("hello"))
    assert await heard(connection) == echo("hello")
    await connection.close()


async def test_polling_is_over_after_the_upgrade(session):
    connection = await session.upgrade()
    await connection.send(echo("hello"))
    assert await heard(connection) == echo("hello")
    assert (await session.get()).status == 400
    await connection.send(echo("again"))
    assert await heard(connection) == echo("again")
    await connection.close()


async def test_second_websocket_is_closed_after_the_upgrade(session):
    connection = await session.upgrade()
    second = await session.websocket()
    assert await closed(second) is not None
    await connection.send(echo("hello"))
    assert await heard(connection) == echo("hello")
    await connection.close()

"""The examples in python-socketio's API: each does the same on python-socketio and, with another import, on `roomcast.compat`."""

import asyncio
from typing import Any

import aiohttp
import pytest

from support.compat_servers import KINDS, example, hosting
from support.official_client import OfficialClient, OfficialClients
from support.reference import UNDEFINED
from support.served import WITH_OFFICIAL_CLIENTS

pytestmark = [*WITH_OFFICIAL_CLIENTS, pytest.mark.parametrize("kind", KINDS)]

TRANSPORTS: tuple[dict[str, Any], ...] = (
    {},
    {"transports": ["polling"]},
    {"transports": None},
)
"""A WebSocket from the beginning; polling alone; polling and then a WebSocket, as by default."""


async def replies(client: OfficialClient, count: int) -> list[Any]:
    return [(await client.next("reply"))[0]["data"] for _ in range(count)]


@pytest.mark.parametrize("options", TRANSPORTS)
async def test_chatroom(kind: str, options: dict[str, Any], node: OfficialClients) -> None:
    async with hosting(kind, example("chatroom", kind).app, node):
        ada = await node.connect(**options)
        assert await replies(ada, 1) == ["connected"]
        # Whoever connects is there for its own `connect` handler.
        assert await ada.next("people") == [{"joined": ada.id}]
        bob = await node.connect(**options)
        assert await replies(bob, 1) == ["connected"]
        assert await ada.next("people") == [{"joined": bob.id}]
        ada.emit("to_me", {"data": 1})
        ada.emit("to_all", {"data": 2})
        ada.emit("to_others", {"data": 3})
        assert await replies(ada, 2) == [1, 2]
        assert await replies(bob, 2) == [2, 3]
        for client in (ada, bob):
            client.emit("enter", {"room": "blue"})
            assert await replies(client, 1) == ["entered blue"]
        assert await ada.ask("my rooms") == [sorted([ada.id, "blue"])]
        bob.emit("to room", {"room": "blue", "data": b"bytes"})
        assert await replies(ada, 1) == await replies(bob, 1) == [b"bytes"]
        bob.emit("leave", {"room": "blue"})
        assert await replies(bob, 1) == ["left blue"]
        bob.emit("to room", {"room": "blue", "data": 4})
        assert await replies(ada, 1) == [4]
        bob.emit("close room", {"room": "blue"})
        assert await replies(ada, 1) == ["the room is closing"]
        assert await ada.ask("my rooms") == [[ada.id]]
        ada.emit("leave us")
        assert await ada.next("disconnect") == ["io server disconnect", False]
        bob.emit("to_me", {"data": "still here"})
        assert await replies(bob, 1) == ["still here"]


@pytest.mark.parametrize("options", TRANSPORTS)
async def test_latency(kind: str, options: dict[str, Any], node: OfficialClients) -> None:
    async with hosting(kind, example("latency", kind).app, node):
        client = await node.connect(**options)
        for _ in range(3):
            client.emit("ping_from_client")
            assert await client.next("pong_from_server") == []
        async with aiohttp.ClientSession(node.url) as session:
            async with session.get("/") as page:
                assert page.status == 200
                assert page.content_type == "text/html"
                assert "ping_from_client" in await page.text()
            async with session.get("/nothing.html") as page:
                assert page.status == 404


async def test_fiddle(kind: str, node: OfficialClients) -> None:
    module = example("fiddle", kind)
    async with hosting(kind, module.app, node):
        client = await node.connect(auth={"color": "blue"})
        assert await client.next("hello") == [{"color": "blue"}, "websocket", "websocket"]
        polling = await node.connect(transports=["polling"])
        assert await polling.next("hello") == [None, "http", "polling"]
        first, started = await client.next("tick")
        assert started is True
        second, _ = await client.next("tick")
        assert second == first + 1
        assert await client.ask("measure", 3) == [3, b"\0\0\0"]
        async with aiohttp.ClientSession(node.url) as session, session.get("/page") as page:
            assert await page.text() == "the application"
    await asyncio.sleep(0)
    assert module.ticking[0].cancelled()


async def test_classes(kind: str, node: OfficialClients) -> None:
    async with hosting(kind, example("classes", kind).app, node):
        ada, bob = await node.connect("/chat"), await node.connect("/chat")
        assert await ada.ask("say", "hello") == [1]
        assert await bob.next("said") == [ada.id, "hello"]
        assert await ada.ask("rooms") == [2]
        assert await ada.ask("no such method") == []
        await ada.answer("quiz", 42)
        assert await ada.ask("quiz", "why") == [42]
        await ada.answer("quiz", "two", b"answers")
        assert await ada.ask("quiz", "why") == ["two", b"answers"]
        other = await node.connect("/somewhere")
        assert await other.ask("where") == ["/somewhere"]
        root = await node.connect()
        assert await root.ask("thing", 1, {"2": b"3"}) == ["thing", [1, {"2": b"3"}]]
        bob.disconnect()
        assert await ada.next("left") == ["client disconnect"]


async def test_login(kind: str, node: OfficialClients) -> None:
    options: dict[str, Any] = {"path": "/live/socket.io/", "extraHeaders": {"X-Agent": "tests"}}
    async with hosting(kind, example("login", kind).app, node):
        nobody = node.open(**options)
        assert await nobody.next("connect_error") == ["Connection rejected by server", UNDEFINED]
        stranger = node.open(auth={"token": "guessed"}, **options)
        said = await stranger.next("connect_error")
        assert said == ["authentication failed", {"token": "guessed"}]
        ada = await node.connect(auth={"token": "secret"}, **options)
        bob = await node.connect(auth={"token": "password"}, **options)
        assert await ada.ask("whoami") == [{"name": "ada", "agent": "tests"}]
        assert await ada.ask("rename", "lovelace") == ["ada"]
        assert (await ada.ask("whoami"))[0]["name"] == "lovelace"
        assert (await bob.ask("whoami"))[0]["name"] == "bob"
        ada.disconnect()
        assert await bob.next("left") == ["lovelace", "client disconnect"]

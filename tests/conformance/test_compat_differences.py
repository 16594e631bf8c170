"""Where `roomcast.compat.AsyncServer` differs from python-socketio's on purpose, and what only requests from other origins show."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import fastapi
import pytest

from roomcast import Limits, RedisAdapter, ReservedEventError, compat
from roomcast.compat.exceptions import TimeoutError as CallTimeoutError
from support.asgi_servers import in_process
from support.broker import missing_broker, running_broker
from support.compat_servers import KINDS, hosting, library
from support.official_client import OfficialClients
from support.served import WITH_OFFICIAL_CLIENTS, eventually

pytestmark = WITH_OFFICIAL_CLIENTS

Hosted = Callable[..., AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def hosted(node: OfficialClients, **options: Any) -> AsyncIterator[compat.AsyncServer]:
    sio = compat.AsyncServer(**options)
    sio.on("settle", lambda sid: None)
    async with hosting("roomcast-direct", compat.ASGIApp(sio), node):
        yield sio


async def test_reserved_event_is_not_emitted(node: OfficialClients) -> None:
    async with hosted(node) as sio:
        for event in ("connect", "disconnect", "connect_error"):
            with pytest.raises(ReservedEventError):
                await sio.emit(event)


async def test_connect_handler_that_fails_is_told_to_its_client(node: OfficialClients) -> None:
    async with hosted(node) as sio:

        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            raise RuntimeError("on purpose")

        client = node.open()
        assert (await client.next("connect_error"))[0] == "Internal server error"
        assert list(sio.manager.get_namespaces()) == []
        client.close_engine()


async def test_connect_handler_without_auth_is_called_though_there_is_some(
    node: OfficialClients,
) -> None:
    async with hosted(node) as sio:
        heard: list[Any] = []

        @sio.event
        def connect(sid: str) -> None:
            heard.append(sid)

        client = await node.connect(auth={"a": 1})
        assert heard == [client.id]


async def test_namespace_that_is_not_there_is_refused_in_words(node: OfficialClients) -> None:
    async with hosted(node, namespaces=["/chat"]) as sio:
        sio.handlers.clear()
        for nsp in ("/", "/nowhere"):
            client = node.open(nsp)
            assert (await client.next("connect_error"))[0] == "Invalid namespace"
            client.close_engine()
        assert await node.connect("/chat")


async def test_call_to_who_is_gone_does_not_wait(node: OfficialClients) -> None:
    async with hosted(node) as sio:
        client = await node.connect()
        asked = asyncio.ensure_future(sio.call("ask", to=client.id, timeout=None))
        in_a_room = asyncio.ensure_future(sio.call("ask", to="room", timeout=60))
        with pytest.raises(CallTimeoutError):
            await in_a_room
        assert not asked.done()
        client.disconnect()
        with pytest.raises(CallTimeoutError):
            await asked
        with pytest.raises(CallTimeoutError):
            await sio.call("ask", to=client.id)


async def test_call_to_a_room_takes_the_first_answer(node: OfficialClients) -> None:
    async with hosted(node) as sio:
        silent, quick = await node.connect(), await node.connect()
        for client in (silent, quick):
            await sio.enter_room(client.id, "room")
        await quick.answer("ask", "quick")
        assert await sio.call("ask", to="room", timeout=5) == "quick"
        with pytest.raises(CallTimeoutError):
            await sio.call("nobody answers", to="room", timeout=0.05)


async def test_who_leaves_while_it_connects_is_told_to_its_disconnect_handler(
    node: OfficialClients,
) -> None:
    async with hosted(node) as sio:
        begun, go_on = asyncio.Event(), asyncio.Event()
        heard: list[Any] = []

        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            await sio.enter_room(sid, "lobby")
            begun.set()
            await go_on.wait()
            heard.append(("connect", sid))

        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            heard.append(("disconnect", sid, reason))

        client = node.open()
        await begun.wait()
        client.close_engine()
        await eventually(lambda: not sio.io.engine.connections)
        go_on.set()
        await eventually(lambda: len(heard) == 2)
        (_, sid), (_, *rest) = heard
        assert rest == [sid, "transport close"]
        assert list(sio.manager.get_namespaces()) == []


async def test_emits_to_one_client_wait_while_it_is_behind(node: OfficialClients) -> None:
    async with hosted(node, limits=Limits(send_buffer_size=300_000)) as sio:
        client = await node.connect()
        for number in range(40):
            await sio.emit("event", (number, b"x" * 100_000), to=client.id)
        assert await client.ask("settle") == []
        assert [args[0] for event, *args in client.record if event == "event"] == list(range(40))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (400, None)),
        ({"cors_allowed_origins": "*"}, (200, "allowed")),
        ({"cors_allowed_origins": ["*"]}, (200, "allowed")),
        ({"cors_allowed_origins": []}, (200, None)),
        ({"cors_allowed_origins": "https://a.example"}, (200, "allowed")),
        ({"cors_allowed_origins": ["https://b.example"]}, (400, None)),
        (
            {"cors_allowed_origins": lambda origin: str(origin).endswith("a.example")},
            (200, "allowed"),
        ),
        ({"cors_allowed_origins": lambda origin, environ: "HTTP_X" in environ}, (400, None)),
    ],
)
async def test_foreign_origins_are_as_the_option_says(
    kind: str, options: dict[str, Any], expected: tuple[int, str | None], node: OfficialClients
) -> None:
    socketio = library(kind)
    sio = socketio.AsyncServer(async_mode="asgi", **options)
    query = {"EIO": "4", "transport": "polling"}
    async with (
        in_process(socketio.ASGIApp(sio), ws="websockets-sansio") as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        headers = {"Origin": "https://a.example"}
        async with session.get("/socket.io/", params=query, headers=headers) as answer:
            allowed = answer.headers.get("Access-Control-Allow-Origin")
            status = 400 if answer.status == 403 else answer.status
        assert (status, allowed and "allowed") == expected
        assert allowed in (None, "*", "https://a.example")
        async with session.get("/socket.io/", params=query) as answer:
            assert answer.status == 200
        if kind != "python-socketio":
            for connection in list(sio.io.engine.connections.values()):
                connection.close(discard=True)


async def test_error_of_the_library_is_not_an_event(
    node: OfficialClients, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("told")
    caplog.set_level(logging.INFO, "told")
    async with hosted(node, logger=logger) as sio:
        heard: list[Any] = []
        sio.on("error", lambda sid, *args: heard.append(args))
        client = await node.connect()
        assert await client.ask("error", "mine") == []
        client.send_raw('2["connect"]')
        await client.next("disconnect")
        assert heard == [("mine",)]
        assert f'received event "error" from {client.id} [/]' in caplog.messages


async def test_fastapi_may_stand_around_it_or_beside_it(node: OfficialClients) -> None:
    for build in (
        lambda api, sio: compat.ASGIApp(sio, api),
        lambda api, sio: api.mount("/", compat.ASGIApp(sio)) or api,
        lambda api, sio: api.mount("/socket.io", compat.ASGIApp(sio, socketio_path=None)) or api,
    ):
        sio = compat.AsyncServer(async_mode="asgi")
        sio.on("echo", lambda sid, value: value)
        api = fastapi.FastAPI()

        @api.get("/hello")
        def hello() -> str:
            return "hello"

        async with in_process(build(api, sio), ws="roomcast.uvicorn:WebSocketProtocol") as port:
            node.reset(f"http://127.0.0.1:{port}")
            for transports in (None, ["websocket"]):
                client = await node.connect(transports=transports)
                assert await client.ask("echo", b"1") == [b"1"]
            async with aiohttp.ClientSession(node.url) as session, session.get("/hello") as answer:
                assert await answer.json() == "hello"
            node.reset("")
            await eventually(lambda sio=sio: not sio.io.engine.connections)


async def test_lifespan_hooks_run_and_may_fail() -> None:
    events: list[str] = []

    async def startup() -> None:
        events.append("startup")

    app = compat.ASGIApp(
        compat.AsyncServer(), on_startup=startup, on_shutdown=lambda: events.append("shutdown")
    )
    async with in_process(app):
        assert events == ["startup"]
    assert events == ["startup", "shutdown"]

    def fail() -> None:
        raise RuntimeError("no database")

    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    await compat.ASGIApp(compat.AsyncServer(), on_startup=fail)({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "no database"}]


@pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker()))
async def test_clients_of_other_servers_are_reached(node: OfficialClients) -> None:
    with running_broker() as broker:
        adapters = [RedisAdapter(broker.url) for _ in range(2)]
        nodes = [compat.AsyncServer(adapter=adapter) for adapter in adapters]
        apps = [compat.ASGIApp(sio) for sio in nodes]
        here, there = nodes
        left: list[str] = []
        there.on("disconnect", lambda sid: left.append(sid))  # noqa: PLW0108  a signature
        there.on("settle", lambda sid: None)
        async with in_process(apps[0]), in_process(apps[1]) as port:
            node.reset(f"http://127.0.0.1:{port}")
            await eventually(lambda: all(adapter.health.ok for adapter in adapters))
            client = await node.connect()
            await client.answer("ask", "an answer")
            await here.emit("event", "to it", to=client.id)
            assert await client.next("event") == ["to it"]
            await here.enter_room(client.id, 5)
            await eventually(lambda: 5 in there.rooms(client.id))
            await here.emit("event", "to the room", to=5)
            assert await client.next("event") == ["to the room"]
            assert await here.call("ask", to=client.id, timeout=5) == "an answer"
            answers: asyncio.Queue[Any] = asyncio.Queue()
            await here.emit("ask", to=client.id, callback=answers.put_nowait)
            assert await answers.get() == "an answer"
            await here.emit("event", "local", to=client.id, ignore_queue=True)
            await here.leave_room(client.id, 5)
            await eventually(lambda: 5 not in there.rooms(client.id))
            await here.disconnect(client.id)
            assert await client.next("disconnect") == ["io server disconnect", False]
            assert client.waiting("event") == 0
            assert left == [client.id]
            node.reset("")
            await eventually(lambda: not there.io.engine.connections)

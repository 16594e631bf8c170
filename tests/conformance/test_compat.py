"""Servers and clients of python-socketio whose packets are ours, at the other end the official client, or one another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio

from roomcast import compat
from roomcast.compat import Packet, StrictPacket
from support.asgi_servers import in_process
from support.official_client import OfficialClients
from support.served import WITH_OFFICIAL_CLIENTS

pytestmark = WITH_OFFICIAL_CLIENTS


def echoing(**options: Any) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(async_mode="asgi", **options)

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        if auth == {"no": "way"}:
            raise socketio.exceptions.ConnectionRefusedError("refused", {"code": 7})

    @sio.event
    async def echo(sid: str, *args: Any) -> tuple[Any, ...]:
        await sio.emit("heard", args, to=sid)
        return args

    @sio.event
    async def shout(sid: str, *args: Any) -> None:
        await sio.emit("shouted", args)

    @sio.on("echo", namespace="/chat")
    async def chat_echo(sid: str, *args: Any) -> tuple[Any, ...]:
        return args

    @sio.event
    async def ask_back(sid: str, question: str) -> Any:
        return await sio.call("question", question, to=sid)

    return sio


@asynccontextmanager
async def serving(sio: Any, node: OfficialClients) -> AsyncIterator[str]:
    async with in_process(socketio.ASGIApp(sio), ws="websockets-sansio") as port:
        node.reset(f"http://127.0.0.1:{port}")
        try:
            yield node.url
        finally:
            node.reset("")
            await sio.shutdown()


ARGS = [1, "é😀", None, 1.5, {"a": [True, {}]}, b"\x00\x01", [b"", {"b": b"2"}]]


@pytest.mark.parametrize("packet", [Packet, StrictPacket])
async def test_official_client_meets_our_packets_in_python_socketio(
    node: OfficialClients, packet: type[Packet]
) -> None:
    async with serving(echoing(serializer=packet), node):
        for options in ({}, {"transports": None}):
            client = await node.connect(**options)
            assert await client.ask("echo", *ARGS) == ARGS
            assert await client.next("heard") == ARGS
            assert await client.ask("echo") == []
            other = await node.connect(**options)
            other.emit("shout", *ARGS)
            assert await client.next("shouted") == ARGS
            assert await other.next("shouted") == ARGS
            await client.answer("question", "answer", b"3")
            assert await client.ask("ask_back", "why") == ["answer", b"3"]
            chat = await node.connect("/chat")
            assert await chat.ask("echo", *ARGS) == ARGS
            client.disconnect()
            assert await client.next("disconnect") == ["io client disconnect", False]
        refused = node.open(auth={"no": "way"})
        assert await refused.next("connect_error") == ["refused", {"code": 7}]


async def test_python_socketio_client_meets_python_socketio_server(node: OfficialClients) -> None:
    for server, client in ((Packet, Packet), (Packet, None), (None, Packet)):
        given = {} if server is None else {"serializer": server}
        async with serving(echoing(**given), node) as url:
            own = socketio.AsyncClient(**({} if client is None else {"serializer": client}))
            heard: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
            own.on("heard", lambda *args, heard=heard: heard.put_nowait(args))
            await own.connect(url)
            assert list(await own.call("echo", tuple(ARGS))) == ARGS
            assert list(await heard.get()) == ARGS
            nan = await own.call("echo", float("nan"))
            assert nan != nan
            await own.disconnect()


async def test_install_reaches_packets_that_nobody_chose(node: OfficialClients) -> None:
    compat.install()
    try:
        sio = echoing()
        async with serving(sio, node):
            client = await node.connect()
            assert await client.ask("echo", *ARGS) == ARGS
            assert sio.packet_class is Packet
    finally:
        compat.uninstall()

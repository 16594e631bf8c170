"""What roomcast leans on in uvicorn, and that everything else stays uvicorn's."""

import asyncio
import logging

import pytest
import uvicorn
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

import roomcast.uvicorn
from roomcast import Server
from roomcast.engine.direct import DirectWebSocket
from roomcast.engine.websocket import ASGIWebSocket
from support.asgi_servers import in_process

QUERY = "/socket.io/?EIO=4&transport=websocket"


async def other(scope, receive, send):
    """An echo of its own, beside roomcast."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


@pytest.fixture
def transports(io):
    """The kinds of transports of the connections that join."""
    kinds = []
    io.on("connection", lambda socket: kinds.append(type(socket.conn.transport)))
    return kinds


async def join(port, **options):
    ws = await websockets.connect(f"ws://127.0.0.1:{port}{QUERY}", **options)
    assert str(await ws.recv()).startswith("0{")
    await ws.send("40")
    assert str(await ws.recv()).startswith("40{")
    return ws


async def test_connection_is_taken_over(io, transports):
    async with in_process(io.asgi(), ws=roomcast.uvicorn.WebSocketProtocol) as port:
        ws = await join(port)
        assert transports == [DirectWebSocket]
        assert ws.response.headers["server"] == "uvicorn"
        assert ws.response.headers["date"]
        await ws.close()


async def test_connection_under_uvicorns_own_protocol_goes_through_asgi(io, transports):
    async with in_process(io.asgi(), ws="websockets-sansio") as port:
        await (await join(port)).close()
    assert transports == [ASGIWebSocket]


async def test_uvicorn_that_is_not_known_is_named_once_and_served_through_asgi(
    io, transports, monkeypatch, caplog
):
    monkeypatch.setattr("roomcast.uvicorn._known", None)
    monkeypatch.setattr("roomcast.uvicorn.NEEDED", ("handshake_complete", "no_such_thing"))
    async with in_process(io.asgi(), ws=roomcast.uvicorn.WebSocketProtocol) as port:
        for _ in range(2):
            await (await join(port)).close()
    assert transports == [ASGIWebSocket] * 2
    (warning,) = [record for record in caplog.records if record.name == "roomcast.engine"]
    assert warning.levelno == logging.WARNING
    assert "no_such_thing" in warning.getMessage()


async def test_other_websockets_of_the_application_stay_as_they_were(io):
    async with in_process(io.asgi(other), ws=roomcast.uvicorn.WebSocketProtocol) as port:
        deflate = [ClientPerMessageDeflateFactory()]
        ws = await websockets.connect(f"ws://127.0.0.1:{port}/other", extensions=deflate)
        assert [extension.name for extension in ws.protocol.extensions] == ["permessage-deflate"]
        await ws.send("hello" * 1000)
        assert await ws.recv() == "hello" * 1000
        await ws.close()


async def test_extensions_are_not_negotiated_for_a_connection_that_is_taken_over(io):
    async with in_process(io.asgi(), ws=roomcast.uvicorn.WebSocketProtocol) as port:
        ws = await join(port, extensions=[ClientPerMessageDeflateFactory()])
        assert "sec-websocket-extensions" not in ws.response.headers
        await ws.close()


async def test_compression_is_a_matter_of_uvicorn_where_it_reads_and_writes(transports, caplog):
    io = Server(per_message_deflate=True)
    io.on("connection", lambda socket: transports.append(type(socket.conn.transport)))
    async with in_process(io.asgi(), ws="websockets-sansio") as port:
        for _ in range(2):
            ws = await join(port)
            assert "server_max_window_bits=12" in ws.response.headers["sec-websocket-extensions"]
            await ws.close()
    assert transports == [ASGIWebSocket] * 2
    (warning,) = [record for record in caplog.records if record.name == "roomcast.engine"]
    assert "per_message_deflate needs roomcast.uvicorn:WebSocketProtocol" in warning.getMessage()


async def test_compression_is_ours_where_a_connection_is_taken_over():
    io = Server(per_message_deflate=True)
    async with in_process(io.asgi(other), ws=roomcast.uvicorn.WebSocketProtocol) as port:
        ws = await join(port)
        assert "server_no_context_takeover" in ws.response.headers["sec-websocket-extensions"]
        await ws.close()
        ws = await websockets.connect(f"ws://127.0.0.1:{port}/other")
        assert "server_max_window_bits=12" in ws.response.headers["sec-websocket-extensions"]
        await ws.close()


async def test_server_that_stops_tells_the_clients(io, log):
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    async with in_process(io.asgi(), ws=roomcast.uvicorn.WebSocketProtocol) as port:
        ws = await join(port)
    async with asyncio.timeout(3):
        with pytest.raises(websockets.ConnectionClosed):
            await ws.recv()
    assert log == ["server shutting down"]


async def test_middlewares_are_passed(transports):
    io = Server()
    io.on("connection", lambda socket: transports.append(type(socket.conn.transport)))
    seen = []

    async def middleware(scope, receive, send):
        seen.append(scope["type"])
        await io.asgi()(scope, receive, send)

    async with in_process(middleware, ws=roomcast.uvicorn.WebSocketProtocol) as port:
        await (await join(port)).close()
    assert "websocket" in seen
    assert transports == [DirectWebSocket]


async def test_refusal_is_no_error_in_the_log(io, caplog):
    async with in_process(io.asgi(), ws=roomcast.uvicorn.WebSocketProtocol) as port:
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=3&transport=websocket"
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(url)
        assert caught.value.response.status_code == 400
        assert caught.value.response.body == b"Unsupported protocol version"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_supported_range_of_uvicorn():
    assert (0, 36) <= tuple(map(int, uvicorn.__version__.split(".")[:2])) < (0, 55)

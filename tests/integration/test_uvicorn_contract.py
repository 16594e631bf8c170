"""What roomcast leans on in uvicorn, and that everything else stays uvicorn's."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest
import uvicorn
import websockets
from tests.integration.conftest import eventually
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


@pytest.fixture
def in_uvicorn(caplog):
    """Serve an application as `uvicorn --ws` does; what uvicorn logs comes to caplog, from which its loggers keep it."""
    logger = logging.getLogger("uvicorn.error")

    @asynccontextmanager
    async def serve(app):
        async with in_process(app, ws=roomcast.uvicorn.WebSocketProtocol) as port:
            logger.addHandler(caplog.handler)  # uvicorn's start takes all others away
            yield port

    yield serve
    logger.removeHandler(caplog.handler)


async def join(port, **options):
    ws = await websockets.connect(f"ws://127.0.0.1:{port}{QUERY}", **options)
    assert str(await ws.recv()).startswith("0{")
    await ws.send("40")
    assert str(await ws.recv()).startswith("40{")
    return ws


async def test_connection_is_taken_over(io, transports, in_uvicorn):
    async with in_uvicorn(io.asgi()) as port:
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
    io, transports, monkeypatch, caplog, in_uvicorn
):
    monkeypatch.setattr("roomcast.uvicorn._known", None)
    monkeypatch.setattr("roomcast.uvicorn.NEEDED", {"config": ("loaded_app", "no_such_thing")})
    async with in_uvicorn(io.asgi()) as port:
        for _ in range(2):
            await (await join(port)).close()
    assert transports == [ASGIWebSocket] * 2
    (warning,) = [record for record in caplog.records if record.name == "roomcast.engine"]
    assert warning.levelno == logging.WARNING
    assert "no_such_thing" in warning.getMessage()


async def test_other_websockets_of_the_application_stay_as_they_were(io, in_uvicorn):
    async with in_uvicorn(io.asgi(other)) as port:
        deflate = [ClientPerMessageDeflateFactory()]
        ws = await websockets.connect(f"ws://127.0.0.1:{port}/other", extensions=deflate)
        assert [extension.name for extension in ws.protocol.extensions] == ["permessage-deflate"]
        await ws.send("hello" * 1000)
        assert await ws.recv() == "hello" * 1000
        await ws.close()


async def test_extensions_are_not_negotiated_for_a_connection_that_is_taken_over(io, in_uvicorn):
    async with in_uvicorn(io.asgi()) as port:
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


async def test_compression_is_ours_where_a_connection_is_taken_over(in_uvicorn):
    io = Server(per_message_deflate=True)
    async with in_uvicorn(io.asgi(other)) as port:
        ws = await join(port)
        assert "server_no_context_takeover" in ws.response.headers["sec-websocket-extensions"]
        await ws.close()
        ws = await websockets.connect(f"ws://127.0.0.1:{port}/other")
        assert "server_max_window_bits=12" in ws.response.headers["sec-websocket-extensions"]
        await ws.close()


async def test_server_that_stops_tells_the_clients(io, log, in_uvicorn):
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    async with in_uvicorn(io.asgi()) as port:
        ws = await join(port)
    async with asyncio.timeout(3):
        with pytest.raises(websockets.ConnectionClosed):
            await ws.recv()
    assert log == ["server shutting down"]


async def test_middlewares_are_passed(transports, in_uvicorn):
    io = Server()
    io.on("connection", lambda socket: transports.append(type(socket.conn.transport)))
    seen = []

    async def middleware(scope, receive, send):
        seen.append(scope["type"])
        await io.asgi()(scope, receive, send)

    async with in_uvicorn(middleware) as port:
        await (await join(port)).close()
    assert "websocket" in seen
    assert transports == [DirectWebSocket]


async def test_refusal_is_no_error_in_the_log(io, caplog, in_uvicorn):
    async with in_uvicorn(io.asgi()) as port:
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=3&transport=websocket"
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(url)
        assert caught.value.response.status_code == 400
        assert caught.value.response.body == b"Unsupported protocol version"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_supported_range_of_uvicorn():
    assert (0, 36) <= tuple(map(int, uvicorn.__version__.split(".")[:2])) < (0, 55)


EIO = "/other?EIO=4"


@pytest.mark.parametrize("path", ["/other", EIO])
async def test_application_that_accepts_by_itself_gets_a_websocket_of_uvicorns(
    io, path, in_uvicorn
):
    async with in_uvicorn(io.asgi(other)) as port:
        ws = await websockets.connect(f"ws://127.0.0.1:{port}{path}")
        for text in ("a", "b" * 200_000):
            await ws.send(text)
            assert await ws.recv() == text
        await ws.close()


@pytest.mark.parametrize("path", ["/other", EIO])
async def test_client_that_leaves_is_told_to_the_application(io, log, path, in_uvicorn):
    async def waiting(scope, receive, send):
        if scope["type"] == "websocket":
            log.append((await receive())["type"])
            log.append((await receive())["type"])

    async with in_uvicorn(io.asgi(waiting)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(upgrade(path))
        await eventually(lambda: log == ["websocket.connect"])
        writer.close()
        await eventually(lambda: log == ["websocket.connect", "websocket.disconnect"])


@pytest.mark.parametrize("path", ["/other", EIO])
@pytest.mark.parametrize("when", ["at once", "returns", "after the accept"])
async def test_application_that_fails_is_answered_and_logged_as_by_uvicorn(
    io, path, when, caplog, in_uvicorn
):
    async def failing(scope, receive, send):
        if scope["type"] != "websocket" or when == "returns":
            return
        await receive()
        if when == "after the accept":
            await send({"type": "websocket.accept"})
        raise RuntimeError("the application has failed")

    async with in_uvicorn(io.asgi(failing)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(upgrade(path))
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    status = b"101" if when == "after the accept" else b"500"
    assert answer.startswith(b"HTTP/1.1 " + status)
    text = "without completing handshake" if when == "returns" else "has failed"
    assert text in caplog.text


async def test_application_refuses_with_an_answer_of_its_own(io, in_uvicorn):
    async def refusing(scope, receive, send):
        if scope["type"] != "websocket":
            return
        await receive()
        headers = [(b"x-why", b"because"), (b"content-length", b"10")]
        start = {"type": "websocket.http.response.start", "status": 418, "headers": headers}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b"short", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"stout"})

    async with in_uvicorn(io.asgi(refusing)) as port:
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(f"ws://127.0.0.1:{port}{EIO}")
    response = caught.value.response
    assert (response.status_code, response.body) == (418, b"shortstout")
    assert response.headers["x-why"] == "because"


@pytest.mark.parametrize("path", ["/other", EIO])
async def test_application_refuses_with_a_close(io, path, in_uvicorn):
    async def closing(scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async with in_uvicorn(io.asgi(closing)) as port:
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(f"ws://127.0.0.1:{port}{path}")
    assert caught.value.response.status_code == 403


async def test_frames_that_come_before_the_answer_are_not_lost(io, log, in_uvicorn):
    io.on("connection", lambda socket: log.append("connection"))
    go_on = asyncio.Event()

    async def slow(request):
        await go_on.wait()

    io.engine.use(slow)
    async with in_uvicorn(io.asgi()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(upgrade(QUERY))
        await asyncio.sleep(
            0.05
        )  # in a segment of its own: what stands behind the head uvicorn drops
        writer.write(b"\x81\x82\0\0\0\x0040")
        await asyncio.sleep(0.05)
        go_on.set()
        await eventually(lambda: log == ["connection"])
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"40{")).startswith(b"HTTP/1.1 101 ")
        writer.close()


async def test_server_that_stops_refuses_handshakes_that_are_under_way(io, in_uvicorn):
    started, answered = asyncio.Event(), asyncio.Event()

    async def slow(request):
        started.set()
        await answered.wait()

    async def read(reader):
        answer = await reader.read()
        answered.set()
        return answer

    io.engine.use(slow)
    async with in_uvicorn(io.asgi()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(upgrade(QUERY))
        await started.wait()
        reading = asyncio.create_task(read(reader))
    assert (await reading).startswith(b"HTTP/1.1 503 ")
    writer.close()


def upgrade(path):
    """Return the head of a request for a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()

"""TLS is asyncio's below the transport: what is taken over then is written through it, not on the socket."""

import asyncio
import json
import ssl

import pytest
import trustme
import websockets
from tests.integration.conftest import eventually

import roomcast.uvicorn
from roomcast import Server
from roomcast.types import Limits
from support.asgi_servers import in_process


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    """The options of uvicorn for a certificate of this machine."""
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(folder / "key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "certificate"))
    return {"ssl_keyfile": str(folder / "key"), "ssl_certfile": str(folder / "certificate")}


@pytest.fixture
def connect(authority):
    async def connect(port):
        context = ssl.create_default_context()
        authority.configure_trust(context)
        url = f"wss://localhost:{port}/socket.io/?EIO=4&transport=websocket"
        ws = await websockets.connect(url, ssl=context, max_size=None, ping_interval=None)
        assert json.loads((await ws.recv())[1:])["upgrades"] == []
        await ws.send("40")
        assert (await ws.recv()).startswith("40{")
        return ws

    return connect


async def test_events_go_both_ways(connect, files):
    io = Server()
    handshakes = []
    io.on("connection", lambda socket: handshakes.append(socket.handshake.secure))
    io.event("echo")(lambda socket, *args: socket.emit("echo", *args))
    app = io.asgi()
    async with in_process(app, ws=roomcast.uvicorn.WebSocketProtocol, **files) as port:
        ws = await connect(port)
        assert handshakes == [True]
        for size in (1, 100, 100_000, 900_000):
            await ws.send(f'42["echo","{"x" * size}"]')
            assert await ws.recv() == f'42["echo","{"x" * size}"]'
        await ws.send('451-["echo",{"_placeholder":true,"num":0}]')
        await ws.send(b"\x00\x01")
        assert [await ws.recv(), await ws.recv()] == [
            '451-["echo",{"_placeholder":true,"num":0}]',
            b"\x00\x01",
        ]
        await ws.close()


async def test_client_that_does_not_read_makes_it_not_writable(connect, files):
    io = Server(limits=Limits(send_buffer_size=20_000_000))
    async with in_process(io.asgi(), ws=roomcast.uvicorn.WebSocketProtocol, **files) as port:
        ws = await connect(port)
        (socket,) = io.sockets.values()
        assert socket.outbox.writable
        ws.transport.pause_reading()
        sent = 0
        while socket.outbox.writable:
            socket.emit("fill", "x" * 100_000)
            await asyncio.sleep(0.001)
            sent += 1
            assert sent < 1000
        socket.volatile.emit("lost")
        socket.emit("last")
        ws.transport.resume_reading()
        for _ in range(sent):
            assert await ws.recv() == f'42["fill","{"x" * 100_000}"]'
        assert await ws.recv() == '42["last"]'
        await eventually(lambda: socket.outbox.writable)
        socket.volatile.emit("kept")
        assert await ws.recv() == '42["kept"]'
        await ws.close()


async def test_server_tells_the_clients_that_it_stops(connect, files):
    io = Server()
    async with in_process(io.asgi(), ws=roomcast.uvicorn.WebSocketProtocol, **files) as port:
        ws = await connect(port)
        await io.close()
        with pytest.raises(websockets.ConnectionClosed):
            await ws.recv()

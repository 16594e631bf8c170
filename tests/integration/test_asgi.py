"""The server inside other ASGI applications, and on a port of its own."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import urllib.request

import pytest
import uvicorn
import websockets

from roomcast import MissingDependencyError, Server
from roomcast.engine.direct import DirectWebSocket


async def call(app, scope, *incoming):
    """Run an ASGI application; return what it sent."""
    queue, sent = asyncio.Queue(), []
    for message in incoming:
        queue.put_nowait(message)

    async def send(message):
        sent.append(message)

    async with asyncio.timeout(3):
        await app({"headers": [], "query_string": b"", **scope}, queue.get, send)
    return sent


async def test_other_paths_go_to_the_other_app(io):
    async def other(scope, receive, send):
        await send({"type": "other", "of": scope["type"], "path": scope.get("path")})

    app = io.asgi(other)
    for kind in ("http", "websocket"):
        sent = await call(app, {"type": kind, "path": "/elsewhere"})
        assert sent == [{"type": "other", "of": kind, "path": "/elsewhere"}]
    assert await call(app, {"type": "lifespan"}) == [
        {"type": "other", "of": "lifespan", "path": None}
    ]
    sent = await call(app, {"type": "http", "method": "GET", "path": "/socket.io/"})
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert json.loads(sent[1]["body"])["code"] == 0


async def test_without_another_app_other_paths_are_not_found(io):
    app = io.asgi()
    sent = await call(app, {"type": "http", "path": "/"})
    assert sent[0]["status"] == 404
    sent = await call(app, {"type": "websocket", "path": "/"}, {"type": "websocket.connect"})
    assert sent == [{"type": "websocket.close", "code": 1000}]
    gone = {"type": "websocket.disconnect", "code": 1006}
    assert await call(app, {"type": "websocket", "path": "/"}, gone) == []


async def test_lifespan_ends_with_the_connections(io, log):
    app = io.asgi()
    incoming, sent = asyncio.Queue(), asyncio.Queue()
    lifespan = asyncio.create_task(app({"type": "lifespan"}, incoming.get, sent.put))
    incoming.put_nowait({"type": "lifespan.startup"})
    assert await sent.get() == {"type": "lifespan.startup.complete"}
    incoming.put_nowait({"type": "lifespan.shutdown"})
    assert await sent.get() == {"type": "lifespan.shutdown.complete"}
    await lifespan
    query = b"EIO=4&transport=websocket"
    late = await call(
        app,
        {"type": "websocket", "path": "/socket.io/", "query_string": query},
        {"type": "websocket.connect"},
    )
    assert late == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("root", "path", "taken"),
    [
        ("", "/socket.io/", True),
        ("", "/socket.io/x", True),
        ("", "/socket.io", False),
        ("", "/socket.iox/", False),
        ("/ws", "/ws/socket.io/", True),  # mounted, the path whole, as newer Starlette has it
        ("/ws", "/socket.io/", True),  # mounted, the path cut
        ("/socket.io", "/socket.io/", True),  # mounted at the path itself
        ("/socket.io", "/", True),
        ("/ws", "/ws/other/", False),
    ],
)
async def test_mounted_under_a_prefix(io, root, path, taken):
    sent = await call(io.asgi(), {"type": "http", "method": "GET", "path": path, "root_path": root})
    assert sent[0]["status"] == (400 if taken else 404)


async def test_websocket_that_is_gone_before_the_handshake(io):
    scope = {"type": "websocket", "path": "/socket.io/"}
    assert await call(io.asgi(), scope, {"type": "websocket.disconnect", "code": 1006}) == []


async def test_refusal_without_the_extension_is_a_plain_close(io):
    scope = {"type": "websocket", "path": "/socket.io/"}
    sent = await call(io.asgi(), scope, {"type": "websocket.connect"})
    assert sent == [{"type": "websocket.close", "code": 1008}]


def started(failure):
    """An ASGI server whose `send` fails with the second frame."""
    scope = {
        "type": "websocket",
        "path": "/socket.io/",
        "headers": [],
        "query_string": b"EIO=4&transport=websocket",
    }
    incoming, sent = asyncio.Queue(), []
    incoming.put_nowait({"type": "websocket.connect"})
    incoming.put_nowait({"type": "websocket.receive", "text": "40"})

    async def send(message):
        sent.append(message)
        if len(sent) > 2:
            raise failure

    return scope, incoming, send


async def test_server_that_closes_during_the_handshake(io):
    scope, incoming, _ = started(None)
    sent = []

    async def send(message):
        sent.append(message["type"])
        if message["type"] == "websocket.accept":
            io.close()
        elif message["type"] == "websocket.close":
            incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})

    await io.asgi()(scope, incoming.get, send)
    assert sent == ["websocket.accept", "websocket.close"]
    assert io.sockets == {}


@pytest.mark.parametrize(
    ("failure", "reason"), [(OSError(), "transport close"), (RuntimeError(), "transport error")]
)
async def test_failing_send_ends_the_connection(io, log, failure, reason):
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    scope, incoming, send = started(failure)
    app = asyncio.create_task(io.asgi()(scope, incoming.get, send))
    await log.until(reason)
    incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await app
    assert log == [reason]


async def test_cancelled_application_ends_the_connection(io, log):
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    io.on("connection", lambda socket: log.append("connection"))
    scope, incoming, _ = started(None)

    async def send(message):
        pass

    app = asyncio.create_task(io.asgi()(scope, incoming.get, send))
    await log.until("connection")
    app.cancel()
    with pytest.raises(asyncio.CancelledError):
        await app
    assert log == ["connection", "transport close"]


async def test_closing_that_does_not_end_is_aborted(io, log, monkeypatch):
    """A foreign server that never reports the end after our close."""
    monkeypatch.setattr("roomcast.engine.websocket.LINGER", 0.1)
    io.on("connection", log.append)
    scope, incoming, _ = started(None)
    sent = []

    async def send(message):
        sent.append(message)

    app = asyncio.create_task(io.asgi()(scope, incoming.get, send))
    await log.count(1)
    log[0].disconnect(close=True)
    async with asyncio.timeout(2):
        await app
    assert sent[-1] == {"type": "websocket.close", "code": 1000}
    assert app.cancelling() == 0


async def test_send_that_hangs_at_the_ping_timeout_is_aborted(log):
    io = Server(ping_interval=0.05, ping_timeout=0.1)
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    scope, incoming, _ = started(None)
    hangs = asyncio.Event()

    async def send(message):
        if message.get("text") == "2":
            await hangs.wait()

    async with asyncio.timeout(2):
        await io.asgi()(scope, incoming.get, send)
    assert log == ["ping timeout"]


# Ports


async def test_listen_takes_a_free_port_and_gives_it_back(io):
    listening = await io.listen(0)
    assert listening.port > 0
    assert listening.host == "127.0.0.1"
    url = f"ws://127.0.0.1:{listening.port}/socket.io/?EIO=4&transport=websocket"
    async with websockets.connect(url) as ws:
        assert str(await ws.recv()).startswith("0{")
    await io.close()
    await listening.wait_closed()
    with socket.create_server(("127.0.0.1", listening.port)):
        pass


async def test_listen_on_a_taken_port_is_an_error(io):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="use"):
        await io.listen(taken.getsockname()[1])


async def test_listen_speaks_ipv6(io):
    try:
        listening = await io.listen(0, host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert listening.host == "::1"
    await io.close()


async def test_listen_serves_another_app_too(io, serve):
    async def other(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"other"})

    port = (await serve(io, other_app=other)).port

    def fetch():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            return response.read()

    assert await asyncio.to_thread(fetch) == b"other"


async def test_listen_reports_a_failed_startup(io):
    async def other(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="startup"):
        await io.listen(0, other_app=other)


async def test_listen_without_uvicorn_names_the_command(io, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "roomcast\[server\]"'):
        await io.listen(0)


async def test_answers_do_not_wait_for_more(io, connect):
    """Nagle's algorithm is off: else a client that delays its acknowledgements waits 40 ms for each answer."""
    lines = []
    io.on("connection", lambda socket: lines.append(socket.conn.transport))
    raw = await connect(io)
    await raw.join()
    if isinstance(lines[0], DirectWebSocket):
        line = lines[0]._transport.get_extra_info("socket")
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_listen_does_not_touch_the_signals(io, serve):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    await serve(io)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_runs_under_a_plain_uvicorn(io, log):
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(uvicorn.Config(io.asgi(), log_level="warning"))
        server.capture_signals = contextlib.nullcontext
        serving = asyncio.create_task(server.serve([bound]))
        port = bound.getsockname()[1]
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        async with websockets.connect(url) as ws:
            await ws.recv()
            await ws.send("40")
            assert str(await ws.recv()).startswith("40")
            server.should_exit = True
            await serving
    assert log == ["transport close"]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_run_takes_uvloop_where_it_is_installed(monkeypatch, loop):
    seen = []
    io = Server()

    async def other(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            seen.append(type(asyncio.get_running_loop()).__module__.split(".")[0])
            # A signal before the handler is there would end the tests.
            while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

    if loop == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # uvloop leaves its own behind
    io.run(0, other_app=other)
    assert seen == [loop]


PROGRAM = """
import asyncio
import contextlib
from roomcast import Server
io = Server()
@io.event
def loop(socket):
    return type(asyncio.get_running_loop()).__module__
@io.event
def disconnect(socket, reason):
    print(reason, flush=True)
io.run({port})
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_run_serves_until_a_signal(number):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM.format(port=port),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    async with asyncio.timeout(10):
        while True:
            try:
                ws = await websockets.connect(url)
                break
            except OSError:
                await asyncio.sleep(0.05)
        await ws.recv()
        await ws.send("40")
        await ws.recv()
        await ws.send('421["loop"]')
        assert await ws.recv() == '431["uvloop"]'
        program.send_signal(number)
        out, err = await program.communicate()
        await ws.close()
    assert out == b"server shutting down\n"
    assert err == b""
    assert program.returncode == 0

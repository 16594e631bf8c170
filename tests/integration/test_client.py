"""The client against our own server, over each transport, on real sockets."""

import asyncio
import json

import pytest
import uvloop

import roomcast
from roomcast import (
    AckTimeoutError,
    ConnectError,
    DisconnectedError,
    Manager,
    ReservedEventError,
    SendBufferError,
    Server,
    TransportError,
    connect,
)

TRANSPORTS = {
    "polling": ("polling",),
    "websocket": ("websocket",),
    "upgrade": ("polling", "websocket"),
}


def serve_here() -> Server:
    io = Server(ping_interval=0.3, ping_timeout=2.0)

    def connection(socket):
        socket.emit("welcome", socket.handshake.auth, socket.handshake.query.get("x"))
        socket.on("echo", lambda *args: args)
        socket.on("late", lambda: asyncio.sleep(60))
        socket.on("leave", lambda: socket.disconnect() and None)
        socket.on("drop", lambda: socket.disconnect(close=True) and None)

        @socket.on("ask")
        async def ask():
            return await socket.emit_with_ack("question", 20)

    io.on("connection", connection)
    io.of("/admin").on("connection", connection)

    @io.of("/closed").use
    def refuse(socket):
        raise ConnectError("not you", {"code": 7})

    return io


@pytest.fixture
async def url():
    io = serve_here()
    listening = await io.listen(0)
    yield f"http://127.0.0.1:{listening.port}"
    await io.close()


@pytest.fixture(params=list(TRANSPORTS))
def transports(request):
    return TRANSPORTS[request.param]


async def test_events_acks_and_attachments(url, transports):
    async with connect(f"{url}/?x=1", transports=transports, auth={"a": 1}) as socket:
        assert await socket.wait_for("welcome", timeout=5) == ({"a": 1}, "1")
        value = {"list": [1, "é", None], "bytes": b"\x00\x01", "more": b"x" * 100_000}
        assert await socket.emit_with_ack("echo", value) == value
        assert await socket.timeout(5).emit_with_ack("echo", 1, 2) == (1, 2)
        answered = asyncio.get_running_loop().create_future()
        socket.emit("echo", "hi", ack=answered.set_result)
        assert await answered == "hi"
        socket.on("question", lambda number: number + 1)
        assert await socket.emit_with_ack("ask") == 21
    assert not socket.connected
    assert not socket.active
    assert socket.manager.state == "closed"


async def test_upgrade_keeps_the_order(url):
    async with connect(url) as socket:
        answers = [socket.emit_with_ack("echo", number, b"x") for number in range(500)]
        for number, answer in enumerate(answers):
            assert await answer == (number, b"x")
        if socket.transport != "websocket":
            moved = asyncio.Event()
            socket.manager.on("upgrade", moved.set)
            await asyncio.wait_for(moved.wait(), 5)
        assert socket.transport == "websocket"
        assert await socket.emit_with_ack("echo", 1) == 1


async def test_heartbeats_keep_it_alive(url, transports):
    async with connect(url, transports=transports) as socket:
        pings = 0

        def count():
            nonlocal pings
            pings += 1

        socket.manager.on("ping", count)
        await asyncio.sleep(1.0)
        assert pings >= 2
        assert socket.connected


async def test_namespaces_share_a_connection(url, transports):
    async with Manager(url, transports=transports) as manager:
        one, other = manager.socket("/"), manager.socket("/admin", auth={"who": "admin"})
        await one
        await other
        assert await other.wait_for("welcome", timeout=5) == ({"who": "admin"}, None)
        await one.disconnect()
        assert manager.state == "open"
        assert await other.emit_with_ack("echo", 1) == 1
    assert manager.state == "closed"


async def test_refusals(url, transports):
    with pytest.raises(ConnectError, match="not you") as caught:
        await connect(f"{url}/closed", transports=transports)
    assert caught.value.data == {"code": 7}
    with pytest.raises(ConnectError, match="Invalid namespace"):
        await connect(f"{url}/nobody", transports=transports)


async def test_nobody_there(transports):
    with pytest.raises(TransportError) as caught:
        await connect("http://127.0.0.1:1", transports=transports)
    assert isinstance(caught.value.description, OSError)


async def test_timeouts_and_disconnects_fail_acks(url, transports):
    async with connect(url, transports=transports) as socket:
        with pytest.raises(AckTimeoutError):
            await socket.timeout(0.05).emit_with_ack("late")
        errors = []
        socket.timeout(0.05).emit("late", ack=lambda error, *args: errors.append(error))
        pending = socket.emit_with_ack("late")
        socket.emit("leave")
        assert await socket.wait_for("disconnect", timeout=5) == "io server disconnect"
        with pytest.raises(DisconnectedError):
            await pending
        assert len(errors) == 1
        assert not socket.active


async def test_it_comes_back_and_sends_what_was_kept(url, transports):
    options = {"reconnection_delay": 0.01, "reconnection_delay_max": 0.02}
    async with connect(url, transports=transports, **options) as socket:
        await socket.wait_for("welcome", timeout=5)
        events = []
        for event in ("close", "reconnect_attempt", "open", "reconnect"):
            socket.manager.on(event, lambda *args, event=event: events.append(event))
        socket.emit("drop")
        await socket.wait_for("disconnect", timeout=5)
        if not socket.active:  # our server's close ends the namespace first
            socket.connect()
        kept = socket.emit_with_ack("echo", "kept")
        socket.volatile.emit("echo", "dropped")
        assert await asyncio.wait_for(kept, 5) == "kept"
        if "reconnect" in events:
            assert events[:4] == ["close", "reconnect_attempt", "open", "reconnect"]


async def test_retries_send_again_until_acknowledged(url):
    async with connect(url, transports="websocket", retries=2, ack_timeout=0.1) as socket:
        with pytest.raises(AckTimeoutError):
            await socket.emit_with_ack("late")
        assert await socket.emit_with_ack("echo", 1) == 1


async def test_iteration_ends_with_the_connection(url, transports):
    async with connect(url, transports=transports) as socket:
        seen = []
        async for event, *args in socket:
            seen.append((event, args))
            socket.emit("leave")
        assert seen == [("welcome", [{}, None])]


async def test_auth_functions_are_asked_at_each_connection(url):
    asked = []

    async def auth():
        asked.append(1)
        return {"n": len(asked)}

    for number in (1, 2):
        async with connect(url, transports="websocket", auth=auth) as socket:
            assert (await socket.wait_for("welcome", timeout=5))[0] == {"n": number}


async def test_listeners_for_everything(url):
    async with connect(url, transports="websocket") as socket:
        seen, sent = [], []
        socket.on_any(lambda *args: seen.append(args[0]))
        socket.on_any_outgoing(lambda *args: sent.append(args[0]))
        socket.on("question", lambda number: number)
        await socket.emit_with_ack("ask")
        assert (seen[-1], sent) == ("question", ["ask"])


async def test_mistakes_are_errors_at_the_call(url):
    with pytest.raises(TypeError, match="did you mean 'reconnection_delay'"):
        connect(url, reconnectionDelay=1)
    with pytest.raises(ValueError, match="begins with none of"):
        connect("ftp://example.com")
    with pytest.raises(ValueError, match="has no path"):
        Manager(f"{url}/admin")
    socket = connect(url, send_buffer_packets=1)
    with pytest.raises(ReservedEventError):
        socket.emit("connect")
    socket.emit("kept")
    with pytest.raises(SendBufferError):
        socket.emit("one too many")
    dropping = connect(url, send_buffer_packets=1, send_buffer_policy="drop_oldest")
    dropping.emit("a")
    dropping.emit("b")
    assert dropping.manager.dropped == 1


async def test_nothing_is_left_behind(url, transports):
    before = asyncio.all_tasks()
    async with connect(url, transports=transports) as socket:
        socket.on("question", lambda number: asyncio.sleep(60))
        socket.emit("ask")
        await asyncio.sleep(0.1)
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


def test_it_runs_on_uvloop():
    async def main():
        io = serve_here()
        listening = await io.listen(0)
        try:
            for transports in TRANSPORTS.values():
                url = f"http://127.0.0.1:{listening.port}"
                async with connect(url, transports=transports) as socket:
                    value = json.loads('{"a": [1, 2]}')
                    assert await socket.emit_with_ack("echo", value, b"x" * 300_000) == (
                        value,
                        b"x" * 300_000,
                    )
        finally:
            await io.close()

    uvloop.run(main())


def test_compressed_messages():
    async def main():
        io = Server(per_message_deflate=True)
        io.on("connection", lambda socket: socket.on("echo", lambda value: value) and None)
        listening = await io.listen(0)
        try:
            url = f"http://127.0.0.1:{listening.port}"
            async with connect(url, transports="websocket") as socket:
                text = "compressible " * 1_000
                assert await socket.emit_with_ack("echo", text) == text
                assert await socket.compress(False).emit_with_ack("echo", text) == text
        finally:
            await io.close()

    asyncio.run(main())


def test_the_package_offers_it():
    assert roomcast.connect is connect

"""The Engine.IO side of a server on real sockets: requests, handshake, heartbeat, closing."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest
import websockets

from roomcast import Limits, Server


async def http(port, path, method="GET", headers=None):
    def fetch():
        url = f"http://127.0.0.1:{port}{path}"
        request = urllib.request.Request(url, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    return await asyncio.to_thread(fetch)


async def test_open_packet_has_the_references_keys_in_their_order(io, connect):
    raw = await connect(io)
    assert list(raw.handshake) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]
    assert raw.handshake["upgrades"] == []
    assert raw.handshake["pingInterval"] == 25000
    assert raw.handshake["pingTimeout"] == 20000
    assert raw.handshake["maxPayload"] == 1_000_000
    assert len(raw.handshake["sid"]) == 20


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/socket.io/?EIO=3&transport=polling", 5, "Unsupported protocol version"),
        ("/socket.io/?EIO=4&transport=constructor", 0, "Transport unknown"),
        ("/socket.io/?EIO=4&transport=polling%00", 0, "Transport unknown"),
        ("/socket.io/", 0, "Transport unknown"),
        ("/socket.io/?EIO=4&transport=websocket", 3, "Bad request"),
        ("/socket.io/?EIO=4&transport=websocket&sid=__proto__", 1, "Session ID unknown"),
    ],
)
async def test_http_request_gets_the_references_error(io, serve, path, code, message):
    port = (await serve(io)).port
    status, headers, body = await http(port, path)
    assert (status, json.loads(body)) == (400, {"code": code, "message": message})
    assert body == json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()
    assert headers["content-type"] == "application/json"


async def test_http_request_with_another_method_is_a_bad_handshake(io, serve):
    port = (await serve(io)).port
    status, _, body = await http(port, "/socket.io/?EIO=4&transport=websocket", method="POST")
    assert (status, json.loads(body)["code"]) == (400, 2)


async def test_http_request_elsewhere_is_not_found(io, serve):
    port = (await serve(io)).port
    assert (await http(port, "/socket.io?EIO=4&transport=polling"))[0] == 404
    assert (await http(port, "/"))[0] == 404


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("EIO=3&transport=websocket", b"Unsupported protocol version"),
        ("EIO=4%20&transport=websocket", b"Unsupported protocol version"),
        ("EIO=4&EIO=5&transport=websocket", b"Unsupported protocol version"),
        ("transport=websocket", b"Unsupported protocol version"),
        ("EIO=4&transport=polling", b"Bad request"),
        ("EIO=4&transport=websocket&sid=nobody", b"Session ID unknown"),
    ],
)
async def test_websocket_is_refused_before_the_101(io, connect, query, body):
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(io, query)
    assert caught.value.response.status_code == 400
    assert caught.value.response.body == body
    assert io.engine.connections == {}


async def test_websocket_of_another_sid_is_refused_and_harms_nobody(io, connect):
    raw = await connect(io)
    with pytest.raises(websockets.ConnectionClosed):
        await connect(io, f"EIO=4&transport=websocket&sid={raw.handshake['sid']}")
    await raw.join()


async def test_websocket_elsewhere_is_refused(io, connect):
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(io, path="/other/")
    assert caught.value.response.status_code == 403


async def test_repeated_parameter_counts_with_its_last_value(io, connect):
    await connect(io, "EIO=3&EIO=4&transport=polling&transport=websocket")


async def test_first_subprotocol_offered_is_chosen(io, connect):
    raw = await connect(io, subprotocols=["first", "second"])
    assert raw.ws.subprotocol == "first"


async def test_path_can_be_chosen(connect):
    io = Server(path="/other")
    raw = await connect(io, path="/other/")
    await raw.join()


async def test_ping_comes_after_the_interval_and_again_after_the_pong(connect):
    raw = await connect(Server(ping_interval=0.1, ping_timeout=0.5))
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await raw.recv() == "2"
    assert loop.time() - start == pytest.approx(0.1, abs=0.05)
    await asyncio.sleep(0.1)
    await raw.send("3")
    start = loop.time()
    assert await raw.recv() == "2"
    assert loop.time() - start == pytest.approx(0.1, abs=0.05)


async def test_missing_pong_is_a_ping_timeout(connect, log):
    io = Server(ping_interval=0.1, ping_timeout=0.15)
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    raw = await connect(io)
    await raw.join()
    start = asyncio.get_running_loop().time()
    await raw.closed()
    assert asyncio.get_running_loop().time() - start == pytest.approx(0.25, abs=0.08)
    await log.until("ping timeout")


async def test_first_other_packet_extends_the_wait_for_a_pong_once(connect):
    raw = await connect(Server(ping_interval=0.15, ping_timeout=0.2))
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await raw.recv() == "2"
    await asyncio.sleep(0.1)
    await raw.send("6")  # 0.25: may now take until 0.45
    await asyncio.sleep(0.1)
    await raw.send("6")  # 0.35: changes nothing
    await raw.closed()
    assert loop.time() - start == pytest.approx(0.45, abs=0.06)


async def test_unsolicited_pong_delays_the_next_ping(connect):
    raw = await connect(Server(ping_interval=0.2, ping_timeout=1))
    start = asyncio.get_running_loop().time()
    await asyncio.sleep(0.1)
    await raw.send("3whatever")
    assert await raw.recv() == "2"
    assert asyncio.get_running_loop().time() - start == pytest.approx(0.3, abs=0.06)


async def test_server_has_one_timer_for_all_connections(connect):
    io = Server(ping_interval=0.3, ping_timeout=5)
    raws = [await connect(io) for _ in range(5)]
    tasks = len(asyncio.all_tasks())
    assert len(io.engine.timers) == 10  # a heartbeat and a connect time-out each
    for raw in raws:
        assert await raw.recv() == "2"
    assert len(asyncio.all_tasks()) == tasks


@pytest.mark.parametrize("frame", ["0", "1", "5", "6", "0{}", "1x"])
async def test_packets_without_meaning_on_a_websocket_are_ignored(io, connect, frame):
    raw = await connect(io)
    await raw.send(frame)
    await raw.join()


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("2", "transport error"),
        ("2probe", "transport error"),
        ("", "parse error"),
        ("7", "parse error"),
        ("x", "parse error"),
    ],
)
async def test_bad_packet_closes_with_its_reason(io, connect, log, frame, reason):
    io.event("disconnect")(lambda socket, *args: log.append(args[0]))
    raw = await connect(io)
    await raw.join()
    await raw.send(frame)
    await raw.closed()
    await log.until(reason)
    assert log == [reason]
    assert io.engine.connections == {}


async def test_text_frame_with_b_is_binary(io, connect, log):
    io.event("bin")(lambda socket, *args: log.append(args))
    raw = await connect(io)
    await raw.join()
    await raw.send('451-["bin",{"_placeholder":true,"num":0}]', "bAQIDBA==")
    await log.until((b"\x01\x02\x03\x04",))


async def test_connection_that_joins_nothing_is_closed(connect):
    io = Server(connect_timeout=0.2)
    idle, joined = await connect(io), await connect(io)
    await joined.join()
    await joined.send("41")  # having joined once is enough
    start = asyncio.get_running_loop().time()
    await idle.closed()
    assert asyncio.get_running_loop().time() - start == pytest.approx(0.2, abs=0.1)
    assert await joined.silent()
    await joined.join()


async def test_message_at_the_limit_passes_and_one_beyond_closes(connect, log):
    io = Server(max_http_buffer_size=1000)
    io.event("x")(lambda socket, text: log.append(len(text)))
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    raw = await connect(io)
    await raw.join()
    frame = '42["x","' + "a" * (1000 - 10) + '"]'
    assert len(frame) == 1000
    await raw.send(frame)
    await log.until(990)
    await raw.send(frame[:-2] + 'a"]')
    assert await raw.closed() == 1009
    await log.until("transport error")


async def test_message_limit_holds_without_the_servers_help(serve, log):
    """Under a foreign server, which does not know our limit, the bytes are counted by us."""
    io = Server(max_http_buffer_size=100)
    io.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))
    app = io.asgi()
    for frame in ("4" + "a" * 100, "4" + "é" * 50, b"x" * 101):
        sent = []
        incoming = asyncio.Queue()
        scope = {"type": "websocket", "path": "/socket.io/", "headers": []}
        scope["query_string"] = b"EIO=4&transport=websocket"
        key = "text" if isinstance(frame, str) else "bytes"
        incoming.put_nowait({"type": "websocket.connect"})
        incoming.put_nowait({"type": "websocket.receive", "text": "40"})
        incoming.put_nowait({"type": "websocket.receive", key: frame})

        async def send(message, sent=sent, incoming=incoming):
            sent.append(message)
            if message["type"] == "websocket.close":
                incoming.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

        async with asyncio.timeout(3):
            await app(scope, incoming.get, send)
        assert sent[-1] == {"type": "websocket.close", "code": 1009}
    assert log == [("transport error", "message too big")] * 3


async def test_invalid_utf8_is_a_transport_error(io, connect, log):
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    raw = await connect(io)
    await raw.join()
    raw.ws.protocol.send_text(b"4\xff")
    raw.ws.send_data()
    assert await raw.closed() == 1007
    await log.until("transport error")


@pytest.mark.parametrize("abort", [False, True])
async def test_end_of_the_line_is_a_transport_close(io, connect, log, abort):
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    raw = await connect(io)
    await raw.join()
    if abort:
        raw.ws.transport.abort()
    else:
        await raw.close()
    await log.until("transport close")
    assert io.engine.connections == {}
    assert io.sockets == {}


async def test_stalled_reader_is_closed_and_the_others_go_on(connect, log):
    io = Server(limits=Limits(send_buffer_size=300_000))
    io.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))
    slow, quick = await connect(io), await connect(io)
    await slow.join()
    await quick.join()
    slow.ws.transport.pause_reading()
    received = 0
    sizes = []
    while not log:
        io.emit("x", "a" * 50_000)
        await asyncio.sleep(0)
        sizes.append(max(c.outbox.size for c in io.engine.connections.values()))
        assert await quick.recv() == '42["x","' + "a" * 50_000 + '"]'
        received += 1
        assert received < 1000
    assert log == [("forced close", "slow client")]
    assert max(sizes) <= 300_000
    assert len(io.sockets) == 1
    slow.ws.transport.abort()


async def test_await_emit_waits_for_a_reader_and_its_end(connect, log):
    io = Server(limits=Limits(send_buffer_size=100_000_000))
    raw = await connect(io)
    await raw.join()
    raw.ws.transport.pause_reading()
    for _ in range(200):  # more than the kernel's buffers take
        io.emit("x", "a" * 100_000)
    waiting = [asyncio.ensure_future(io.emit("x")) for _ in range(3)]
    waiting.append(asyncio.ensure_future(next(iter(io.sockets.values())).emit("x")))
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in waiting)
    waiting[0].cancel()  # must not take the others along
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting[1:])
    raw.ws.transport.resume_reading()
    while not waiting[1].done():
        await raw.recv()
    await asyncio.gather(*waiting[1:])
    raw.ws.transport.abort()  # what is still on its way would hold up the closing handshake


async def test_await_emit_ends_with_the_connection(connect):
    io = Server(limits=Limits(send_buffer_size=100_000_000))
    raw = await connect(io)
    await raw.join()
    raw.ws.transport.pause_reading()
    for _ in range(200):
        io.emit("x", "a" * 100_000)
    waiting = asyncio.ensure_future(io.emit("x"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    raw.ws.transport.abort()
    async with asyncio.timeout(3):
        await waiting


async def test_close_ends_everything_with_its_reason(io, serve, connect, log):
    io.event("disconnecting")(lambda socket, reason: log.append(("disconnecting", reason)))
    io.event("disconnect")(lambda socket, reason: log.append(("disconnect", reason)))
    raw = await connect(io)
    await raw.join()
    io.emit("last")
    await io.close()
    assert await raw.recv() == '42["last"]'  # what was sent before arrives
    with pytest.raises(websockets.ConnectionClosed):  # and no DISCONNECT after it
        await raw.recv()
    assert log == [
        ("disconnecting", "server shutting down"),
        ("disconnect", "server shutting down"),
    ]
    assert len(io.engine.timers) == 0
    assert io.engine.connections == {}


async def test_close_leaves_no_task_behind(connect):
    io = Server()
    before = asyncio.all_tasks()
    raw = await connect(io)
    await raw.join()
    await raw.close()
    await io.close()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() - before == set()


async def test_churn_leaves_nothing_behind(io, connect):
    raw = await connect(io)
    await asyncio.sleep(0.05)
    tasks = len(asyncio.all_tasks())
    for _ in range(20):
        other = await connect(io)
        await other.join()
        await other.close()
    await asyncio.sleep(0.05)
    assert len(io.engine.connections) == 1
    assert len(io.engine.timers) == 2
    assert io.sockets == {}
    # uvicorn's own task of the last connection may take one more turn
    assert len(asyncio.all_tasks()) <= tasks + 1
    await raw.close()

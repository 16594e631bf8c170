"""Rows of hardening.md about the frames of a WebSocket and the end of lines: first frame, reset, size, frames, cut line, heartbeat.

The row stands in the name of each test. What is so only where roomcast reads the frames itself is in `test_hostile_frames`.
``ROOMCAST_HOSTILE=full`` takes the numbers of the page.
"""

import asyncio
import logging
import struct

import pytest
from tests.integration.conftest import FULL, asgi_handshake, end_all, eventually

from roomcast import Server
from support.process import watch_memory
from support.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WEBSOCKET, frame, head

pytestmark = pytest.mark.usefixtures("nothing_left")

POLLING = "EIO=4&transport=polling"
DIRECT = "EIO=4&transport=websocket"

CORRUPT = {
    "unmasked": frame(TEXT, "2probe", masked=False),
    "first reserved bit": frame(TEXT, "2probe", first=0xC0),
    "second reserved bit": frame(TEXT, "2probe", first=0xA0),
    "third reserved bit": frame(TEXT, "2probe", first=0x90),
    "unknown opcode": frame(3, "2probe"),
    "unknown control opcode": frame(11, "2probe"),
    "continuation of nothing": frame(CONTINUATION, "2probe"),
    "text within a text": frame(TEXT, "2pro", first=0) + frame(TEXT, "be"),
    "long ping": frame(PING, b"a" * 126),
    "fragmented ping": frame(PING, b"a", first=0),
    "close code 0": frame(CLOSE, struct.pack("!H", 0)),
    "close code 1005": frame(CLOSE, struct.pack("!H", 1005)),
    "close of one byte": frame(CLOSE, b"\x03"),
    "close with bad UTF-8": frame(CLOSE, b"\x03\xe8\xff"),
    "bad UTF-8": frame(TEXT, b"2probe\xff"),
    "surrogate in UTF-8": frame(TEXT, b"2probe\xed\xa0\x80"),
    "beyond the limit": b"\x81\xff" + struct.pack("!Q", 1_000_001) + bytes(4),
    "beyond 2**63": b"\x81\xff" + struct.pack("!Q", 1 << 63) + bytes(4),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
}

CLOSED = ("", "1000")
"""The code of an ordinary close: none, or 1000 where ASGI is between."""


@pytest.fixture
def watched(io, log):
    """A server that logs what arrives and why sockets end."""
    io.event("x")(lambda socket, *args: log.append(args))
    io.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))
    return io


def ours(caplog):
    """Return the messages that are not uvicorn's."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("roomcast")]


# first frame


async def test_first_frame_that_is_corrupt_closes_its_websocket_only(watched, poll, dial, log):
    session = await poll(watched)
    await session.join()
    for name, data in CORRUPT.items():
        wire = await dial(watched)
        assert (await wire.upgrade(session.upgrade_query)).status == 101
        wire.write(data)
        assert await wire.closed() in ("", "1000", "1002", "1007", "1009"), name
        await eventually(lambda: not watched.engine._websockets)
        assert watched.engine.connections[session.sid].probe is None
    await session.sent('42["x"]')
    assert log == [()]


async def test_first_frame_that_is_corrupt_may_come_before_the_101(
    watched, poll, dial, log, caplog
):
    session = await poll(watched)
    await session.join()
    decide = asyncio.Event()

    @watched.engine.use
    async def wait(request):
        if request.query["transport"] == "websocket":
            await decide.wait()

    with caplog.at_level(logging.WARNING, "roomcast"):
        for name, data in CORRUPT.items():
            wire = await dial(watched)
            wire.ask(session.upgrade_query, headers=WEBSOCKET)
            await asyncio.sleep(0.005)
            wire.write(data)
            await asyncio.sleep(0.005)
            decide.set()
            _, _, frames = (await wire.ended()).partition(b"\r\n\r\n")
            assert b"42" not in frames, name
            decide.clear()
            await eventually(lambda: not watched.engine._websockets)
            assert watched.engine.connections[session.sid].probe is None
    assert ours(caplog) == []
    await session.sent('42["x"]')
    assert log == [()]


async def test_first_frame_that_is_corrupt_closes_a_direct_connection(watched, dial):
    for name, data in CORRUPT.items():
        wire = await dial(watched)
        assert (await wire.upgrade(DIRECT)).status == 101
        assert str(await wire.recv()).startswith("0{")
        wire.write(data)
        assert await wire.closed() in ("", "1000", "1002", "1007", "1009"), name
        await eventually(lambda: not watched.engine.connections)


async def test_first_frame_in_the_segment_of_the_request_leaves_nothing(dial, poll):
    io = Server(upgrade_timeout=0.1)
    session = await poll(io)
    for data in list(CORRUPT.values())[:3]:
        wire = await dial(io)
        wire.write(head("GET", wire.target(session.upgrade_query), WEBSOCKET) + data)
        assert (await wire.answer()).status == 101
        await wire.closed()
        await eventually(lambda: not io.engine._websockets)
    await session.join()


# reset


STAGES = {
    "nothing": b"",
    "half a line": b"GET /socket.io/?EIO=4&tra",
    "half a head": b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nX-",
    "a handshake": head("GET", f"/socket.io/?{POLLING}"),
    "a refused request": head("GET", "/socket.io/?EIO=3&transport=polling"),
    "a refused body": head("POST", f"/socket.io/?{POLLING}", [("Content-Length", "9")]) + b"4",
    "a preflight": head("OPTIONS", f"/socket.io/?{POLLING}"),
    "a WebSocket": head("GET", f"/socket.io/?{DIRECT}", WEBSOCKET),
    "a refused WebSocket": head("GET", "/socket.io/?EIO=3&transport=websocket", WEBSOCKET),
    "a bad WebSocket": head("GET", f"/socket.io/?{DIRECT}", WEBSOCKET[:-1]),
}


@pytest.mark.parametrize("pause", [None, 0, 0.001, 0.01])
async def test_reset_at_every_stage_is_caught(io, dial, caplog, pause):
    with caplog.at_level(logging.WARNING, "roomcast"):
        for data in STAGES.values():
            wire = await dial(io)
            wire.write(data)
            if pause is not None:
                await asyncio.sleep(pause)
            wire.reset()
        await asyncio.sleep(0.05)
    assert ours(caplog) == []
    end_all(io)  # of polling: nobody can tell that their clients are gone


@pytest.mark.parametrize("pause", [None, 0, 0.001, 0.01])
async def test_reset_at_every_stage_of_a_connection_is_caught(
    watched, dial, poll, log, caplog, pause
):
    def requests(session):
        target = f"/socket.io/?{session.query}"
        upgrade = head("GET", f"/socket.io/?{session.upgrade_query}", WEBSOCKET)
        yield "a GET", head("GET", target)
        yield "half a body", head("POST", target, [("Content-Length", "9")]) + b'42["x'
        yield "a POST", head("POST", target, [("Content-Length", "7")]) + b'42["x"]'
        yield "another method", head("PUT", target)
        yield "an upgrade", upgrade
        yield "a probe", upgrade + frame(TEXT, "2probe")
        yield "an upgrade that is done", upgrade + frame(TEXT, "5")

    with caplog.at_level(logging.WARNING, "roomcast"):
        for number in range(7):
            session = await poll(watched)
            await session.join()
            wire = await dial(watched)
            name, data = list(requests(session))[number]
            wire.write(data)
            if pause is not None:
                await asyncio.sleep(pause)
            wire.reset()
            await asyncio.sleep(0.02)
            ends = [entry for entry in log if entry and entry[0] != 1]
            # Only a GET and a body are missed.
            assert len(ends) <= 1
            assert not ends or name in ("a GET", "half a body", "an upgrade that is done", "a POST")
            end_all(watched)  # so that none of them ends during the next stage
            await eventually(lambda: not watched.engine.connections)
            log.clear()
    assert ours(caplog) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (
            [
                ("Connection", "Upgrade, HTTP2-Settings"),
                ("Upgrade", "h2c"),
                ("HTTP2-Settings", "AAMAAABk"),
            ],
            200,
        ),
        ([("Connection", "Upgrade"), ("Upgrade", "foo")], 200),
        ([("Connection", "Upgrade"), ("Upgrade", "websocketx")], 200),
        ([("Connection", "Upgrade"), ("Upgrade", "x-websocket")], 200),
        ([("Connection", "notupgrade"), ("Upgrade", "websocket")], 200),
        ([("Connection", "keep-alive, notupgrade"), ("Upgrade", "websocket")], 200),
        ([("Upgrade", "websocket")], 200),
        ([("Connection", "Upgrade")], 200),
        ([("Connection", "Upgrade"), ("Upgrade", "foo, websocket")], 200),
    ],
)
async def test_reset_row_upgrade_to_something_else_is_an_ordinary_request(
    io, dial, headers, status
):
    wire = await dial(io)
    answer = await wire.request(POLLING, headers=headers)
    assert answer.status == status
    assert answer.body.startswith(b"0{")
    wire = await dial(io)
    answer = await wire.request(DIRECT, headers=headers)
    assert (answer.status, answer.code) == (400, 3)
    end_all(io)


@pytest.mark.parametrize("failure", [OSError("gone"), ConnectionResetError("gone")], ids=repr)
@pytest.mark.parametrize("when", ["accept", "close", "refusal"])
async def test_reset_that_a_foreign_server_reports_is_caught(io, failure, when):
    """A server under which the client is gone at the moment of our answer."""
    app = io.asgi()
    sid = await asgi_handshake(app)
    query = f"{DIRECT}&sid={sid}" if when != "refusal" else DIRECT.replace("4", "3")
    scope = {
        "type": "websocket",
        "path": "/socket.io/",
        "headers": [],
        "query_string": query.encode(),
    }
    if when == "close":  # of a second WebSocket for one connection
        io.engine.connections[sid].probe = object()
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])
        if message["type"] != "websocket.accept" or when == "accept":
            raise failure

    await app(scope, receive, send)
    assert sent[-1] == ("websocket.accept" if when == "accept" else "websocket.close")
    io.engine.connections[sid].probe = None
    end_all(io)


# size, fragments, frames


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("pieces", [1, 2, 16])
async def test_size_of_a_message_is_limited_over_its_fragments(
    watched, connect, dial, log, opcode, pieces
):
    wire = await dial(watched)
    await wire.upgrade(DIRECT)
    await wire.recv()
    wire.send("40")
    await wire.recv()
    size = 1_000_000 // pieces + 1
    for number in range(pieces):
        first = 0x80 if number == pieces - 1 else 0
        wire.write(frame(CONTINUATION if number else opcode, b"4" * size, first=first))
    assert await wire.closed() == "1009"
    await log.count(1)
    assert log[0][0] == "transport error"


async def test_size_that_is_announced_takes_no_memory(watched, dial):
    wires = []
    for _ in range(50):
        wires.append(await dial(watched))
        await wires[-1].upgrade(DIRECT)
        await wires[-1].recv()
    async with watch_memory() as memory:
        for wire in wires:
            wire.write(b"\x82\xff" + struct.pack("!Q", 1_000_000) + bytes(4) + b"x")
        await asyncio.sleep(0.05)
    assert memory.rise < 2_000_000


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_frames_may_come_byte_by_byte(watched, dial, log, opcode):
    wire = await dial(watched)
    await wire.upgrade(DIRECT)
    await wire.recv()
    wire.send("40")
    await wire.recv()
    for byte in (
        frame(TEXT, '42["x",1]') + frame(TEXT, '42["x",', first=0) + frame(CONTINUATION, "2]")
    ):
        wire.write(bytes((byte,)))
        await asyncio.sleep(0)
    await log.count(2)
    assert log == [(1,), (2,)]


# heartbeat


@pytest.mark.parametrize("packet", ["3", "3probe", "6", "5", "0", "1"])
async def test_heartbeat_packets_nobody_asked_for_have_no_effect(watched, dial, log, packet):
    count = 100_000 if FULL else 3_000
    wire = await dial(watched)
    await wire.upgrade(DIRECT)
    await wire.recv()
    wire.send("40")
    await wire.recv()
    tasks, timers = len(asyncio.all_tasks()), len(watched.engine.timers)
    block = frame(TEXT, packet) * 100
    for _ in range(count // 100):
        wire.write(block)
        await wire.drain()
    wire.send('42["x",1]')
    await eventually(lambda: log, lambda: watched.engine.counters, seconds=60)
    assert len(asyncio.all_tasks()) == tasks
    assert len(watched.engine.timers) == timers
    assert log == [(1,)]
    name = "unsolicited_pongs" if packet.startswith("3") else "ignored_packets"
    assert watched.engine.counters == {name: count}


@pytest.mark.parametrize("packet", ["3", "6", "5", "0"])
async def test_heartbeat_packets_nobody_asked_for_have_no_effect_on_polling(
    watched, poll, log, packet
):
    count = 300_000 if FULL else 30_000
    session = await poll(watched)
    await session.join()
    tasks, timers = len(asyncio.all_tasks()), len(watched.engine.timers)
    await session.sent(*[packet] * count, '42["x",1]', seconds=10)
    assert len(asyncio.all_tasks()) == tasks
    assert len(watched.engine.timers) == timers
    assert log == [(1,)]
    name = "unsolicited_pongs" if packet.startswith("3") else "ignored_packets"
    assert watched.engine.counters == {name: count}


async def test_heartbeat_by_frames_of_websocket_is_answered_and_nothing_more(watched, dial, log):
    wire = await dial(watched)
    await wire.upgrade(DIRECT)
    await wire.recv()
    wire.write(frame(PONG, b"a" * 125) * 100 + frame(PING, b"one"))
    assert await wire.recv() == b"one"
    wire.send("40")
    assert str(await wire.recv()).startswith("40")


@pytest.mark.parametrize("packet", ["2", "2probe"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_heartbeat_ping_of_a_client_is_a_transport_error(
    watched, dial, poll, log, packet, transport
):
    if transport == "polling":
        session = await poll(watched)
        await session.join()
        await session.sent(packet, '42["x"]')
        assert (await session.get()).code == 1
    else:
        wire = await dial(watched)
        await wire.upgrade(DIRECT)
        await wire.recv()
        wire.send("40")
        await wire.recv()
        wire.send(packet, '42["x"]')
        assert await wire.closed() in CLOSED
    assert log == [("transport error", "invalid heartbeat direction")]


# cut line


PACKET = (
    '453-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]',
    b"\x01",
    b"",
    b"\x03\x03",
)
ARRIVES = (b"\x01", b"", b"\x03\x03")


async def test_cut_line_within_a_packet_leaves_nothing_for_the_next_websocket(watched, dial, log):
    frames = b"".join(frame(TEXT if isinstance(part, str) else BINARY, part) for part in PACKET)
    step = 1 if FULL else 5
    for cut in range(0, len(frames) + 1, step):
        wire = await dial(watched)
        await wire.upgrade(DIRECT)
        await wire.recv()
        wire.send("40")
        await wire.recv()
        wire.write(frames[:cut])
        await asyncio.sleep(0)
        if cut % 2:
            wire.reset()
        else:
            await wire.close()
        await log.wait(lambda: any(entry[0] == "transport close" for entry in log if entry))
        assert [entry for entry in log if entry == ARRIVES] == [ARRIVES] * (cut == len(frames))
        assert watched.parked.total == 0
        log.clear()
    wire = await dial(watched)
    await wire.upgrade(DIRECT)
    wire.send("40")
    wire.write(frames)
    await log.until(ARRIVES)
    assert log == [ARRIVES]


async def test_cut_line_within_a_body_leaves_nothing_for_the_next_connection(
    watched, dial, poll, log
):
    body = b"\x1e".join([PACKET[0].encode(), b"bAQ==", b"b", b"bAwM="])
    step = 1 if FULL else 5
    for cut in range(0, len(body), step):
        session = await poll(watched)
        await session.join()
        wire = await dial(watched)
        length = [("Content-Length", str(len(body)))]
        wire.write(head("POST", wire.target(session.query), length) + body[:cut])
        await asyncio.sleep(0.005)
        if cut % 2:
            wire.reset()
        else:
            await wire.close()
        await log.count(1)
        assert [reason for reason, _ in log] == ["transport error"]
        assert watched.parked.total == 0
        log.clear()
    session = await poll(watched)
    await session.join()
    await session.sent(body)
    assert log == [ARRIVES]


async def test_cut_line_between_the_bodies_of_one_packet_leaves_nothing(watched, poll, log):
    parts = [PACKET[0], "bAQ==", "b", "bAwM="]
    for cut in range(1, len(parts)):
        session = await poll(watched)
        await session.join()
        await session.sent(*parts[:cut])
        assert watched.parked.total > 0
        await session.leave()
        assert watched.parked.total == 0
    session = await poll(watched)
    await session.join()
    for part in parts:  # a packet may come in as many bodies as it has parts
        await session.sent(part)
    assert log[-1] == ARRIVES
    assert list(log).count(ARRIVES) == 1

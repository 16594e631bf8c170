"""A client that is connected to a server that means no good: packets, frames and answers that are none, and too much of all.

``ROOMCAST_HOSTILE=full`` takes the numbers of the long run. Before there is a connection: `test_client_hostile`.
"""

import asyncio
import json
import zlib

import pytest
from tests.integration.conftest import FULL
from tests.integration.test_client_hostile import LINGER, OPEN, SMALL, forever

from roomcast import Limits
from roomcast.client import connect
from support.client_fixtures import FAST, Heard, eventually
from support.hostile import HANDSHAKE, HostileServer
from support.process import watch_memory
from support.wire import CLOSE, CONTINUATION, PING, TEXT, frame

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Let nobody wait for long for a server that does not close."""
    for module in ("websocket", "polling", "engine"):
        monkeypatch.setattr(f"roomcast.client.{module}.LINGER", LINGER)


PACKETS = {
    "attachments without end": '45999999999-["x"]',
    "too many attachments": '4511-["x"]',
    "attachments are no number": '45a-["x"]',
    "attachments are a fraction": '451.5-["x"]',
    "attachments are missing": "45",
    "attachments without a dash": "451",
    "placeholder is a text": '451-["x",{"_placeholder":true,"num":"splice"}]',
    "placeholder is a name": '451-["x",{"_placeholder":true,"num":"__class__"}]',
    "placeholder is negative": '451-["x",{"_placeholder":true,"num":-1}]',
    "placeholder is infinite": '451-["x",{"_placeholder":true,"num":1e400}]',
    "placeholder is out of range": '451-["x",{"_placeholder":true,"num":1}]',
    "placeholder is missing": '451-["x",{"_placeholder":true}]',
    "text while attachments are missing": ('451-["x",{"_placeholder":true,"num":0}]', '42["x"]'),
    "attachment without a packet": b"x",
    "event is an object": '42[{"toString":"x"}]',
    "event is true": "42[true]",
    "event is null": "42[null]",
    "event is missing": "42[]",
    "no list": '42{"x":1}',
    "no payload": "42",
    "reserved event": '42["connect"]',
    "reserved error": '42["connect_error"]',
    "reserved disconnect": '42["disconnect"]',
    "reserved listener": '42["newListener"]',
    "CONNECT is a list": "40[]",
    "CONNECT is a text": '40"x"',
    "DISCONNECT has data": '41["x"]',
    "ack is an object": "431{}",
    "ack id is large": "439007199254740993[]",
    "ack id is long": "43" + "9" * 100 + "[]",
    "unknown type": "47",
    "no type": "4",
    "no JSON": '42["x"',
    "deep": "42[" * 1 + "[" * 100_000,
    "many values": '42["x",' + "[" + "[]," * 600 + "[]]]",
    "long number": '42["x",' + "9" * 5_000 + "]",
    "long namespace": "42/" + "x" * 300 + ',["x"]',
}


async def polling_session(peer, *packets):
    """Be a server on polling that sends packets once a client has joined."""
    while True:
        request = await peer.request()
        if request.startswith("POST"):
            await peer.answer("ok")
        elif "sid=" not in request:
            await peer.answer(OPEN)
        elif not getattr(peer, "joined", False):
            peer.joined = True
            await peer.answer('40{"sid":"x"}')
        elif packets:
            await peer.answer("\x1e".join(packets))
        else:
            await asyncio.sleep(60)


async def ends(program, transport, reason, **options):
    """Check that a connection ends for a reason, and is made anew."""
    async with HostileServer(program) as server:
        given = {"limits": SMALL, **FAST, **options}
        socket = connect(server.url, transports=transport, **given)
        heard = Heard(socket, "x")
        async with watch_memory() as memory:
            socket.connect()
            await heard.until("disconnect", 2)
        assert heard.names[:4] == ["connect", "disconnect"] * 2, heard
        assert {args[0] for args in heard.args("disconnect")} == {reason}, heard
        assert memory.rise < 20_000_000
        await socket.disconnect()
        return heard


@pytest.mark.parametrize("name", PACKETS)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_packet_that_is_none_is_a_parse_error(transport, name):
    found = PACKETS[name]
    packets = found if isinstance(found, tuple) else (found,)

    async def program(peer):
        if transport == "websocket":
            await peer.join()
            await peer.send(*packets)
            await peer.drain()
        else:
            await polling_session(
                peer, *(packet if isinstance(packet, str) else "beA==" for packet in packets)
            )

    limits = Limits(max_http_buffer_size=200_000, max_values=500, max_int_digits=4_300)
    heard = await ends(program, transport, "parse error", limits=limits)
    assert "x" not in heard.names


@pytest.mark.parametrize("packet", ["9", "x", "", "é"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_unknown_packet_of_the_engine_is_a_transport_error(transport, packet):
    async def program(peer):
        if transport == "websocket":
            await peer.join()
            await peer.send(packet)
            await peer.drain()
        else:
            await polling_session(peer, packet)

    await ends(program, transport, "transport error")


@pytest.mark.parametrize("packet", ["0", "0{}", "1", "3", "3probe", "5", "6", "6" * 100])
async def test_packets_that_mean_nothing_do_nothing(packet):
    async def program(peer):
        await peer.join()
        await peer.send(packet, '42["x",1]')
        await peer.drain()

    async with (
        HostileServer(program) as server,
        connect(server.url, transports="websocket") as socket,
    ):
        assert await socket.wait_for("x", timeout=5) == 1


FRAMES = {
    "masked": frame(TEXT, '42["x"]'),
    "reserved bits": frame(TEXT, '42["x"]', first=0xB0, masked=False),
    "compressed without agreement": frame(TEXT, '42["x"]', first=0xC0, masked=False),
    "unknown opcode": frame(5, masked=False),
    "continuation of nothing": frame(CONTINUATION, b"x", masked=False),
    "text within a message": frame(TEXT, b"4", first=0, masked=False)
    + frame(TEXT, b"4", masked=False),
    "long ping": frame(PING, b"x" * 126, masked=False),
    "no UTF-8": frame(TEXT, b'42["\xff"]', masked=False),
    "large": frame(TEXT, b"4" * 100_001, masked=False),
    "announced": b"\x82\x7f" + (2**62).to_bytes(8, "big"),
    "fragments": frame(TEXT, b"4", first=0, masked=False)
    + frame(CONTINUATION, b"", first=0, masked=False) * 1_100,
    "close with a bad code": frame(CLOSE, (1005).to_bytes(2, "big"), masked=False),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_frame_that_is_none_is_a_transport_error(name):
    async def program(peer):
        await peer.join()
        await peer.write(FRAMES[name])
        await peer.drain()

    await ends(program, "websocket", "transport error")


async def test_bomb_in_a_frame_is_a_transport_error():
    compressor = zlib.compressobj(1, zlib.DEFLATED, -15)
    data = compressor.compress(bytes(100_000_000)) + compressor.flush(zlib.Z_SYNC_FLUSH)

    async def program(peer):
        await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate")
        await peer.send(OPEN, '40{"sid":"x"}')
        await peer.write(frame(TEXT, data[:-4], first=0xC0, masked=False))
        await peer.drain()

    await ends(program, "websocket", "transport error")


@pytest.mark.parametrize("answer", ["500 Internal Server Error", "204 No Content"])
async def test_answer_to_a_post_that_is_none_is_a_transport_error(answer):
    async def program(peer):
        while True:
            request = await peer.request()
            if request.startswith("POST"):
                if peer.body == b"40":
                    await peer.answer("ok")
                else:
                    await peer.answer(status=answer)
            elif "sid=" not in request:
                await peer.answer(OPEN)
            elif not getattr(peer, "joined", False):
                peer.joined = True
                await peer.answer('40{"sid":"x"}')
            else:
                await asyncio.sleep(60)

    async with HostileServer(program) as server:
        socket = connect(server.url, transports="polling", **FAST)
        heard = Heard(socket)
        await socket
        socket.emit("x")
        await heard.until("disconnect")
        assert heard[1][1] == "transport error"
        assert heard[1][2].context in (500, 204)
        await heard.until("connect", 2)
        await socket.disconnect()


@pytest.mark.parametrize("answer", ["40", "40{}", '40{"sid":1}', '40{"sid":null}'])
async def test_connect_without_an_id_is_an_old_server(answer):
    async def program(peer):
        await peer.upgrade()
        await peer.send(OPEN, answer)
        await peer.drain()

    async with HostileServer(program) as server:
        socket = connect(server.url, transports="websocket", **FAST)
        heard = Heard(socket)
        socket.connect()
        await heard.until("connect_error")
        assert "v2.x" in str(heard[0][1])
        assert socket.active
        await asyncio.sleep(0.05)
        assert heard.names == ["connect_error"]
        await socket.disconnect()


ODD = [
    '40{"sid":"y"}',
    "41/other,",
    '42/other,["x"]',
    '430["unknown"]',
    "4399[]",
    '44{"message":"x"}',
    '44/other,{"message":"x"}',
    '42["__init__"]',
    '42["' + "x" * 10_000 + '"]',
    '42["\\u0000"]',
    "42[1]",
]


@pytest.mark.parametrize("packet", ODD)
async def test_packets_at_the_wrong_time_do_nothing(packet):
    async def program(peer):
        await peer.join()
        await peer.send(packet, '42["end",1]')
        await peer.drain()

    async with (
        HostileServer(program) as server,
        connect(server.url, transports="websocket") as socket,
    ):
        assert await socket.wait_for("end", timeout=5) == 1
        assert socket.id == "x"


@pytest.mark.parametrize(
    "message", ['44"only a text"', "44{}", "44", '44{"message":{"a":1}}', "44[1]"]
)
async def test_refusal_in_any_form(message):
    async def program(peer):
        await peer.upgrade()
        await peer.send(OPEN, message)
        await peer.drain()

    async with HostileServer(program) as server:
        socket = connect(server.url, transports="websocket", reconnection=False)
        heard = Heard(socket)
        socket.connect()
        await eventually(lambda: heard)
        assert heard.names in (
            ["connect_error"],
            ["disconnect"],
        )  # the latter for what is no packet
        await socket.disconnect()


# too much


async def test_million_pings_take_no_memory():
    count = 1_000_000 if FULL else 100_000

    async def program(peer):
        await peer.join()
        pings = frame(TEXT, b"2", masked=False) * 1_000
        for _ in range(count // 1_000):
            await peer.write(pings)
        await peer.send('42["end"]')
        await asyncio.sleep(60)  # the pongs are never read

    async with (
        HostileServer(program) as server,
        connect(server.url, transports="websocket") as socket,
    ):
        pings = []
        async with watch_memory() as memory:
            socket.manager.on("ping", lambda: pings.append(1))
            await socket.wait_for("end", timeout=60)
        assert len(pings) <= count
        assert memory.rise < 20_000_000
        assert socket.manager.outbox.size < 1_000_000


async def test_million_pings_of_the_websocket_take_no_memory():
    count = 1_000_000 if FULL else 100_000

    async def program(peer):
        await peer.join()
        pings = frame(PING, b"x" * 100, masked=False) * 1_000
        for _ in range(count // 1_000):
            await peer.write(pings)
        await peer.send('42["end"]')
        await asyncio.sleep(60)

    async with (
        HostileServer(program) as server,
        connect(server.url, transports="websocket") as socket,
    ):
        async with watch_memory() as memory:
            await socket.wait_for("end", timeout=60)
        assert memory.rise < 20_000_000


async def test_more_acknowledgements_than_the_server_reads_end_the_connection():
    async def program(peer):
        await peer.join()
        number = 0
        while True:
            questions = [frame(TEXT, f'42{number + n}["x"]', masked=False) for n in range(100)]
            number += 100
            await peer.write(b"".join(questions))
            await asyncio.sleep(0)

    async with HostileServer(program) as server:
        socket = connect(server.url, transports="websocket", send_buffer_size=1_000_000, **FAST)
        socket.on("x", lambda: "x" * 10_000)
        heard = Heard(socket)
        async with watch_memory() as memory:
            await socket
            await heard.until("disconnect")
        assert heard[1][1] == "transport error"
        assert memory.rise < 50_000_000
        await socket.disconnect()


async def test_events_without_end_before_the_answer_end_the_connection():
    async def program(peer):
        await peer.upgrade()
        await peer.send(OPEN)
        await forever(frame(TEXT, '42["x"]', masked=False) * 100, peer)

    async with HostileServer(program) as server:
        socket = connect(server.url, transports="websocket", **FAST)
        heard = Heard(socket)
        async with watch_memory() as memory:
            socket.connect()
            await heard.until("disconnect")
        assert heard[0][1] == "transport error"
        assert memory.rise < 50_000_000
        await socket.disconnect()


async def test_events_that_nobody_hears_take_no_memory():
    async def program(peer):
        await peer.join()
        for _ in range(100):
            await peer.write(frame(TEXT, '42["x","' + "y" * 100 + '"]', masked=False) * 100)
        await peer.send('42["end"]')
        await peer.drain()

    async with (
        HostileServer(program) as server,
        connect(server.url, transports="websocket") as socket,
    ):
        await socket.wait_for("end", timeout=10)
        assert len(socket._inbox.events) <= 1_000


async def test_server_that_ends_every_connection_is_asked_no_more_than_the_delays_allow():
    async def program(peer):
        await peer.join()

    async with HostileServer(program) as server:
        options = {"reconnection_delay": 0.05, "reconnection_delay_max": 0.05}
        socket = connect(server.url, transports="websocket", randomization_factor=0, **options)
        socket.connect()
        await asyncio.sleep(0.5)
        await socket.disconnect()
        assert 2 <= server.connections <= 11


async def test_probe_that_is_never_answered_leaves_it_on_polling():
    async def program(peer):
        while True:
            request = await peer.request()
            if "transport=websocket" in request:
                lines = [
                    "HTTP/1.1 101 Switching Protocols",
                    "Upgrade: websocket",
                    "Connection: Upgrade",
                    f"Sec-WebSocket-Accept: {peer.accept}",
                    "",
                    "",
                ]
                await peer.write("\r\n".join(lines).encode())
                await peer.drain()
                return
            if request.startswith("POST"):
                await peer.answer("ok")
            elif "sid=" not in request:
                await peer.answer("0" + json.dumps({**HANDSHAKE, "upgrades": ["websocket"]}))
            elif not getattr(peer, "joined", False):
                peer.joined = True
                await peer.answer('40{"sid":"x"}')
            else:
                await asyncio.sleep(60)

    async with HostileServer(program) as server, connect(server.url) as socket:
        await eventually(lambda: server.connections >= 2)
        await asyncio.sleep(0.05)
        assert socket.transport == "polling"
        socket.emit("x")
        await eventually(lambda: socket.manager.outbox.empty)

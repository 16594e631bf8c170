"""permessage-deflate between real sockets: what is negotiated, what is on the wire, and clients that understand it."""

import asyncio
import gzip
import zlib

import pytest
from tests.integration.conftest import eventually
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from roomcast import Server
from support.deflate import OFFER, bomb, deflated, frames_of, inflated, inflated_frames
from support.official_client import OfficialClients
from support.process import watch_memory
from support.tap import Tap
from support.wire import BINARY, CONTINUATION, TEXT, WEBSOCKET, frame

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    # Lines that are not ours have the extensions of the server underneath.
    pytest.mark.parametrize("websockets_of", ["direct"], indirect=True),
]

QUERY = "EIO=4&transport=websocket"
AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.fixture
def io():
    return Server(per_message_deflate=True)


def offering(*offers):
    return (*WEBSOCKET, *(("Sec-WebSocket-Extensions", offer) for offer in offers))


@pytest.fixture
def join(dial):
    """Join with an offer; the wire is behind the answer to the CONNECT."""

    async def start(io, offer=OFFER):
        wire = await dial(io)
        answer = await wire.upgrade(QUERY, offering(offer) if offer else WEBSOCKET)
        assert answer.status == 101
        assert bool(answer.header("sec-websocket-extensions")) == bool(offer)
        await wire.recv()
        wire.send("40")
        assert str(await wire.recv()).startswith("40{")
        return wire

    return start


# What is negotiated.


@pytest.mark.parametrize(
    ("offers", "agreed"),
    [
        ((OFFER,), AGREED),
        (
            ("permessage-deflate; server_max_window_bits=10",),
            f"{AGREED}; server_max_window_bits=10",
        ),
        (("x-webkit-deflate-frame", "permessage-deflate"), AGREED),
        (("permessage-deflate; server_max_window_bits=8, permessage-deflate",), AGREED),
        ((), None),
        (("permessage-bzip2",), None),
        (("constructor",), None),
        (("permessage-deflate; constructor",), None),
        (("permessage-deflate; __proto__=1",), None),
        *(
            ((f"permessage-deflate; {side}_max_window_bits={bits}",), None)
            for side in ("server", "client")
            for bits in ("7", "16", "08", '"10"', "-1", "99999999999999999999")
        ),
        (("permessage-deflate; server_max_window_bits",), None),
        (("permessage-deflate; server_no_context_takeover=1",), None),
        (("permessage-deflate; client_max_window_bits; client_max_window_bits",), None),
    ],
)
async def test_extensions_are_agreed_on_or_declined(io, dial, offers, agreed):
    wire = await dial(io)
    answer = await wire.upgrade(QUERY, offering(*offers))
    assert answer.status == 101
    assert answer.header("sec-websocket-extensions") == agreed


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate;",
        ";",
        "a b",
        "permessage-deflate; a=",
        'permessage-deflate; a="',
        "permessage-deflate; =1",
        ",".join(["permessage-deflate"] * 129),
        ",".join(["a"] * 3_000),
        "," * 7_000,
        "permessage-deflate" + "; a" * 1_000,
    ],
)
async def test_extensions_that_are_malformed_are_refused(io, dial, offer):
    refused = []
    io.engine.on("connection_error", refused.append)
    wire = await dial(io)
    answer = await wire.upgrade(QUERY, offering(offer))
    assert answer.status == 400
    assert io.engine.connections == {}
    assert [(error.code, error.context) for error in refused] == [
        (3, {"name": "INVALID_EXTENSIONS"})
    ]


@pytest.mark.parametrize("offer", [",".join(["a"] * 10_000), "permessage-deflate" + ";a" * 10_000])
async def test_extensions_of_10_000_tokens_are_refused(io, dial, offer):
    wire = await dial(io)
    answer = await wire.upgrade(QUERY, offering(offer))
    assert answer.status in (400, 431)
    # In as many headers as there may be, none of them too long.
    wire = await dial(io)
    answer = await wire.upgrade(QUERY, offering(*[",".join(["a"] * 100)] * 100))
    assert answer.status in (400, 431)
    assert io.engine.connections == {}


async def test_extensions_are_refused_for_an_upgrade_too_and_the_connection_stays(io, poll, dial):
    session = await poll(io)
    await session.join()
    wire = await dial(io)
    assert (await wire.upgrade(session.upgrade_query, offering("a b"))).status == 400
    assert io.engine.connections[session.sid].probe is None
    io.emit("x")
    assert await session.packets() == ['42["x"]']


async def test_extensions_are_not_looked_at_where_the_option_is_off(dial):
    io = Server()
    for offer in (OFFER, "a b"):
        wire = await dial(io)
        answer = await wire.upgrade(QUERY, offering(offer))
        assert answer.status == 101
        assert answer.header("sec-websocket-extensions") is None
        await wire.recv()
        wire.write(frame(TEXT, deflated(b"40"), first=0xC0))
        assert await wire.closed() == "1002"


async def test_options_say_what_is_agreed_on(dial):
    io = Server(
        per_message_deflate={"server_max_window_bits": 11, "client_no_context_takeover": False}
    )
    wire = await dial(io)
    answer = await wire.upgrade(QUERY, offering(OFFER))
    assert answer.header("sec-websocket-extensions") == (
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=11"
    )


# What is on the wire.


@pytest.mark.parametrize("size", [1023, 1024, 1025])
async def test_event_is_compressed_from_the_threshold_on(io, join, size):
    wire = await join(io)
    text = "a" * (size - 10)
    io.emit("x", text)
    first, payload = await wire.recv_frame()
    assert first == (0xC1 if size >= 1024 else 0x81)
    assert inflated_frames([(first, payload)]) == [f'42["x","{text}"]']


async def test_attachments_are_compressed_each_by_itself(io, join):
    wire = await join(io)
    parts = [b"a" * 1023, b"b" * 1024, bytes(100_000)]
    io.emit("x", *parts)
    frames = [await wire.recv_frame() for _ in range(4)]
    assert [first for first, _ in frames] == [0x81, 0x82, 0xC2, 0xC2]
    assert inflated_frames(frames)[1:] == parts
    assert len(frames[3][1]) < 200


async def test_packets_of_one_tick_come_in_order(io, join):
    wires = [await join(io) for _ in range(3)] + [await join(io, "")]
    texts = [f"{number}" * (10 if number % 2 else 2_000) for number in range(10)]
    for text in texts:
        io.emit("x", text)
    for wire in wires:
        frames = [await wire.recv_frame() for _ in texts]
        assert inflated_frames(frames) == [f'42["x","{text}"]' for text in texts]
        plain = wire is wires[-1]
        assert [first for first, _ in frames] == [0x81 if plain else 0xC1, 0x81] * 5


async def test_broadcast_is_understood_by_clients_of_every_kind(io, join):
    windows = [None, 9, 10, 12, 15, 9, None]
    wires = [
        await join(io, bits and f"permessage-deflate; server_max_window_bits={bits}")
        for bits in windows
    ]
    numbers = list(range(3_000))
    io.emit("x", numbers, b"y" * 5_000)
    frames = [[await wire.recv_frame() for _ in range(2)] for wire in wires]
    for received, bits in zip(frames, windows, strict=True):
        text, data = inflated_frames(received, bits or 15)
        assert text.startswith('451-["x",[0,1,2,')
        assert data == b"y" * 5_000
    assert frames[0] == frames[6]
    assert frames[1] == frames[5]
    assert len({received[0][1] for received in frames}) == 5


FLAGS = {
    "server": lambda io, socket: io.compress(False),
    "namespace": lambda io, socket: io.of("/").compress(False),
    "broadcast": lambda io, socket: io.to(socket.id).compress(False),
    "the last one counts": lambda io, socket: io.compress(True).compress(False),
    "socket": lambda io, socket: socket.compress(False),
    "socket and time-out": lambda io, socket: socket.timeout(9).compress(False),
    "socket and volatile": lambda io, socket: socket.compress(False).volatile,
}


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("ack", [False, True])
async def test_flag_leaves_one_event_uncompressed(io, join, name, ack):
    wire = await join(io)
    (socket,) = io.sockets.values()
    text = "a" * 5_000
    kept = io.to(socket.id)
    kept.compress(False)  # an operator is not changed by what is made from it
    operator = FLAGS[name](io, socket)
    answers = asyncio.Queue()
    if ack:
        operator.timeout(9).emit("x", text, ack=lambda *answer: answers.put_nowait(answer))
    else:
        operator.emit("x", text)
    assert (await wire.recv_frame())[0] == 0x81
    if ack:
        wire.send("430[1]")
        await answers.get()
    kept.emit("x", text)
    assert (await wire.recv_frame())[0] == 0xC1
    socket.emit("x", text)
    assert (await wire.recv_frame())[0] == 0xC1


async def test_flag_of_a_socket_holds_for_its_broadcasts(io, join):
    await join(io)
    (socket,) = io.sockets.values()
    wire = await join(io)
    socket.compress(False).broadcast.emit("x", "a" * 5_000)
    assert (await wire.recv_frame())[0] == 0x81
    socket.broadcast.compress(False).emit("x", "a" * 5_000)
    assert (await wire.recv_frame())[0] == 0x81
    socket.broadcast.emit("x", "a" * 5_000)
    assert (await wire.recv_frame())[0] == 0xC1


async def test_acknowledgement_is_compressed(io, join):
    io.event("ask")(lambda socket: "a" * 5_000)
    wire = await join(io)
    wire.send('421["ask"]')
    first, payload = await wire.recv_frame()
    assert first == 0xC1
    assert inflated(payload).startswith(b'431["aaa')


GZIP = [("Accept-Encoding", "gzip")]


async def test_flag_holds_for_polling_too(io, poll):
    session = await poll(io)
    await session.join()
    text = "a" * 5_000
    for flags, compressed in (
        ((True,), True),
        ((False,), False),
        ((False, False), False),
        ((False, True), True),
    ):
        for flag in flags:
            io.compress(flag).emit("x", text)
        answer = await session.gets.request(session.query, headers=GZIP)
        assert answer.header("content-encoding") == ("gzip" if compressed else None)
        body = gzip.decompress(answer.body) if compressed else answer.body
        assert body.decode().split("\x1e") == [f'42["x","{text}"]'] * len(flags)


async def test_upgraded_connection_is_compressed_with_what_was_left(io, poll, dial):
    session = await poll(io)
    await session.join()
    (connection,) = io.engine.connections.values()
    wire = await dial(io)
    await wire.upgrade(session.upgrade_query, offering(OFFER))
    wire.send("2probe")
    assert await wire.recv() == "3probe"
    assert await session.packets() == ["6"]
    io.emit("x", "a" * 5_000)
    io.emit("y", "b" * 100)
    wire.write(frame(TEXT, "5"))
    frames = [await wire.recv_frame() for _ in range(2)]
    assert [first for first, _ in frames] == [0xC1, 0x81]
    assert inflated_frames(frames) == [
        '42["x","' + "a" * 5_000 + '"]',
        '42["y","' + "b" * 100 + '"]',
    ]
    assert connection.transport.agreement is not None


# What clients send.


async def test_messages_of_a_client_are_inflated(io, join, log):
    io.event("x")(lambda socket, *args: log.append(args))
    wire = await join(io)
    message = deflated(b'42["x","' + b"a" * 5_000 + b'"]')
    wire.write(frame(TEXT, message, first=0xC0))
    wire.write(frame(TEXT, message[:7], first=0x40) + frame(CONTINUATION, message[7:]))
    wire.write(frame(TEXT, '42["x",1]'))
    for byte in frame(TEXT, '451-["x",{"_placeholder":true,"num":0}]') + frame(
        BINARY, deflated(b"b" * 500), first=0xC0
    ):
        wire.write(bytes((byte,)))
        await asyncio.sleep(0)
    await log.count(4)
    assert log == [("a" * 5_000,), ("a" * 5_000,), (1,), (b"b" * 500,)]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\x06", first=0xC0), "1007"),  # no deflate
        (frame(TEXT, deflated(b"4\xff"), first=0xC0), "1007"),  # no UTF-8
        (frame(TEXT, deflated(b"40"), first=0xE0), "1002"),  # a second reserved bit
        (frame(TEXT, b"\x00", first=0x40) + frame(CONTINUATION, b"", first=0xC0), "1002"),
        (frame(9, b"", first=0xC0), "1002"),  # control frames are never compressed
    ],
)
async def test_frames_that_may_not_be_end_the_connection(io, join, log, sent, code):
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    wire = await join(io)
    wire.write(sent)
    assert await wire.closed() == code
    await log.until("transport error")


def pieces(payload, size):
    starts = range(0, len(payload), size)
    return b"".join(
        frame(
            CONTINUATION if start else BINARY,
            payload[start : start + size],
            first=(0 if start else 0x40) | (0x80 if start == starts[-1] else 0),
        )
        for start in starts
    )


def in_context():
    compressor = zlib.compressobj(9, wbits=-15)
    messages = [deflated(bytes(size), compressor) for size in (1_000, 50_000_000)]
    return b"".join(frame(TEXT, message, first=0xC0) for message in messages)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lambda: frame(BINARY, bomb(1_000), first=0xC0), id="1 GB in one frame"),
        pytest.param(lambda: pieces(bomb(1_000), 300_000), id="1 GB in 4 frames"),
        pytest.param(lambda: pieces(bomb(1_000), 1_050), id="1 GB in 1000 frames"),
        pytest.param(lambda: frame(BINARY, bomb(4), first=0xC0), id="4 MB in one frame"),
    ],
)
async def test_bomb_ends_its_connection_and_nothing_more(io, join, log, sent):
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    other, wire = await join(io), await join(io)
    data = sent()
    async with watch_memory() as memory:
        wire.write(data)
        assert await wire.closed() in ("1009", "")  # reset where more of it was on its way
        await log.until("transport error")
    assert memory.rise < 6_000_000  # of which the test's own buffers are a good part
    assert io.engine.counters["max_http_buffer_size"] == 1
    io.emit("x")
    assert await other.recv() == '42["x"]'


async def test_bomb_in_the_context_of_an_innocent_message_ends_its_connection(dial, log):
    io = Server(per_message_deflate={"client_no_context_takeover": False})
    wire = await dial(io)
    await wire.upgrade(QUERY, offering(OFFER))
    await wire.recv()
    compressor = zlib.compressobj(9, wbits=-15)
    wire.write(frame(TEXT, deflated(b"40", compressor), first=0xC0))
    assert str(await wire.recv()).startswith("40")
    wire.write(frame(TEXT, deflated(bytes(50_000_000), compressor), first=0xC0))
    assert await wire.closed() == "1009"
    await eventually(lambda: not io.engine.connections)


# Clients of others.


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", [None, 9, 15])
async def test_client_of_websockets_understands_and_is_understood(connect, bits, takeover):
    io = Server(per_message_deflate={"client_no_context_takeover": not takeover})
    io.event("echo")(lambda socket, *args: socket.emit("echo", *args))
    factory = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
    client = await connect(io, extensions=[factory])
    (extension,) = client.ws.protocol.extensions
    assert extension.remote_no_context_takeover is True
    assert extension.local_no_context_takeover is not takeover
    assert extension.remote_max_window_bits == (bits or 15)
    await client.join()
    for size in (1, 1_000, 2_000, 100_000):
        for _ in range(2):
            text = "".join(chr(0x20AC + number % 50) for number in range(size))
            data = bytes(number % 251 for number in range(size))
            await client.send(
                f'451-["echo","{text}",{{"_placeholder":true,"num":0}}]',
                data,
            )
            header, attachment = await client.recv_many(2)
            assert header == f'451-["echo","{text}",{{"_placeholder":true,"num":0}}]'
            assert attachment == data


async def test_official_client_compresses_and_is_sent_compressed_frames(io, port_of):
    io.event("echo")(lambda socket, *args: args)
    got = asyncio.Queue()
    io.event("x")(lambda socket, *args: got.put_nowait(args))
    async with Tap(await port_of(io)) as tap, OfficialClients() as clients:
        clients.reset(f"http://127.0.0.1:{tap.port}")
        client = await clients.connect()
        text, data = "héllo €" * 2_000, bytes(50_000)
        assert await client.ask("echo", text, data) == [text, data]
        io.emit("news", text)
        io.compress(False).emit("news", text)
        io.emit("news", "short")
        assert [await client.next("news") for _ in range(3)] == [[text], [text], ["short"]]
        client.emit("x", text)
        assert await got.get() == (text,)
        client.disconnect()
        await eventually(lambda: not io.engine.connections)
    head, _, received = bytes(tap.received[0]).partition(b"\r\n\r\n")
    assert AGREED in head.decode()
    marks = [first for first, _ in frames_of(received) if first & 0xF in (TEXT, BINARY)]
    # Open, connect, the answer and its attachment, and the three events.
    assert marks == [0x81, 0x81, 0xC1, 0xC2, 0xC1, 0x81, 0x81]
    assert len(tap.sent[0]) < 10_000  # of 80 kB


async def test_official_client_moves_from_polling_to_a_compressed_line(io, port_of):
    io.event("echo")(lambda socket, *args: args)
    async with Tap(await port_of(io)) as tap, OfficialClients() as clients:
        clients.reset(f"http://127.0.0.1:{tap.port}")
        client = await clients.connect(transports=None)
        await client.next("upgrade")
        text = "a" * 5_000
        assert await client.ask("echo", text) == [text]
        client.disconnect()
        await eventually(lambda: not io.engine.connections)
    (line,) = [bytes(data) for data in tap.received if data.startswith(b"HTTP/1.1 101")]
    assert 0xC1 in [first for first, _ in frames_of(line.partition(b"\r\n\r\n")[2])]


async def test_many_clients_share_what_is_compressed(io, connect):
    clients = [await connect(io, extensions=[ClientPerMessageDeflateFactory()]) for _ in range(30)]
    plain = [await connect(io, compression=None) for _ in range(5)]
    for client in clients + plain:
        await client.join()
    texts = [f"{number}" * 2_000 for number in range(3)]
    for text in texts:
        io.emit("x", text)
    for client in clients + plain:
        assert await client.recv_many(3) == [f'42["x","{text}"]' for text in texts]
        await client.close()

"""A client in front of a server that means no good: it reports, backs off, holds little memory, and leaves nothing behind."""

import asyncio
import gzip
import json
import zlib
from functools import partial

import pytest

from roomcast import Limits
from roomcast.client import connect
from support.client_fixtures import FAST, Heard
from support.hostile import HANDSHAKE, HostileServer
from support.process import watch_memory
from support.wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame

pytestmark = pytest.mark.usefixtures("clean")

OPEN = "0" + json.dumps(HANDSHAKE)
SMALL = Limits(max_http_buffer_size=100_000)
LINGER = 0.2
FAILED = {"polling": "xhr poll error", "websocket": "websocket error"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Let nobody wait for long for a server that does not close."""
    for module in ("websocket", "polling", "engine"):
        monkeypatch.setattr(f"roomcast.client.{module}.LINGER", LINGER)


async def forever(write, peer):
    """Write the same again and again."""
    while True:
        await peer.write(write)
        await asyncio.sleep(0)


async def fails(program, transport, *messages, seconds=5.0, **options):
    """Check that connecting fails twice, with these words, and that nothing else happens."""
    async with HostileServer(program) as server:
        given = {"timeout": seconds, "limits": SMALL, **FAST, **options}
        socket = connect(server.url, transports=transport, **given)
        heard = Heard(socket)
        async with watch_memory() as memory:
            socket.connect()
            await heard.until("connect_error", 2)
        assert set(heard.names) == {"connect_error"}, heard
        assert {str(error) for (error,) in heard.args("connect_error")} <= set(messages), heard
        assert memory.rise < 20_000_000
        await socket.disconnect()


# before there is a connection


OPEN_PACKETS = {
    "no interval": {"pingInterval": None},
    "interval is a text": {"pingInterval": "x"},
    "interval is negative": {"pingInterval": -1},
    "interval is true": {"pingInterval": True},
    "interval is large": {"pingInterval": 10**400},
    "timeout is large": {"pingTimeout": 10**12},
    "no heartbeat": {"pingInterval": 0, "pingTimeout": 0},
    "no sid": {"sid": None},
    "sid is empty": {"sid": ""},
    "sid is a number": {"sid": 1},
    "upgrades are a text": {"upgrades": "websocket"},
    "payload is negative": {"maxPayload": -1},
    "payload is a text": {"maxPayload": "x"},
}

FIRST_PACKETS = {
    **{name: "0" + json.dumps({**HANDSHAKE, **fields}) for name, fields in OPEN_PACKETS.items()},
    "interval is infinite": OPEN.replace("25000", "1e400"),
    "interval is no number": OPEN.replace("25000", "NaN"),
    "interval is missing": OPEN.replace('"pingInterval": 25000, ', ""),
    "nothing": "0",
    "no JSON": "0{",
    "list": "0[]",
    "text": '0"x"',
    "null": "0null",
    "deep": "0" + "[" * 100_000,
    "long number": "0" + "9" * 10_000,
    "message": '40{"sid":"x"}',
    "noop": "6",
    "unknown": "9",
    "empty": "",
    "markup": "<html><body>Welcome to the hotel's network</body></html>",
}


@pytest.mark.parametrize("name", FIRST_PACKETS)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_first_packet_that_opens_nothing(transport, name):
    packet = FIRST_PACKETS[name]

    async def program(peer):
        if transport == "websocket":
            await peer.upgrade()
            await peer.send(packet)
            await peer.drain()
        else:
            await peer.request()
            await peer.answer(packet)

    await fails(program, transport, FAILED[transport])


async def test_heartbeat_of_zero_and_a_timeout_is_one(peer_processes):
    async def program(peer):
        await peer.join(pingInterval=0, pingTimeout=60)
        await peer.drain()

    async with HostileServer(program) as server:
        socket = connect(server.url, transports="websocket", **FAST)
        heard = Heard(socket)
        await socket
        await heard.until("disconnect")
        assert heard[1][1] == "ping timeout"
        await socket.disconnect()


async def nothing(peer):
    """End the line at once."""


async def after_the_request(peer):
    await peer.request()


async def accept_and_say_nothing(peer):
    await peer.drain()


async def half_a_head(peer):
    await peer.request()
    await peer.write(b"HTTP/1.1 ")
    await peer.drain()


async def head_without_end(peer):
    await peer.request()
    await peer.write(b"HTTP/1.1 200 OK\r\n")
    await forever(b"X: " + b"y" * 1_000 + b"\r\n", peer)


async def garbage(peer):
    await peer.request()
    await peer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await peer.drain()


async def garbage_without_end(peer):
    await peer.request()
    await forever(b"\x00\xff" * 1_000, peer)


async def refused_with(peer, status="500 Internal Server Error"):
    await peer.request()
    await peer.answer('{"code":3,"message":"Bad request"}', status=status)


async def redirected(peer):
    await peer.request()
    location = f"Location: http://{peer.header('host')}/socket.io/?EIO=4&transport=polling"
    await peer.answer(status="302 Found", headers=(location,))


async def announces_more_than_it_sends(peer):
    await peer.request()
    await peer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000000\r\n\r\nx")


EARLY = {
    "line ends at once": nothing,
    "line ends after the request": after_the_request,
    "silence": accept_and_say_nothing,
    "half a head and silence": half_a_head,
    "head without end": head_without_end,
    "garbage": garbage,
    "garbage without end": garbage_without_end,
    "500": refused_with,
    "400": partial(refused_with, status="400 Bad Request"),
    "204": partial(refused_with, status="204 No Content"),
    "200 or none": partial(refused_with, status="201 Created"),
    "redirect": redirected,
    "cut body": announces_more_than_it_sends,
}


@pytest.mark.parametrize("name", EARLY)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_server_that_is_none(transport, name):
    late = "silence" in name
    message = "timeout" if late else FAILED[transport]
    await fails(EARLY[name], transport, message, seconds=0.1 if late else 5)


async def test_redirect_is_not_followed_but_named():
    async with HostileServer(redirected) as server:
        socket = connect(server.url, transports="polling", reconnection=False)
        heard = Heard(socket)
        socket.connect()
        await heard.until("connect_error")
        ((error,),) = heard.args("connect_error")
        assert error.description == 302
        assert "another address" in error.__notes__[0]
        assert server.connections == 1
        await socket.disconnect()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_words_of_a_refusal_are_kept(transport):
    async with HostileServer(partial(refused_with, status="403 Forbidden")) as server:
        socket = connect(server.url, transports=transport, reconnection=False)
        heard = Heard(socket)
        socket.connect()
        await heard.until("connect_error")
        ((error,),) = heard.args("connect_error")
        assert (error.description, error.context) == (403, '{"code":3,"message":"Bad request"}')
        await socket.disconnect()


# answers to polling


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


async def body_without_end(peer):
    await peer.request()
    await peer.write(HEAD + b"\r\n")
    await forever(b"x" * 10_000, peer)


async def large_body(peer):
    await peer.request()
    await peer.answer(OPEN + " " * 1_000_000)


async def chunks_without_end(peer):
    await peer.request()
    await peer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    await forever(b"3e8\r\n" + b"x" * 1_000 + b"\r\n", peer)


async def chunk_of_any_size(peer):
    await peer.request()
    await peer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    await forever(b"f" * 1_000, peer)


async def chunk_that_is_none(peer):
    await peer.request()
    await peer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n")
    await peer.drain()


async def trailers_without_end(peer):
    await peer.request()
    await peer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
    await forever(b"X: " + b"y" * 1_000 + b"\r\n", peer)


async def headers_without_number(peer):
    await peer.request()
    await peer.write(HEAD)
    await forever(b"".join(b"X%d: y\r\n" % number for number in range(1_000)), peer)


async def bomb(peer, encoding="gzip"):
    await peer.request()
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    body = pack(b"x" * 200_000_000, 1)
    await peer.answer(body, headers=("Content-Type: text/plain", f"Content-Encoding: {encoding}"))


async def wrong_encoding(peer):
    await peer.request()
    await peer.answer(b"not compressed", headers=("Content-Encoding: gzip",))


async def two_lengths(peer):
    await peer.request()
    await peer.answer(OPEN, headers=("Content-Length: 3",))


async def bytes_instead(peer):
    await peer.request()
    await peer.answer(b"\xff\xfe\xfd", headers=("Content-Type: application/octet-stream",))


async def informs_without_end(peer):
    await peer.request()
    await forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, peer)


ANSWERS = {
    "body without end": body_without_end,
    "large body": large_body,
    "chunks without end": chunks_without_end,
    "chunk of any size": chunk_of_any_size,
    "chunk that is none": chunk_that_is_none,
    "trailers without end": trailers_without_end,
    "headers without number": headers_without_number,
    "gzip bomb": bomb,
    "deflate bomb": partial(bomb, encoding="deflate"),
    "wrong encoding": wrong_encoding,
    "two lengths": two_lengths,
    "bytes": bytes_instead,
    "informs without end": informs_without_end,
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answer_to_polling_that_is_none(name):
    late = name in ("trailers without end", "informs without end")
    await fails(ANSWERS[name], "polling", "xhr poll error", "timeout", seconds=0.5 if late else 5)


# answers to the handshake of a WebSocket


async def handshake(peer, *headers, accept=None, rest=b""):
    await peer.upgrade(*headers, accept=accept, rest=rest)
    await peer.drain()


HANDSHAKES = {
    "wrong accept": partial(handshake, accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "empty accept": partial(handshake, accept=""),
    "subprotocol": partial(handshake, rest=b"", accept=None),
    "unknown extension": None,
    "garbage behind": partial(handshake, rest=b"\xff" * 100),
    "masked frame": partial(handshake, rest=frame(TEXT, OPEN)),
    "unknown opcode": partial(handshake, rest=frame(3, b"", masked=False)),
    "reserved bits": partial(handshake, rest=frame(TEXT, OPEN, first=0xF0, masked=False)),
    "compressed without agreement": partial(
        handshake, rest=frame(TEXT, OPEN, first=0xC0, masked=False)
    ),
    "continuation first": partial(handshake, rest=frame(CONTINUATION, OPEN, masked=False)),
    "long ping": partial(handshake, rest=frame(PING, b"x" * 126, masked=False)),
    "ping in pieces": partial(handshake, rest=frame(PING, b"x", first=0, masked=False)),
    "no UTF-8": partial(handshake, rest=frame(TEXT, b"\xff\xfe", masked=False)),
    "binary first": partial(handshake, rest=frame(BINARY, b"x", masked=False)),
    "close first": partial(handshake, rest=frame(CLOSE, b"", masked=False)),
    "close with a bad code": partial(handshake, rest=frame(CLOSE, b"\x00\x01", masked=False)),
    "large frame": partial(
        handshake, rest=b"\x81\x7f" + (10**15).to_bytes(8, "big") + b"x" * 1_000
    ),
}
HANDSHAKES["subprotocol"] = lambda peer: handshake(peer, "Sec-WebSocket-Protocol: chat")
HANDSHAKES["unknown extension"] = lambda peer: handshake(peer, "Sec-WebSocket-Extensions: foo")
for number, parameters in enumerate(
    [
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "client_max_window_bits=08",
        "server_no_context_takeover=1",
        "server_no_context_takeover; server_no_context_takeover",
        "unknown",
        'server_max_window_bits="',
    ]
):
    HANDSHAKES[f"deflate {number}"] = partial(
        lambda peer, parameters: handshake(
            peer, f"Sec-WebSocket-Extensions: permessage-deflate; {parameters}"
        ),
        parameters=parameters,
    )


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_answer_to_the_handshake_that_is_none(name):
    await fails(HANDSHAKES[name], "websocket", "websocket error")


async def test_handshake_and_silence_is_a_timeout():
    await fails(handshake, "websocket", "timeout", seconds=0.1)


async def test_extension_twice_is_refused():
    header = "Sec-WebSocket-Extensions: permessage-deflate"
    await fails(lambda peer: handshake(peer, header, header), "websocket", "websocket error")

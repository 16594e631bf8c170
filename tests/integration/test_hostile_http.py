"""Rows of hardening.md, "Hostile input: HTTP and Engine.IO", about what one request says: origin, sid, body, query, octet, empty.

The row stands in the name of each test. ``ROOMCAST_HOSTILE=full`` takes the numbers of the page instead of smaller ones.
"""

import asyncio

import pytest
from tests.integration.conftest import FULL, asgi, asgi_handshake, end_all

from roomcast import Server
from roomcast.engine.ids import generate_id
from support.process import watch_memory
from support.wire import WEBSOCKET, head

pytestmark = pytest.mark.usefixtures("nothing_left")

POLLING = "EIO=4&transport=polling"
DIRECT = "EIO=4&transport=websocket"

MESSAGES = {
    b"Transport unknown": 0,
    b"Session ID unknown": 1,
    b"Bad handshake method": 2,
    b"Bad request": 3,
    b"Forbidden": 4,
    b"origin not allowed": 4,
    b"Unsupported protocol version": 5,
}
"""What a refused WebSocket is told, and the code of that."""


def code_of(answer, *, websocket=False):
    """Return the protocol's error code of an answer, which must be that of a refused request."""
    if websocket:
        assert answer.status == 400, answer
        return MESSAGES[answer.body]
    assert answer.status == (403 if answer.code == 4 else 400), answer
    assert answer.code is not None, answer
    return answer.code


# origin


FOREIGN = [
    "http://evil.example",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1:1",
    "http://127.0.0.1@evil.example",
    "http://evil.example#127.0.0.1",
    "http://127.0.0.1, http://evil.example",
    "null",
    "file://",
    "",
    "http://",
    "//127.0.0.1",
    "chrome-extension://127.0.0.1",
    b"http://\xe9.example",
]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_origin_that_is_foreign_is_forbidden_by_default(io, dial, transport):
    websocket = transport == "websocket"
    query = f"EIO=4&transport={transport}"
    for origin in FOREIGN:
        headers = [*(WEBSOCKET if websocket else ()), ("Origin", origin)]
        answer = await (await dial(io)).request(query, headers=headers)
        assert code_of(answer, websocket=websocket) == 4, origin
        assert answer.header("access-control-allow-origin") is None
    assert io.engine.connections == {}
    assert io.engine.counters == {"refused_origin": len(FOREIGN)}


@pytest.mark.parametrize("method", ["GET", "POST", "websocket"])
async def test_origin_that_is_foreign_may_not_use_a_connection(io, dial, poll, method):
    session = await poll(io)
    foreign = [("Origin", "http://evil.example")]
    wire = await dial(io)
    if method == "websocket":
        answer = await wire.request(session.upgrade_query, headers=[*WEBSOCKET, *foreign])
    else:
        body = b"1" if method == "POST" else None
        answer = await wire.request(session.query, body, foreign)
    assert code_of(answer, websocket=method == "websocket") == 4
    await session.join()


@pytest.mark.parametrize("origins", ["*", True])
def test_origin_of_everybody_with_credentials_is_an_error_at_start(origins):
    with pytest.raises(ValueError, match="credentials"):
        Server(cors={"origins": origins, "credentials": True})


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_origin_that_is_allowed_may_come_and_no_other(dial, transport):
    io = Server(cors={"origins": "https://good.example", "credentials": True})
    websocket = transport == "websocket"
    query = f"EIO=4&transport={transport}"
    headers = WEBSOCKET if websocket else ()
    wire = await dial(io)
    evil = await wire.request(query, headers=[*headers, ("Origin", "https://evil.example")])
    assert code_of(evil, websocket=websocket) == 4
    assert evil.header("access-control-allow-origin") == "https://good.example"
    wire = await dial(io)
    good = await wire.request(query, headers=[*headers, ("Origin", "https://good.example")])
    assert good.status == (101 if websocket else 200)
    assert good.header("access-control-allow-origin") == "https://good.example"
    end_all(io)


# sid


def test_sid_has_120_random_bits():
    count = 10_000_000 if FULL else 200_000
    seen, ones = set(), [0] * 120
    alphabet = {
        letter: number
        for number, letter in enumerate(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        )
    }
    places = [{} for _ in range(20)]
    for _ in range(count):
        sid = generate_id()
        seen.add(sid)
        for place, letter in zip(places, sid, strict=True):
            place[letter] = place.get(letter, 0) + 1
    assert len(seen) == count
    for number, place in enumerate(places):
        for letter, times in place.items():
            for bit in range(6):
                ones[number * 6 + bit] += times * (alphabet[letter] >> (5 - bit) & 1)
    # Six standard deviations: of 120 bits, one strays so far in ten million runs.
    spread = 6 * (count / 4) ** 0.5
    assert all(abs(times - count / 2) < spread for times in ones)


async def test_sid_that_is_guessed_is_unknown(io, dial, poll):
    session = await poll(io)
    wire = await dial(io)
    near = [session.sid[:-1], session.sid + "A", session.sid.swapcase(), session.sid + "%00"]
    for sid in [*near, *(generate_id() for _ in range(200))]:
        answer = await wire.request(f"{POLLING}&sid={sid}")
        assert code_of(answer) == 1
    assert io.engine.counters == {"refused_1": 204}
    await session.join()


# query


QUERIES = [
    ("EIO=0&transport={}", 5),
    ("EIO=3&transport={}", 5),
    ("EIO=5&transport={}", 5),
    ("EIO=4%20&transport={}", 5),
    ("EIO=4+&transport={}", 5),
    ("EIO=04&transport={}", 5),
    ("EIO=%EF%BC%94&transport={}", 5),  # a digit 4, but not ASCII's
    ("EIO=&transport={}", 5),
    ("transport={}", 5),
    ("EIO=4&EIO=3&transport={}", 5),
    ("EIO[]=4&transport={}", 5),
    ("", 0),
    ("EIO=4", 0),
    ("EIO=4&transport=", 0),
    ("EIO=4&transport=constructor", 0),
    ("EIO=4&transport=__proto__", 0),
    ("EIO=4&transport={}%00", 0),
    ("EIO=4&transport={}&transport=webtransport", 0),
    ("EIO=4;transport={}", 0),
    ("%", 0),
    ("&&&=&=", 0),
    ("EIO=4&transport={}&sid=__proto__", 1),
    ("EIO=4&transport={}&sid=constructor", 1),
    ("EIO=4&transport={}&sid=a%0d%0aSet-Cookie:%20b=c", 1),
    ("EIO=4&transport={}&sid=%00", 1),
    ("EIO=4&transport={}&sid=%ff%fe", 1),
    ("EIO=4&transport={}&sid=%ED%A0%80", 1),
    ("EIO=4&transport={}&sid=" + "a" * 7900, 1),
    ("EIO=4&transport={}&j=0", 3),
    ("EIO=4&transport={}&j=", 3),
    ("EIO=4&transport={}&sid=a&j=0", 3),
]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_query_that_is_abused_gets_its_code(io, dial, transport):
    websocket = transport == "websocket"
    for query, code in QUERIES:
        wire = await dial(io)
        answer = await wire.request(query.format(transport), headers=WEBSOCKET if websocket else ())
        assert code_of(answer, websocket=websocket) == code, query
        assert all(name != "set-cookie" for name, _ in answer.headers)
    assert io.engine.connections == {}


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_query_beyond_the_limit_is_not_looked_at(io, dial, transport):
    wire = await dial(io)
    headers = WEBSOCKET if transport == "websocket" else ()
    answer = await wire.request(f"EIO=4&transport={transport}&sid={'a' * 8000}", headers=headers)
    assert (answer.status, answer.body) == (414, b"")
    assert io.engine.counters == {"max_url_size": 1}


async def test_query_of_a_megabyte_is_answered(io, dial):
    wire = await dial(io)
    answer = await wire.request(f"{POLLING}&sid={'a' * 1_000_000}")
    assert answer.status in (400, 414, 431)  # HTTP servers have limits of their own


async def test_query_of_a_megabyte_is_answered_before_a_websocket(io, dial, websockets_of):
    if websockets_of == "asgi":
        pytest.xfail("uvicorn 0.54 is silent where a head passes websockets' limits")
    wire = await dial(io)
    wire.ask(f"{DIRECT}&sid={'a' * 1_000_000}", headers=WEBSOCKET)
    assert (await wire.answer()).status in (400, 414, 431)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "query",
    [
        "EIO=3&transport=polling&sid={}",
        "transport=polling&sid={}",
        "EIO=4&transport=websocket&sid={}",
        "EIO=4&transport=polling&sid={}&j=0",
        "EIO=4&transport=polling&transport=websocket&sid={}",
    ],
)
async def test_query_with_the_sid_of_another_harms_nobody(io, dial, poll, log, query, method):
    io.event("x")(lambda socket: log.append("x"))
    session = await poll(io)
    await session.join()
    wire = await dial(io)
    body = b'42["x"]' if method == "POST" else None
    assert code_of(await wire.request(query.format(session.sid), body)) == 3
    await session.sent("3")
    assert log == []


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_query_with_the_sid_of_a_websocket_harms_nobody(io, dial, connect, log, method):
    io.event("x")(lambda socket: log.append("x"))
    raw = await connect(io)
    await raw.join()
    wire = await dial(io)
    for transport in ("polling", "websocket"):
        answer = await wire.request(
            f"EIO=4&transport={transport}&sid={raw.handshake['sid']}", b'42["x"]', method=method
        )
        assert answer.status == 400
        assert method == "HEAD" or answer.code == 3
    await raw.send('421["nobody"]')
    assert await raw.silent()
    assert log == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_query_by_another_method_is_refused_and_the_session_stays(io, dial, poll, method):
    session = await poll(io)
    wire = await dial(io)
    assert (await wire.request(session.query, b"1", method=method)).status == 500
    answer = await wire.request(POLLING, b"1", method=method)
    assert answer.status == 400
    assert method == "HEAD" or answer.code == 2
    await session.join()


# octet, empty


@pytest.mark.parametrize("waiting", [False, True], ids=["alone", "with a GET"])
@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        ([("Content-Type", "application/octet-stream")], b"4x", 400, "transport error"),
        ([], b"", 200, "parse error"),
        ([], b"\x1e", 200, "parse error"),
        ([], b'42["x"]\x1e', 200, "parse error"),
        ([], b'42["x"]\x1e\x1e42["x"]', 200, "parse error"),
        ([], b"\x1e" * 999_999, 200, "parse error"),
        ([], b"7", 200, "parse error"),
        ([], b"\x00", 200, "parse error"),
        ([], b"\xff", 200, "parse error"),
        ([], b"4\xff", 200, "parse error"),
        ([], b"2", 200, "transport error"),
        ([], b"2probe", 200, "transport error"),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_octet_or_empty_packet_ends_the_connection(
    io, poll, log, headers, body, status, reason, waiting
):
    io.event("x")(lambda socket: log.append("x"))
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    session = await poll(io)
    await session.join()
    if waiting:
        session.gets.ask(session.query)
        await asyncio.sleep(0.02)
    answer = await session.post(body, headers=headers)
    assert (answer.status, answer.body) == (status, b"ok" if status == 200 else b"")
    if waiting:
        answer = await session.gets.answer()
        assert (answer.status, answer.body) == (200, b"1")
    assert log == ["x"] * body.startswith(b"42") + [reason]
    assert code_of(await session.get()) == 1
    assert code_of(await session.post("3")) == 1


@pytest.mark.parametrize(
    "value", ["application/octet-stream; x=y", "application/json", "text/plain;charset=UTF-8", ""]
)
async def test_octet_is_told_by_the_exact_value(io, poll, value):
    session = await poll(io)
    answer = await session.post("3", headers=[("Content-Type", value)])
    assert answer.status == 200


# body


LIMIT = 1_000_000


@pytest.fixture
def listening(io, log):
    """A server that logs what arrives."""
    io.event("x")(lambda socket, *args: log.append("x"))
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    return io


async def test_body_at_the_limit_passes(listening, poll, log):
    session = await poll(listening)
    await session.join()
    body = '42["x","' + "a" * (LIMIT - 10) + '"]'
    assert len(body) == LIMIT
    await session.sent(body)
    assert log == ["x"]


@pytest.mark.parametrize("length", [LIMIT + 1, 10**15, 10**18 - 1])
async def test_body_announced_beyond_the_limit_is_not_read(listening, poll, log, length):
    session = await poll(listening)
    await session.join()
    headers = [("Content-Length", str(length)), ("Expect", "100-continue")]
    session.posts.write(head("POST", session.posts.target(session.query), headers))
    # Whoever reads a body says "100 Continue" first.
    answer = await session.posts.answer()
    assert (answer.status, answer.body) == (413, b"")
    assert listening.engine.counters["max_http_buffer_size"] == 1
    session.gets.ask(session.query)
    listening.emit("still there")
    assert (await session.gets.answer()).body == b'42["still there"]'
    assert log == []


async def test_body_that_grows_beyond_the_limit_is_refused_before_its_end(listening, poll, log):
    session = await poll(listening)
    await session.join()
    headers = [("Transfer-Encoding", "chunked")]
    session.posts.write(head("POST", session.posts.target(session.query), headers))
    body = b'42["x"]\x1e4' + b"a" * (LIMIT - 8)
    assert len(body) == LIMIT + 1
    session.posts.write(b"%x\r\n%s\r\n" % (len(body), body))
    assert (await session.posts.answer()).status == 413
    assert listening.engine.counters["max_http_buffer_size"] == 1
    session.gets.ask(session.query)
    listening.emit("still there")
    assert (await session.gets.answer()).body == b'42["still there"]'
    assert log == []


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("gone", ["closed", "reset"])
async def test_body_shorter_than_announced_is_a_transport_error(
    listening, poll, log, chunked, gone
):
    session = await poll(listening)
    await session.join()
    session.gets.ask(session.query)
    headers = [("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "100")]
    session.posts.write(head("POST", session.posts.target(session.query), headers))
    session.posts.write(b'7\r\n42["x"]\r\n' if chunked else b'42["x"]')
    await asyncio.sleep(0.02)
    if gone == "reset":
        session.posts.reset()
    else:
        await session.posts.close()
    assert (await session.gets.answer()).body == b"1"
    assert log == ["transport error"]


async def test_body_longer_than_announced_is_cut(listening, poll, log):
    session = await poll(listening)
    await session.join()
    request = head("POST", session.posts.target(session.query), [("Content-Length", "7")])
    session.posts.write(request + b'42["x"]\x1e42["x"]\r\n\r\n')
    assert (await session.posts.answer()).status in (200, 400)  # the rest is no request
    await session.posts.ended()
    assert log == ["x"]


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "-1")],
        [("Content-Length", "+7")],
        [("Content-Length", "0x7")],
        [("Content-Length", "7e0")],
        [("Content-Length", b"\xb2")],
        [("Content-Length", "7, 8")],
        [("Content-Length", "7"), ("Content-Length", "8")],
        [("Content-Length", "9" * 400)],
        [("Content-Length", "7"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked, identity")],
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_body_with_a_length_that_is_none_is_refused(listening, poll, log, headers):
    session = await poll(listening)
    await session.join()
    session.posts.write(head("POST", session.posts.target(session.query), headers))
    session.posts.write(b'42["x"]\r\n')
    assert (await session.posts.answer()).status in (400, 413)
    await session.posts.close()
    assert "x" not in log


@pytest.mark.parametrize("announced", [b"10", None], ids=["announced", "chunked"])
async def test_body_limit_holds_without_the_servers_help(announced):
    """Under a foreign server that does not compare a body with its announced length, the bytes are counted by us."""
    io = Server(max_http_buffer_size=100)
    app = io.asgi()
    query = f"{POLLING}&sid={await asgi_handshake(app)}".encode()
    headers = [] if announced is None else [(b"content-length", announced)]
    pieces = [b"4" + b"a" * 59, b"a" * 40, b"a", b"more"]
    incoming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    scope = {"type": "http", "method": "POST", "path": "/socket.io/", "headers": headers}
    sent = await asgi(app, {**scope, "query_string": query}, incoming)
    assert sent[0]["status"] == 413
    assert len(incoming) == 1  # what follows was not asked for
    assert len(io.engine.connections) == 1
    end_all(io)


async def test_body_in_chunks_of_one_byte_takes_no_more_memory(listening, poll, log):
    block = 10_000
    session = await poll(listening)
    await session.join()
    headers = [("Transfer-Encoding", "chunked")]
    session.posts.write(head("POST", session.posts.target(session.query), headers))
    chunks = b"1\r\na\r\n" * block
    async with watch_memory() as memory:
        session.posts.write(b'8\r\n42["x","\r\n')
        for _ in range(LIMIT // block - 1):
            session.posts.write(chunks)
            await session.posts.drain()
        session.posts.write(b'2\r\n"]\r\n0\r\n\r\n')
        assert (await session.posts.answer(10)).body == b"ok"
    assert log == ["x"]
    assert memory.rise < 3 * LIMIT


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"{POLLING}&sid=nobody", 1),
        (POLLING, 2),
        ("EIO=4&transport=polling&sid=nobody&j=0", 3),
        ("EIO=4&transport=none", 0),
    ],
)
async def test_body_of_a_refused_request_is_not_read(io, dial, query, code, chunked):
    wire = await dial(io)
    length = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(10**9))
    wire.write(head("POST", wire.target(query), [length, ("Expect", "100-continue")]))
    assert code_of(await wire.answer()) == code

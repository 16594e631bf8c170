"""Rows of hardening.md about what is checked before anything else, and what is counted: auth path, headers, limits, cookie, log, flood.

The row stands in the name of each test. ``ROOMCAST_HOSTILE=full`` takes the numbers of the page instead of smaller ones.
"""

import asyncio
import contextlib
import json
import logging
import re
import time

import pytest
from tests.integration.conftest import FULL, end_all, eventually

from roomcast import Limits, Server
from support.wire import WEBSOCKET

pytestmark = pytest.mark.usefixtures("nothing_left")

POLLING = "EIO=4&transport=polling"
DIRECT = "EIO=4&transport=websocket"
BOTH = pytest.mark.parametrize("transport", ["polling", "websocket"])


def handshake(transport):
    """Return the query and the headers that begin a connection."""
    return (POLLING, ()) if transport == "polling" else (DIRECT, WEBSOCKET)


# auth path


FAULTS = (
    # What is wrong, in the order in which it must be found; then the parameters and the headers that are.
    ((414, "max_url_size"), {"pad": "a" * 8000}, {}),
    ((431, "max_headers"), {}, {f"X-Pad-{number}": "" for number in range(20)}),
    ((3, "MIDDLEWARE_FAILURE"), {}, {"X-Stopped": "yes"}),
    ((0, None), {"transport": "none"}, {}),
    ((3, "INVALID_ORIGIN"), {}, {"Origin": "http://" + "a" * 3000}),
    ((4, None), {}, {"Origin": "http://evil.example"}),
    ((3, "JSONP_NOT_SUPPORTED"), {"j": "0"}, {}),
    ((1, None), {"sid": "nobody"}, {}),
    ((3, "PROTOCOL_MISMATCH"), {"EIO": "3"}, {}),
)


@pytest.mark.parametrize("entry", ["polling", "websocket", "GET", "POST", "upgrade"])
async def test_auth_path_runs_the_same_checks_in_the_same_order(dial, entry):
    """A request that fails every check is mended one fault at a time; what it is refused for shows the order."""
    found, asked = [], []

    def allow_request(request):
        asked.append("allow_request")
        return "x-allowed" in request.headers

    io = Server(allow_request=allow_request, limits=Limits(max_headers=20))

    @io.engine.use
    def stop(request):
        if "x-stopped" in request.headers:
            raise ValueError("stopped")

    @io.engine.use
    def see(request):
        asked.append("middleware")

    @io.engine.on("connection_error")
    def refused(refusal):
        found.append((refusal.code, refusal.context.get("name")))

    websocket = entry in ("websocket", "upgrade")
    right = {"EIO": "4", "transport": "websocket" if websocket else "polling"}
    faults = list(FAULTS)
    if entry in ("polling", "websocket"):
        del faults[7]
        faults[-1] = ((5, None), *faults[-1][1:])
    else:
        answer = await (await dial(io)).request(POLLING, headers=[("X-Allowed", "yes")])
        right["sid"] = json.loads(answer.body[1:])["sid"]
    for number, (fault, _, _) in enumerate(faults):
        query, headers = dict(right), dict(WEBSOCKET if websocket else ())
        for _, wrong_parameters, wrong_headers in reversed(faults[number:]):
            query |= wrong_parameters
            headers |= wrong_headers
        found.clear()
        asked.clear()
        counters = io.engine.counters.copy()
        body = b"1" if entry == "POST" else None
        text = "&".join("=".join(pair) for pair in query.items())
        answer = await (await dial(io)).request(text, body, headers.items())
        if fault[0] > 400:
            assert answer.status == fault[0]
            assert io.engine.counters - counters == {fault[1]: 1}
            assert asked == found == []
        else:
            assert answer.status == (403 if fault[0] == 4 and not websocket else 400)
            assert found == [fault]
            assert asked == ["middleware"] * (number > 2)
    # What is left is asked about new connections only, after everything else.
    found.clear()
    asked.clear()
    wire = await dial(io)
    wire.ask(
        "&".join("=".join(pair) for pair in right.items()), body, WEBSOCKET if websocket else ()
    )
    if entry in ("polling", "websocket"):
        assert (await wire.answer()).status == (400 if websocket else 403)
        assert (asked, found) == (["middleware", "allow_request"], [(4, None)])
    elif entry == "GET":
        assert await wire.silent()
        assert asked == ["middleware"]
    else:
        assert (await wire.answer()).status == (101 if websocket else 200)
        assert asked == ["middleware"]
    end_all(io)


# headers


async def answered(wire):
    """Return the status of the answer, or 0 if the HTTP server ended the line instead; one of both must come in time."""
    try:
        return (await wire.answer()).status
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0


@pytest.mark.parametrize(
    ("transport", "count"),
    [
        *(("polling", count) for count in (0, 1, 50, 128, 129, 500, 5000)),
        # For more of them uvicorn 0.54 is silent.
        *(("websocket", count) for count in (0, 5, 50, 128)),
    ],
)
async def test_headers_in_any_number_are_answered(io, dial, transport, count):
    query, required = handshake(transport)
    count -= 1 + len(required)  # and Host
    wire = await dial(io)
    if count < 0:
        wire.write(b"GET %s HTTP/1.1\r\n\r\n" % wire.target(query))
        assert await answered(wire) in (200, 400)
    else:
        headers = [*required, *((f"X-{number}", "") for number in range(count))]
        wire.ask(query, headers=headers)
        if count < 128:
            assert await answered(wire) == (101 if required else 200)
        else:
            assert await answered(wire) == 431
            assert io.engine.counters["max_headers"] == 1
    end_all(io)


@BOTH
@pytest.mark.parametrize("filler", [b" a", b",", b"\xff", b"=;", b'"'], ids=repr)
async def test_headers_beyond_the_limit_are_refused(io, dial, transport, filler):
    query, required = handshake(transport)
    headers = [*required, *((f"X-{number}", filler * (6000 // len(filler))) for number in range(3))]
    wire = await dial(io)
    wire.ask(query, headers=headers)
    assert await answered(wire) == 431
    assert io.engine.counters == {"max_head_size": 1}


NAMES = [
    "Origin",
    "Cookie",
    "Accept-Encoding",
    "Content-Type",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "Access-Control-Request-Headers",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "X",
]


@pytest.mark.parametrize(
    ("transport", "size"), [("polling", 7_500), ("polling", 64_000), ("websocket", 7_500)]
)
async def test_headers_full_of_separators_cost_linear_time(dial, transport, size):
    io = Server(trusted_proxies=["127.0.0.1"], cors={"origins": [re.compile(".*")]})
    query, required = handshake(transport)
    for name in NAMES:
        for filler in (" ", ",", ";", ", ;=", '"', "a,"):
            value = "a" + filler * (size // len(filler)) + "a"
            times = []
            # What takes too long takes so each time; once it may be the garbage collector.
            while len(times) < 3 and min(times, default=1) >= 0.1:
                wire = await dial(io)
                wire.ask(query, headers=[*required, (name, value)])
                start = time.process_time()
                assert await answered(wire) in (
                    (431, 400, 0) if size > 16_000 else (101, 200, 400, 403)
                )
                times.append(time.process_time() - start)
                end_all(io)
            assert min(times) < 0.1, (name, filler)


@pytest.mark.parametrize("name", ["Host", *(name for name, _ in WEBSOCKET)])
async def test_headers_of_the_handshake_that_are_missing_empty_or_twice_are_answered(
    io, dial, name
):
    given = [("Host", "127.0.0.1"), *WEBSOCKET]
    value = dict(given)[name]
    others = [pair for pair in given if pair[0] != name]
    variants = [[], [(name, "")], [(name, ",")], [(name, value)] * 2, [(name, f"{value}, {value}")]]
    variants += [[(name, value[:-1])], [(name, b"\xff")], [(name, "a" * 7000)]]
    for variant in variants:
        wire = await dial(io)
        lines = [
            b"%s: %s" % (key.encode(), v if isinstance(v, bytes) else v.encode())
            for key, v in [*others, *variant]
        ]
        wire.write(b"\r\n".join([b"GET %s HTTP/1.1" % wire.target(DIRECT), *lines, b"", b""]))
        assert await answered(wire) in (0, 101, 400, 426), variant
        end_all(io)
        await wire.close()
        await eventually(lambda: not io.engine._websockets)


@BOTH
async def test_headers_path_and_query_beyond_ascii_are_answered(io, dial, transport):
    query, required = handshake(transport)
    for name in NAMES:
        for value in (b"\xe9", b"\xff\xfe", "é€😀".encode(), b"a=\x80; b=\xc3"):
            wire = await dial(io)
            wire.ask(query, headers=[*required, (name, value)])
            assert await answered(wire) in (101, 200, 400, 403)
            end_all(io)
    for path in (
        b"/socket.io/\xe9",
        b"/socket.io/%E9",
        b"/socket.io/%C3%A9",
        b"/socket.io/\xc3\xa9",
        b"/socket.io/%00",
    ):
        wire = await dial(io)
        wire.path = path
        wire.ask(query, headers=required)
        assert await answered(wire) in (0, 101, 200, 400)
        end_all(io)
    for more in (b"&a=\xe9", b"&a=%E9", b"&\xc3\xa9=1", b"&a=%C3%A9", b"&a=\xff%FF"):
        wire = await dial(io)
        wire.ask(query.encode() + more, headers=required)
        assert await answered(wire) in (0, 101, 200, 400)
        end_all(io)


# cookie, path


EVIL = ["a\r\nSet-Cookie: b", "a\rb", "a\nb", "a;b", "a\0b", "a b\r\n\r\n<script>", "é", "\x7f"]


@pytest.mark.parametrize("value", EVIL, ids=repr)
def test_cookie_and_path_with_what_splits_a_header_are_errors_at_start(value):
    for cookie in (
        value,
        {"name": value},
        {"path": f"/{value}"},
        {"domain": value},
        {"same_site": value},
    ):
        with pytest.raises(ValueError, match="cookie"):
            Server(cookie=cookie)
    if value != "a;b":  # which is legal in a path
        with pytest.raises(ValueError, match="path"):
            Server(path=f"/{value}")


async def test_path_row_no_files_are_served(io, dial):
    for path in (
        "/socket.io/socket.io.js",
        "/socket.io/../server.py",
        "/socket.io/..%2f..%2fetc/passwd",
        "/socket.io/%2e%2e/%2e%2e/etc/passwd",
        "/socket.io//etc/passwd",
    ):
        wire = await dial(io)
        wire.path = path
        assert (await wire.request("")).code == 0


# log


async def test_log_has_what_a_peer_sent_escaped_and_cut(io, dial, connect, caplog):
    evil = "a%1b%5b31mb%0d%0aERROR%20fake%00%c3%a9"
    with caplog.at_level(logging.INFO, "roomcast"):
        for query in (
            f"EIO=4&transport={evil}",
            f"{POLLING}&sid={evil}" + "a" * 7000,
            f"EIO={evil}&transport=polling",
        ):
            answer = await (await dial(io)).request(query)
            assert answer.status == 400
            assert answer.body.isascii()
            assert b"\x1b" not in answer.body
            assert (await (await dial(io)).upgrade(query)).status == 400
        wire = await dial(io)
        assert (
            await wire.request(POLLING, headers=[("Origin", "http://\x1b[31m" + "a" * 1000)])
        ).status >= 400
        wire = await dial(io)
        wire.path = f"/socket.io/{evil}"
        assert (await wire.request("")).code == 0
        for nsp in ("/\x1b[31m\r\n" + "a" * 100, "/" + "é" * 100):
            raw = await connect(io)
            await raw.send(f"40{nsp},")
            assert str(await raw.recv()).startswith("44")
            await raw.send(f'42{nsp},["x"]')
            await raw.closed()
        raw = await connect(io)
        await raw.join()
        await raw.send('42["\x1b[31m\r\n' + "a" * 100_000)
        await raw.closed()
    messages = [
        record.getMessage() for record in caplog.records if record.name.startswith("roomcast")
    ]
    assert len(messages) >= 5
    for message in messages:
        assert message.isprintable()
        assert message.isascii()
        assert len(message) < 150


async def test_log_has_one_line_for_a_peer_and_a_cause(dial, caplog):
    io = Server(limits=Limits(max_url_size=500))

    @io.engine.use
    def stop(request):
        if "stop" in request.query:
            raise PermissionError

    causes = [
        "EIO=4",
        f"{POLLING}&sid=%d",
        "EIO=3&transport=polling",
        "a" * 600,
        f"{POLLING}&stop=1",
    ]
    with caplog.at_level(logging.INFO, "roomcast"):
        for number in range(20):
            for query in causes:
                await (await dial(io)).request(query.replace("%d", str(number)))
    messages = [
        record.getMessage() for record in caplog.records if record.name.startswith("roomcast")
    ]
    # The failure of the middleware is one, and that its request was refused another.
    assert len(messages) == len(causes) + 1
    assert io.engine.counters == {
        "refused_0": 20,
        "refused_1": 20,
        "refused_3": 20,
        "refused_5": 20,
        "max_url_size": 20,
    }


# limits


class Gate:
    """Lets nobody through until it is opened."""

    def __init__(self):
        self.opened = asyncio.Event()
        self.waiting = 0

    async def __call__(self, request):
        self.waiting += 1
        await self.opened.wait()
        return True


@BOTH
@pytest.mark.parametrize("where", ["middleware", "allow_request"])
async def test_limits_of_handshakes_on_their_way(dial, transport, where):
    gate = Gate()
    io = Server(
        limits=Limits(max_handshakes=3), allow_request=gate if where == "allow_request" else None
    )
    if where == "middleware":
        io.engine.use(gate)
    query, headers = handshake(transport)
    waiting = [await dial(io) for _ in range(3)]
    for wire in waiting:
        wire.ask(query, headers=headers)
    await eventually(lambda: gate.waiting == 3)
    answer = await (await dial(io)).request(query, headers=headers)
    assert (answer.status, answer.body) == (503, b"")
    assert io.engine.counters == {"max_handshakes": 1}
    gate.opened.set()
    for wire in waiting:
        assert (await wire.answer()).status == (101 if headers else 200)
    assert (await (await dial(io)).request(query, headers=headers)).status in (101, 200)
    end_all(io)


@BOTH
@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
async def test_limits_of_connections(dial, transport, limit):
    io = Server(limits=Limits(**{limit: 2}))
    query, headers = handshake(transport)
    wires = [await dial(io) for _ in range(3)]
    statuses = [(await wire.request(query, headers=headers)).status for wire in wires]
    assert statuses == ([101, 101, 503] if headers else [200, 200, 503])
    assert io.engine.counters == {limit: 1}
    next(iter(io.engine.connections.values())).close(discard=True)
    assert (await (await dial(io)).request(query, headers=headers)).status in (101, 200)
    assert len(io.engine.connections) == 2
    end_all(io)


@BOTH
@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
async def test_limits_hold_for_handshakes_that_wait_together(dial, transport, limit):
    gate = Gate()
    io = Server(limits=Limits(**{limit: 2}), allow_request=gate)
    query, headers = handshake(transport)
    wires = [await dial(io) for _ in range(10)]
    for wire in wires:
        wire.ask(query, headers=headers)
    await eventually(lambda: io.engine.counters[limit] == 8)
    gate.opened.set()
    statuses = [(await wire.answer()).status for wire in wires]
    assert sorted(statuses) == [101 if headers else 200] * 2 + [503] * 8
    assert len(io.engine.connections) == 2
    end_all(io)


@BOTH
async def test_limits_count_no_handshake_that_was_left_or_refused(dial, transport):
    """Whoever gives up on the way has given its place back."""
    gate = Gate()
    io = Server(limits=Limits(max_connections=1), allow_request=gate)
    query, headers = handshake(transport)
    wire = await dial(io)
    wire.ask(query, headers=headers)
    await eventually(lambda: gate.waiting == 1)
    wire.reset()
    gate.opened.set()
    for other in ("EIO=3&transport=polling", f"{POLLING}&j=1", "EIO=4"):
        await (await dial(io)).request(other)
    await eventually(lambda: io.engine._places.handshakes == 0)
    end_all(io)  # on polling nobody knows that the client is gone
    await eventually(lambda: io.engine._places.taken == 0)
    assert (await (await dial(io)).request(query, headers=headers)).status in (101, 200)
    end_all(io)


@BOTH
async def test_limits_that_a_connection_hits_are_counted(dial, transport):
    io = Server(
        upgrade_timeout=0.05,
        ping_interval=0.05,
        ping_timeout=0.05,
        limits=Limits(send_buffer_size=1000, max_http_buffer_size=100),
    )
    query, headers = handshake(transport)

    async def begin():
        wire = await dial(io)
        answer = await wire.request(query, headers=headers)
        opened = answer.body.decode() or str(await wire.recv())
        return wire, json.loads(opened[1:])["sid"]

    wire, sid = await begin()
    io.engine.connections[sid].outbox.push_text("4" * 900)
    io.engine.connections[sid].outbox.push_text("4" * 900)
    await eventually(lambda: io.engine.counters["send_buffer_size"] == 1)
    wire, sid = await begin()
    if headers:
        wire.send("4" + "a" * 100)
        assert await wire.closed() == "1009"
    else:
        assert (await wire.request(f"{POLLING}&sid={sid}", b"4" + b"a" * 100)).status == 413
    await eventually(lambda: io.engine.counters["max_http_buffer_size"] == 1)
    if not headers:
        probe = await dial(io)
        await probe.upgrade(f"{DIRECT}&sid={sid}")
        await eventually(lambda: io.engine.counters["upgrade_timeout"] == 1)
    await begin()
    await eventually(lambda: not io.engine.connections)
    assert io.engine.counters["ping_timeout"] == (1 if headers else 2)


# flood


async def test_flood_of_connections_that_join_nothing_does_not_keep_the_honest_out(
    dial, poll, connect
):
    # 2 000 take four descriptors each, all of them in this process.
    count, life = (2_000, 15) if FULL else (100, 1.2)
    io = Server(connect_timeout=life, ping_interval=0.4 if life < 2 else 2, ping_timeout=5)
    loop = asyncio.get_running_loop()

    async def on_websocket():
        begin = loop.time()
        wire = await dial(io)
        await wire.upgrade(DIRECT)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                if await wire.recv(2 * life) == "2":
                    wire.send("3")
        return loop.time() - begin

    async def on_polling():
        begin = loop.time()
        session = await poll(io)
        while (answer := await session.gets.request(session.query, seconds=2 * life)).body == b"2":
            await session.post("3")
        assert answer.body in (b"1", b"6\x1e1") or answer.status == 400
        return loop.time() - begin

    flood = []
    for number in range(count):
        flood.append(asyncio.create_task(on_polling() if number % 2 else on_websocket()))
        if number % 20 == 19:  # not more at once than this process can play the clients of
            await asyncio.sleep(0.02)
    times = []
    for _ in range(20):
        start = loop.time()
        raw = await connect(io)
        await raw.join()
        times.append(loop.time() - start)
        await raw.close()
        await asyncio.sleep(0.05)
    lives = await asyncio.gather(*flood)
    assert max(times) < 1
    assert life * 0.9 < min(lives)
    assert max(lives) < life * 4  # all of them, and in time even where the machine has other work
    assert io.engine.connections == {}

"""The engine's options, middlewares and events, each on a real socket."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
import pytest
import websockets

from roomcast import ConnectError, Server
from roomcast.engine.requests import Request


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self):
        return json.loads(self.body)

    @property
    def handshake(self):
        assert (self.status, self.body[:1]) == (200, b"0")
        return json.loads(self.body[1:])

    @property
    def sid(self):
        return self.handshake["sid"]


POLLING = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


async def fetch_of(http, url, method="GET", **options):
    async with http.request(method, url, **options) as response:
        return Answer(response.status, response.headers, await response.read())


@pytest.fixture
def fetch(http, serve):
    """Send one request to a server, which starts to listen with the first one; return the response, read."""
    ports = {}

    async def start(io, path=POLLING, *, method="GET", headers=None, data=None):
        if io not in ports:
            ports[io] = (await serve(io)).port
        url = f"http://127.0.0.1:{ports[io]}{path}"
        return await fetch_of(http, url, method, headers=headers, data=data)

    return start


# --- transports and the path


async def test_transports_that_are_off_are_unknown(fetch, connect):
    refused = await fetch(Server(transports=["websocket"]))
    assert (refused.status, refused.error["code"]) == (400, 0)
    io = Server(transports=("polling",))
    opened = (await fetch(io)).handshake
    assert opened["upgrades"] == []
    with pytest.raises(websockets.InvalidStatus):
        await connect(io)


async def test_upgrades_that_are_off_are_refused(fetch, connect):
    io = Server(allow_upgrades=False)
    opened = (await fetch(io)).handshake
    assert opened["upgrades"] == []
    with pytest.raises(websockets.InvalidStatus):
        await connect(io, f"EIO=4&transport=websocket&sid={opened['sid']}")
    assert opened["sid"] in io.engine.connections


async def test_trailing_slash_may_be_left_out(fetch):
    io = Server(add_trailing_slash=False)
    assert (await fetch(io, "/socket.io?EIO=4&transport=polling")).sid
    assert (await fetch(io, "/socket.io/?EIO=4&transport=polling")).sid
    assert (await fetch(Server(), "/socket.io?EIO=4&transport=polling")).status == 404


# --- compression


async def poll_of(io, fetch, headers, length=5000):
    @io.on("connection")
    def connection(socket):
        socket.emit("long", "x" * length)
        socket.emit("short")

    path = f"{POLLING}&sid={(await fetch(io)).sid}"
    await fetch(io, path, method="POST", data="40")
    return await fetch(io, path, headers=headers)


@pytest.mark.parametrize(
    ("accepts", "encoding", "decode"),
    [
        ("gzip, deflate", "gzip", gzip.decompress),
        ("deflate", "deflate", zlib.decompress),
        ("br", None, bytes),
        ("identity", None, bytes),
    ],
)
async def test_long_answers_are_compressed_as_the_client_likes(
    io, fetch, accepts, encoding, decode
):
    response = await poll_of(io, fetch, {"accept-encoding": accepts})
    assert response.headers.get("content-encoding") == encoding
    assert f'42["long","{"x" * 5000}"]' in decode(response.body).decode()


@pytest.mark.parametrize("threshold", [False, 10_000, {"threshold": 10_000}])
async def test_compression_can_be_off_or_begin_later(fetch, threshold):
    response = await poll_of(Server(http_compression=threshold), fetch, {"accept-encoding": "gzip"})
    assert "content-encoding" not in response.headers


async def test_very_long_answers_are_compressed_beside_the_loop(io, fetch):
    response = await poll_of(io, fetch, {"accept-encoding": "gzip"}, 200_000)
    assert "x" * 200_000 in gzip.decompress(response.body).decode()


# --- cookie


async def test_cookie_comes_with_the_polling_handshake_only(fetch, connect):
    io = Server(cookie=True)
    response = await fetch(io)
    sid = response.sid
    assert response.headers["set-cookie"] == f"io={sid}; Path=/; HttpOnly; SameSite=Lax"
    again = await fetch(io, f"{POLLING}&sid={sid}", method="POST", data="40")
    assert "set-cookie" not in again.headers
    raw = await connect(io)
    assert "set-cookie" not in raw.ws.response.headers


async def test_cookie_can_be_shaped(fetch):
    io = Server(cookie={"name": "sid", "http_only": False, "same_site": "strict", "max_age": 60})
    response = await fetch(io)
    sid = response.sid
    assert response.headers["set-cookie"] == f"sid={sid}; Max-Age=60; Path=/; SameSite=Strict"


# --- origins


async def test_foreign_page_is_refused_and_the_log_says_what_to_do(io, fetch, caplog):
    page = {"origin": "https://page.example"}
    for _ in range(3):
        refused = await fetch(io, headers=page)
        assert refused.status == 403
        assert refused.error == {"code": 4, "message": "origin not allowed"}
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    (warning,) = warnings
    assert warning.startswith("refused a page of https://page.example: only the same origin may")
    assert io.engine.counters["refused_origin"] == 3
    assert io.engine.connections == {}


async def test_page_that_is_named_may_come_and_read_errors_too(fetch, connect):
    io = Server(cors=["https://page.example"])
    page = {"origin": "https://page.example"}
    response = await fetch(io, headers=page)
    assert response.headers["access-control-allow-origin"] == page["origin"]
    assert response.headers["vary"] == "Origin"
    error = await fetch(io, "/socket.io/?transport=x", headers=page)
    assert error.status == 400
    assert error.headers["access-control-allow-origin"] == page["origin"]
    raw = await connect(io, origin=page["origin"])
    assert raw.ws.response.headers["access-control-allow-origin"] == page["origin"]
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(io, origin="https://other.example")
    assert caught.value.response.status_code == 400


async def test_preflight(fetch):
    io = Server(cors={"origin": "https://page.example", "credentials": True})
    headers = {
        "origin": "https://page.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-token",
    }
    response = await fetch(io, method="OPTIONS", headers=headers)
    assert response.status == 204
    assert response.headers["access-control-allow-headers"] == "x-token"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert (await fetch(Server(), method="OPTIONS", headers={})).status == 400


# --- allow_request and generate_id


def refuse_quietly(request):
    return False


async def refuse_later(request):
    await asyncio.sleep(0)
    return False


def refuse_with_a_text(request):
    raise ConnectError("not on a monday")


def fail(request):
    raise RuntimeError("no database")


@pytest.mark.parametrize(
    ("allow_request", "message"),
    [
        (refuse_quietly, "Forbidden"),
        (refuse_later, "Forbidden"),
        (refuse_with_a_text, "not on a monday"),
        (fail, "Forbidden"),
    ],
)
async def test_allow_request_refuses_on_both_transports(fetch, connect, allow_request, message):
    io = Server(allow_request=allow_request)
    seen = []
    io.engine.on("connection_error", seen.append)
    refused = await fetch(io)
    assert refused.status == 403
    assert refused.error == {"code": 4, "message": message}
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(io)
    assert caught.value.response.status_code == 400
    assert caught.value.response.body == message.encode()
    assert [(error.code, error.message, error.context) for error in seen] == [
        (4, "Forbidden", {"message": message})
    ] * 2


async def test_allow_request_sees_the_request_and_is_asked_once(fetch):
    asked = []

    def allow(request):
        asked.append((request.method, request.query["token"], request.headers["x-token"]))
        return True

    io = Server(allow_request=allow)
    response = await fetch(io, f"{POLLING}&token=a", headers={"x-token": "b"})
    path = f"{POLLING}&sid={response.sid}"
    await fetch(io, path, method="POST", data="40")
    assert asked == [("GET", "a", "b")]


async def test_ids_can_be_made_by_the_program(fetch):
    made = iter(["one", "two"])

    async def make(request: Request) -> str:
        return next(made)

    io = Server(generate_id=make)
    assert [(await fetch(io)).sid for _ in range(2)] == ["one", "two"]


@pytest.mark.parametrize("made", ["", None, 7, "same", RuntimeError()])
async def test_bad_ids_refuse_the_request(fetch, made):
    def make(request):
        if isinstance(made, Exception):
            raise made
        return made

    io = Server(generate_id=make)
    seen = []
    io.engine.on("connection_error", seen.append)
    if made == "same":
        assert (await fetch(io)).sid == made
    refused = await fetch(io)
    assert (refused.status, refused.error["code"]) == (400, 3)
    assert seen[-1].context == {"name": "ID_GENERATION_ERROR"}


# --- middlewares and events


async def test_middlewares_run_first_in_their_order_and_leave_what_they_found(io, fetch, connect):
    order = []

    @io.engine.use
    def first(request):
        order.append("first")
        request.state["user"] = "ada"

    @io.engine.use
    async def second(request):
        await asyncio.sleep(0)
        order.append("second")

    seen = []
    io.on("connection", lambda socket: seen.append(socket.conn.request.state))
    raw = await connect(io)
    await raw.join()
    assert order == ["first", "second"]
    assert seen == [{"user": "ada"}]
    await fetch(io, "/socket.io/?transport=x")
    assert order == ["first", "second"] * 2


async def test_middleware_that_raises_refuses(io, fetch, connect):
    seen = []
    io.engine.on("connection_error", seen.append)

    @io.engine.use
    def no(request):
        raise ValueError("secret")

    refused = await fetch(io)
    assert refused.error == {"code": 3, "message": "Bad request"}
    with pytest.raises(websockets.InvalidStatus):
        await connect(io)
    assert [error.context for error in seen] == [{"name": "MIDDLEWARE_FAILURE"}] * 2


def test_middleware_must_be_callable(io):
    with pytest.raises(TypeError, match="a middleware must be callable, not int"):
        io.engine.use(1)


async def test_headers_can_be_added(io, fetch, connect):
    @io.engine.on("initial_headers")
    def initial(headers, request):
        headers["X-First"] = "1"

    @io.engine.on("headers")
    async def every(headers, request):
        await asyncio.sleep(0)
        headers["X-Every"] = request.method

    @io.engine.on("headers")
    def broken(headers, request):
        raise ValueError("x")

    response = await fetch(io)
    assert (response.headers["x-first"], response.headers["x-every"]) == ("1", "GET")
    path = f"{POLLING}&sid={response.sid}"
    posted = await fetch(io, path, method="POST", data="40")
    assert posted.headers["x-every"] == "POST"
    assert "x-first" not in posted.headers
    error = await fetch(io, "/socket.io/?transport=x")
    assert "x-every" not in error.headers
    raw = await connect(io)
    assert raw.ws.response.headers["x-first"] == "1"
    assert raw.ws.response.headers["x-every"] == "GET"


async def test_events_of_a_connection_may_be_coroutines_and_may_fail(io, connect, log, caplog):
    @io.on("connection")
    def connection(socket):
        @socket.conn.on("close")
        async def close(reason, details):
            await asyncio.sleep(0)
            log.append(reason)
            raise ValueError("late")

        socket.conn.on("close", lambda *args: 1 / 0)

    raw = await connect(io)
    await raw.join()
    await raw.close()
    await log.until("transport close")
    assert "ZeroDivisionError" in caplog.text


# --- who asks


async def test_address_is_the_proxys_unless_it_is_trusted(connect):
    headers = {"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https"}
    for proxies, expected in (((), ("127.0.0.1", False)), (["127.0.0.0/8"], ("9.9.9.9", True))):
        io = Server(trusted_proxies=proxies)
        seen = []
        io.on("connection", lambda socket, seen=seen: seen.append(socket.handshake))
        raw = await connect(io, additional_headers=headers)
        await raw.join()
        assert (seen[0].address, seen[0].secure) == expected


# --- the end


async def test_close_tells_clients_of_both_transports_and_refuses_new_ones(
    io, serve, connect, http
):
    port = (await serve(io)).port
    url = f"http://127.0.0.1:{port}{POLLING}"
    raw = await connect(io)
    await raw.join()
    sid = (await fetch_of(http, url)).sid
    async with http.post(f"{url}&sid={sid}", data="40") as response:
        assert response.status == 200
    async with http.get(f"{url}&sid={sid}") as response:
        assert (await response.text()).startswith("40")
    io.emit("last", "words")
    closing = asyncio.ensure_future(io.close(timeout=3))
    async with http.get(url) as response:
        assert response.status == 503
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(io)
    assert caught.value.response.status_code == 503
    assert not closing.done()
    async with http.get(f"{url}&sid={sid}") as response:
        assert await response.text() == '42["last","words"]'
    async with http.get(f"{url}&sid={sid}") as response:
        assert await response.text() == "6\x1e1"
    assert await raw.recv() == '42["last","words"]'
    assert await raw.closed() in (1000, 1005)
    async with asyncio.timeout(1):
        await closing
    await io.close()  # once more is nothing


async def test_close_waits_no_longer_than_it_was_told(io, serve, http):
    url = f"http://127.0.0.1:{(await serve(io)).port}{POLLING}"
    assert (await fetch_of(http, url)).sid
    start = asyncio.get_running_loop().time()
    await io.close(timeout=0.2)
    assert 0.15 < asyncio.get_running_loop().time() - start < 1.5
    assert len(io.engine.timers) == 0


def test_close_without_a_loop_is_nothing():
    io = Server()
    io.close()
    io.close()


async def test_a_thousand_clients_are_told_in_time(io, serve):
    port = (await serve(io)).port
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    clients = []
    for _ in range(20):
        clients += await asyncio.gather(
            *(websockets.connect(url, ping_interval=None, proxy=None) for _ in range(50))
        )
    for client in clients:
        await client.send("40")
    for client in clients:
        assert (await client.recv())[0] == "0"
        assert (await client.recv())[:2] == "40"
    io.emit("bye")
    start = asyncio.get_running_loop().time()
    await io.close(timeout=5)
    assert asyncio.get_running_loop().time() - start < 5
    for client in clients:
        assert await client.recv() == '42["bye"]'
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()
    assert io.engine.connections == {}

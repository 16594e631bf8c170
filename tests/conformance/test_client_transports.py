"""Transports in every order, the upgrade, and what stands in the requests; against the reference and our own server."""

import asyncio
import random

import pytest

from roomcast import TransportError
from roomcast.client import Manager, connect
from support.client_fixtures import FAST, Heard, eventually, moved
from support.relay import Relay

pytestmark = pytest.mark.usefixtures("clean")


def transports_of(relay):
    """The transports of a client's requests, in their order and once each."""
    found = [request.target.partition("transport=")[2] for request in relay.requests]
    return list(dict.fromkeys(name.partition("&")[0] for name in found))


# order


@pytest.mark.parametrize(
    ("transports", "used"),
    [
        ("polling", ["polling"]),
        ("websocket", ["websocket"]),
        (["polling", "websocket"], ["polling", "websocket"]),
        (["websocket", "polling"], ["websocket"]),
    ],
    ids=["polling", "websocket", "polling first", "websocket first"],
)
async def test_transports_are_used_in_their_order(peer, relay, transports, used):
    async with connect(relay.url, transports=transports) as socket:
        await eventually(lambda: socket.transport == used[-1])
        assert await socket.emit_with_ack("answer", 1) == 1
        assert transports_of(relay) == used


async def test_upgrade_is_told(peer):
    socket = connect(peer.url)
    upgrades = []
    socket.manager.on("upgrade", upgrades.append)
    await socket
    await eventually(lambda: upgrades)
    assert upgrades == ["websocket"]
    assert socket.transport == "websocket"
    await socket.disconnect()


async def test_upgrade_may_be_off(peer, relay):
    async with connect(relay.url, upgrade=False) as socket:
        await socket.emit_with_ack("later", 50, 1)
        assert socket.transport == "polling"
        assert transports_of(relay) == ["polling"]


async def test_upgrade_that_the_server_does_not_offer(start_peer):
    peer = start_peer(allow_upgrades=False)
    async with Relay(peer.port) as relay, connect(relay.url) as socket:
        await socket.emit_with_ack("later", 50, 1)
        assert socket.transport == "polling"
        assert transports_of(relay) == ["polling"]


async def test_wrong_transport_does_not_fall_back_by_itself(start_peer):
    peer = start_peer(transports=["polling"])
    with pytest.raises(TransportError, match=r"(?m)^websocket error$"):
        await connect(peer.url, transports=["websocket", "polling"])


async def test_all_transports_are_tried_if_asked_for(start_peer):
    peer = start_peer(transports=["polling"])
    options = {"transports": ["websocket", "polling"], "try_all_transports": True}
    async with connect(peer.url, **options) as socket:
        assert socket.transport == "polling"
        assert await socket.emit_with_ack("answer", 1) == 1


async def test_all_transports_fail_as_the_last(peer, relay):
    relay.refusing = True
    options = {"transports": ["websocket", "polling"], "try_all_transports": True}
    with pytest.raises(TransportError, match=r"(?m)^xhr poll error$"):
        await connect(relay.url, **options)
    assert relay.connections == 2


async def test_upgrade_is_remembered_if_asked_for(peer):
    async with connect(peer.url) as socket:
        await moved(socket, ["websocket"])
    async with Relay(peer.port) as relay:
        async with connect(relay.url) as socket:
            await moved(socket, ["websocket"])
        assert transports_of(relay) == ["polling", "websocket"]
    async with Relay(peer.port) as relay:
        async with connect(relay.url, remember_upgrade=True):
            pass
        assert transports_of(relay) == ["websocket"]


# upgrade


async def test_nothing_is_lost_on_the_way_up(peer):
    for _ in range(5):
        async with connect(peer.url) as socket:
            found = []
            socket.on("echo", lambda number, *more, found=found: found.append(number))
            for number in range(300):
                socket.emit("echo", number, *([b"x"] * (number % 3)))
                await asyncio.sleep(random.random() * 0.0005)
            await eventually(lambda found=found: len(found) == 300, lambda found=found: len(found))
            assert found == list(range(300))
            await moved(socket, ["websocket"])


async def test_line_that_breaks_within_the_upgrade_wedges_nothing(peer):
    for number in range(25):
        async with Relay(peer.port) as relay, connect(relay.url, **FAST) as socket:
            await asyncio.sleep(number * 0.0004)
            relay.cut()
            answer = None
            while answer is None:
                try:
                    answer = await asyncio.wait_for(socket.emit_with_ack("answer", number), 3)
                except ConnectionError:
                    continue
            assert answer == number


async def test_websocket_that_cannot_be_opened_leaves_it_on_polling(peer, relay):
    # Whatever asks for an upgrade ends; the server has offered it all the same.
    relay.ban = b"transport=websocket"
    async with connect(relay.url) as socket:
        await socket.emit_with_ack("later", 50, 1)
        assert socket.transport == "polling"
        socket.volatile.emit("note", 1)
        await peer.until("note", 1)


async def test_close_within_the_upgrade_leaves_nothing(peer):
    for number in range(20):
        socket = await connect(peer.url)
        await asyncio.sleep(number * 0.0005)
        socket.emit("note", number)
        await socket.disconnect()
    await peer.until_count(20, "disconnect", "/", "client namespace disconnect")
    if peer.kind != "node":  # see below
        assert peer.logged("note") == [[number] for number in range(20)]


# closing


@pytest.mark.parametrize("connected", [True, False])
async def test_what_was_emitted_last_arrives(peer, transports, connected):
    socket = await connect(peer.url, transports=transports)
    if connected:
        await moved(socket, transports)
    for number in range(50):
        socket.emit("note", number, b"x" * 10_000)
    await socket.disconnect()
    await peer.until("disconnect", "/")
    # The reference ignores events that it reads in one go with the DISCONNECT behind them.
    if peer.kind != "node":
        assert [number for number, _ in peer.logged("note")] == list(range(50))
    assert peer.logged("disconnect") == [["/", "client namespace disconnect"]]


async def test_disconnect_and_connect_leave_nothing_of_the_last_connection(peer, transports):
    socket = connect(peer.url, transports=transports)
    for _ in range(20):
        await socket.connect()
        socket.disconnect()
    await socket.connect()
    await eventually(
        lambda: sum(not engine.finished for engine in socket.manager._past) == 1,
        lambda: socket.manager._past,
    )
    socket.disconnect()
    await socket.connect()
    assert len(socket.manager._past) < 6
    await socket.disconnect()


# requests


async def test_parameters_come_in_the_order_of_the_reference(peer, relay):
    async with connect(f"{relay.url}/?a=1&b=x%20y") as socket:
        await moved(socket, ["websocket"])
        (first, *others) = [request.target for request in relay.requests]
        assert first.startswith("/socket.io/?a=1&b=x%20y&EIO=4&transport=polling&t=")
        websocket = next(target for target in others if "transport=websocket" in target)
        assert websocket.startswith("/socket.io/?a=1&b=x%20y&EIO=4&transport=websocket&sid=")
        stamps = [target.partition("&t=")[2].partition("&")[0] for target in [first, *others]]
        assert len({stamp for stamp in stamps if stamp}) == len(stamps) - 1


async def test_query_reaches_the_server(peer, transports):
    query = {"list": [1, "b"], "yes": True, "text": "ä &=?", "number": 1.5}
    async with connect(peer.url, transports=transports, query=query) as socket:
        found = (await socket.emit_with_ack("handshake"))["query"]
        assert {name: found[name] for name in query} == {
            "list": "1,b",
            "yes": "true",
            "text": "ä &=?",
            "number": "1.5",
        }


async def test_query_of_the_url_takes_the_place_of_the_option(peer):
    url = f"{peer.url}/?b=2"
    async with connect(url, transports="websocket", query={"a": 1}) as socket:
        found = (await socket.emit_with_ack("handshake"))["query"]
        assert "a" not in found
        assert found["b"] == "2"


async def test_parameters_of_the_protocol_cannot_be_replaced(peer, transports):
    query = {"EIO": 3, "transport": "pigeon", "sid": "mine", "a": 1}
    async with connect(peer.url, transports=transports, query=query) as socket:
        await moved(socket, transports)
        found = (await socket.emit_with_ack("handshake"))["query"]
        assert (found["EIO"], found["a"]) == ("4", "1")


async def test_headers_are_sent_with_every_request(peer, relay):
    headers = {"X-Token": "secret", "User-Agent": "tests"}
    async with connect(relay.url, extra_headers=headers) as socket:
        await moved(socket, ["websocket"])
        await socket.emit_with_ack("answer")
        found = (await socket.emit_with_ack("handshake"))["headers"]
        assert found["x-token"] == "secret"
        for request in relay.requests:
            assert (request.headers["x-token"], request.headers["user-agent"]) == (
                "secret",
                "tests",
            )
        assert {request.method for request in relay.requests} == {"GET", "POST"}


async def test_options_of_one_transport(peer, relay):
    options = {
        "polling": {"extra_headers": {"X-Of": "polling"}, "query": {"of": "polling"}},
        "websocket": {"query": {"of": "websocket"}},
    }
    given = {"extra_headers": {"X-Of": "all"}, "transport_options": options}
    async with connect(relay.url, **given) as socket:
        await moved(socket, ["websocket"])
    for request in relay.requests:
        name = "websocket" if "transport=websocket" in request.target else "polling"
        assert f"of={name}&" in request.target
        assert request.headers["x-of"] == ("all" if name == "websocket" else "polling")


@pytest.mark.parametrize("form", [True, {"name": "stick", "path": "/"}])
async def test_cookies_are_kept_between_transports(start_peer, form):
    peer = start_peer(cookie={"name": "io"} if form is True else form)
    async with Relay(peer.port) as relay, connect(relay.url) as socket:
        await moved(socket, ["websocket"])
        first, *others = relay.requests
        assert "cookie" not in first.headers
        name = "io" if form is True else "stick"
        assert len(others) > 1
        for request in others:
            assert request.headers["cookie"].startswith(f"{name}=")


async def test_cookies_may_be_ignored(start_peer):
    peer = start_peer(cookie={"name": "io"})
    async with Relay(peer.port) as relay:
        async with connect(relay.url, with_credentials=False) as socket:
            await moved(socket, ["websocket"])
        assert not any("cookie" in request.headers for request in relay.requests)


async def test_path_and_trailing_slash(start_peer, transports):
    peer = start_peer(path="/my/path")
    async with (
        Relay(peer.port) as relay,
        connect(relay.url, path="/my/path", transports=transports) as socket,
    ):
        assert await socket.emit_with_ack("answer", 1) == 1
        assert all(request.target.startswith("/my/path/?") for request in relay.requests)


async def test_no_trailing_slash(start_peer, transports):
    peer = start_peer(path="/my", add_trailing_slash=False)
    async with (
        Relay(peer.port) as relay,
        connect(relay.url, path="/my", add_trailing_slash=False, transports=transports) as socket,
    ):
        assert await socket.emit_with_ack("answer", 1) == 1
        assert all(request.target.startswith("/my?") for request in relay.requests)


async def test_timestamps_and_base64(peer, relay):
    options = {"timestamp_requests": True, "timestamp_param": "when", "force_base64": True}
    async with connect(relay.url, transports="websocket", **options) as socket:
        assert await socket.emit_with_ack("answer", b"\x00\x01") == b"\x00\x01"
        (request,) = relay.requests
        assert "&when=" in request.target
        assert "&b64=1" in request.target


async def test_no_timestamps(peer, relay):
    async with connect(relay.url, transports="polling", timestamp_requests=False) as socket:
        await socket.emit_with_ack("answer")
        assert not any("&t=" in request.target for request in relay.requests)


async def test_subprotocols_are_offered(peer, relay):
    async with connect(relay.url, transports="websocket", protocols=["a", "b"]) as socket:
        assert await socket.emit_with_ack("answer", 1) == 1
        assert relay.requests[0].headers["sec-websocket-protocol"] == "a, b"


@pytest.mark.parametrize("deflate", [True, False])
async def test_compression(start_peer, deflate):
    peer = start_peer(per_message_deflate=True)
    async with (
        Relay(peer.port) as relay,
        connect(relay.url, transports="websocket", per_message_deflate=deflate) as socket,
    ):
        text = "again and again " * 10_000
        assert await socket.emit_with_ack("answer", text) == text
        assert (len(relay.traffic["up"]) < 20_000) == deflate
        assert (len(relay.traffic["down"]) < 20_000) == deflate
        before = len(relay.traffic["up"])
        assert await socket.compress(False).emit_with_ack("answer", text) == text
        assert len(relay.traffic["up"]) - before > 100_000


async def test_posts_respect_the_size_that_the_server_names(start_peer):
    peer = start_peer(max_http_buffer_size=10_000)
    async with Relay(peer.port) as relay, connect(relay.url, transports="polling") as socket:
        heard = Heard(socket)
        for number in range(20):
            socket.emit("note", number, "x" * 3_000)
        await peer.until("note", 19)
        assert [number for number, _ in peer.logged("note")] == list(range(20))
        assert heard == []
        sizes = [int(request.headers.get("content-length", 0)) for request in relay.requests]
        assert max(sizes) <= 10_000
        assert sum(size > 3_000 for size in sizes) < 10


async def test_manager_names_its_transport(peer):
    manager = Manager(peer.url)
    assert manager.transport is None
    await manager.open()
    assert manager.transport in ("polling", "websocket")
    await eventually(lambda: manager.transport == "websocket")
    await manager.close()
    assert manager.transport is None

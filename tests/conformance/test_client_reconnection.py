"""Attempts, their number, their delays and their events, and the forms of a connect_error."""

import asyncio
import socket as sockets
from itertools import pairwise

import pytest

from roomcast import ConnectError, TransportError
from roomcast.client import Manager, connect
from support.client_fixtures import FAST, Heard, eventually, follow_manager, moved

pytestmark = pytest.mark.usefixtures("clean")

REFUSED = {"polling": "xhr poll error", "websocket": "websocket error"}


@pytest.fixture
def closed_url():
    """The URL of a port at which nobody listens."""
    with sockets.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_attempts_are_counted_after_the_first(closed_url, transport):
    socket = connect(closed_url, transports=transport, reconnection_attempts=3, **FAST)
    heard = Heard(socket)
    follow_manager(heard, socket.manager)
    socket.connect()
    await heard.until("manager reconnect_failed")
    await asyncio.sleep(0.1)
    failed = ["manager error", "connect_error"]
    assert heard.names == [
        *failed,
        "manager reconnect_attempt",
        *failed,
        "manager reconnect_error",
        "manager reconnect_attempt",
        *failed,
        "manager reconnect_error",
        "manager reconnect_attempt",
        *failed,
        # In this order, as in the reference.
        "manager reconnect_failed",
        "manager reconnect_error",
    ]
    assert heard.args("manager reconnect_attempt") == [(1,), (2,), (3,)]
    for (error,) in heard.args("connect_error"):
        assert isinstance(error, TransportError)
        assert str(error) == REFUSED[transport]
        assert isinstance(error.description, OSError)
    assert socket.active  # it does not mean that something is tried
    await socket.disconnect()


async def test_attempts_may_begin_anew(closed_url):
    socket = connect(closed_url, transports="websocket", reconnection_attempts=1, **FAST)
    heard = Heard(socket)
    follow_manager(heard, socket.manager)
    for count in (1, 2):
        socket.connect()
        await heard.until("manager reconnect_failed", count)
    assert heard.args("manager reconnect_attempt") == [(1,), (1,)]
    await socket.disconnect()


async def test_without_reconnection_nothing_is_tried_again(peer, relay, transports):
    async with connect(relay.url, transports=transports, reconnection=False) as socket:
        await moved(socket, transports)
        heard = Heard(socket)
        follow_manager(heard, socket.manager)
        relay.cut()
        await heard.until("disconnect")
        await asyncio.sleep(0.05)
        assert heard.names == ["manager close", "disconnect"]
        assert socket.active
        await socket.connect()
        assert heard.names[-1] == "connect"


async def test_first_failure_is_raised_and_ends_it(closed_url):
    socket = connect(closed_url, transports="websocket", **FAST)
    heard = Heard(socket)
    with pytest.raises(TransportError, match=r"(?m)^websocket error$"):
        await socket
    await asyncio.sleep(0.05)
    assert heard.names == ["connect_error"]
    assert not socket.active


async def test_retry_waits_for_a_server(peer, relay, transports):
    relay.refusing = True
    socket = connect(relay.url, transports=transports, retry=True, **FAST)
    heard = Heard(socket)
    waiting = asyncio.ensure_future(_awaited(socket))
    await heard.until("connect_error", 2)
    relay.refusing = False
    await waiting
    assert heard.names[-1] == "connect"
    await socket.disconnect()


async def test_retry_ends_with_the_attempts(closed_url):
    options = {"retry": True, "reconnection_attempts": 2, **FAST}
    socket = connect(closed_url, transports="websocket", **options)
    heard = Heard(socket)
    with pytest.raises(ConnectError, match=r"(?m)^websocket error$"):
        await socket
    assert heard.names == ["connect_error"] * 3
    assert not socket.active


async def test_delays_double_up_to_the_longest(closed_url):
    times = []
    options = {"reconnection_delay": 0.02, "reconnection_delay_max": 0.05}
    socket = connect(
        closed_url,
        transports="websocket",
        randomization_factor=0,
        reconnection_attempts=4,
        **options,
    )
    loop = asyncio.get_running_loop()
    socket.on("connect_error", lambda error: times.append(loop.time()))
    socket.connect()
    await eventually(lambda: len(times) == 5)
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert all(
        gap > least - 0.005 for gap, least in zip(gaps, (0.02, 0.04, 0.05, 0.05), strict=True)
    )
    await socket.disconnect()


async def test_flapping_server_gets_the_first_delay_each_time(peer, relay):
    async with connect(relay.url, transports="websocket", **FAST) as socket:
        heard = Heard(socket)
        follow_manager(heard, socket.manager)
        for count in range(1, 6):
            relay.cut()
            await heard.until("connect", count)
        assert heard.args("manager reconnect_attempt") == [(1,)] * 5
        assert heard.args("manager reconnect") == [(1,)] * 5


async def test_disconnect_while_it_waits_ends_it(peer, relay, transports):
    socket = await connect(relay.url, transports=transports, reconnection_delay=0.05)
    await moved(socket, transports)
    heard = Heard(socket)
    relay.cut()
    await heard.until("disconnect")
    await socket.disconnect()
    await asyncio.sleep(0.15)
    assert heard.names == ["disconnect"]
    assert socket.manager.state == "closed"


async def test_connect_while_it_waits_does_not_shorten_it(peer, relay):
    socket = await connect(
        relay.url, transports="websocket", reconnection_delay=0.15, randomization_factor=0
    )
    heard = Heard(socket)
    relay.cut()
    await heard.until("disconnect")
    begin = asyncio.get_running_loop().time()
    await socket.connect()
    assert asyncio.get_running_loop().time() - begin > 0.1
    assert heard.names == ["disconnect", "connect"]
    await socket.disconnect()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_loss_before_the_answer_to_connect_is_a_disconnect(peer, relay, transport):
    socket = connect(f"{relay.url}/slow", transports=transport, **FAST)
    heard = Heard(socket)
    socket.connect()
    await eventually(lambda: socket.manager.state == "open")
    relay.cut()
    await heard.until("disconnect")
    assert heard.names == ["disconnect"]
    await heard.until("connect")
    assert heard.names == ["disconnect", "connect"]
    await socket.disconnect()


async def test_server_that_does_not_answer_is_a_timeout(peer, relay, transports):
    relay.hold()
    options = {"transports": transports, "timeout": 0.05, "reconnection_attempts": 1, **FAST}
    socket = connect(relay.url, **options)
    heard = Heard(socket)
    socket.connect()
    await heard.until("connect_error", 2)
    assert [str(error) for (error,) in heard.args("connect_error")] == ["timeout"] * 2
    relay.release()
    await socket.disconnect()


async def test_no_timeout_waits(peer, relay):
    relay.hold()
    socket = connect(relay.url, transports="websocket", timeout=None)
    waiting = asyncio.ensure_future(_awaited(socket))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    relay.release()
    await waiting
    await socket.disconnect()


async def test_server_that_comes_back_on_its_port(start_peer, peer_process, transports):
    first = start_peer()
    socket = await connect(first.url, transports=transports, **FAST)
    await moved(socket, transports)
    heard = Heard(socket)
    first.stop()
    await heard.until("connect_error")
    with peer_process.serving(port=first.port):
        await heard.until("connect")
        assert await socket.emit_with_ack("answer", 1) == 1
        await socket.disconnect()


async def test_manager_alone_comes_back(peer, relay):
    async with Manager(relay.url, transports="websocket", **FAST) as manager:
        heard = Heard()
        follow_manager(heard, manager)
        relay.cut()
        await heard.until("manager reconnect")
        assert heard.names == [
            "manager close",
            "manager reconnect_attempt",
            "manager open",
            "manager reconnect",
        ]


async def _awaited(awaitable):
    return await awaitable

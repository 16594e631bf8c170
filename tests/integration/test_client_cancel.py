"""Cancellation at every await of a client: it is seen by whoever waits, and nothing is left behind."""

import asyncio
import signal

import pytest

from roomcast import Manager, Server, connect

pytestmark = pytest.mark.usefixtures("clean")

TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]]


@pytest.fixture
async def url():
    io = Server()

    @io.on("connection")
    def connection(socket):
        socket.emit("welcome")
        socket.on("echo", lambda *args: args)
        socket.on("late", lambda: asyncio.sleep(0.5))

    listening = await io.listen(0)
    yield f"http://127.0.0.1:{listening.port}"
    await io.close()


async def cancelled_after(coroutine, turns):
    """Cancel a coroutine after so many turns of the loop; return whether it was over before."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(turns):
        if task.done():
            break
        await asyncio.sleep(0.0005)
    over = task.done()
    task.cancel()
    await asyncio.wait((task,))
    if not over:
        assert task.cancelled() or task.exception() is None
    return over


@pytest.mark.parametrize("transports", TRANSPORTS)
@pytest.mark.parametrize("turns", range(16))
async def test_connecting(url, transports, turns):
    async def whole():
        async with connect(url, transports=transports) as socket:
            await socket.emit_with_ack("echo", 1)

    await cancelled_after(whole(), turns)


@pytest.mark.parametrize("transports", TRANSPORTS)
@pytest.mark.parametrize("turns", range(6))
async def test_closing(url, transports, turns):
    socket = await connect(url, transports=transports)

    async def close():
        await socket.disconnect()

    await cancelled_after(close(), turns)
    await socket.disconnect()
    assert socket.manager.state == "closed"


@pytest.mark.parametrize("turns", range(6))
async def test_a_manager(url, turns):
    async def whole():
        async with Manager(url) as manager:
            await manager.socket("/")

    await cancelled_after(whole(), turns)


async def test_waiting(url):
    async with connect(url, transports="websocket") as socket:
        await socket.wait_for("welcome")
        for waiting in (socket.wait_for("nothing"), socket.emit_with_ack("late"), anext(socket)):
            await cancelled_after(waiting, 2)
        assert await socket.emit_with_ack("echo", 1) == 1


async def test_an_event_that_comes_as_its_reader_is_cancelled_is_not_lost(url):
    async with connect(url, transports="websocket") as socket:
        await socket.wait_for("welcome")
        reader = asyncio.ensure_future(socket.wait_for("x"))
        await asyncio.sleep(0)
        socket._inbox.put(("x", 1))
        reader.cancel()
        await asyncio.wait((reader,))
        assert reader.cancelled()
        assert await socket.wait_for("x", timeout=1) == 1


async def test_reconnecting(url):
    socket = connect(
        "http://127.0.0.1:1", retry=True, reconnection_delay=0.01, transports="websocket"
    )
    await cancelled_after(socket.connect(), 30)
    assert not socket.active
    assert socket.manager.state == "closed"


async def test_signals_are_left_alone(url):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with connect(url):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

"""The clients of the test kit: their API, and what they say when something is missing."""

import asyncio
import gc
import json
import time

import pytest
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from roomcast import (
    AckTimeoutError,
    ConnectError,
    DisconnectedError,
    ReservedEventError,
    Server,
    Socket,
    UsageError,
    testing,
)
from roomcast.testing import Clock, Connect


@pytest.fixture
def io() -> Server:
    io = Server()

    @io.event
    def echo(socket: Socket, *args: object) -> object:
        socket.emit("back", *args)
        return args

    return io


def server_socket(io: Server, client: testing.Socket) -> Socket:
    return io.of("/").sockets[client.id or ""]


async def test_a_client_is_a_context_and_an_awaitable(io: Server) -> None:
    async with testing.connect(io) as client:
        assert client.connected
        assert server_socket(io, client).connected
        assert repr(client) == f"<testing.Socket of '/', {client.id}>"
        assert await client.connect() is client  # does nothing
    assert not io.of("/").sockets
    assert repr(client) == "<testing.Socket of '/', disconnected>"
    client = await testing.connect(io)
    await client.disconnect()
    await client.disconnect()
    assert not io.engine.connections


async def test_a_manager_shares_its_connection(io: Server) -> None:
    io.of("/chat")
    async with testing.Manager(io, transports="polling") as manager:
        root, chat = await asyncio.gather(manager.socket(), manager.socket("chat", auth={"a": 1}))
        assert len(io.engine.connections) == 1
        assert manager.socket("/chat") is chat
        with pytest.raises(UsageError, match="another auth"):
            manager.socket("/chat", auth={"a": 2})
        await chat.disconnect()
        assert root.connected
        await root.emit_with_ack("echo")
        await chat
    assert not io.engine.connections


async def test_a_mounted_server_is_reached_through_its_application() -> None:
    io = Server(path="/live")
    app = FastAPI()
    app.mount("/ws", io.asgi())
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["chat.example"])
    for transport in ("websocket", "polling"):
        with pytest.raises(ConnectError):
            await testing.connect(app, path="/ws/live/", transports=transport)
        host = {"Host": "chat.example"}
        async with testing.connect(app, path="/ws/live/", transports=transport, headers=host):
            assert len(io.of("/").sockets) == 1


async def test_the_request_is_what_the_options_say() -> None:
    io = Server(path="/live")
    async with testing.connect(io, address="198.51.100.7", secure=True) as client:
        handshake = server_socket(io, client).handshake
        assert handshake.address == "198.51.100.7"
        assert handshake.secure
        assert handshake.url == "/live/?EIO=4&transport=websocket"
        assert handshake.headers["host"] == "testserver"


async def test_allow_request_and_engine_middlewares_are_asked() -> None:
    io = Server(allow_request=lambda request: request.query.get("key") == "7")
    asked: list[str] = []
    io.engine.use(lambda request: asked.append(request.url))
    async with testing.connect(io, query={"key": "7"}):
        assert asked == ["/socket.io/?key=7&EIO=4&transport=websocket"]
    with pytest.raises(ConnectError, match=r"^websocket error\n") as caught:
        await testing.connect(io)
    assert caught.value.data["status"] == 400
    assert "the server answered 400: Forbidden" in caught.value.__notes__


async def test_auth_may_be_a_function_or_a_coroutine_function(io: Server) -> None:
    tokens = iter(range(10))

    async def auth() -> dict[str, int]:
        await asyncio.sleep(0)
        return {"token": next(tokens)}

    async with testing.connect(io, auth=auth) as client:
        assert server_socket(io, client).handshake.auth["token"] == 0
        await client.reconnect()
        assert server_socket(io, client).handshake.auth["token"] == 1
    async with testing.connect(io, auth=lambda: {"token": "x"}) as client:
        assert server_socket(io, client).handshake.auth["token"] == "x"


async def test_an_auth_that_fails_leaves_no_connection(io: Server) -> None:
    with pytest.raises(KeyError):
        await testing.connect(io, auth=lambda: {}["token"])
    async with asyncio.timeout(5):
        while io.engine.connections:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0)


async def test_connecting_twice_is_connecting_once(io: Server, connect: Connect) -> None:
    client = connect(io)
    await asyncio.gather(client.connect(), client.connect())
    assert len(io.of("/").sockets) == 1


async def test_all_namespaces_of_a_connection_come_back(io: Server, connect: Connect) -> None:
    io.of("/chat")
    root = await connect(io)
    chat = await root.manager.socket("/chat")
    ends: list[str] = []
    root.on("disconnect", ends.append)
    chat.on("disconnect", ends.append)
    ids = root.id, chat.id
    await chat.reconnect()
    assert ends == ["transport close"] * 2
    assert (root.id, chat.id) != ids
    assert await root.emit_with_ack("echo", 1) == 1
    assert chat.connected


async def test_emit_takes_what_the_real_client_takes(connect: Connect, io: Server) -> None:
    client = await connect(io)
    with pytest.raises(ReservedEventError):
        client.emit("disconnect")
    answers: list[object] = []
    await client.emit("echo", 1, b"2", ack=lambda *args: answers.append(args))
    await client.timeout(5).emit("echo", 3, ack=lambda error, *args: answers.append((error, *args)))
    client.compress(False).volatile.timeout(1).compress(True).emit("echo", 4)
    assert await client.emit_with_ack("echo", 5) == 5
    assert answers == [(1, b"2"), (None, 3)]
    sent: list[object] = []
    client.on_any_outgoing(lambda *args: sent.append(args))
    client.send("hello")
    assert sent == [("message", "hello")]


async def test_a_volatile_event_is_dropped_without_a_connection(
    connect: Connect, io: Server, clock: Clock
) -> None:
    client = connect(io)
    client.volatile.emit("echo", "dropped")
    client.emit("echo", "kept")
    await client
    client.emit("echo", "first of its turn")
    client.volatile.emit("echo", "behind another")
    await clock.settle()
    assert client.received == [("back", "kept"), ("back", "first of its turn")]


async def test_acknowledgements_time_out_also_without_a_connection(
    connect: Connect, io: Server, clock: Clock
) -> None:
    client = connect(io)
    begin = clock.time()
    with pytest.raises(AckTimeoutError):
        await client.timeout(3).emit_with_ack("echo", "late")
    assert clock.time() - begin == pytest.approx(3)
    await client
    await clock.settle()
    assert client.received == []  # an event whose time is over is not sent


async def test_pending_acknowledgements_end_with_the_socket(connect: Connect, io: Server) -> None:
    client = await connect(io)
    errors: list[object] = []
    client.timeout(60).emit("nobody", ack=errors.append)
    client.emit("nobody", ack=errors.append)
    answer = client.emit_with_ack("nobody")
    client.disconnect()
    with pytest.raises(DisconnectedError):
        await answer
    assert [type(error) for error in errors] == [DisconnectedError]


async def test_listeners_acknowledge_with_what_they_return(connect: Connect, io: Server) -> None:
    client = await connect(io)
    client.on("sum", lambda a, b: a + b)

    @client.on("later")
    async def later() -> tuple[str, bytes]:
        await asyncio.sleep(0.001)
        return "x", b"y"

    socket = server_socket(io, client)
    assert await socket.timeout(5).emit_with_ack("sum", 1, 2) == 3
    assert await socket.timeout(5).emit_with_ack("later") == ("x", b"y")


async def test_wait_for_takes_what_came_in_its_order(connect: Connect, io: Server) -> None:
    client = await connect(io)
    for number in range(3):
        server_socket(io, client).emit("x", number)
    server_socket(io, client).emit("y", "a", "b")
    assert await client.wait_for("y") == ("a", "b")
    assert [await client.wait_for("x") for _ in range(2)] == [0, 1]
    assert client.received == [("x", 2)]


async def test_two_who_wait_get_one_event_each(connect: Connect, io: Server) -> None:
    client = await connect(io)
    waiting = asyncio.gather(client.wait_for("x"), client.wait_for("x"))
    await asyncio.sleep(0)
    server_socket(io, client).emit("x", 1)
    server_socket(io, client).emit("x", 2)
    assert await waiting == [1, 2]


async def test_iterating_ends_with_the_socket(connect: Connect, io: Server) -> None:
    client = await connect(io)
    socket = server_socket(io, client)
    socket.emit("x", 1)
    await client.emit_with_ack("echo")
    socket.emit("y")
    socket.disconnect()
    assert [event async for event in client] == [("x", 1), ("back",), ("y",)]
    assert await client.wait_for("disconnect") == "io server disconnect"


async def test_iterating_waits_for_the_next(connect: Connect, io: Server) -> None:
    client = await connect(io)
    asyncio.get_running_loop().call_later(0.005, io.emit, "late", 7)
    async for event, *args in client:
        assert (event, args) == ("late", [7])
        break


async def test_a_time_out_says_what_came_instead(connect: Connect, io: Server) -> None:
    client = await connect(io)
    with pytest.raises(TimeoutError, match=r"^'x' did not come within 0\.01 s; nothing else came$"):
        await client.wait_for("x", timeout=0.01)
    io.emit("y", {"text": "a" * 1000}, b"\x00")
    for _ in range(11):
        io.emit("z")
    with pytest.raises(TimeoutError) as caught:
        await client.wait_for("x", timeout=0.01)
    assert "what came instead: 2 more, 'z'(), " in str(caught.value)
    await client.wait_for("z")
    with pytest.raises(TimeoutError, match=r"1 more, 'z'\(\)"):
        await client.wait_for("x", timeout=0.01)
    assert (await client.wait_for("y"))[1] == b"\x00"


async def test_a_wait_ends_with_the_socket(connect: Connect, io: Server) -> None:
    client = await connect(io)
    asyncio.get_running_loop().call_soon(server_socket(io, client).disconnect)
    with pytest.raises(
        DisconnectedError,
        match=r"^'x' cannot come, the socket is disconnected \(io server disconnect\); nothing",
    ):
        await client.wait_for("x")
    with pytest.raises(DisconnectedError, match=r"'x' cannot come, io server disconnect"):
        await client.wait_for("x")
    with pytest.raises(DisconnectedError, match=r"'x' cannot come, not connected"):
        await connect(io).wait_for("x")


async def test_a_wait_that_is_given_up_takes_nothing(connect: Connect, io: Server) -> None:
    client = await connect(io)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await client.wait_for("x")
    io.emit("x", 1)
    assert await client.wait_for("x") == 1


async def test_what_a_listener_raises_is_raised_where_the_test_waits(io: Server) -> None:
    client = await testing.connect(io)
    client.on("x", lambda value: pytest.fail(f"not {value}"))
    io.emit("x", 1)
    with pytest.raises(pytest.fail.Exception, match="not 1") as caught:
        await client.wait_for("never")
    assert caught.value.__notes__ == [f"in a listener of 'x' of {client!r}"]

    @client.on("y")
    async def later() -> None:
        raise KeyError("y")

    io.emit("y")
    await client.wait_for("y")
    with pytest.raises(KeyError, match="y"):
        await client.disconnect()
    await client.disconnect()  # it has been seen


async def test_what_a_listener_raises_does_not_hide_another_error(io: Server) -> None:
    async def fail() -> None:
        async with testing.connect(io) as client:
            client.on("x", lambda: {}["x"])
            io.emit("x")
            await client.emit_with_ack("echo")
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        await fail()
    assert "KeyError('x')" in caught.value.__notes__[0]


async def test_what_a_listener_still_does_ends_with_the_client(io: Server) -> None:
    cancelled: list[bool] = []
    async with testing.connect(io) as client:

        @client.on("x")
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(True)

        io.emit("x")
        await client.wait_for("x")
    assert cancelled == [True]


async def test_no_server_is_named() -> None:
    with pytest.raises(ConnectError, match=r"^websocket error\n") as caught:
        await testing.connect(FastAPI())
    assert caught.value.data == {"status": 403, "body": ""}
    assert "it was asked at /socket.io/, and path=... says where it is" in caught.value.__notes__[1]
    with pytest.raises(ConnectError, match=r"^xhr poll error\n") as caught:
        await testing.connect(Server(), path="/elsewhere/", transports="polling")
    assert caught.value.data == {"status": 404, "body": "Not Found"}
    assert "it was asked at /elsewhere/" in caught.value.__notes__[1]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_an_application_that_raises_is_the_cause(transport: str) -> None:
    async def app(scope, receive, send) -> None:
        raise KeyError("broken")

    with pytest.raises(ConnectError) as caught:
        await testing.connect(app, transports=transport)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__notes__ == ["the application has raised KeyError('broken')"]


async def test_an_application_that_raises_later_is_told_at_the_end(io: Server) -> None:
    inner = io.asgi()

    async def app(scope, receive, send) -> None:
        async def failing():
            message = await receive()
            if message.get("text", "").startswith("42"):
                raise KeyError("broken")
            return message

        await inner(scope, failing, send)

    client = await testing.connect(app)
    client.emit("x")
    assert await client.wait_for("disconnect") == "transport close"
    with pytest.raises(KeyError, match="broken"):
        await client.disconnect()


async def test_a_server_that_does_not_answer_is_named(io: Server, clock: Clock) -> None:
    async def silent(scope, receive, send) -> None:
        await asyncio.Event().wait()

    for transport in ("websocket", "polling"):
        begin = clock.time()
        with pytest.raises(ConnectError, match=r"^timeout\n") as caught:
            await testing.connect(silent, transports=transport, timeout=7)
        assert caught.value.__notes__ == ["there was no connection within 7 s"]
        assert clock.time() - begin == pytest.approx(7, abs=6)

    @io.use
    async def never(socket: Socket) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ConnectError, match=r"^timeout\n") as caught:
        await testing.connect(io)
    assert caught.value.__notes__ == ["the server did not answer CONNECT for / within 20 s"]
    assert not io.engine.connections


async def test_a_refused_client_leaves_no_connection(io: Server) -> None:
    io.of("/admin").use(lambda socket: refuse("no", {"code": 7}))
    heard: list[ConnectError] = []
    client = testing.connect(io, "/admin").on("connect_error", heard.append)
    with pytest.raises(ConnectError, match=r"^no$") as caught:
        await client
    assert caught.value.data == {"code": 7}
    assert heard == [caught.value]
    assert not io.engine.connections


def refuse(message: str, data: object) -> None:
    raise ConnectError(message, data)


async def test_a_server_that_shuts_down_refuses(io: Server) -> None:
    client = await testing.connect(io)
    await io.close()
    assert not client.connected
    with pytest.raises(ConnectError) as caught:
        await client
    assert caught.value.data["status"] == 503


def test_mistakes_are_named_at_the_call(io: Server) -> None:
    with pytest.raises(
        TypeError, match=r"connects to a Server or an ASGI application, not to 'http"
    ):
        testing.connect("http://127.0.0.1:3000")
    with pytest.raises(TypeError, match="transport"):
        testing.connect(io, transport="polling")
    for wrong in ("webtransport", (), ["polling", "carrier pigeon"]):
        with pytest.raises(ValueError, match="transports must be among"):
            testing.connect(io, transports=wrong)


async def test_an_upgrade_that_fails_leaves_the_connection_on_polling(io: Server) -> None:
    inner = io.asgi()

    async def app(scope, receive, send) -> None:
        if scope["type"] == "websocket":
            await receive()
            if scope["query_string"].startswith(b"accept"):
                await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
        else:
            await inner(scope, receive, send)

    for query in ({}, {"accept": "1"}):
        async with testing.connect(app, transports=("polling", "websocket"), query=query) as client:
            assert client.transport == "polling"
            assert await client.emit_with_ack("echo", 1) == 1
    async with testing.connect(io, transports=("polling", "websocket"), upgrade=False) as client:
        assert client.transport == "polling"


async def test_a_large_send_goes_in_several_posts(connect: Connect) -> None:
    io = Server(max_http_buffer_size=2_000)
    got: list[int] = []
    io.event("x")(lambda socket, text: got.append(len(text)))
    client = await connect(io, transports="polling")
    for _ in range(10):
        client.emit("x", "a" * 500)
    await client.timeout(5).emit_with_ack("x", "é" * 500)
    assert got == [500] * 11


async def test_a_thousand_clients_are_cheap(io: Server) -> None:
    gc.collect()
    begin = time.process_time()
    clients = [testing.connect(io) for _ in range(1000)]
    await asyncio.gather(*[client.connect() for client in clients])
    io.emit("x", 1)
    assert [await client.wait_for("x") for client in clients] == [1] * 1000
    await asyncio.gather(*[client.disconnect() for client in clients])
    assert not io.engine.connections
    assert time.process_time() - begin < 10


def test_one_server_serves_one_loop_after_the_other(io: Server) -> None:
    ends: list[str] = []
    io.event("disconnect")(lambda socket, reason: ends.append(reason))

    async def leave_them() -> None:
        websocket = await testing.connect(io)
        polling = await testing.connect(io, transports="polling")
        polling.line.incoming.stall()
        io.emit("x")  # answers the GET that waits: nothing of the connection is left in the loop
        await websocket.wait_for("x")
        assert len(io.engine.connections) == 2

    async def come_back() -> None:
        async with testing.connect(io) as client:
            assert await client.emit_with_ack("echo", 2) == 2
            assert list(io.of("/").sockets) == [client.id]
            await testing.running_clock().advance(100)
            assert client.connected

    testing.run(leave_them())
    testing.run(come_back())
    testing.run(come_back())
    assert ends == [*["transport close"] * 2, *["client namespace disconnect"] * 2]


async def test_a_session_comes_back_with_its_id_and_its_offset(clock: Clock) -> None:
    connects: list[dict] = []

    async def recovering(scope, receive, send) -> None:
        """Speak what a server with connection state recovery speaks."""
        await receive()
        await send({"type": "websocket.accept"})
        opened = {"sid": "engine", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000}
        await send({"type": "websocket.send", "text": "0" + json.dumps(opened)})
        connect = (await receive())["text"]
        connects.append(json.loads(connect.removeprefix("40") or "{}"))
        if len(connects) > 1:
            await send({"type": "websocket.send", "text": '42["missed","Abcdefg.2"]'})
        await send({"type": "websocket.send", "text": '40{"sid":"socket","pid":"private"}'})
        await send({"type": "websocket.send", "text": '42["kept",1,"Abcdefg.1"]'})
        await send({"type": "websocket.send", "text": '42["volatile","a text"]'})
        await receive()

    order: list[str] = []
    client = testing.connect(recovering, auth={"token": 7})
    client.on("connect", lambda: order.append("connect"))
    client.on("missed", lambda: order.append("missed"))
    async with client:
        assert not client.recovered
        assert await client.wait_for("kept") == 1
        assert await client.wait_for("volatile") == "a text"
        client.line.reset()
        assert await client.wait_for("disconnect") == "transport close"
        await client.reconnect()
        assert client.recovered
        assert client.id == "socket"
        await clock.settle()
        assert [event for event, *_ in client.received] == ["missed", "kept", "volatile"]
    session = {"pid": "private", "offset": "Abcdefg.1", "token": 7}
    assert connects == [{"token": 7}, session]
    assert order == ["connect", "missed", "connect"]

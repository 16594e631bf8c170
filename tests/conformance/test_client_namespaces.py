"""Namespaces on one connection, what goes to the server with each CONNECT, and what may come before its answer."""

import asyncio

import pytest

from roomcast import ConnectError, UsageError
from roomcast.client import Manager, connect
from support.client_fixtures import FAST, Heard, eventually, follow_manager, moved

pytestmark = pytest.mark.usefixtures("clean")


async def test_namespaces_share_one_connection(peer, relay, transports):
    async with Manager(relay.url, transports=transports) as manager:
        main, chat = manager.socket(), manager.socket("/chat")
        await asyncio.gather(main.connect(), chat.connect())
        assert main.id != chat.id
        assert manager.socket("chat") is chat
        heard = []
        main.on("echo", lambda *args: heard.append(("/", *args)))
        chat.on("echo", lambda *args: heard.append(("/chat", *args)))
        main.emit("echo", 1)
        chat.emit("echo", 2, b"two")
        await eventually(lambda: len(heard) == 2)
        assert sorted(heard, key=str) == [("/", 1), ("/chat", 2, b"two")]
        sids = {request.target.partition("sid=")[2] for request in relay.requests} - {""}
        assert len(sids) == (0 if transports == ["websocket"] else 1)


async def test_late_namespace_joins_at_once(peer, transports):
    async with Manager(peer.url, transports=transports) as manager:
        await manager.socket().connect()
        await moved(manager.socket(), transports)
        late = manager.socket("/late")
        await late.connect()
        assert await late.emit_with_ack("answer", 1) == 1


async def test_one_that_leaves_leaves_the_others(peer, transports):
    async with Manager(peer.url, transports=transports) as manager:
        main, chat = manager.socket(), manager.socket("/chat")
        await asyncio.gather(main.connect(), chat.connect())
        heard = Heard(main)
        follow_manager(heard, manager)
        await chat.disconnect()
        await peer.until("disconnect", "/chat", "client namespace disconnect")
        assert await main.emit_with_ack("answer", 1) == 1
        assert heard == []
        await chat.connect()
        assert await chat.emit_with_ack("answer", 2) == 2
        await chat.disconnect()
        await main.disconnect()
        assert manager.state == "closed"
        assert heard.names == ["manager close", "disconnect"]


async def test_one_that_is_thrown_out_leaves_the_others(peer, transports):
    async with Manager(peer.url, transports=transports) as manager:
        main, chat = manager.socket(), manager.socket("/chat")
        await asyncio.gather(main.connect(), chat.connect())
        heard = Heard(chat)
        chat.emit("leave")
        await heard.until("disconnect")
        assert heard == [("disconnect", "io server disconnect")]
        assert await main.emit_with_ack("answer", 1) == 1


async def test_one_that_is_refused_leaves_the_others(peer, transports):
    async with Manager(peer.url, transports=transports) as manager:
        main = manager.socket()
        await main.connect()
        guarded = manager.socket("/guarded", auth={"token": "no"})
        with pytest.raises(ConnectError, match=r"^no entry$"):
            await guarded.connect()
        assert await main.emit_with_ack("answer", 1) == 1
        guarded.auth = {"token": "yes"}
        await guarded.connect()


async def test_all_namespaces_come_back(peer, relay, transports):
    async with Manager(relay.url, transports=transports, **FAST) as manager:
        sockets = [manager.socket(nsp) for nsp in ("/", "/chat", "/late")]
        await asyncio.gather(*(socket.connect() for socket in sockets))
        await moved(sockets[0], transports)
        heard = [Heard(socket) for socket in sockets]
        relay.cut()
        for each in heard:
            await each.until("connect")
            assert each.names == ["disconnect", "connect"]


async def test_close_disconnects_all(peer, transports):
    manager = Manager(peer.url, transports=transports)
    sockets = [manager.socket(nsp) for nsp in ("/", "/chat")]
    await asyncio.gather(*(socket.connect() for socket in sockets))
    heard = [Heard(socket) for socket in sockets]
    await manager.close()
    assert heard == [[("disconnect", "io client disconnect")]] * 2
    await peer.until("disconnect", "/chat", "client namespace disconnect")
    await peer.until("disconnect", "/", "client namespace disconnect")


async def test_a_socket_is_made_with_one_set_of_options(peer):
    async with Manager(peer.url, transports="websocket") as manager:
        manager.socket("/chat", auth={"a": 1})
        with pytest.raises(UsageError):
            manager.socket("/chat", auth={"a": 2})


async def test_auto_connect_may_be_off(peer):
    manager = Manager(peer.url, transports="websocket", auto_connect=False)
    socket = manager.socket()
    await asyncio.sleep(0.02)
    assert (manager.state, socket.active) == ("closed", False)
    await socket.connect()
    await socket.disconnect()


async def test_rejoining_at_once(peer, transports):
    async with Manager(peer.url, transports=transports) as manager:
        main, chat = manager.socket(), manager.socket("/chat")
        await asyncio.gather(main.connect(), chat.connect())
        heard = Heard(main)
        for _ in range(3):
            chat.disconnect()
            await chat.connect()
            assert await chat.emit_with_ack("answer", 1) == 1
        assert heard == []


async def test_rejoining_before_the_answer_joins_once(peer):
    async with Manager(peer.url, transports="websocket") as manager:
        await manager.socket().connect()
        slow = manager.socket("/slow")
        await asyncio.sleep(0.01)
        slow.disconnect()
        await slow.connect()
        assert slow.connected
        await asyncio.sleep(0.15)
        assert await slow.emit_with_ack("answer", 1) == 1
        assert await manager.socket().emit_with_ack("answer", 1) == 1


async def test_leaving_before_the_answer_leaves_nobody_there(peer):
    async with Manager(peer.url, transports="websocket") as manager:
        await manager.socket().connect()
        slow = manager.socket("/slow")
        await asyncio.sleep(0.01)
        slow.disconnect()
        await peer.until("connection", "/slow")
        await peer.until("disconnect", "/slow", "client namespace disconnect")


# auth


class Token:
    """An auth that is asked for, in each of the forms that it may have."""

    def __init__(self):
        self.count = 0

    def function(self):
        self.count += 1
        return {"count": self.count}

    async def coroutine(self):
        await asyncio.sleep(0.005)
        return self.function()


@pytest.mark.parametrize("form", ["function", "coroutine"])
async def test_auth_is_asked_for_at_every_connection(peer, relay, transports, form):
    token = Token()
    options = {"transports": transports, "auth": getattr(token, form), **FAST}
    async with connect(relay.url, **options) as socket:
        await moved(socket, transports)
        heard = Heard(socket)
        for _ in range(2):
            relay.cut()
            await heard.until("connect", heard.names.count("connect") + 1)
            await moved(socket, transports)
        assert [auth for _, auth, _ in peer.logged("connection")] == [
            {"count": number} for number in (1, 2, 3)
        ]


async def test_auth_is_a_value(peer, transports):
    async with connect(peer.url, transports=transports, auth={"a": [1, "é"]}) as socket:
        assert (await socket.emit_with_ack("handshake"))["auth"] == {"a": [1, "é"]}
    async with connect(peer.url, transports=transports) as socket:
        assert (await socket.emit_with_ack("handshake"))["auth"] == {}


@pytest.mark.parametrize("auth", ["text", 1, ["list"], b"bytes"])
def test_auth_that_is_no_object_is_refused_at_the_call(auth):
    with pytest.raises(TypeError, match="auth must be a mapping"):
        connect("http://127.0.0.1:1", auth=auth, transports="websocket")


async def broken():
    raise KeyError("token")


@pytest.mark.parametrize(
    "auth",
    [lambda: "text", lambda: 1 // 0, broken, lambda: {"a": object()}, lambda: {1: object}],
    ids=["text", "raises", "raises later", "no JSON", "no JSON key"],
)
async def test_auth_that_fails_is_a_connect_error(peer, auth, caplog):
    socket = connect(peer.url, transports="websocket", auth=auth, **FAST)
    heard = Heard(socket)
    with pytest.raises(ConnectError, match=r"^auth failed$") as caught:
        await socket
    assert isinstance(caught.value.__cause__, Exception)
    assert heard.names == ["connect_error"]
    assert not socket.active
    assert peer.log == []
    socket.auth = {"a": 1}
    await socket.connect()
    socket.auth = "text"
    await socket.disconnect()
    with pytest.raises(ConnectError, match=r"^auth failed$"):
        await socket.connect()


async def test_auth_that_comes_too_late_is_not_sent(peer):
    answer = asyncio.Event()

    async def slow():
        await answer.wait()
        return {"late": True}

    async with Manager(peer.url, transports="websocket") as manager:
        await manager.socket().connect()
        socket = manager.socket("/chat", auth=slow)
        await asyncio.sleep(0.01)
        socket.disconnect()
        answer.set()
        await manager.socket().emit_with_ack("answer")
        assert [nsp for nsp, *_ in peer.logged("connection")] == ["/"]


# before the answer


async def test_events_before_the_answer_come_before_connect(peer, transports):
    socket = connect(f"{peer.url}/early", transports=transports)
    heard = Heard(socket, "early")
    socket.on("early", lambda number: heard.append(("connected", socket.connected)))
    await socket
    assert heard == [
        ("early", 1),
        ("connected", True),
        ("early", 2),
        ("connected", True),
        ("connect",),
    ]
    await socket.disconnect()


async def test_events_before_the_answer_come_in_the_same_order_with_what_waits(peer, transports):
    socket = connect(f"{peer.url}/early", transports=transports)
    socket.on("early", lambda number: socket.emit("note", "answer", number))
    socket.emit("note", "buffered")
    socket.on("connect", lambda: socket.emit("note", "connected"))
    await socket
    await peer.until("note", "connected")
    assert peer.logged("note") == [["answer", 1], ["answer", 2], ["buffered"], ["connected"]]
    await socket.disconnect()

"""States, properties and events of a client and its manager, in their order; against the reference and our own server."""

import asyncio

import pytest

from roomcast import ConnectError, DisconnectedError
from roomcast.client import Details, Manager, connect
from support.client_fixtures import FAST, Heard, eventually, follow_manager, moved
from support.relay import Relay

pytestmark = pytest.mark.usefixtures("clean")


async def test_it_connects_and_disconnects(peer, transports):
    socket = connect(peer.url, transports=transports)
    heard = Heard(socket)
    assert (socket.connected, socket.active, socket.id, socket.recovered) == (False,) * 2 + (
        None,
        False,
    )
    assert await socket is socket
    assert (socket.connected, socket.active, socket.recovered) == (True, True, False)
    assert isinstance(socket.id, str)
    assert socket.transport in transports
    assert heard.names == ["connect"]
    await socket.disconnect()
    assert (socket.connected, socket.active, socket.id) == (False, False, None)
    assert socket.transport is None
    assert heard == [("connect",), ("disconnect", "io client disconnect")]
    await peer.until("disconnect", "/", "client namespace disconnect")


async def test_it_ends_with_its_block(peer, transports):
    async with connect(peer.url, transports=transports) as socket:
        assert socket.connected
    assert not socket.connected
    await peer.until("disconnect", "/", "client namespace disconnect")


async def test_it_ends_with_a_block_that_fails(peer):
    with pytest.raises(KeyError):
        async with connect(peer.url) as socket:
            raise KeyError
    assert not socket.active


async def test_ids_differ_from_connection_to_connection(peer, transports):
    socket = connect(peer.url, transports=transports)
    ids = set()
    for _ in range(3):
        await socket.connect()
        ids.add(socket.id)
        await socket.disconnect()
    assert len(ids) == 3


async def test_order_of_events_at_the_first_connect(peer, transports):
    socket = connect(peer.url, transports=transports)
    heard = Heard(socket)
    follow_manager(heard, socket.manager)
    await socket
    await socket.disconnect()
    assert [entry[:2] for entry in heard] == [
        ("manager open",),
        ("connect",),
        ("manager close", "forced close"),
        ("disconnect", "io client disconnect"),
    ]


async def test_order_of_events_at_a_reconnect(peer, relay, transports):
    async with connect(relay.url, transports=transports, **FAST) as socket:
        heard = Heard(socket)
        follow_manager(heard, socket.manager)
        await moved(socket, transports)
        relay.cut()
        await heard.until("connect")
        assert heard.names == [
            "manager close",
            "disconnect",
            "manager reconnect_attempt",
            "manager open",
            "manager reconnect",
            "connect",
        ]
        reason = heard[1][1]
        assert reason == ("transport error" if transports == ["polling"] else "transport close")
        assert isinstance(heard[1][2], Details)
        assert heard.args("manager reconnect_attempt") == [(1,)]
        assert heard.args("manager reconnect") == [(1,)]


async def test_server_disconnects_one_namespace(peer, transports):
    async with connect(peer.url, transports=transports, **FAST) as socket:
        heard = Heard(socket)
        follow_manager(heard, socket.manager)
        socket.emit("leave")
        await heard.until("disconnect")
        # It was the only namespace, so the connection is closed too, and before.
        assert heard == [
            ("manager close", "forced close"),
            ("disconnect", "io server disconnect"),
        ]
        assert not socket.active
        await asyncio.sleep(0.1)
        assert len(heard) == 2
        await socket.connect()
        assert heard[-1] == ("connect",)


async def test_server_closes_the_connection(peer, transports):
    async with connect(peer.url, transports=transports, **FAST) as socket:
        heard = Heard(socket)
        await moved(socket, transports)
        socket.emit("close")
        await heard.until("connect")
        assert heard.names == ["disconnect", "connect"]
        assert heard[0][1] == "transport close"
        description = heard[0][2].description
        assert description == (
            "transport closed by the server"
            if transports == ["polling"]
            else "websocket connection closed"
        )


async def test_active_says_whether_it_will_connect(peer, relay, transports):
    socket = connect(relay.url, transports=transports, **FAST)
    states = []
    for event in ("connect", "disconnect"):
        socket.on(event, lambda *_: states.append((socket.connected, socket.active)))
    await socket
    await moved(socket, transports)
    relay.cut()
    await eventually(lambda: len(states) == 3)
    await socket.disconnect()
    assert states == [(True, True), (False, True), (True, True), (False, False)]


async def test_refusal_by_the_server_is_a_connect_error_with_its_words(peer, transports):
    socket = connect(f"{peer.url}/guarded", transports=transports, **FAST)
    heard = Heard(socket)
    follow_manager(heard, socket.manager)
    with pytest.raises(ConnectError) as caught:
        await socket
    assert (caught.value.message, caught.value.data) == ("no entry", {"wanted": "token"})
    # Nothing is tried again by itself, and nobody else needs the connection.
    assert heard.names == ["manager open", "manager close", "connect_error"]
    assert not socket.active
    await asyncio.sleep(0.1)
    assert heard.names == ["manager open", "manager close", "connect_error"]
    socket.auth = {"token": "yes"}
    await socket.connect()
    assert socket.connected
    await socket.disconnect()


async def test_namespace_that_is_not_there(peer, transports):
    with pytest.raises(ConnectError, match=r"(?m)^Invalid namespace$"):
        await connect(f"{peer.url}/nowhere", transports=transports)


async def test_connect_does_nothing_when_connected(peer):
    async with connect(peer.url) as socket:
        heard = Heard(socket)
        id = socket.id
        await socket.connect()
        await socket.connect()
        assert await socket.emit_with_ack("answer", 1) == 1
        assert (socket.id, heard) == (id, [])


async def test_connect_twice_at_once_joins_once(peer, transports):
    socket = connect(peer.url, transports=transports)
    await asyncio.gather(socket.connect(), socket.connect(), socket.open())
    await socket.emit_with_ack("note", "here")
    assert len(peer.logged("connection")) == 1
    await socket.disconnect()


async def test_disconnect_before_the_answer_says_nothing(peer, transports):
    socket = connect(f"{peer.url}/slow", transports=transports)
    heard = Heard(socket)
    waiting = asyncio.ensure_future(_awaited(socket))
    await eventually(lambda: socket.manager.state == "open")
    await socket.disconnect()
    with pytest.raises(DisconnectedError):
        await waiting
    assert heard == []
    assert not socket.active


async def test_disconnect_twice(peer):
    socket = await connect(peer.url)
    heard = Heard(socket)
    await asyncio.gather(socket.disconnect(), socket.close())
    await socket.disconnect()
    assert heard.names == ["disconnect"]


async def test_disconnect_in_a_listener_and_connect_in_another(peer, transports):
    socket = connect(peer.url, transports=transports)
    heard = Heard(socket)

    @socket.on("connect")
    def leave():
        socket.disconnect()

    @socket.on("disconnect")
    def come_back(reason):
        if heard.names.count("connect") < 3:
            socket.connect()

    socket.connect()
    await heard.until("disconnect", 3)
    assert heard.names == ["connect", "disconnect"] * 3
    await socket.disconnect()


async def test_disconnect_when_the_manager_opens(peer, transports):
    socket = connect(peer.url, transports=transports)
    heard = Heard(socket)
    socket.manager.on("open", socket.disconnect)
    with pytest.raises(DisconnectedError):
        await socket
    assert heard == []
    assert socket.manager.state == "closed"


async def test_packets_of_the_other_side_are_told(peer):
    async with connect(peer.url, transports="websocket") as socket:
        packets = []
        socket.manager.on("packet", packets.append)
        socket.emit("echo", 1)
        assert await socket.wait_for("echo") == 1
        assert [packet.data for packet in packets] == [["echo", 1]]


async def test_pings_are_told(start_peer, transports):
    peer = start_peer(ping_interval=0.05)
    async with connect(peer.url, transports=transports) as socket:
        pings = []
        socket.manager.on("ping", lambda: pings.append(1))
        await eventually(lambda: len(pings) >= 3)
        assert socket.connected


async def test_heartbeat_that_does_not_come_is_a_ping_timeout(start_peer, transports):
    peer = start_peer(ping_interval=0.05, ping_timeout=0.05)
    async with (
        Relay(peer.port) as relay,
        connect(relay.url, transports=transports, **FAST) as socket,
    ):
        heard = Heard(socket)
        await moved(socket, transports)
        relay.hold()
        await heard.until("disconnect")
        assert heard[0][:2] == ("disconnect", "ping timeout")
        relay.release()
        await heard.until("connect")


async def test_states_of_the_manager(peer, transports):
    manager = Manager(peer.url, transports=transports)
    assert manager.state == "closed"
    opening = manager.open()
    assert manager.state in ("closed", "opening")
    await opening
    assert manager.state == "open"
    await manager.open()
    await manager.close()
    assert manager.state == "closed"
    async with manager:
        assert manager.state == "open"
    assert manager.state == "closed"


async def test_what_awaits_is_told_of_the_end(peer):
    socket = await connect(peer.url)
    waiting = [
        asyncio.ensure_future(socket.wait_for("never")),
        asyncio.ensure_future(anext(aiter(socket), None)),
        socket.emit_with_ack("mute"),
    ]
    ended = asyncio.ensure_future(socket.wait_for("disconnect"))
    await peer.until("mute")
    await socket.disconnect()
    assert await ended == "io client disconnect"
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [
        DisconnectedError,
        type(None),
        DisconnectedError,
    ]
    assert await socket.wait_for("disconnect") == "io client disconnect"


async def _awaited(awaitable):
    return await awaitable

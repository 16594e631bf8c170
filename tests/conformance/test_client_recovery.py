"""Connection state recovery at the client's end; against the reference and our own server."""

import pytest

from roomcast.client import connect
from support.client_fixtures import FAST, Heard, eventually, moved
from support.relay import Relay

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def peer(start_peer):
    return start_peer(connection_state_recovery={"max_disconnection_duration": 10})


async def test_session_comes_back_with_what_was_missed(peer, relay, transports):
    async with connect(relay.url, transports=transports, **FAST) as socket:
        await moved(socket, transports)
        heard = Heard(socket, "news")
        peer.emit("news", 1)
        await heard.until("news")
        id = socket.id
        relay.refusing = True
        relay.cut()
        await heard.until("disconnect")
        await peer.until("disconnect", "/")
        peer.emit("news", 2, b"two")
        peer.emit("news", "text")
        relay.refusing = False
        await heard.until("connect")
        assert heard[0] == ("news", 1)
        # What was missed comes before the event, and no offset shows up.
        names = [entry for entry in heard if entry[0] in ("news", "connect")]
        assert names == [("news", 1), ("news", 2, b"two"), ("news", "text"), ("connect",)]
        assert socket.recovered
        assert socket.id == id
        assert peer.logged("connection")[0][2] is False
        assert all(recovered for _, _, recovered in peer.logged("connection")[1:])


async def test_listeners_for_every_event_and_iteration_see_no_offset(peer):
    async with connect(peer.url, transports="websocket") as socket:
        heard = []
        socket.on_any(lambda *event: heard.append(event))
        peer.emit("news", "a", "b")
        assert await anext(aiter(socket)) == ("news", "a", "b")
        assert heard == [("news", "a", "b")]


@pytest.mark.parametrize("text", ["goodbye", "1234567", "a.b", "0123456789012-0", "f" * 24])
async def test_text_that_looks_like_an_offset_is_an_argument_all_the_same(peer, text):
    async with connect(peer.url, transports="websocket") as socket:
        heard = Heard(socket, "news", "other")
        peer.emit("news", text)
        await heard.until("news")
        assert heard[0] == ("news", text)
        # Events with an acknowledgement have no offset.
        socket.on("question", lambda *args: args)
        socket.emit("ask", "question", text)
        await peer.until("answer", text)


@pytest.mark.parametrize("text", ["goodbye", "hello", "letters"])
async def test_volatile_event_keeps_its_last_argument(peer, text):
    async with connect(peer.url, transports="websocket") as socket:
        heard = Heard(socket, "news")
        await socket.emit_with_ack("answer")
        socket.emit("volatile", "news", text)
        await heard.until("news")
        assert heard[0] == ("news", text)


async def test_session_of_before_a_restart_is_not_recovered(peer, peer_process, transports):
    async with (
        Relay(peer.port) as relay,
        connect(relay.url, transports=transports, **FAST) as socket,
    ):
        await moved(socket, transports)
        heard = Heard(socket, "news")
        id = socket.id
        with peer_process.serving(connection_state_recovery={}) as other:
            relay.target = other.port
            relay.cut()
            await heard.until("connect")
            assert not socket.recovered
            assert socket.id != id
            other.emit("news", 1)
            await heard.until("news")
            assert heard[-1] == ("news", 1)


async def test_a_disconnect_by_hand_ends_the_session(peer, transports):
    socket = await connect(peer.url, transports=transports)
    id = socket.id
    await socket.disconnect()
    await socket.connect()
    assert not socket.recovered
    assert socket.id != id
    await socket.disconnect()


async def test_server_without_recovery_adds_nothing(start_peer):
    peer = start_peer()
    async with connect(peer.url, transports="websocket") as socket:
        heard = Heard(socket, "news")
        peer.emit("news", "goodbye")
        await heard.until("news")
        assert heard == [("news", "goodbye")]
        await eventually(lambda: socket._offset is None)

"""Connection state recovery with socket.io-client 4.8.4; what is the same there is tried on the official server too."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
import pytest_asyncio

from support.official_client import OfficialClient, OfficialClients
from support.served import WITH_OFFICIAL_CLIENTS
from support.targets import REFERENCE, ReferenceServers, Target, roomcast_target

pytestmark = WITH_OFFICIAL_CLIENTS


OURS: Final = pytest.mark.parametrize("target", ["httptools"], indirect=True)
"""For what differs from the reference, or needs more than its servers do."""


@pytest.fixture(scope="module")
def reference() -> Iterator[ReferenceServers]:
    with ReferenceServers() as servers:
        yield servers


@pytest_asyncio.fixture(loop_scope="module", params=["httptools", REFERENCE])
async def target(
    request: pytest.FixtureRequest, reference: ReferenceServers
) -> AsyncIterator[Target]:
    options = {"connection_state_recovery": {"max_disconnection_duration": 60}}
    if request.param == REFERENCE:
        async with reference.target(**options) as target:
            yield target
    else:
        async with roomcast_target(request.param, **options) as target:
            yield target


@pytest_asyncio.fixture(loop_scope="module")
async def clients(target: Target, node: OfficialClients) -> AsyncIterator[OfficialClients]:
    node.reset(f"http://127.0.0.1:{target.port}")
    yield node
    node.reset("")


@pytest_asyncio.fixture(loop_scope="module")
async def teller(clients: OfficialClients) -> OfficialClient:
    """Another client, which lets the server emit."""
    return await clients.connect()


async def told(teller: OfficialClient, room: str | None, *args: Any) -> None:
    """Let the server emit to a room, or to everybody; returns when it has."""
    teller.emit("tell", room, *args)
    teller.emit("echo", 1)
    await teller.next("echo")


async def broken(client: OfficialClient, target: Target) -> None:
    """Break the line of a client, and let the server notice."""
    before = target.log.count(["disconnect", "transport close"])
    client.close_engine()
    assert (await client.next("disconnect"))[0] == "forced close"
    while target.log.count(["disconnect", "transport close"]) == before:
        await client.state()


async def back(client: OfficialClient) -> dict[str, Any]:
    """Let a client come back; return what it says of itself."""
    client.connect()
    await client.next("connect")
    return await client.state()


@pytest.mark.parametrize(
    "transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="+".join
)
async def test_missed_events_come_back(
    target: Target, clients: OfficialClients, teller: OfficialClient, transports: list[str]
) -> None:
    client = await clients.connect(transports=transports)
    if len(transports) == 2:
        await client.next("upgrade")
    assert (await client.state())["recovered"] is False
    assert await client.ask("enter", "a") == []
    await told(teller, "a", "seen", 1)
    number, offset = await client.next("seen")
    assert number == 1
    assert isinstance(offset, str)
    sid = client.id
    for round_ in range(3):
        await broken(client, target)
        await told(teller, "a", "missed", round_, {"binary": b"\x01\x02"}, [b""])
        await told(teller, "b", "another room", round_)
        await told(teller, sid, "private", round_, "é😀")
        await told(teller, None, "everybody")
        client.record.clear()
        state = await back(client)
        assert (state["id"], state["recovered"]) == (sid, True)
        assert client.order == ["missed", "private", "everybody", "connect"]
        assert (await client.next("missed"))[:-1] == [round_, {"binary": b"\x01\x02"}, [b""]]
        assert (await client.next("private"))[:-1] == [round_, "é😀"]
    await told(teller, "a", "still in a")
    await client.next("still in a")


async def test_a_client_comes_back_by_itself(target: Target, clients: OfficialClients) -> None:
    client = await clients.connect(reconnection=True, reconnectionDelay=50, randomizationFactor=0)
    client.emit("echo", 1)
    await client.next("echo")
    sid = client.id
    client.close_engine()
    await client.next("disconnect")
    await client.next("connect")
    state = await client.state()
    assert (state["id"], state["recovered"]) == (sid, True)


async def test_a_client_that_leaves_does_not_come_back(clients: OfficialClients) -> None:
    client = await clients.connect()
    client.emit("echo", 1)
    await client.next("echo")
    sid = client.id
    client.disconnect()
    await client.next("disconnect")
    state = await back(client)
    assert state["id"] != sid
    assert not state["recovered"]


async def test_before_any_event(
    target: Target, clients: OfficialClients, teller: OfficialClient
) -> None:
    # The client has no offset to send: the reference cannot recover it.
    client = await clients.connect()
    sid = client.id
    await broken(client, target)
    await told(teller, None, "missed")
    state = await back(client)
    assert (state["id"] == sid) == bool(state["recovered"]) == (not target.is_reference)
    assert client.waiting("missed") == (not target.is_reference)


@OURS
async def test_a_volatile_event_does_no_harm(target: Target, clients: OfficialClients) -> None:
    # On the reference the name of the event becomes the offset.
    assert target.io is not None
    client = await clients.connect()
    socket = target.io.sockets[client.id]
    socket.emit("seen")
    socket.volatile.emit("tick")
    await client.next("tick")
    await broken(client, target)
    socket.emit("missed")
    state = await back(client)
    assert state["recovered"] is True
    assert (client.waiting("seen"), client.waiting("missed")) == (1, 1)


@OURS
async def test_a_client_keeps_the_offset_of_an_earlier_session(
    target: Target, clients: OfficialClients
) -> None:
    # On the reference it gets what was sent before its session, too.
    assert target.io is not None
    io = target.io
    client = await clients.connect()
    io.sockets[client.id].emit("seen")
    await client.next("seen")
    client.disconnect()
    await client.next("disconnect")
    io.emit("not for this session")
    await back(client)
    sid = client.id
    await broken(client, target)
    io.emit("missed")
    state = await back(client)
    assert (state["id"], state["recovered"]) == (sid, True)
    assert client.waiting("not for this session") == 0
    assert client.waiting("missed") == 1


@OURS
async def test_what_a_middleware_emits_arrives(target: Target, clients: OfficialClients) -> None:
    # On the reference it is lost.
    assert target.io is not None
    target.io.use(lambda socket: socket.emit("early", b"x", "text"))
    client = await clients.connect()
    assert (await client.next("early"))[:-1] == [b"x", "text"]
    sid = client.id
    await broken(client, target)
    state = await back(client)
    assert (state["id"], state["recovered"]) == (sid, True)
    assert client.waiting("early") == 0


@OURS
async def test_two_namespaces_of_one_connection(target: Target, clients: OfficialClients) -> None:
    assert target.io is not None
    io, other = target.io, target.io.of("/other")
    entered: list[bool] = []
    other.on("connection", lambda socket: entered.append(socket.recovered))
    first = await clients.connect()
    second = await clients.connect("/other", manager=first)
    ids = first.id, second.id
    await broken(first, target)
    io.emit("missed", 1)
    other.emit("missed", 2)
    first.connect()
    second.connect()
    for client, id, number in ((first, ids[0], 1), (second, ids[1], 2)):
        await client.next("connect")
        state = await client.state()
        assert (state["id"], state["recovered"]) == (id, True)
        assert (await client.next("missed"))[0] == number
    assert entered == [False, True]

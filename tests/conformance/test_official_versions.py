"""The official clients of three generations, with each choice of transports, against each ASGI server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from support.asgi_servers import SERVERS, ServerProcess, asgi_server
from support.official_client import NEWEST, OfficialClient, OfficialClients
from support.reference import missing_reference

pytestmark = [
    pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference())),
    pytest.mark.timeout(40),
    pytest.mark.asyncio(loop_scope="module"),
]

CLIENTS: Final = (NEWEST, "socket.io-client-4-0", "socket.io-client-3")

TRANSPORTS: Final[dict[str, list[str] | None]] = {
    "default": None,
    "polling": ["polling"],
    "websocket": ["websocket"],
}

PROGRAM: Final = '''
from roomcast import Server

io = Server()
app = io.asgi()


@io.on("connection")
def connection(socket):
    socket.join("everybody")
    if socket.handshake.auth.get("watches"):
        socket.join("watchers")


@io.event
def settle(socket):
    pass


@io.event
def echo(socket, *args):
    return args


@io.event
async def question(socket, *args):
    """Ask back, and answer with what the client has answered."""
    return await socket.timeout(5).emit_with_ack("question", *args)


@io.event
def tell(socket, *args):
    socket.to("everybody").emit("told", *args)


@io.event
def leave(socket, close):
    socket.emit("last", b"words")
    socket.disconnect(close=close)


@io.event
def disconnect(socket, reason):
    io.to("watchers").emit("gone", socket.id, reason)
'''


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=SERVERS)
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("served")
    async with asgi_server(request.param, PROGRAM, directory=directory) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def node() -> AsyncIterator[OfficialClients]:
    async with OfficialClients() as clients:
        yield clients


@pytest_asyncio.fixture(loop_scope="module")
async def clients(server: ServerProcess, node: OfficialClients) -> AsyncIterator[OfficialClients]:
    node.reset(server.url)
    yield node
    node.reset("")


@pytest.fixture(params=CLIENTS)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=TRANSPORTS)
def choice(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest_asyncio.fixture(loop_scope="module")
async def client(clients: OfficialClients, version: str, choice: str) -> OfficialClient:
    """A client under test, connected, and past its upgrade where it has one before it."""
    return await connected(clients, version, choice)


async def connected(clients: OfficialClients, version: str, choice: str) -> OfficialClient:
    client = await clients.connect(client=version, transports=TRANSPORTS[choice])
    if choice == "default":
        assert await client.next("upgrade") == ["websocket"]
    return client


@pytest_asyncio.fixture(loop_scope="module")
async def watcher(clients: OfficialClients) -> OfficialClient:
    """A client that learns why others leave."""
    watcher = await clients.connect(auth={"watches": True})
    await watcher.settle()
    return watcher


async def reason_of(watcher: OfficialClient, client: OfficialClient) -> str:
    """Return why the server says that a client has left."""
    while True:
        socket_id, reason = await watcher.next("gone")
        if socket_id == client.id:
            return reason


async def test_client_connects_by_the_transports_it_was_given(
    client: OfficialClient, choice: str
) -> None:
    await client.settle()
    state = await client.state()
    assert state["connected"]
    assert state["transport"] == ("polling" if choice == "polling" else "websocket")
    # The probe runs beside the first requests: either may be over first.
    assert sorted(client.order) == ["connect", *(["upgrade"] if choice == "default" else [])]


async def test_acknowledgements_go_both_ways(client: OfficialClient) -> None:
    assert await client.ask("echo", 1, "é😀", {"a": [None, True]}) == [
        1,
        "é😀",
        {"a": [None, True]},
    ]
    await client.answer("question", "yes")
    assert await client.ask("question", 1, {"b": 2}) == ["yes"]
    assert await client.next("question") == [1, {"b": 2}]


async def test_binary_goes_both_ways(client: OfficialClient) -> None:
    parts = [bytes([i]) * (i * 1000) for i in range(10)]
    assert await client.ask("echo", {"parts": parts}) == [{"parts": parts}]
    await client.answer("question", b"\x00\xff")
    assert await client.ask("question", b"", [b"\x1e" * 3]) == [b"\x00\xff"]
    assert await client.next("question") == [b"", [b"\x1e" * 3]]


async def test_broadcast_reaches_the_others(
    clients: OfficialClients, client: OfficialClient, version: str, choice: str
) -> None:
    other = await connected(clients, version, choice)
    other.emit("tell", 1, b"\x02")
    assert await client.next("told") == [1, b"\x02"]
    client.emit("tell", "é", [b"", b"\x04"])
    assert await other.next("told") == ["é", [b"", b"\x04"]]
    await client.settle()
    await other.settle()
    assert (client.waiting("told"), other.waiting("told")) == (0, 0)


async def test_events_arrive_in_order_while_the_transport_changes(
    clients: OfficialClients, version: str, choice: str
) -> None:
    client = await clients.connect(client=version, transports=TRANSPORTS[choice])
    teller = await clients.connect()
    for number in range(200):
        client.emit("tell", number, *([b"x"] if number % 10 == 0 else []))
        teller.emit("tell", number, *([b"x"] if number % 10 == 0 else []))
        if number % 20 == 0:
            await asyncio.sleep(0)
    for hearer in (client, teller):
        heard = [(await hearer.next("told"))[0] for _ in range(200)]
        assert heard == list(range(200))


@pytest.mark.parametrize("close", [False, True], ids=["namespace", "transport"])
async def test_the_server_disconnects(
    client: OfficialClient, watcher: OfficialClient, close: bool
) -> None:
    client.emit("leave", close)
    assert await client.next("last") == [b"words"]
    assert (await client.next("disconnect"))[0] == "io server disconnect"
    assert await reason_of(watcher, client) == "server namespace disconnect"


async def test_the_client_disconnects(client: OfficialClient, watcher: OfficialClient) -> None:
    client.disconnect()
    assert (await client.next("disconnect"))[0] == "io client disconnect"
    assert await reason_of(watcher, client) == "client namespace disconnect"


async def test_the_client_closes_its_transport(
    client: OfficialClient, watcher: OfficialClient
) -> None:
    client.close_engine()
    assert (await client.next("disconnect"))[0] == "forced close"
    assert await reason_of(watcher, client) == "transport close"


async def test_a_refused_namespace_leaves_the_connection_to_the_others(
    clients: OfficialClients, client: OfficialClient
) -> None:
    other = clients.open("/nowhere", manager=client)
    assert (await other.next("connect_error"))[0] == "Invalid namespace"
    await client.settle()

"""A roomcast server in this process, and official clients at the other end of real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from roomcast.server import Server, Socket
from support.official_client import PATIENCE, OfficialClient, OfficialClients
from support.reference import missing_reference

__all__ = [
    "WITH_OFFICIAL_CLIENTS",
    "all_closed",
    "all_gone",
    "eventually",
    "in_rooms",
    "reached",
    "served",
    "server_socket",
    "settling",
]

WITH_OFFICIAL_CLIENTS: Final = [
    pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference())),
    pytest.mark.timeout(30),
    pytest.mark.asyncio(loop_scope="module"),
]
"""The marks of a module whose tests use the fixtures ``node`` and ``clients``."""

_closing: list[Awaitable[None]] = []


@asynccontextmanager
async def served(io: Server, node: OfficialClients) -> AsyncIterator[OfficialClients]:
    """Serve on a free port; give the clients that know its URL."""
    listening = await io.listen(0)
    node.reset(f"http://127.0.0.1:{listening.port}")
    try:
        yield node
    finally:
        node.reset("")
        await all_gone(io)
        # uvicorn takes a fifth of a second to notice: too long to wait for after each test.
        _closing.append(io.close())


async def all_gone(io: Server) -> None:
    """Wait until no client is there any more.

    asyncio loses a connection that it accepts while its port is closed, and such a transport warns when it is collected.
    """
    await eventually(lambda: not io.engine.connections)


async def all_closed() -> None:
    """Wait for the end of all servers of `served`."""
    closing = list(_closing)
    _closing.clear()
    await asyncio.gather(*(asyncio.wait_for(each, 10) for each in closing))


def settling(io: Server) -> Server:
    """Let clients of ``/`` make sure that what was sent before has arrived, and enter rooms."""

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("settle", lambda: None)
        for room in socket.handshake.auth.get("rooms", ()):
            socket.join(room)

    return io


def server_socket(io: Server, client: OfficialClient) -> Socket:
    """Return the server's socket of a client of ``/``."""
    return io.of("/").sockets[client.id]


async def in_rooms(clients: OfficialClients, *rooms: tuple[str, ...]) -> list[OfficialClient]:
    """Return one client for each list of rooms."""
    return [await clients.connect(auth={"rooms": list(names)}) for names in rooms]


async def reached(clients: list[OfficialClient], event: str = "hello") -> list[int]:
    """Return how often each client has heard an event."""
    for client in clients:
        await client.settle()
    return [client.waiting(event) for client in clients]


async def eventually(done: Callable[[], object]) -> None:
    """Wait until the server has noticed something that it tells nobody."""
    end = asyncio.get_running_loop().time() + PATIENCE
    while not done():
        assert asyncio.get_running_loop().time() < end, "it has not happened"
        await asyncio.sleep(0.005)

"""Official clients, and a server for them; for modules with the marks of `support.served`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from roomcast.server import Server
from support.client_fixtures import LOOPS
from support.official_client import OfficialClients
from support.served import all_closed, served, settling


def pytest_asyncio_loop_factories(config, item):
    """Run the tests of our client on both kinds of event loop, all others on asyncio's."""
    return LOOPS if item.path.name.startswith("test_client_") else None


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def node() -> AsyncIterator[OfficialClients]:
    async with OfficialClients() as clients:
        yield clients
    await all_closed()


@pytest.fixture
def io() -> Server:
    return settling(Server())


@pytest_asyncio.fixture(loop_scope="module")
async def clients(io: Server, node: OfficialClients) -> AsyncIterator[OfficialClients]:
    async with served(io, node) as clients:
        yield clients

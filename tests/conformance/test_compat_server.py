"""`roomcast.compat.AsyncServer` beside python-socketio's: the same calls, and what official clients and the application see of them."""

from typing import Any

import pytest

from support.compat_scenarios import OPTIONS, SCENARIOS, World
from support.compat_servers import KINDS, hosting
from support.official_client import OfficialClients
from support.served import WITH_OFFICIAL_CLIENTS

pytestmark = WITH_OFFICIAL_CLIENTS


async def play(name: str, kind: str, node: OfficialClients) -> list[Any]:
    world = World(kind, OPTIONS[name], node)
    async with hosting(kind, world.socketio.ASGIApp(world.sio), node):
        await SCENARIOS[name](world)
        return [*world.notes]


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # their tasks'
async def test_both_servers_do_the_same(name: str, node: OfficialClients, collected: None) -> None:
    theirs, *ours = [await play(name, kind, node) for kind in KINDS]
    assert theirs
    for notes in ours:
        assert notes == theirs

"""The same scenarios on roomcast and on socket.io 4.8.4, with the official client: the transcripts are the same.

Where they are not, the scenario has both, and the row of docs/deviations.md that says why.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.emit_scenarios import EMIT_SCENARIOS
from support.life_scenarios import LIFE_SCENARIOS
from support.official_client import OfficialClients
from support.scenario_server import ReferenceServer, RoomcastServer
from support.scenarios import Scenario, play
from support.served import WITH_OFFICIAL_CLIENTS

pytestmark = WITH_OFFICIAL_CLIENTS

SCENARIOS = EMIT_SCENARIOS + LIFE_SCENARIOS

DEVIATIONS = Path(__file__).parents[2] / "docs" / "deviations.md"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def reference() -> AsyncIterator[ReferenceServer]:
    async with ReferenceServer() as server:
        yield server


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_transcripts_are_the_same(
    scenario: Scenario, node: OfficialClients, reference: ReferenceServer
) -> None:
    theirs = await play(scenario, reference, node)
    ours = await play(scenario, RoomcastServer(), node)
    for who, (our, their, _) in scenario.differs.items():
        assert (ours.pop(who), theirs.pop(who)) == (our, their)
    assert ours == theirs


@pytest.mark.parametrize(
    "row", sorted({row for scenario in SCENARIOS for *_, row in scenario.differs.values()})
)
async def test_differences_are_listed(row: str) -> None:
    assert f"| {row} |" in DEVIATIONS.read_text()

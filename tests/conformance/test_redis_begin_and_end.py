"""What is said before the first connection to the broker is there, and when that counts as being there."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from roomcast import Emitter, StreamsEmitter
from roomcast.testing import Connect
from support.broker import missing_broker
from support.broker_fixtures import NewBroker, NewNode
from support.cluster import new_node
from support.ears import Ear
from support.redis_members import running_members

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(60),
]

KINDS: Final = pytest.mark.parametrize("adapter_kind", ["classic", "sharded/dynamic", "streams"])
PLACES: Final = pytest.mark.parametrize("is_cluster", [False, True], ids=["broker", "members"])
TIMES: Final = 20


@pytest.fixture
async def target(brokers: NewBroker, is_cluster: bool) -> Any:
    """Return the URL of a broker, or those of the masters of a Redis Cluster."""
    return (await running_members(brokers)).urls if is_cluster else brokers().url


@KINDS
@PLACES
async def test_program_that_emits_and_ends_is_heard(
    target: Any, start_node: NewNode, connect: Connect, adapter_kind: str
) -> None:
    listening, _ = await start_node(target)
    ear = Ear(await connect(listening))
    for number in range(TIMES):
        io, adapter = new_node(target, kind=adapter_kind)
        adapter.ensure_started()
        io.emit("n", number)
        await io.close()
        await adapter.close()
        await ear.hears(number)
        assert adapter.counters["dropped_outbound"] == 0
    assert ear.heard == [*range(TIMES)]


@pytest.mark.parametrize(
    ("adapter_kind", "new_emitter"), [("classic", Emitter), ("streams", StreamsEmitter)]
)
@PLACES
async def test_emitter_that_nobody_waits_for_is_heard(
    target: Any,
    start_node: NewNode,
    connect: Connect,
    adapter_kind: str,
    new_emitter: Callable[..., Any],
) -> None:
    listening, _ = await start_node(target)
    ear = Ear(await connect(listening))
    async with new_emitter(target) as emitter:
        for number in range(TIMES):
            emitter.emit("n", number)
    await ear.hears(TIMES - 1)
    assert ear.heard == [*range(TIMES)]


@KINDS
@PLACES
async def test_node_that_has_started_hears_and_is_heard(target: Any, adapter_kind: str) -> None:
    for _ in range(TIMES):
        io, adapter = new_node(target, kind=adapter_kind)
        await adapter.start()
        assert adapter.health.ok
        await io.close()
        await adapter.close()

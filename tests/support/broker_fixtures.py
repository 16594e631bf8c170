"""Fixtures with a broker: brokers, and roomcast nodes on them; all end with the test."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from roomcast import Server
from support.broker import RunningBroker, running_broker
from support.cluster import new_node

__all__ = ["NewBroker", "NewNode", "Node", "adapter_kind", "broker", "brokers", "start_node"]

Node = tuple[Server, Any]
"""A server and its adapter."""

NewNode = Callable[..., Awaitable[Node]]
NewBroker = Callable[..., RunningBroker]


@pytest.fixture
def brokers() -> Iterator[NewBroker]:
    """Start a broker, with the options of its command line."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running_broker(*options))


@pytest.fixture
def broker(brokers: NewBroker) -> RunningBroker:
    return brokers()


@pytest.fixture
def adapter_kind() -> str:
    """What adapter nodes have, as in ``cluster.js``; modules have fixtures of their own in its place."""
    return "classic"


@pytest.fixture
async def start_node(request: pytest.FixtureRequest, adapter_kind: str) -> AsyncIterator[NewNode]:
    """Start a node on the test's broker, or on another one: that, a URL or a client of redis-py."""
    servers: list[Server] = []

    async def start(target: Any = None, **options: Any) -> Node:
        broker = request.getfixturevalue("broker") if target is None else target
        io, adapter = new_node(broker, **{"kind": adapter_kind} | options)
        servers.append(io)
        await adapter.start()
        return io, adapter

    yield start
    for io in servers:
        await io.close()

"""Fixtures of the tests of the client: servers of either kind, and the check that a client leaves nothing behind."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop

from roomcast.client import Manager, Socket
from roomcast.client.engine import Engine
from support.peers import KINDS, PeerProcess, PeerServer, missing
from support.process import open_files
from support.relay import Relay

__all__ = [
    "FAST",
    "LOOPS",
    "TRANSPORTS",
    "Heard",
    "clean",
    "eventually",
    "follow_manager",
    "fresh_memory",
    "moved",
    "peer",
    "peer_kind",
    "peer_process",
    "peer_processes",
    "relay",
    "start_peer",
    "transports",
]

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

FAST: dict[str, Any] = {"reconnection_delay": 0.01, "reconnection_delay_max": 0.05}
"""The options of a client that comes back soon."""

MANAGER_EVENTS = (
    "open",
    "close",
    "error",
    "reconnect_attempt",
    "reconnect",
    "reconnect_error",
    "reconnect_failed",
)

TRANSPORTS: dict[str, list[str]] = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "both": ["polling", "websocket"],
}

StartPeer = Callable[..., PeerServer]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out half of what tests of our client combine: each loop is tried against another server."""
    left_out = [
        item
        for item in items
        if item.path.name.startswith("test_client_")
        and any(
            pair <= set((getattr(item, "callspec", None) and item.callspec.id.split("-")) or ())
            for pair in ({"asyncio", "roomcast"}, {"uvloop", "node"})
        )
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


class Heard(list[tuple[Any, ...]]):
    """What a client and its manager have said, in order."""

    def __init__(self, socket: Socket | None = None, *others: str) -> None:
        super().__init__()
        if socket is not None:
            self.follow(socket, "connect", "connect_error", "disconnect", *others)

    def follow(self, emitter: Any, *events: str, prefix: str = "") -> None:
        """Note these events."""
        for event in events:
            emitter.on(event, lambda *args, name=prefix + event: self.append((name, *args)))

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [name for name, *_ in self]

    def args(self, event: str) -> list[tuple[Any, ...]]:
        """The arguments of all events of a name."""
        return [tuple(rest) for name, *rest in self if name == event]

    async def until(self, event: str, count: int = 1) -> None:
        """Wait until an event has come so often."""
        await eventually(lambda: self.names.count(event) >= count, lambda: (event, count, self))


def follow_manager(heard: Heard, manager: Manager) -> None:
    """Note what a manager says, with a prefix."""
    heard.follow(manager, *MANAGER_EVENTS, prefix="manager ")


async def moved(socket: Socket, transports: list[str]) -> None:
    """Wait for the upgrade, if there is to be one: a line that is cut within it need not be missed."""
    await eventually(lambda: socket.transport == transports[-1])


async def eventually(
    done: Callable[[], object],
    explain: Callable[[], object] = lambda: "not yet",
    *,
    seconds: float = 15,
) -> None:
    """Wait until something is so."""
    end = asyncio.get_running_loop().time() + seconds
    while not done():
        assert asyncio.get_running_loop().time() < end, explain()
        await asyncio.sleep(0.002)


@pytest.fixture(scope="session")
def peer_processes() -> Iterator[dict[str, PeerProcess]]:
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(PeerProcess(kind)) for kind in KINDS if missing(kind) is None
        }


@pytest.fixture(params=KINDS)
def peer_kind(request: pytest.FixtureRequest) -> str:
    why = missing(request.param)
    if why is not None:
        pytest.skip(why)
    return str(request.param)


@pytest.fixture
def peer_process(peer_kind: str, peer_processes: dict[str, PeerProcess]) -> PeerProcess:
    return peer_processes[peer_kind]


@pytest.fixture
def start_peer(peer_process: PeerProcess) -> Iterator[StartPeer]:
    """Start servers with options; they end with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(peer_process.serving(**options))


@pytest.fixture(params=TRANSPORTS)
def transports(request: pytest.FixtureRequest) -> list[str]:
    """What a client may use: one of both, or both as by default."""
    return TRANSPORTS[request.param]


@pytest.fixture
def peer(start_peer: StartPeer) -> PeerServer:
    """A server."""
    return start_peer()


@pytest.fixture
async def relay(peer: PeerServer) -> AsyncIterator[Relay]:
    """A relay to it."""
    async with Relay(peer.port) as relay:
        yield relay


@pytest.fixture
def fresh_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test profit of an upgrade in another one."""
    monkeypatch.setattr(Engine, "_has_upgraded", False)


@pytest.fixture
async def clean(peer_processes: dict[str, PeerProcess], fresh_memory: None) -> AsyncIterator[None]:
    """See to it that a test leaves no task, no socket and no complaint of the event loop behind."""
    # libuv keeps one descriptor in reserve from the first port that a loop listens on.
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0):
        pass
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, found: complaints.append(found))
    tasks, files = asyncio.all_tasks(), open_files()
    yield
    tasks.add(asyncio.current_task())  # type: ignore[arg-type]
    await eventually(lambda: asyncio.all_tasks() <= tasks, lambda: asyncio.all_tasks() - tasks)
    await eventually(lambda: open_files() <= files, lambda: (open_files(), files))
    gc.collect(0)
    assert complaints == []

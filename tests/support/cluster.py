"""A cluster for tests: a broker, two roomcast servers in this process, a Node.js server, and official clients of all three."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import pytest

from roomcast import (
    Emitter,
    Namespace,
    Server,
    Socket,
    StreamsEmitter,
    SyncEmitter,
    SyncStreamsEmitter,
)
from roomcast.adapters import RedisAdapter, RedisStreamsAdapter, ShardedRedisAdapter
from support.broker import RunningBroker, missing_broker, running_broker
from support.node_cluster import NodeServer
from support.official_client import PATIENCE, OfficialClient, OfficialClients
from support.reference import missing_reference
from support.served import eventually

__all__ = ["NAMESPACES", "WITH_CLUSTER", "Choice", "Cluster", "new_node", "running_cluster"]

NAMESPACES: Final = ("/", "/chat")

_MISSING: Final = missing_reference() or missing_broker()

WITH_CLUSTER: Final = [
    pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING)),
    pytest.mark.timeout(60),
    pytest.mark.asyncio(loop_scope="module"),
]
"""The marks of a module whose tests use the fixture ``cluster``."""


STREAMS: Final[dict[str, dict[str, Any]]] = {
    "": {},
    "sharded": {"use_sharded_pubsub": True},
    "several": {"stream_count": 4},
}
"""The options of the streams adapter, by what stands behind the slash."""


class Choice(NamedTuple):
    """Whom something is for, in words that all origins know."""

    to: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    volatile: bool = False
    compress: bool = True

    def of(self, target: Any) -> Any:
        """Return the operator of a Python target."""
        if self.to:
            target = target.to(self.to)
        if self.except_:
            target = target.except_(self.except_)
        if self.volatile:
            target = target.volatile
        return target if self.compress else target.compress(False)

    @property
    def for_node(self) -> dict[str, Any]:
        return {
            "to": self.to,
            "except": self.except_,
            "volatile": self.volatile,
            "compress": self.compress,
        }


EVERYBODY: Final = Choice()


def new_node(
    broker: Any,
    *,
    kind: str = "classic",
    connection_state_recovery: bool = False,
    **options: Any,
) -> tuple[Server, Any]:
    """Return a server that settles, joins the rooms that clients name, and hears ``sum``.

    Args:
        broker: One that runs, or whatever else adapters take.
        kind: As in ``cluster.js``.
        connection_state_recovery: As for the server.
        options: Of the adapter.
    """
    target = broker.url if isinstance(broker, RunningBroker) else broker
    adapter: RedisAdapter | ShardedRedisAdapter | RedisStreamsAdapter
    name, _, mode = kind.partition("/")
    if name == "sharded":
        options["subscription_mode"] = mode
        adapter = ShardedRedisAdapter(target, requests_timeout=1.0, **options)
    elif name == "streams":
        options = STREAMS[mode] | options
        adapter = RedisStreamsAdapter(target, requests_timeout=1.0, **options)
    else:
        adapter = RedisAdapter(target, requests_timeout=1.0, **options)
    io = Server(adapter=adapter, connection_state_recovery=connection_state_recovery)
    for name in NAMESPACES:
        settling(io.of(name))
    return io, adapter


def settling(nsp: Namespace) -> None:
    @nsp.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("settle", lambda: None)
        socket.data = socket.handshake.auth.get("data", {})
        socket.join(socket.handshake.auth.get("rooms", ()))

    nsp.on("sum", lambda *numbers: sum(numbers))


class Cluster:
    """What runs.

    Attributes:
        broker: The broker.
        nodes: The roomcast servers ``a`` and ``b``, and their adapters.
        node: The Node.js server.
        clients: Official clients.
        emitter: An emitter of ours.
        sync_emitter: One without asyncio.
    """

    def __init__(
        self,
        broker: RunningBroker,
        nodes: dict[str, tuple[Server, Any]],
        node: NodeServer,
        clients: OfficialClients,
    ) -> None:
        self.kind = node.kind
        self.members: dict[tuple[str, str], set[str]] = {}
        self.marks = 0
        self.broker = broker
        self.nodes = nodes
        self.node = node
        self.clients = clients
        self.emitter: Emitter | StreamsEmitter
        self.sync_emitter: SyncEmitter | SyncStreamsEmitter
        if self.kind.startswith("streams"):
            count = STREAMS[self.kind.partition("/")[2]].get("stream_count", 1)
            self.emitter = StreamsEmitter(broker.url, stream_count=count)
            self.sync_emitter = SyncStreamsEmitter(broker.url, stream_count=count)
        else:
            self.emitter = Emitter(broker.url)
            self.sync_emitter = SyncEmitter(broker.url)
        self.urls: dict[str, str] = {"node": node.url}

    def io(self, name: str) -> Server:
        return self.nodes[name][0]

    def adapter(self, name: str) -> Any:
        return self.nodes[name][1]

    def stream_of(self, nsp: str) -> bytes:
        """Return the stream of a namespace."""
        adapter: Any = self.io("a").of(nsp).adapter
        stream: bytes = adapter.bus.stream
        return stream

    @property
    def origins(self) -> tuple[str, ...]:
        """What can begin an operation: there are no emitters for each format, and none of Node.js's for streams."""
        if self.kind == "classic":
            return ("a", "node", "js", "py", "sync")
        return ("a", "node", "py", "sync") if self.kind.startswith("streams") else ("a", "node")

    async def connect(
        self, server: str, *rooms: str, nsp: str = "/", **auth: Any
    ) -> OfficialClient:
        """Return a client of a server (``a``, ``b``, ``node``), in rooms."""
        self.clients.url = self.urls[server]
        client = await self.clients.connect(nsp, auth={"rooms": list(rooms), **auth})
        await client.settle()
        ids = [client.id] if self.kind == "sharded/dynamic-private" else []
        for room in (*rooms, *ids):
            self.members.setdefault((nsp, room), set()).add(server)
            await self.subscribed(room, nsp)
        return client

    async def subscribed(self, room: str, nsp: str = "/") -> None:
        """Wait until each server hears what is sent to a room that it has."""
        if self.kind.startswith("sharded/dynamic"):
            count = len(self.members[nsp, room])
            await eventually(
                lambda: self.broker.shard_subscribers(f"socket.io#{nsp}#{room}#") >= count
            )

    async def crowd(self, *rooms: str, nsp: str = "/", **auth: Any) -> dict[str, OfficialClient]:
        """Return a client of each server."""
        return {server: await self.connect(server, *rooms, nsp=nsp, **auth) for server in self.urls}

    async def do(
        self,
        origin: str,
        op: str,
        *args: Any,
        choice: Choice = EVERYBODY,
        nsp: str = "/",
        **more: Any,
    ) -> Any:
        """Let an origin do something: ``a``, ``b``, ``node``, or an emitter: in JavaScript (``js``) or Python (``py``, ``sync``)."""
        if origin in ("node", "js"):
            return await self.node.call(
                op, *args, nsp=nsp, choice=choice.for_node, emitter=origin == "js", **more
            )
        if origin == "sync":
            return await asyncio.to_thread(self.do_now, op, *args, choice=choice, nsp=nsp, **more)
        target = self.emitter.of(nsp) if origin == "py" else self.io(origin).of(nsp)
        operator = choice.of(target)
        match op:
            case "emit":
                return await operator.emit(*args)
            case "join":
                return await operator.sockets_join(*more["rooms"])
            case "leave":
                return await operator.sockets_leave(*more["rooms"])
            case "disconnect":
                return await operator.disconnect_sockets(more["close"])
            case "serverSideEmit":
                return await target.server_side_emit(*args)
        raise AssertionError(op)

    def do_now(self, op: str, *args: Any, choice: Choice, nsp: str, **more: Any) -> None:
        operator = choice.of(self.sync_emitter.of(nsp))
        match op:
            case "emit":
                operator.emit(*args)
            case "join":
                operator.sockets_join(*more["rooms"])
            case "leave":
                operator.sockets_leave(*more["rooms"])
            case "disconnect":
                operator.disconnect_sockets(more["close"])
            case "serverSideEmit":
                operator.server_side_emit(*args)
            case _:
                raise AssertionError(op)

    async def reached(
        self,
        origin: str,
        clients: dict[str, OfficialClient] | Iterable[OfficialClient],
        event: str,
        nsp: str = "/",
    ) -> list[list[list[Any]]]:
        """Return what each client has heard of an event, now that everything has arrived that its origin sent before."""
        everyone = list(clients.values() if isinstance(clients, dict) else clients)
        # An older mark may come to a client that has connected since.
        self.marks += 1
        await self.do(origin, "emit", "mark", self.marks, nsp=nsp)
        heard = []
        for client in everyone:
            while await client.next("mark") != [self.marks]:
                pass
            heard.append([await client.next(event) for _ in range(client.waiting(event))])
        return heard

    def reset(self) -> None:
        """Let all clients go."""
        self.clients.reset("")

    async def alone(self) -> None:
        """Let all clients go, and wait until they are gone."""
        self.reset()
        ios = [io for io, _ in self.nodes.values()]
        await eventually(lambda: not any(io.engine.connections for io in ios))
        for nsp in NAMESPACES:
            async with asyncio.timeout(PATIENCE):
                while rooms := await self.node.call("rooms", nsp=nsp):
                    assert rooms
        for nsp, room in self.members:
            channel = f"socket.io#{nsp}#{room}#"
            await eventually(lambda channel=channel: not self.broker.shard_subscribers(channel))
        self.members.clear()


@asynccontextmanager
async def running_cluster(
    kind: str = "classic", *, recovers: bool = False
) -> AsyncIterator[Cluster]:
    """Run a cluster until the end of the block; the kind is as in ``cluster.js``; it may have connection state recovery."""
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(running_broker())
        node = await stack.enter_async_context(NodeServer(broker.url, kind, recovers=recovers))
        clients = await stack.enter_async_context(OfficialClients())
        nodes = {
            name: new_node(broker, kind=kind, connection_state_recovery=recovers)
            for name in ("a", "b")
        }
        cluster = Cluster(broker, nodes, node, clients)
        for name, (io, _) in nodes.items():
            listening = await io.listen(0)
            stack.push_async_callback(io.close)
            cluster.urls[name] = f"http://127.0.0.1:{listening.port}"
        if kind.startswith("streams"):  # a Node.js server begins to read some time after it listens
            count = 3 * STREAMS[kind.partition("/")[2]].get("stream_count", 1)
            await eventually(lambda: broker.readers() == count)
        await stack.enter_async_context(cluster.emitter)
        stack.enter_context(cluster.sync_emitter)
        stack.push_async_callback(cluster.alone)
        yield cluster

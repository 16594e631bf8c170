"""A cluster in the middle of a migration: a broker, two servers of python-socketio and two of roomcast, and official clients of all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import socketio

from roomcast import PythonSocketIOBridge, RedisAdapter, Server
from support.asgi_servers import in_process
from support.broker import RunningBroker, running_broker
from support.cluster import NAMESPACES, settling
from support.official_client import OfficialClient, OfficialClients
from support.served import eventually

__all__ = ["PYTHON", "ROOMCAST", "PythonCluster", "running_python_cluster"]

PYTHON: Final = ("p", "q")
ROOMCAST: Final = ("a", "b")


class PythonCluster:
    """What runs.

    Attributes:
        broker: The broker.
        ios: The roomcast servers ``a`` and ``b``.
        bridges: Their bridges.
        sios: The servers of python-socketio ``p`` and ``q``.
        writer: A manager of python-socketio that only writes.
        clients: Official clients.
        urls: Where each server is.
    """

    def __init__(self, broker: RunningBroker, clients: OfficialClients) -> None:
        self.broker = broker
        self.clients = clients
        self.ios: dict[str, Server] = {}
        self.bridges: dict[str, PythonSocketIOBridge] = {}
        self.sios: dict[str, Any] = {}
        self.writer: Any = socketio.AsyncRedisManager(broker.url, write_only=True)
        self.urls: dict[str, str] = {}

    async def connect(self, server: str, *rooms: str, nsp: str = "/") -> OfficialClient:
        """Return a client of a server, in rooms."""
        self.clients.url = self.urls[server]
        client = await self.clients.connect(nsp, auth={"rooms": list(rooms)})
        await client.settle()
        return client

    async def crowd(self, *rooms: str, nsp: str = "/") -> dict[str, OfficialClient]:
        """Return a client of each server."""
        return {server: await self.connect(server, *rooms, nsp=nsp) for server in self.urls}

    async def mark(self, origin: str, nsp: str) -> None:
        if origin in self.ios:
            await self.ios[origin].of(nsp).emit("mark")
        else:
            manager = self.writer if origin == "writer" else self.sios[origin]
            await manager.emit("mark", (), namespace=nsp)

    async def heard(
        self, origin: str, clients: dict[str, OfficialClient], event: str, nsp: str = "/"
    ) -> dict[str, list[list[Any]]]:
        """Return what each client has heard of an event, now that all has arrived that its origin sent, on every way there is."""
        for each in (origin, "p"):
            await self.mark(each, nsp)
            for client in clients.values():
                await client.next("mark")
        return {
            server: [await client.next(event) for _ in range(client.waiting(event))]
            for server, client in clients.items()
        }

    async def alone(self) -> None:
        """Let all clients go, and wait until they are gone."""
        self.clients.reset("")
        await eventually(lambda: not any(io.engine.connections for io in self.ios.values()))
        await eventually(lambda: not any(sio.manager.rooms.get("/") for sio in self.sios.values()))


def new_sio(url: str) -> Any:
    """Return a server of python-socketio that does what `settling` lets ours do."""
    manager: Any = socketio.AsyncRedisManager(url)
    sio: Any = socketio.AsyncServer(async_mode="asgi", client_manager=manager)
    for nsp in NAMESPACES:

        async def connect(sid: str, environ: Any, auth: Any, nsp: str = nsp) -> None:
            for room in auth["rooms"]:
                await sio.enter_room(sid, room, namespace=nsp)

        sio.on("connect", connect, namespace=nsp)
        sio.on("settle", lambda sid: (), namespace=nsp)
    return sio


def new_io(
    broker: RunningBroker, *, with_adapter: bool, **options: Any
) -> tuple[Server, PythonSocketIOBridge]:
    """Return a server of ours with a bridge."""
    adapter = RedisAdapter(broker.url, requests_timeout=1.0) if with_adapter else None
    bridge = PythonSocketIOBridge(broker.url, adapter=adapter, **options)
    io = Server(adapter=bridge)
    for name in NAMESPACES:
        settling(io.of(name))
    return io, bridge


@asynccontextmanager
async def running_python_cluster(*, with_adapter: bool) -> AsyncIterator[PythonCluster]:
    """Run a cluster until the end of the block; its roomcast nodes have an adapter beside the bridge, or not."""
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(running_broker())
        clients = await stack.enter_async_context(OfficialClients())
        cluster = PythonCluster(broker, clients)
        for name in PYTHON:
            sio = cluster.sios[name] = new_sio(broker.url)
            port = await stack.enter_async_context(
                in_process(socketio.ASGIApp(sio), ws="websockets-sansio")
            )
            stack.push_async_callback(_end, sio)
            cluster.urls[name] = f"http://127.0.0.1:{port}"
        for name in ROOMCAST:
            io, bridge = new_io(broker, with_adapter=with_adapter)
            cluster.ios[name], cluster.bridges[name] = io, bridge
            listening = await io.listen(0)
            stack.push_async_callback(io.close)
            cluster.urls[name] = f"http://127.0.0.1:{listening.port}"
        stack.push_async_callback(_close, cluster.writer)
        stack.push_async_callback(cluster.alone)
        for name in PYTHON:  # the thread that listens begins with the first connection
            await cluster.connect(name)
        await eventually(lambda: broker.subscribers("socketio") == len(PYTHON + ROOMCAST))
        await cluster.alone()
        yield cluster


async def _end(sio: Any) -> None:
    await sio.shutdown()
    sio.manager.thread.cancel()
    await asyncio.wait((sio.manager.thread,))
    await sio.manager.pubsub.aclose()
    await _close(sio.manager)


async def _close(manager: Any) -> None:
    """Close what python-socketio leaves open."""
    if manager.redis is not None:
        await manager.redis.aclose()

"""One Python server of a cluster: python benches/load/peers/node.py PEER classic|sharded|streams|workers WHERE.

WHERE is the URL of the broker, or the directory of the workers. It prints its port. A client joins a room by ``join``, and makes the server emit the time to a room at a steady rate by ``pace``.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

TICK: Final = 0.001
"""Seconds between two bursts of emits."""


KEPT: Final[list[Any]] = []
"""What must not be collected while the process serves."""


async def _pace(emit: Callable[[int], Awaitable[object] | None], rate: int, seconds: float) -> int:
    """Emit at a steady rate; return how often that was done in the time."""
    start = time.monotonic()
    done = 0
    while (elapsed := time.monotonic() - start) < seconds:
        for _ in range(int(elapsed * rate) - done):
            waiting = emit(time.monotonic_ns())
            if waiting is not None:
                await waiting
            done += 1
        await asyncio.sleep(TICK)
    return done


async def _roomcast(kind: str, url: str) -> int:
    import roomcast  # noqa: PLC0415  a server must not hold the other's modules

    adapters = {
        "classic": roomcast.RedisAdapter,
        "sharded": roomcast.ShardedRedisAdapter,
        "streams": roomcast.RedisStreamsAdapter,
        "workers": roomcast.WorkersAdapter,
    }
    adapter = adapters[kind](url)
    io = roomcast.Server(adapter=adapter)

    @io.event
    def join(socket, room):
        socket.join(room)

    @io.event
    async def pace(socket, room, rate, seconds):
        return await _pace(lambda now: io.to(room).emit("b", now) and None, rate, seconds)

    listening = await io.listen(0)
    return listening.port


async def _floor(_kind: str, url: str) -> int:
    """The least that two such nodes can cost: bare sockets to the broker, nothing packed, nothing checked."""
    import hiredis  # noqa: PLC0415  as above

    import roomcast  # noqa: PLC0415  as above

    io = roomcast.Server()
    broker = urlsplit(url)
    loop = asyncio.get_running_loop()
    joined: set[bytes] = set()

    class Wire(asyncio.Protocol):
        def __init__(self) -> None:
            self._replies = hiredis.Reader(notEnoughData=None)

        def data_received(self, data: bytes) -> None:
            self._replies.feed(data)
            while (reply := self._replies.gets()) is not None:
                if isinstance(reply, list) and reply[2] in joined:
                    io.to(reply[2].decode()).emit("b", int(reply[3]))

    hearing, _ = await loop.create_connection(Wire, broker.hostname, broker.port)
    hearing.write(b"PSUBSCRIBE *\r\n")
    speaking, _ = await loop.create_connection(Wire, broker.hostname, broker.port)
    KEPT.extend((hearing, speaking))

    @io.event
    def join(socket, room):
        socket.join(room)
        joined.add(room.encode())

    @io.event
    async def pace(socket, room, rate, seconds):
        channel = room.encode()
        return await _pace(
            lambda now: speaking.write(b"PUBLISH %b %d\r\n" % (channel, now)), rate, seconds
        )

    listening = await io.listen(0)
    return listening.port


async def _socketio(_kind: str, url: str) -> int:
    import socketio  # noqa: PLC0415  as above
    import uvicorn  # noqa: PLC0415

    io = socketio.AsyncServer(async_mode="asgi", client_manager=socketio.AsyncRedisManager(url))

    @io.event
    async def join(sid, room):
        await io.enter_room(sid, room)

    @io.event
    async def pace(sid, room, rate, seconds):
        return await _pace(lambda now: io.emit("b", now, room=room), rate, seconds)

    config = uvicorn.Config(
        socketio.ASGIApp(io), port=0, loop="uvloop", ws_ping_interval=None, log_level="error"
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110  it tells nobody
        await asyncio.sleep(0.01)
    KEPT.append(serving)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


PEERS: Final[dict[str, Callable[[str, str], Awaitable[int]]]] = {
    "roomcast": _roomcast,
    "floor": _floor,
    "python-socketio": _socketio,
}


async def main() -> None:
    """Serve until the process is ended."""
    print(await PEERS[sys.argv[1]](*sys.argv[2:]), flush=True)
    await asyncio.Event().wait()


with (
    contextlib.suppress(KeyboardInterrupt),
    asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
):
    runner.run(main())

"""One of the Python servers under uvicorn: python benches/load/serve.py PEER [--http …] [--ws …] [--ping-interval …].

It prints its port, and echoes the event "echo". Both peers get the same uvicorn, the same loop and handlers of the same kind;
all else is their default. uvicorn's own WebSocket pings are off: Engine.IO has its own.
"""

import argparse
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn

BACKLOG: Final = 4096


def _roomcast(ping_interval: float) -> Any:
    from roomcast import Server  # noqa: PLC0415  a server must not hold the other's modules

    io = Server(ping_interval=ping_interval)

    @io.event
    async def echo(socket, value):
        socket.emit("echo", value)

    return io.asgi()


def _socketio(ping_interval: float) -> Any:
    import socketio  # noqa: PLC0415  as above

    io = socketio.AsyncServer(async_mode="asgi", ping_interval=ping_interval)

    @io.event
    async def echo(sid, value):
        await io.emit("echo", value, to=sid)

    return socketio.ASGIApp(io)


def _floor(_: float) -> Any:
    from floor import app  # noqa: PLC0415  as above

    return app


APPLICATIONS: Final[dict[str, Callable[[float], Any]]] = {
    "roomcast": _roomcast,
    "python-socketio": _socketio,
    "uvicorn alone": _floor,
}


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=APPLICATIONS)
    parser.add_argument("--http", default="httptools")
    parser.add_argument("--ws", default="websockets-sansio")
    parser.add_argument("--ping-interval", type=float, default=25.0)
    given = parser.parse_args()
    bound = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    print(bound.getsockname()[1], flush=True)
    config = uvicorn.Config(
        APPLICATIONS[given.peer](given.ping_interval),
        loop="uvloop",
        http=given.http,
        ws=given.ws,
        ws_ping_interval=None,
        backlog=BACKLOG,
        log_level="error",
        access_log=False,
    )
    uvicorn.Server(config).run(sockets=[bound])


main()

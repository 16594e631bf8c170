"""One of the Python servers under uvicorn: python benches/load/peers/serve.py PEER [--option=…].

It prints its port, and has the handlers of the loads. All peers get the same uvicorn; all else is their default. uvicorn's
own WebSocket pings are off: Engine.IO has its own. With --ws=alone roomcast is served by itself, as by `io.run`.
"""

import argparse
import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn

BACKLOG: Final = 4096
DIRECT: Final = "roomcast.uvicorn:WebSocketProtocol"


def _server(given: argparse.Namespace) -> Any:
    from roomcast import RedisAdapter, Server  # noqa: PLC0415  a server must not hold the other's modules

    io = Server(
        ping_interval=given.ping_interval,
        send_buffer_policy=given.policy,
        workers=given.workers,
        adapter=RedisAdapter(given.broker, pass_requests=True) if given.broker else None,
    )

    @io.event
    def go(socket, number, size):
        value = "x" * size
        for _ in range(number):
            io.emit("b", value)

    if given.handlers == "def":

        @io.event
        def echo(socket, value):
            socket.emit("echo", value)

        @io.event
        def ack(socket, value):
            return value

    else:

        @io.event
        async def echo(socket, value):
            socket.emit("echo", value)

        @io.event
        async def ack(socket, value):
            return value

    def tell(*_: object) -> None:
        sizes = [connection.outbox.size for connection in io.engine.connections.values()]
        print(max(sizes, default=0), io.engine.counters["dropped_packets"], flush=True)

    signal.signal(signal.SIGUSR1, tell)
    return io


def _roomcast(given: argparse.Namespace) -> Any:
    return _server(given).asgi()


def _socketio(given: argparse.Namespace) -> Any:
    import socketio  # noqa: PLC0415  as above

    options = {"serializer": _serializer(given.serializer)} if given.serializer else {}
    io = socketio.AsyncServer(async_mode="asgi", ping_interval=given.ping_interval, **options)

    @io.event
    async def go(sid, number, size):
        value = "x" * size
        for _ in range(number):
            await io.emit("b", value)

    @io.event
    async def echo(sid, value):
        await io.emit("echo", value, to=sid)

    @io.event
    async def ack(sid, value):
        return value

    return socketio.ASGIApp(io)


def _serializer(name: str) -> Any:
    from roomcast import compat  # noqa: PLC0415  as above

    return getattr(compat, name)


def _uvicorn_alone(_: argparse.Namespace) -> Any:
    from uvicorn_alone import app  # noqa: PLC0415  as above

    return app


APPLICATIONS: Final[dict[str, Callable[[argparse.Namespace], Any]]] = {
    "roomcast": _roomcast,
    "python-socketio": _socketio,
    "uvicorn alone": _uvicorn_alone,
}


def _serve_alone(given: argparse.Namespace) -> None:
    """Serve roomcast as `io.run` does, on a loop of choice."""
    import uvloop  # noqa: PLC0415  another loop must not hold it

    async def main() -> None:
        listening = await _server(given).listen(0)
        print(listening.port, flush=True)
        await asyncio.Event().wait()

    factory = uvloop.new_event_loop if given.loop == "uvloop" else asyncio.SelectorEventLoop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


def _bind() -> socket.socket:
    plain = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    # asyncio turns Nagle's algorithm off only where the protocol is named.
    return socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=plain.detach()
    )


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=APPLICATIONS)
    parser.add_argument("--http", default="httptools")
    parser.add_argument(
        "--ws", default="websockets-sansio", help="or direct, or alone, for roomcast"
    )
    parser.add_argument("--loop", default="uvloop")
    parser.add_argument("--handlers", default="async", choices=("def", "async"))
    parser.add_argument("--serializer", help="python-socketio's, by its name in roomcast.compat")
    parser.add_argument("--policy", default="close")
    parser.add_argument(
        "--workers", help="the directory by which roomcast's workers find each other"
    )
    parser.add_argument("--broker", help="over which roomcast's nodes pass requests")
    parser.add_argument("--ping-interval", type=float, default=25.0)
    given = parser.parse_args()
    if given.ws == "alone":
        _serve_alone(given)
    bound = _bind()
    print(bound.getsockname()[1], flush=True)
    config = uvicorn.Config(
        APPLICATIONS[given.peer](given),
        loop=given.loop,
        http=given.http,
        ws=DIRECT if given.ws == "direct" else given.ws,
        ws_ping_interval=None,
        backlog=BACKLOG,
        log_level="error",
        access_log=False,
    )
    uvicorn.Server(config).run(sockets=[bound])


main()

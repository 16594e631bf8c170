"""``roomcast bench server``: a server with the handlers of all workloads."""

import argparse
import os

from roomcast.cli.serving import serve
from roomcast.server import Server, Socket

__all__ = ["make_server", "run"]


def make_server() -> Server:
    """Make the server."""
    io = Server()

    @io.event
    def go(socket: Socket, number: int, size: int) -> None:
        for _ in range(number):
            io.emit("b", "x" * size)

    @io.event
    def echo(socket: Socket, value: object) -> None:
        socket.emit("echo", value)

    @io.event
    def ack(socket: Socket, value: object) -> object:
        return value

    return io


def run(given: argparse.Namespace) -> int:
    """Serve until a signal."""

    def announce(url: str) -> None:
        print(f"served on {url} by process {os.getpid()} (Ctrl-C ends it); in another terminal:")
        print(f"  roomcast bench broadcast {url} --pid {os.getpid()}", flush=True)

    serve(make_server(), given.host, given.port, announce)
    return 0

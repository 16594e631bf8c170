"""Servers as users start them: a program that prints where it serves and ends at SIGTERM; and one that answers with given bytes."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.reference import NODE_DIRECTORY

__all__ = ["Program", "answering", "node", "roomcast", "run_roomcast", "serving"]

ROOMCAST: Final = (sys.executable, "-m", "roomcast")


class Program:
    """A server that runs.

    Attributes:
        process: Its process.
        url: What it has printed.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"it does not serve: {line}{process.communicate(timeout=10)}"
        self.url = found[0].rstrip("/")

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it; return its exit code and what it has written to its error output."""
        self.process.send_signal(number)
        errors = self.process.communicate(timeout=15)[1]
        return self.process.returncode, errors


@contextmanager
def serving(*command: str, cwd: Path | None = None, **environment: str) -> Iterator[Program]:
    """Run a server until the end of the block."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Program(process)
    finally:
        process.kill()
        process.communicate(timeout=10)


def roomcast(*arguments: str) -> tuple[str, ...]:
    """Return a command of roomcast."""
    return (*ROOMCAST, *arguments)


def run_roomcast(
    *arguments: str, cwd: Path | None = None, seconds: float = 15
) -> subprocess.CompletedProcess[str]:
    """Run a command of roomcast to its end."""
    return subprocess.run(
        roomcast(*arguments), cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
    )


@contextmanager
def node(program: str) -> Iterator[Program]:
    """Run a program in Node.js, with the packages of the tests."""
    modules = str(NODE_DIRECTORY.parent / "node_modules")
    with serving("node", "-e", program, NODE_PATH=modules) as running:
        yield running


@contextmanager
def answering(answer: bytes, *, closes: bool = True) -> Iterator[str]:
    """Answer every request with the same bytes; give the URL.

    Args:
        answer: The bytes.
        closes: Whether the connection is closed behind them.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            if connection.recv(10_000):
                connection.sendall(answer)
            if closes:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in kept:
            connection.close()

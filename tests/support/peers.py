"""Socket.IO servers in processes of their own, for the tests of the client: the reference, and ours.

What they do is explained in `support.peer_program`.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from support.reference import NODE_DIRECTORY, missing_reference, pack, unpack
from support.targets import translated

__all__ = ["KINDS", "PeerProcess", "PeerServer", "missing"]

KINDS: Final = ("node", "roomcast")

PATIENCE: Final = 15.0
"""Seconds that something may take which has to come."""

COMMANDS: Final = {
    "node": ("node", str(NODE_DIRECTORY / "peer.js")),
    "roomcast": (sys.executable, str(Path(__file__).with_name("peer_program.py"))),
}


def missing(kind: str) -> str | None:
    """Return why a kind of server cannot be started, or ``None``."""
    return missing_reference() if kind == "node" else None


class PeerServer:
    """One server.

    Attributes:
        kind: One of `KINDS`.
        port: Where it answers.
    """

    def __init__(self, process: "PeerProcess", number: int, port: int) -> None:
        self.kind = process.kind
        self.port = port
        self._process = process
        self._number = number
        self._log: list[list[Any]] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> list[list[Any]]:
        """What has happened there, in order."""
        self._log += [unpack(entry) for entry in self._ask("log")]
        return self._log

    def logged(self, what: str) -> list[list[Any]]:
        """What has happened of one kind, without its name."""
        return [rest for found, *rest in self.log if found == what]

    async def until(self, *entry: Any) -> None:
        """Wait until something has been logged."""
        await self.until_count(1, *entry)

    async def until_count(self, count: int, *entry: Any) -> None:
        """Wait until something has been logged so often, by the beginning of its entry."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while sum(found[: len(entry)] == list(entry) for found in self.log) < count:
            assert asyncio.get_running_loop().time() < end, (entry, self._log)
            await asyncio.sleep(0.005)

    def emit(self, *args: Any, nsp: str = "/", volatile: bool = False) -> None:
        """Let it emit to everybody."""
        self._ask("emit", nsp=nsp, args=[pack(arg) for arg in args], volatile=volatile)

    def drop(self) -> None:
        """End every line, without a word."""
        self._ask("drop")

    def stop(self) -> None:
        """End it."""
        self._ask("stop")

    def _ask(self, op: str, **more: Any) -> Any:
        return self._process.ask(op=op, server=self._number, **more)


class PeerProcess:
    """A process, in which servers are started.

    Attributes:
        kind: One of `KINDS`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._process = subprocess.Popen(
            COMMANDS[kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    def ask(self, **command: Any) -> Any:
        """Have it do something; the answer comes at once."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(command).encode() + b"\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        assert not isinstance(answer, dict) or "error" not in answer, answer["error"]
        return answer

    def start(self, port: int = 0, **options: Any) -> PeerServer:
        """Begin to serve, with options in roomcast's words."""
        given = translated(options) if self.kind == "node" else options
        started = self.ask(op="start", options=given, port=port)
        return PeerServer(self, started["server"], started["port"])

    @contextmanager
    def serving(self, **options: Any) -> Iterator[PeerServer]:
        """Serve until the end of the block."""
        server = self.start(**options)
        try:
            yield server
        finally:
            server.stop()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.communicate()

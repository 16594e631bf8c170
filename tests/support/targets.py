"""Servers for requests whose bytes matter: roomcast on either HTTP parser of uvicorn, and the reference in Node.js beside it.

A test that passes on both shows that the test is right as well. All do the same: they echo ``echo``, log ``note``, let the client
``enter`` a room, ``tell`` everybody or a room, close the engine's connection at ``close``, and after some ``last words``. The other half is ``tests/node/server.js``.
"""

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import uvicorn

import roomcast
from roomcast import ConnectError, Server
from roomcast.embedded import Embedded
from roomcast.server import Socket
from roomcast.serving import Listening
from support.reference import NODE_DIRECTORY

__all__ = ["REFERENCE", "TARGETS", "ReferenceServers", "Target", "roomcast_target"]

REFERENCE: Final = "reference"
TARGETS: Final = ("httptools", "h11", REFERENCE)

MILLISECONDS: Final = (
    "ping_interval",
    "ping_timeout",
    "upgrade_timeout",
    "connect_timeout",
    "max_disconnection_duration",
)
"""Options that the reference counts in thousandths."""

NAMES: Final = {"origins": "origin", "max_age": "maxAge"}
"""Keys that the reference calls otherwise, beyond the spelling."""

Entry = list[Any]


class Target:
    """A server under test.

    Attributes:
        kind: One of `TARGETS`.
        port: Where it answers.
        io: The server, unless it is the reference.
    """

    def __init__(
        self, kind: str, port: int, io: Server | None, take: Callable[[], list[Entry]]
    ) -> None:
        self.kind = kind
        self.port = port
        self.io = io
        self._take = take
        self._log: list[Entry] = []

    @property
    def is_reference(self) -> bool:
        return self.kind == REFERENCE

    @property
    def log(self) -> list[Entry]:
        """What has happened on the server, in order."""
        self._log += self._take()
        return self._log

    async def logged(self, *entry: Any) -> None:
        """Wait until something has happened."""
        try:
            async with asyncio.timeout(3):
                while list(entry) not in self.log:  # noqa: ASYNC110  the reference is another process
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{list(entry)} is not in {self._log}") from None


class ReferenceServers:
    """One Node.js process, in which servers are started."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", str(NODE_DIRECTORY / "server.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.communicate(timeout=10)

    def ask(self, **command: Any) -> Any:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(command).encode() + b"\n")
        stdin.flush()
        return json.loads(stdout.readline())

    @asynccontextmanager
    async def target(self, **options: Any) -> AsyncIterator[Target]:
        """Serve with options in roomcast's words until the end of the block."""
        started = self.ask(op="start", options=translated(options))
        number: int = started["server"]
        yield Target(REFERENCE, started["port"], None, lambda: self.ask(op="log", server=number))
        self.ask(op="stop", server=number)


def translated(options: dict[str, Any]) -> dict[str, Any]:
    """Return options in the words of the reference."""
    ours = {"refuse", "broken", "broken_id", "headers"}
    return {
        name if name in ours else camel(name): translated(value)
        if isinstance(value, dict) and name != "headers"
        else round(value * 1000)
        if name in MILLISECONDS
        else value
        for name, value in options.items()
    }


def camel(name: str) -> str:
    first, *others = NAMES.get(name, name).split("_")
    return first + "".join(other.capitalize() for other in others)


@asynccontextmanager
async def roomcast_target(
    kind: str,
    *,
    refuse: bool | str = False,
    broken: bool = False,
    broken_id: bool = False,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Target]:
    """Serve until the end of the block; what the arguments mean, ``tests/node/server.js`` says."""
    if refuse:
        options["allow_request"] = refusing(refuse)
    if broken_id:
        options["generate_id"] = failing
    io = Server(**options)
    if broken:
        io.engine.use(failing)
    if headers:
        value = headers["value"]
        io.engine.on("initial_headers", lambda all_, request: all_.update({"x-initial": value}))
        io.engine.on("headers", lambda all_, request: all_.update({"x-each": value}))
    log: list[Entry] = []
    handle(io, log)

    def take() -> list[Entry]:
        entries, log[:] = log[:], []
        return entries

    config = uvicorn.Config(io.asgi(), http=kind, lifespan="on", log_level="warning")
    bound = socket.create_server(("127.0.0.1", 0))
    listening = Listening(Embedded(config), bound)
    await listening.wait_started()
    try:
        yield Target(kind, listening.port, io, take)
    finally:
        await io.close(timeout=0)
        listening.stop()
        await listening.wait_closed()
    assert io.engine.connections == {}
    await assert_no_tasks()


async def assert_no_tasks() -> None:
    """Check that nothing of roomcast's runs any more in this loop."""
    await asyncio.sleep(0)  # what was cancelled last has its turn
    package = str(Path(roomcast.__file__).parent)
    left = [
        task
        for task in asyncio.all_tasks()
        if getattr(task.get_coro(), "cr_code", None) is not None
        and task.get_coro().cr_code.co_filename.startswith(package)
    ]
    assert left == []


def refusing(words: bool | str) -> Callable[[object], bool]:
    def allow_request(request: object) -> bool:
        if isinstance(words, str):
            raise ConnectError(words)
        return False

    return allow_request


def failing(request: object) -> Any:
    raise ValueError("broken")


def handle(io: Server, log: list[Entry]) -> None:
    def refused(error: Any) -> None:
        log.append(["connection_error", error.code, error.message, dict(error.context)])

    io.engine.on("connection_error", refused)

    @io.event
    def disconnect(socket: Socket, reason: str) -> None:
        log.append(["disconnect", reason])

    @io.event
    def echo(socket: Socket, *args: Any) -> None:
        socket.emit("echo", *args)

    @io.event
    def note(socket: Socket, *args: Any) -> None:
        log.append(["note", *args])

    @io.event
    def enter(socket: Socket, room: str) -> None:
        socket.join(room)

    @io.event
    def tell(socket: Socket, room: str | None, *args: Any) -> None:
        (io.to(room) if room else io).emit(*args)

    @io.event
    def close(socket: Socket) -> None:
        socket.conn.close()

    @io.event("last words")
    def last_words(socket: Socket, *args: Any) -> None:
        socket.emit("last words", *args)
        socket.conn.close()

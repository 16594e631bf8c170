"""Worker processes as users start them, without an adapter: clients of all of them hear each other, also after one was killed."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import roomcast
from integration.conftest import eventually
from support.programs import Program, roomcast as command, serving
from support.worker_clients import answers, children, started

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_factories=["uvloop"])]

WORKERS = 4
CLIENTS = 24

PROGRAM = """
import os
from roomcast import Server

io = Server()

@io.event
def enter(socket, room):
    socket.join(room)
    return os.getpid()

@io.event
async def say(socket, room, n):
    await io.to(room).emit("said", n)

@io.event
async def everybody(socket):
    return [len(await io.fetch_sockets()), await io.adapter.server_count()]

app = io.asgi()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


class Crowd:
    """Clients, each in a room of all and one of its own; they go in again when they come back.

    Attributes:
        heard: What each has heard.
        pids: The worker that each is with.
    """

    def __init__(self) -> None:
        self.heard: list[Counter[int]] = []
        self.pids: list[int] = []
        self.sockets: list[Any] = []

    async def add(self, stack: AsyncExitStack, url: str) -> None:
        number = len(self.sockets)
        client = roomcast.connect(url, reconnection_delay=0.1, reconnection_delay_max=0.5)
        self.sockets.append(client)
        self.heard.append(Counter())
        self.pids.append(0)

        @client.on("said")
        def said(n: int) -> None:
            self.heard[number][n] += 1

        @client.on("disconnect")
        def left(reason: str) -> None:
            self.pids[number] = 0

        @client.on("connect")
        async def come() -> None:
            await client.timeout(5).emit_with_ack("enter", f"own-{number}")
            self.pids[number] = await client.timeout(5).emit_with_ack("enter", "all")

        await stack.enter_async_context(client)

    async def all_hear(self, begin: int) -> None:
        """Let each client say something to all, and something to the next one."""
        for number, client in enumerate(self.sockets):
            client.emit("say", "all", begin + number)
            client.emit("say", f"own-{(number + 1) % CLIENTS}", begin + CLIENTS + number)
        for number, heard in enumerate(self.heard):
            wanted = dict.fromkeys(range(begin, begin + CLIENTS), 1)
            wanted[begin + CLIENTS + (number - 1) % CLIENTS] = 1
            since = {n: times for n, times in heard.items() if n >= begin}
            await eventually(
                lambda heard=heard, wanted=wanted: (
                    wanted == {n: times for n, times in heard.items() if n >= begin}
                ),
                lambda since=since, wanted=wanted: (since, wanted),
                seconds=20,
            )

    async def all_are_there(self) -> None:
        """Wait until a worker finds all clients and all workers."""
        found: list[int] = []
        for _ in range(200):
            found = await self.sockets[0].timeout(5).emit_with_ack("everybody")
            if found == [CLIENTS, WORKERS]:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(found)


@asynccontextmanager
async def on_roomcast(folder: Path) -> AsyncIterator[tuple[str, int]]:
    with serving(
        *command("serve", "program:io", "--workers", str(WORKERS), "--port", "0"), cwd=folder
    ) as program:
        assert isinstance(program, Program)
        yield program.url, program.pid


@asynccontextmanager
async def on_uvicorn(folder: Path) -> AsyncIterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "program:app", "--workers", str(WORKERS)),
        *("--port", str(port), "--log-level", "warning"),
        cwd=folder,
        env=os.environ | {"ROOMCAST_WORKERS": str(folder / "workers")},
    )
    try:
        await eventually(lambda: started(folder / "workers") == WORKERS, seconds=20)
        await eventually(lambda: answers(port), seconds=20)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 20)


@pytest.mark.parametrize("server", [on_roomcast, on_uvicorn])
async def test_clients_of_all_workers_hear_each_other(folder: Path, server: Any) -> None:
    crowd = Crowd()
    async with server(folder) as (url, pid), AsyncExitStack() as stack:
        await eventually(lambda: len(children(pid)) == WORKERS, seconds=20)
        for _ in range(CLIENTS):
            await crowd.add(stack, url)
        await eventually(lambda: all(crowd.pids), seconds=20)
        assert len(set(crowd.pids)) > 1
        await crowd.all_hear(0)
        await crowd.all_are_there()

        killed = Counter(crowd.pids).most_common(1)[0][0]
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: killed not in crowd.pids, seconds=20)
        await eventually(lambda: len(children(pid)) == WORKERS, seconds=20)
        await eventually(lambda: all(crowd.pids), seconds=20)
        await crowd.all_hear(1_000)
        await crowd.all_are_there()  # the new one may have clients only later
        await crowd.all_hear(2_000)

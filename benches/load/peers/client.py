"""A Python client under load: python benches/load/peers/client.py NAME PORT WORKLOAD SECONDS. It prints what it took, as JSON.

echo: eight events are in flight, each of which comes back. flood: 10 000 events are asked for at a time. idle: so many clients as
SECONDS says; it prints a line with its memory before and after they connect.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

IN_FLIGHT = 8
ASKED = 10_000
WARMING = 0.5
VALUE = "x" * 32

Count = Callable[[], int]


def memory() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


class Load:
    """Counts, and sends what is to be sent next."""

    def __init__(self, emit: Callable[..., Any]) -> None:
        self.count = 0
        self.emit = emit

    def echoed(self, value: str) -> None:
        self.count += 1
        self.emit("echo", value)

    def flooded(self, value: str) -> None:
        self.count += 1
        if not self.count % ASKED:
            self.emit("go", ASKED)


async def measure(load: Load, seconds: float) -> None:
    await asyncio.sleep(WARMING)
    count, cpu, start = load.count, time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    count, cpu = load.count - count, time.process_time() - cpu
    print(json.dumps({"count": count, "cpu": cpu, "elapsed": time.perf_counter() - start}))


async def ours(url: str, workload: str, seconds: float) -> None:
    import roomcast  # noqa: PLC0415  each process loads one client

    if workload == "idle":
        sockets = [roomcast.connect(url, transports="websocket") for _ in range(int(seconds) + 10)]
        await idle(
            [socket.connect for socket in sockets], [socket.disconnect for socket in sockets]
        )
        return
    async with roomcast.connect(url, transports="websocket") as socket:
        load = Load(socket.emit)
        socket.on("echo", load.echoed)
        socket.on("b", load.flooded)
        begin(load, workload)
        await measure(load, seconds)


async def peer(url: str, workload: str, seconds: float) -> None:
    import socketio  # noqa: PLC0415  as above

    if workload == "idle":
        clients = [socketio.AsyncClient(handle_sigint=False) for _ in range(int(seconds) + 10)]
        await idle(
            [lambda one=one: one.connect(url, transports=["websocket"]) for one in clients],
            [one.disconnect for one in clients],
        )
        return
    client = socketio.AsyncClient(handle_sigint=False)
    loop = asyncio.get_running_loop()
    waiting: set[asyncio.Task[None]] = set()

    def emit(event: str, value: object) -> None:
        task = loop.create_task(client.emit(event, value))
        waiting.add(task)
        task.add_done_callback(waiting.discard)

    load = Load(emit)

    async def echoed(value: str) -> None:
        load.count += 1
        await client.emit("echo", value)

    client.on("echo", echoed)
    client.on("b", load.flooded)
    await client.connect(url, transports=["websocket"])
    begin(load, workload)
    await measure(load, seconds)
    await client.disconnect()


def begin(load: Load, workload: str) -> None:
    if workload == "flood":
        load.emit("go", ASKED)
    else:
        for _ in range(IN_FLIGHT):
            load.emit("echo", VALUE)


async def idle(connects: list[Callable[[], Any]], disconnects: list[Callable[[], Any]]) -> None:
    first, rest = connects[:10], connects[10:]
    for connect in first:
        await connect()
    gc.collect()
    before, cpu = memory(), time.process_time()
    for at in range(0, len(rest), 50):
        await asyncio.gather(*[connect() for connect in rest[at : at + 50]])
    cpu = time.process_time() - cpu
    await asyncio.sleep(1)
    gc.collect()
    print(json.dumps({"count": len(rest), "memory": memory() - before, "cpu": cpu}))
    await asyncio.gather(*[disconnect() for disconnect in disconnects])


def main() -> None:
    name, port, workload, seconds = sys.argv[1:]
    run = {"roomcast": ours, "python-socketio": peer}[name]
    uvloop.run(run(f"http://127.0.0.1:{port}", workload, float(seconds)))


main()

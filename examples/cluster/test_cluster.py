"""The cluster as `make cluster` starts it: a broker, three servers, and a client at each."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from roomcast import connect
from roomcast.client import Socket

HERE = Path(__file__).parent
SERVERS = 3

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (HERE / "node_modules").exists(),
    reason="needs Node.js and the packages of npm",
)


def free_ports(count: int) -> int:
    """Return the first of some free ports in a row."""
    for first in range(20_000, 30_000, count):
        with suppress(OSError):
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
            return first
    raise RuntimeError("no free ports")


@pytest.fixture
def page() -> Iterator[str]:
    """Run the cluster; give the URL of its page."""
    port = free_ports(1 + SERVERS)
    command = [sys.executable, str(HERE / "run.py"), f"--port={port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert any(line.startswith("The cluster is on") for line in lines)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=20)


def read(url: str) -> bytes:
    """Return what is there."""
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
        return body


async def test_a_message_crosses_to_every_server(page: str) -> None:
    servers = json.loads(await asyncio.to_thread(read, f"{page}/servers.json"))
    assert [each["kind"] for each in servers] == ["roomcast", "roomcast", "Node.js"]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(each["url"])) for each in servers]
        for number, client in enumerate(clients):
            client.on("who", partial(str, f"client {number}"))
        for number, client in enumerate(clients):
            async with asyncio.timeout(10):
                while await client.emit_with_ack("count") != (SERVERS, SERVERS):
                    await asyncio.sleep(0.05)
            heard = [asyncio.ensure_future(_hear(each, f"hello {number}")) for each in clients]
            client.emit("say", f"hello {number}")
            async with asyncio.timeout(10):
                said_by = await asyncio.gather(*heard)
            assert len(set(said_by)) == 1
            assert said_by[0].startswith(servers[number]["kind"])
            answers = await client.emit_with_ack("ask")
            assert answers == ["client 0", "client 1", "client 2"]


async def _hear(client: Socket, text: str) -> str:
    """Wait for a text, and return at which server it was said."""
    while True:
        heard, server = await client.wait_for("said")
        if heard == text:
            return str(server)


async def test_the_page_and_its_parts_are_there_and_nothing_else(page: str) -> None:
    for path in ("/", "/app.css", "/app.js", "/logo.svg", "/socket.io.min.js"):
        assert await asyncio.to_thread(read, page + path)
    for path in ("/run.py", "/../README.md", "/package.json"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            await asyncio.to_thread(read, page + path)

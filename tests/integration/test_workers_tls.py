"""Workers behind TLS that uvicorn itself ends: a WebSocket that arrives at the wrong one cannot be handed over, since what TLS knows of a
connection is in one process. It is passed on message by message, and everything else as ever.
"""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import roomcast
from roomcast.engine.ways import NAME_LENGTH
from support.crowd_of_clients import crowd
from support.reference import missing_reference
from support.worker_clients import Client, children, wait_until

pytestmark = [
    pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference())),
    pytest.mark.timeout(180),
]

CLIENTS = 24
WORKERS = 2
LIMIT = 1_000_000
PIECE = 50_000

PROGRAM = f"""
import os
from roomcast import Limits, Server

io = Server(limits=Limits(max_http_buffer_size=2_000_000, send_buffer_size={LIMIT}))

@io.event
def who(socket, *args):
    return os.getpid()

@io.event
def secure(socket):
    return [socket.handshake.secure, socket.handshake.address]

@io.event
def length(socket, data):
    return len(data)

@io.event
def echo(socket, data):
    return data

@io.event
def flood(socket, count):
    for number in range(count):
        socket.emit("n", number, "x" * {PIECE})

@io.event
async def pour(socket, count):
    for number in range(count):
        await socket.emit("n", number, "x" * {PIECE})

@io.event
def counters(socket):
    return dict(io.engine.counters)

served = io.asgi()

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        with open(f"arrived-{{scope['query_string'].decode()[-28:]}}", "w") as file:
            file.write(str(os.getpid()))
    await served(scope, receive, send)
"""


class Served(NamedTuple):
    """What runs.

    Attributes:
        url: Where.
        folder: What the workers write to.
        pid: Their parent.
        context: Trusts it.
        authority: The same, as a file.
    """

    url: str
    folder: Path
    pid: int
    context: ssl.SSLContext
    authority: str


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


SERVERS = [
    (loop, ws)
    for loop in ("asyncio", "uvloop")
    for ws in ("roomcast.uvicorn:WebSocketProtocol", "websockets-sansio", "wsproto")
    if (loop, ws) != ("uvloop", "wsproto")  # once is enough
]


@pytest.fixture(
    scope="module", params=SERVERS, ids=lambda server: f"{server[0]}-{server[1].partition('.')[0]}"
)
def served(
    request: pytest.FixtureRequest,
    authority: trustme.CA,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    loop, ws = request.param
    folder = tmp_path_factory.mktemp("served")
    with serving(authority, folder, "--loop", loop, "--ws", ws) as running:
        yield running


@contextmanager
def serving(authority: trustme.CA, folder: Path, *options: str) -> Iterator[Served]:
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "certificate"))
    authority.cert_pem.write_to_path(str(folder / "authority"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "program:app", "--workers", str(WORKERS)]
    command += ["--ssl-keyfile", "key", "--ssl-certfile", "certificate"]
    command += ["--port", str(port), "--log-level", "warning", *options]
    command += ["--timeout-worker-healthcheck", "60"]  # on a busy machine none is to be replaced
    environment = os.environ | {"ROOMCAST_WORKERS": str(folder / "workers")}
    context = ssl.create_default_context(cafile=str(folder / "authority"))
    process = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        wait_until(lambda: len(names(folder)) == WORKERS or visit(port, context))
        url = f"https://127.0.0.1:{port}"
        yield Served(url, folder, process.pid, context, str(folder / "authority"))
    finally:
        for pid in (*children(process.pid), process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def names(folder: Path) -> list[str]:
    """Return the workers that can be passed to: those that have had a request."""
    directory = folder / "workers"
    found = os.listdir(directory) if directory.exists() else []
    return [name for name in found if len(name) == NAME_LENGTH]  # those of the bus have a prefix


def visit(port: int, context: ssl.SSLContext) -> None:
    """Let whichever worker takes it find out what it is."""
    try:
        line = socket.create_connection(("127.0.0.1", port))
    except OSError:
        return
    with line, context.wrap_socket(line, server_hostname="127.0.0.1") as tls:
        tls.sendall(b"GET /socket.io/?EIO=4 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        tls.recv(1_000)


@contextmanager
def relayed(served: Served) -> Iterator[tuple[Client, ClientConnection]]:
    """Upgrade until a WebSocket has arrived at the wrong worker."""
    with ExitStack() as stack:
        for _ in range(40):
            client = Client(served.url, served.context)
            owner = client.ask("who")
            address = f"wss://{client.host}/socket.io/?EIO=4&transport=websocket&sid={client.sid}"
            line = stack.enter_context(
                connect(address, max_size=None, ssl=served.context, close_timeout=1)
            )
            line.send("2probe")
            assert line.recv(timeout=20) == "3probe"
            line.send("5")
            arrived = int((served.folder / f"arrived-{client.sid}").read_text())
            if arrived != owner:
                yield client, line
                return
    pytest.fail("none was passed on")


def memory(pid: int) -> int:
    """Return the bytes that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.parametrize("transport", ["", "polling", "websocket"])
def test_official_clients_are_served_wherever_they_arrive(served, transport):
    environment = {"NODE_EXTRA_CA_CERTS": served.authority}
    with crowd(served.url, CLIENTS, transport, **environment) as clients:
        pids = clients.ask()
        if transport != "polling":
            clients.wait_upgraded(CLIENTS)
        assert clients.ask() == pids
        assert sum(pids.values()) == CLIENTS
        state = clients.state
        assert (state["unknown"], state["disconnects"]) == (0, 0)
    wait_until(lambda: Client(served.url, served.context).ask("counters").get("passed_here"))


async def test_our_client_is_served_wherever_it_arrives(served):
    async def come(transports: list[str]) -> None:
        async with roomcast.connect(
            served.url, ssl=served.context, transports=transports
        ) as client:
            assert await client.timeout(20).emit_with_ack("secure") == [True, "127.0.0.1"]
            for size in (10, 100_000, 600_000):
                data = os.urandom(size)
                assert await client.timeout(20).emit_with_ack("echo", data) == data

    for transports in (["polling", "websocket"], ["polling"], ["websocket"]):
        await asyncio.gather(*(come(transports) for _ in range(4)))


def test_what_is_passed_on_is_the_same_wherever_it_arrives(served):
    client = Client(served.url, served.context)
    body = b'420["length","' + b"x" * 100_000 + b'"]'
    for _ in range(6):
        assert client.ask("secure") == [True, "127.0.0.1"]
        assert client.ask("length", "x" * 1_500_000) == 1_500_000
        assert client.post_slowly(body, 5) == 200
        assert client.request("GET") == (200, b"430[100000]")
        assert client.request("POST", b"4" + b"x" * 2_000_000)[0] == 413


def test_a_websocket_is_relayed_both_ways(served):
    with relayed(served) as (_, line):
        for size in (10, 100_000, 1_500_000):
            line.send('451-1["echo",{"_placeholder":true,"num":0}]')
            data = os.urandom(size)
            line.send(data)
            assert line.recv(timeout=20) == '461-1[{"_placeholder":true,"num":0}]'
            assert line.recv(timeout=20) == data
            line.send(f'420["length","{"é" * (size // 2)}"]')
            assert line.recv(timeout=20) == f"430[{size // 2}]"


def test_a_websocket_that_does_not_read_is_closed_by_its_owner(served):
    with relayed(served) as (client, line):
        relay, owner = relay_and_owner(served, line)
        before = memory(relay), memory(owner)
        line.send('42["flood",2000]')  # 100 MB
        other = client_of(owner, served)
        wait_until(lambda: other.ask("counters").get("send_buffer_size"))
        assert memory(relay) - before[0] < 20_000_000
        # The events of one call are there at once; what is left of them is the owner's allocator's.
        assert memory(owner) - before[1] < 60_000_000
        with pytest.raises(ConnectionClosed):
            drain(line)
        assert client.request("GET")[0] == 400


def test_a_websocket_that_reads_slowly_holds_its_owner_back(served):
    with relayed(served) as (_, line):
        relay, owner = relay_and_owner(served, line)
        before = memory(relay), memory(owner)
        line.send('42["pour",400]')  # 20 MB
        time.sleep(1)
        assert memory(relay) - before[0] < 12_000_000
        assert memory(owner) - before[1] < 12_000_000
        for number in range(400):
            assert line.recv(timeout=20).startswith(f'42["n",{number},"x')


def relay_and_owner(served: Served, line: ClientConnection) -> tuple[int, int]:
    """Return the worker through which a WebSocket goes, and the one that has its session."""
    line.send('420["who"]')
    owner = json.loads(line.recv(timeout=20)[3:])[0]
    (relay,) = set(children(served.pid)) - {owner}
    return relay, owner


def drain(line: ClientConnection) -> None:
    while True:
        line.recv(timeout=20)


def client_of(pid: int, served: Served) -> Client:
    """Return a client whose session a worker has."""
    while True:
        client = Client(served.url, served.context)
        if client.ask("who") == pid:
            return client


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_workers_end_while_a_websocket_is_relayed(authority, tmp_path, loop):
    """A client that reads is told and gone; one that does not is waited for by the loop's own end of TLS, half a minute."""
    with (
        serving(authority, tmp_path, "--loop", loop, "--ws", "websockets-sansio") as served,
        relayed(served) as (_, line),
    ):
        os.kill(served.pid, signal.SIGTERM)
        wait_until(lambda: not children(served.pid))
        with pytest.raises(ConnectionClosed):
            drain(line)

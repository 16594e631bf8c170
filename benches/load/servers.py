"""A server as a child process on a core of its own, and what /proc says about it. Linux only."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Final, Self

__all__ = [
    "Server",
    "beside_python",
    "client",
    "cluster_node",
    "cores",
    "cpu_seconds",
    "flood",
    "floor",
    "node",
    "python",
    "raise_open_files",
    "socketioxide",
    "start",
]

PEERS: Final = Path(__file__).parent / "peers"
ROOT: Final = PEERS.parents[2]
NODE_MODULES: Final = ROOT / "tests" / "node_modules"
FLOOR: Final = ROOT / "target" / "release" / "examples" / "floor"
SOCKETIOXIDE: Final = ROOT / "target" / "peers" / "release" / "socketioxide-server"

TICKS: Final = os.sysconf("SC_CLK_TCK")
START: Final = 20.0
"""Seconds that a server may take to listen."""


def cores() -> tuple[int, int]:
    """Return the core of the servers and that of the load generator; a machine with one core cannot measure this."""
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        sys.exit("two cores are needed: one for the server, one for its clients")
    return first, others[0]


def raise_open_files(least: int) -> None:
    """Let this process and its children have that many files open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < least:
        sys.exit(f"{least} open files are needed, and {hard} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (least, hard))


def python(peer: str, **options: object) -> list[str]:
    """Return the command of a Python server."""
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [sys.executable, str(PEERS / "serve.py"), peer, *given]


def node(ping_interval: float) -> list[str]:
    """Return the command of the Node.js server."""
    return ["node", str(PEERS / "serve.js"), str(ping_interval)]


def flood() -> list[str]:
    """Return the command of the server that floods a client."""
    return [sys.executable, str(PEERS / "flood.py")]


def client(peer: str, *arguments: object) -> list[str]:
    """Return the command of a client.

    Args:
        peer: ``Node.js``, or whose Python client it is.
        arguments: Port, workload, and seconds or number of connections.
    """
    given = [str(argument) for argument in arguments]
    if peer == "Node.js":
        return ["node", "--expose-gc", str(PEERS / "client.js"), *given]
    return [sys.executable, str(PEERS / "client.py"), peer, *given]


def cluster_node(peer: str, kind: str, where: str) -> list[str]:
    """Return the command of a server of a cluster.

    Args:
        peer: ``Node.js``, or which Python server it is.
        kind: ``classic``, ``sharded`` or ``streams``; python-socketio has its own. Of roomcast also ``workers``.
        where: The broker's URL, or the directory of the workers.
    """
    if peer == "Node.js":
        return ["node", str(PEERS / "node.js"), kind, where]
    return [sys.executable, str(PEERS / "node.py"), peer, kind, where]


def socketioxide() -> list[str]:
    """Return the command of the server in Rust."""
    return [str(_built(SOCKETIOXIDE))]


def floor(how: str) -> list[str]:
    """Return the command of the floor.

    Args:
        how: ``send`` or ``coalesce``.
    """
    return [str(_built(FLOOR)), how]


def _built(program: Path) -> Path:
    if not program.exists():
        sys.exit(f"{program.relative_to(ROOT)} is missing: make bench-servers")
    return program


def beside_python() -> dict[str, str]:
    """Return the versions of the peers that are no Python packages."""
    node_version = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True)
    package = json.loads((NODE_MODULES / "socket.io" / "package.json").read_text())
    locked = tomllib.loads((PEERS / "socketioxide" / "Cargo.lock").read_text())["package"]
    (crate,) = [crate["version"] for crate in locked if crate["name"] == "socketioxide"]
    return {
        "Node.js": node_version.stdout.strip().removeprefix("v"),
        "socket.io": package["version"],
        "socketioxide": crate,
    }


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far, user and system, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def start(command: list[str], core: int) -> subprocess.Popen[str]:
    """Start a peer on a core; what it prints can be read."""
    paths = [str(NODE_MODULES), *filter(None, [os.environ.get("NODE_PATH")])]
    return subprocess.Popen(
        ["taskset", "--cpu-list", str(core), *command],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"NODE_PATH": os.pathsep.join(paths)},
    )


class Server:
    """A server that runs; a context manager, which ends it.

    Attributes:
        pid: Its process.
        port: Where it listens.
    """

    def __init__(self, command: list[str], core: int) -> None:
        self._process = start(command, core)
        self.pid = self._process.pid  # taskset becomes the server
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{command[-1]} does not start: {' '.join(command)}")
        self.port = int(line)
        self._wait_listening()

    def _wait_listening(self) -> None:
        end = time.monotonic() + START
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ask(self, number: signal.Signals) -> str:
        """Send a signal that it answers by a line, and return that."""
        os.kill(self.pid, number)
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def cpu_seconds(self) -> float:
        """Return its processor time so far."""
        return cpu_seconds(self.pid)

    def memory(self) -> int:
        """Return the bytes that it holds resident."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

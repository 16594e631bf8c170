"""What tests of several workers share: a client on polling that may be served by any of them, and what becomes of processes."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["UNKNOWN", "Client", "answers", "children", "started", "wait_until"]


def wait_until(done: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def answers(port: int) -> bool:
    """Say whether somebody accepts connections at a port of this machine."""
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def started(directory: Path) -> int:
    """Return how many workers serve, by what they have in their directory: with fewer than all, one may have all the clients."""
    return len(list(directory.glob("bus-*")))


def children(pid: int) -> list[int]:
    """Return the processes that serve for one."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found if "from multiprocessing.spawn" in _command(each)]


def _command(pid: str) -> str:
    """Return the command line of a process, nothing if it has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
    except FileNotFoundError:
        return ""


class Client:
    """A client on polling whose every request has a connection of its own."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        self.host = url.partition("://")[2]
        self.context = context
        self.sid = ""
        self.sid = json.loads(self.request("GET")[1][1:])["sid"]
        self.request("POST", b"40")
        self.request("GET")

    def connection(self) -> http.client.HTTPConnection:
        if self.context is None:
            return http.client.HTTPConnection(self.host, timeout=20)
        return http.client.HTTPSConnection(self.host, timeout=20, context=self.context)

    def request(self, method: str, body: bytes | None = None, sid: str = "") -> tuple[int, bytes]:
        line = self.connection()
        sid = sid or self.sid
        query = "EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")
        try:
            line.request(method, f"/socket.io/?{query}", body)
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()

    def post_slowly(self, body: bytes, pieces: int) -> int:
        """Send a body in pieces, with pauses between them; return the status of the answer."""
        line = self.connection()
        try:
            line.putrequest("POST", f"/socket.io/?EIO=4&transport=polling&sid={self.sid}")
            line.putheader("content-length", str(len(body)))
            line.endheaders()
            size = -(-len(body) // pieces)
            for begin in range(0, len(body), size):
                time.sleep(0.02)
                line.send(body[begin : begin + size])
            return line.getresponse().status
        finally:
            line.close()

    def ask(self, *args: object) -> object:
        status, _ = self.request("POST", b"420" + json.dumps(args).encode())
        assert status == 200
        _, body = self.request("GET")
        assert body.startswith(b"430"), body
        return json.loads(body[3:])[0]


UNKNOWN = b'{"code":1,"message":"Session ID unknown"}'

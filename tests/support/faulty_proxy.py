"""An HTTP proxy that does what proxies do wrong: it is told, request by request, what to spoil."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

__all__ = ["Passing", "faulty_proxy"]


@dataclass
class Passing:
    """A request on its way, and what is to be done to it.

    Attributes:
        head: From the request line to the empty line.
        number: Of the request.
        port: Where it is sent to.
        delay: Seconds that its answer is kept back.
        replacements: Pairs of what is replaced in the head of the answer, and by what.
        mute: Whether nothing behind the head of the answer is passed on.
    """

    head: bytes
    number: int
    port: int
    delay: float = 0.0
    replacements: list[tuple[bytes, bytes]] = field(default_factory=list)
    mute: bool = False

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def follows(self) -> bool:
        """Whether it is for a session that is there."""
        return "sid=" in self.target

    @property
    def is_upgrade(self) -> bool:
        return b"upgrade: websocket" in self.head.lower()


Fault = Callable[[Passing], bytes | None]


@contextmanager
def faulty_proxy(fault: Fault, *ports: int, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve a proxy; give its URL.

    Args:
        fault: Spoils a request, or returns the bytes that answer it.
        ports: The servers behind it.
        tls: What it speaks TLS with.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    numbers = count()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with suppress(OSError):
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            with connection:
                head, rest = read_head(connection)
                if not head:
                    return
                passing = Passing(head, next(numbers), ports[0] if ports else 0)
                answer = fault(passing)
                if answer is not None:
                    time.sleep(passing.delay)
                    connection.sendall(answer)
                    return
                with socket.create_connection(("127.0.0.1", passing.port)) as server:
                    server.sendall(passing.head + rest)
                    relay(connection, server, passing)

    thread = threading.Thread(target=serve)
    thread.start()
    scheme = "http" if tls is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65_536)
        if not data:
            return b"", b""
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def relay(client: socket.socket, server: socket.socket, passing: Passing) -> None:
    """Pass on what comes, until one of them has gone; in one thread, for a socket of TLS bears no two."""
    head = b""
    while True:
        waiting = isinstance(client, ssl.SSLSocket) and client.pending()
        ready = [client] if waiting else select.select([client, server], [], [])[0]
        for source in ready:
            data = source.recv(65_536)
            if not data:
                return
            if source is client:
                server.sendall(data)
                continue
            if b"\r\n\r\n" not in head:
                head += data
                if b"\r\n\r\n" not in head:
                    continue
                answer, end, data = head.partition(b"\r\n\r\n")
                answer += end
                for old, new in passing.replacements:
                    answer = answer.replace(old, new)
                time.sleep(passing.delay)
                client.sendall(answer)
            if not passing.mute:
                client.sendall(data)

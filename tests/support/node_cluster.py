"""A Node.js server in a cluster, and the official emitter, under remote control; the other half is ``tests/node/cluster.js``."""

import asyncio
import json
from typing import Any, Final, Self

from support.reference import NODE_DIRECTORY, pack, unpack

__all__ = ["NodeError", "NodeServer"]

PATIENCE: Final = 8.0


class NodeError(Exception):
    """The JavaScript server threw."""


class NodeServer:
    """One Node.js server."""

    def __init__(self, broker_url: str, kind: str = "classic", *, recovers: bool = False) -> None:
        self.broker_url = broker_url
        self.kind = kind
        self.recovers = recovers
        self.url = ""
        self.calls: dict[int, asyncio.Future[Any]] = {}
        self.next_call = 0

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            "node",
            str(NODE_DIRECTORY / "cluster.js"),
            self.broker_url,
            self.kind,
            "recover" if self.recovers else "",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            first = json.loads(await self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{first['port']}"
        self.reader = asyncio.create_task(self.read())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()
        await self.reader

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            message = json.loads(line)
            future = self.calls.pop(message["call"])
            if future.done():
                continue
            if "error" in message:
                future.set_exception(NodeError(message["error"]))
            else:
                future.set_result(message["result"])

    async def call(self, op: str, *args: Any, nsp: str = "/", **command: Any) -> Any:
        """Let it do something; return what comes of it."""
        self.next_call += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.calls[self.next_call] = future
        message = {"call": self.next_call, "op": op, "nsp": nsp, "args": [*map(pack, args)]}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message | command).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            return await future

    async def heard(self) -> list[list[Any]]:
        """Return the events of other servers that it has heard since the last time, each with its namespace."""
        return [[name, *map(unpack, args)] for name, *args in await self.call("heard")]

"""Official clients under remote control, in one Node.js process; the other half is ``tests/node/client.js``."""

import asyncio
import json
from collections import defaultdict
from typing import Any, Final, Self

from support.reference import NODE_DIRECTORY, pack, unpack

__all__ = ["NEWEST", "ClientError", "OfficialClient", "OfficialClients"]

NEWEST: Final = "socket.io-client"
"""The npm package of the newest client, as tests/package.json names it; older ones have aliases there."""

PATIENCE: Final = 15.0
"""Seconds that an event may take which has to come."""


class ClientError(Exception):
    """The JavaScript client threw, or gave an error to a callback."""


class OfficialClient:
    """One socket of the official client."""

    def __init__(self, clients: "OfficialClients", number: int) -> None:
        self.clients = clients
        self.number = number
        self.queues: defaultdict[str, asyncio.Queue[list[Any]]] = defaultdict(asyncio.Queue)
        self.record: list[list[Any]] = []
        self.decided = asyncio.Event()
        self.errors: asyncio.Queue[str] = asyncio.Queue()
        self.id = ""

    def heard(self, event: str, args: list[Any]) -> None:
        self.record.append([event, *args])
        if event == "connect":
            (self.id,) = args
        if event in ("connect", "connect_error"):
            self.decided.set()
        self.queues[event].put_nowait(args)

    @property
    def order(self) -> list[str]:
        """The names of all events that came, the oldest first."""
        return [event for event, *_ in self.record]

    async def next(self, event: str) -> list[Any]:
        """Return the arguments of the next event of this name that was not yet asked for."""
        async with asyncio.timeout(PATIENCE):
            return await self.queues[event].get()

    def waiting(self, event: str) -> int:
        """Return how many events of this name came and were not asked for."""
        return self.queues[event].qsize()

    def emit(self, *args: Any) -> None:
        self.clients.send(socket=self.number, op="emit", args=[pack(arg) for arg in args])

    async def ask(self, *args: Any, timeout_ms: int | None = None) -> list[Any]:
        """Emit with an acknowledgement; return its arguments."""
        return await self.clients.call(
            socket=self.number, op="ask", args=[pack(arg) for arg in args], timeout=timeout_ms
        )

    async def answer(
        self, event: str, *args: Any, times: int = 1, delay_ms: int | None = None
    ) -> None:
        """From now on answer acknowledgements of this event so, ``times`` over, at once or after a delay."""
        self.clients.send(
            socket=self.number,
            op="answer",
            event=event,
            args=[pack(arg) for arg in args],
            times=times,
            delay=delay_ms,
        )
        await self.state()

    async def state(self) -> dict[str, Any]:
        """Return what the socket says of itself; everything sent before has been carried out then."""
        (state,) = await self.clients.call(socket=self.number, op="state")
        assert isinstance(state, dict)
        return state

    async def settle(self) -> None:
        """Return when a round trip through the server is over: what was on its way before has arrived.

        The server of the tests answers ``settle``.
        """
        assert await self.ask("settle") == []

    def connect(self) -> None:
        """Connect again, after a disconnect."""
        self.clients.send(socket=self.number, op="connect")

    def move(self, url: str) -> None:
        """Connect to another server from the next time on."""
        self.clients.send(socket=self.number, op="move", url=url)

    def disconnect(self) -> None:
        self.clients.send(socket=self.number, op="disconnect")

    def send_raw(self, text: str) -> None:
        """Send one Engine.IO message that the client did not make."""
        self.clients.send(socket=self.number, op="raw", text=text)

    def send_frame(self, text: str) -> None:
        """Send one frame of the WebSocket that Engine.IO did not make."""
        self.clients.send(socket=self.number, op="frame", text=text)

    def close_engine(self) -> None:
        self.clients.send(socket=self.number, op="close engine")


class OfficialClients:
    """One Node.js process and its sockets; belongs to one event loop."""

    process: asyncio.subprocess.Process
    reader: asyncio.Task[None]

    def __init__(self) -> None:
        self.url = ""
        self.sockets: list[OfficialClient] = []
        self.calls: dict[int, asyncio.Future[list[Any]]] = {}
        self.next_call = 0

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            "node",
            str(NODE_DIRECTORY / "client.js"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
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
            socket = self.sockets[message["socket"]]
            if "event" in message:
                socket.heard(message["event"], [unpack(arg) for arg in message["args"]])
                continue
            future = self.calls.pop(message["call"], None)
            if future is None:
                socket.errors.put_nowait(message["error"])
            elif future.done():
                pass
            elif "error" in message:
                future.set_exception(ClientError(message["error"]))
            else:
                future.set_result([unpack(arg) for arg in message["args"]])

    def send(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def call(self, **command: Any) -> list[Any]:
        self.next_call += 1
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.calls[self.next_call] = future
        self.send(call=self.next_call, **command)
        async with asyncio.timeout(PATIENCE):
            return await future

    def reset(self, url: str) -> None:
        """Forget all sockets; those to come connect to this server."""
        self.send(op="reset")
        self.url = url

    def open(
        self,
        nsp: str = "/",
        *,
        manager: OfficialClient | None = None,
        client: str = NEWEST,
        **options: Any,
    ) -> OfficialClient:
        """Return a socket that is about to connect.

        Args:
            nsp: The namespace.
            manager: Shares the connection of this socket.
            client: The npm package.
            options: The client's own, here WebSocket only, one connection each and no reconnection; ``None`` leaves one out.
        """
        socket = OfficialClient(self, len(self.sockets))
        self.sockets.append(socket)
        self.send(
            socket=socket.number,
            op="open",
            client=client,
            url=nsp if manager else self.url + nsp,
            options=options,
            manager=manager and manager.number,
        )
        return socket

    async def connect(self, nsp: str = "/", **options: Any) -> OfficialClient:
        """Return a socket that is connected; the arguments are those of `open`."""
        socket = self.open(nsp, **options)
        await socket.next("connect")
        return socket

"""A small language for what clients and a server do, played by the official client against any server, with a transcript.

A `Scenario` is data: how the server is set up (chains, see `support.scenario_server`) and steps, one after the other:

    ================================  ===========================================================================
    ("open", who, options)            connect, and wait for the answer; ``who`` is a name and a namespace: ``ann/chat``.
                                      ``share`` names another whose connection is used, ``auth`` adds to the auth
    ("begin", who, options)           the same without waiting
    ("emit", who, event, ...)         the client emits
    ("ask", who, event, ...)          the client emits with an acknowledgement, which goes into the transcript
    ("answer", who, event, ...)       how the client answers from now on
    ("leave", who), ("cut", who)      it disconnects; its engine closes
    ("raw", who, text)                it sends an Engine.IO message that it did not make; ``frame`` a WebSocket frame
    ("do", chain)                     the server does something, whose result goes into the transcript
    ("start", chain)                  the same in the background; the result comes with ``("join",)``
    ("hears", who, event)             wait until the client has heard an event
    ("logged", count)                 wait until the server has logged so much
    ("wait", seconds)                 wait
    ================================  ===========================================================================

After each step, what was on its way has arrived. A transcript is what each client has heard, what the server has logged, and the
results, with the names of clients in the place of ids.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from support.official_client import PATIENCE, ClientError, OfficialClient, OfficialClients
from support.scenario_server import Chain, ScenarioServer
from support.served import eventually

__all__ = ["SETTLE", "Scenario", "Step", "Transcript", "play"]

Step = tuple[Any, ...]
Transcript = dict[str, list[Any]]

SETTLE = ["on", "connection", {"handler": [["do", ["socket", ["on", "settle", {"handler": [["return"]]}]]]]}]  # fmt: skip
"""The link that lets a namespace say when what was sent has arrived; every namespace needs it."""


@dataclass(frozen=True)
class Scenario:
    """Something that clients and a server do.

    Attributes:
        name: What it shows.
        setup: What the server does before it listens; ``/`` has `SETTLE`.
        steps: What happens.
        options: The server's.
        differs: By whose transcript (``server``, or a client) roomcast differs from the reference: ours, theirs, and the row of
            docs/deviations.md that says why.
    """

    name: str
    setup: list[Chain]
    steps: list[Step]
    options: dict[str, Any] = field(default_factory=dict)
    differs: dict[str, tuple[list[Any], list[Any], str]] = field(default_factory=dict)


class Play:
    """A scenario that is being played."""

    def __init__(self, server: ScenarioServer, node: OfficialClients) -> None:
        self.server = server
        self.node = node
        self.clients: dict[str, OfficialClient] = {}
        self.log: list[Any] = []
        self.background: list[asyncio.Task[list[Any]]] = []

    async def open(self, who: str, options: dict[str, Any] | None = None) -> None:
        await self.begin(who, options)
        async with asyncio.timeout(PATIENCE):
            await self.clients[who].decided.wait()

    async def begin(self, who: str, options: dict[str, Any] | None = None) -> None:
        given = {"share": None, "auth": {}, **(options or {})}
        name, slash, nsp = who.partition("/")
        manager = self.clients.get(given.pop("share"))
        auth = {"name": name, **given.pop("auth")}
        self.clients[who] = self.node.open(slash + nsp, manager=manager, auth=auth, **given)

    async def emit(self, who: str, *args: Any) -> None:
        self.clients[who].emit(*args)

    async def ask(self, who: str, event: str, *args: Any) -> None:
        client = self.clients[who]
        client.record.append(["answer", event, *await client.ask(event, *args)])

    async def answer(self, who: str, event: str, *args: Any) -> None:
        await self.clients[who].answer(event, *args)

    async def leave(self, who: str) -> None:
        self.clients[who].disconnect()

    async def cut(self, who: str) -> None:
        self.clients[who].close_engine()

    async def raw(self, who: str, text: str) -> None:
        self.clients[who].send_raw(text)

    async def frame(self, who: str, text: str) -> None:
        self.clients[who].send_frame(text)

    async def do(self, chain: Chain) -> None:
        self.log.append(await self.server.do(chain))

    async def start(self, chain: Chain) -> None:
        self.background.append(asyncio.create_task(self.server.do(chain)))
        await asyncio.sleep(0)

    async def join(self) -> None:
        self.log.extend(await asyncio.gather(*self.background))
        self.background.clear()

    async def hears(self, who: str, event: str) -> None:
        await eventually(lambda: event in self.clients[who].order)

    async def logged(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.log) < count:
                await asyncio.sleep(0.005)
                self.log += await self.server.take_log()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def settle(self) -> None:
        for client in self.clients.values():
            if (await client.state())["connected"]:
                try:
                    await client.ask("settle", timeout_ms=int(PATIENCE * 900))
                except ClientError:
                    pass  # it disconnected meanwhile

    def transcript(self) -> Transcript:
        ids = {
            entry[1]: f"<{who.partition('/')[0]}>"
            for who, client in self.clients.items()
            for entry in client.record
            if entry[0] == "connect"
        }
        heard = {who: client.record for who, client in self.clients.items()}
        return renamed({**heard, "server": self.log}, ids)


async def play(scenario: Scenario, server: ScenarioServer, node: OfficialClients) -> Transcript:
    """Play a scenario; return what happened."""
    port = await server.start(scenario.options, [["io", SETTLE], *scenario.setup])
    node.reset(f"http://127.0.0.1:{port}")
    playing = Play(server, node)
    try:
        for step in scenario.steps:
            verb, *rest = step
            await getattr(playing, verb)(*rest)
            await playing.settle()
            playing.log += await server.take_log()
        return playing.transcript()
    finally:
        node.reset("")
        await server.stop()


def renamed(value: Any, names: dict[str, str]) -> Any:
    """Put names in the place of ids."""
    match value:
        case str():
            return names.get(value, value)
        case list():
            return [renamed(item, names) for item in value]
        case {"set": items} if len(value) == 1:
            return set(renamed(items, names))
        case dict():
            return {key: renamed(item, names) for key, item in value.items()}
        case _:
            return value

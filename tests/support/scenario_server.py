"""Servers whose program is data, so that roomcast and the reference can run the same one; the reference's half is
``tests/node/scenario.js``.

A *chain* is a root and links: ``["io", ["to", "a"], "volatile", ["emit", "hello", 1]]`` is ``io.to("a").volatile.emit("hello", 1)``. A
root is ``io``, the name of a client with its namespace (``ann/chat``) for its socket, inside of actions ``socket``, or a name that
an earlier link ``["as", name]`` has given to what stood before it. Names are Python's; the reference takes off their underscores.

Arguments are themselves, or one of

    ====================  =======================================================================================
    {"seconds": 1}        a time, in the unit of the library
    {"id": "ann/"}        the id of a socket
    {"regex": "^/a"}      a pattern
    {"packed": …}         a value with the marks of `support.reference.pack`, such as bytes
    {"handler": […]}      a function for an event, {"ack": […]} for an acknowledgement, {"middleware": […]} for a
                          connection, {"packet": […]} for an event, {"predicate": […]} for a name; made of actions
    ====================  =======================================================================================

*Actions* are done one after the other:

    ========================  ===================================================================================
    ["log", label, count]     note the label, the socket and (the first ``count`` of) the arguments
    ["tell", label, chain]    note the result of a chain
    ["do", chain]             evaluate a chain
    ["return", …]             acknowledge with these arguments
    ["allow", yes]            what a predicate says
    ["only", value]           end here unless the first argument is this
    ["wait", seconds]         wait
    ["set", index, value]     change an argument
    ["refuse", text, data]    fail; in a middleware for connections with a `ConnectError`
    ========================  ===================================================================================

The event ``settle`` is the test's own: no function of actions hears of it.
"""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from inspect import isawaitable
from typing import Any, Protocol, Self

from roomcast import (
    AckTimeoutError,
    ConnectError,
    Namespace,
    PacketError,
    RoomcastError,
    Server,
    Socket,
)
from roomcast.serving import Listening
from support.reference import NODE_DIRECTORY, pack, unpack
from support.served import all_gone

__all__ = ["Chain", "ReferenceServer", "RoomcastServer", "ScenarioServer", "bytes_of"]

Chain = list[Any]
Actions = list[list[Any]]
Entry = list[Any]


class ScenarioServer(Protocol):
    """A server that runs a scenario."""

    async def start(self, options: dict[str, Any], setup: list[Chain]) -> int:
        """Begin anew; return the port."""

    async def do(self, chain: Chain) -> Entry:
        """Evaluate a chain; return ``["result", value]`` or ``["error", text]``."""

    async def take_log(self) -> list[Entry]:
        """Return what was logged since the last time."""

    async def stop(self) -> None:
        """Stop serving."""


class Context:
    """What the functions of actions can refer to."""

    def __init__(self, socket: Socket | None = None) -> None:
        self.socket = socket


class RoomcastServer:
    """Roomcast, in this process."""

    io: Server
    listening: Listening

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.log: list[Entry] = []

    async def start(self, options: dict[str, Any], setup: list[Chain]) -> int:
        self.io = Server(**options)
        self.names = {"io": self.io}
        self.log = []
        for chain in setup:
            self.chain(chain, Context())
        self.listening = await self.io.listen(0)
        return self.listening.port

    async def do(self, chain: Chain) -> Entry:
        try:
            value = self.chain(chain, Context())
            if isawaitable(value):
                value = await value
        except (RoomcastError, ValueError, TypeError) as error:
            responses = error.responses if isinstance(error, AckTimeoutError) else []
            return ["error", str(error), responses] if responses else ["error", str(error)]
        plain = isinstance(value, str | int | float | list | tuple | set)
        return ["result", self.tell(value) if plain else None]

    async def take_log(self) -> list[Entry]:
        log, self.log = self.log, []
        return log

    async def stop(self) -> None:
        await all_gone(self.io)
        await self.io.close(timeout=0)

    def chain(self, chain: Chain, context: Context) -> Any:
        root, *links = chain
        value = context.socket if root == "socket" else self.names[root]
        for link in links:
            if isinstance(link, str):
                value = getattr(value, link)
            elif link[0] == "as":
                self.names[link[1]] = value
            else:
                name, *given = link
                args = [self.value(arg, context) for arg in given]
                keywords = {}
                if given and isinstance(given[-1], dict) and "ack" in given[-1]:
                    keywords["ack"] = args.pop()
                result = getattr(value, name)(*args, **keywords)
                value = value if name == "use" else result  # which is a decorator
        return value

    def meet(self, socket: Socket) -> None:
        self.names[socket.handshake.auth["name"] + socket.nsp.name] = socket

    def tell(self, value: Any) -> Any:
        match value:
            case Socket():
                return name_of(value)
            case Namespace():
                return value.name
            case ConnectError() if value.data is not None:
                return ["error", value.message, value.data]
            case PacketError():
                return ["error", str(value.kind)]
            case BaseException():
                return ["error", str(value)]
            case set():
                return {"set": list(value)}
            case list() if any(isinstance(item, Socket) for item in value):
                return sorted(name_of(item) for item in value)
            case list() | tuple():
                return [self.tell(item) for item in value]
            case _:
                return value

    def value(self, given: Any, context: Context) -> Any:
        if isinstance(given, list):
            return [self.value(item, context) for item in given]
        if not isinstance(given, dict):
            return given
        ((mark, inner),) = given.items()
        match mark:
            case "seconds":
                return inner
            case "id":
                return self.names[inner].id
            case "regex":
                return re.compile(inner)
            case "packed":
                return unpack(inner)
            case _:
                return self.function(mark, inner, context)

    def function(self, mark: str, actions: Actions, context: Context) -> Callable[..., Any]:
        def handler(*args: Any) -> Coroutine[Any, Any, Any] | None:
            around = context
            if args and isinstance(args[0], Socket):
                self.meet(args[0])
                around = Context(args[0])
            return None if args[:1] == ("settle",) else self.run(actions, around, list(args))

        def middleware(socket: Socket) -> Coroutine[Any, Any, Any]:
            self.meet(socket)
            return self.run(actions, Context(socket), [])

        def packet(event: list[Any]) -> Coroutine[Any, Any, Any] | None:
            return None if event[0] == "settle" else self.run(actions, context, event)

        def predicate(name: str, auth: Any) -> Coroutine[Any, Any, Any]:
            return self.run(actions, context, [name])

        functions: dict[str, Callable[..., Any]] = {
            "handler": handler,
            "ack": handler,
            "middleware": middleware,
            "packet": packet,
            "predicate": predicate,
        }
        return functions[mark]

    async def run(self, actions: Actions, context: Context, args: list[Any]) -> Any:
        result: Any = None
        for verb, *rest in actions:
            match verb:
                case "log":
                    label, count = (*rest, None)[:2]
                    who = None if context.socket is None else name_of(context.socket)
                    self.log.append([label, who, *[self.tell(arg) for arg in args[:count]]])
                case "return":
                    result = tuple(self.value(rest, context))
                case "allow":
                    return rest[0]
                case "only":
                    if args[0] != rest[0]:
                        return result
                case "wait":
                    await asyncio.sleep(rest[0])
                case "set":
                    args[rest[0]] = rest[1]
                case "refuse":
                    raise ConnectError(*rest)
                case "tell":
                    told = self.chain(rest[1], context)
                    self.log.append([rest[0], self.tell(await told if isawaitable(told) else told)])
                case "do":
                    self.chain(rest[0], context)
                case _:
                    raise AssertionError(f"no such action: {verb}")
        return result


class ReferenceServer:
    """The reference, in a Node.js process."""

    process: asyncio.subprocess.Process
    reader: asyncio.Task[None]

    def __init__(self) -> None:
        self.asked: dict[int, asyncio.Future[Any]] = {}
        self.number = 0

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            "node",
            str(NODE_DIRECTORY / "scenario.js"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.reader = asyncio.create_task(self.read())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()
        await self.reader

    async def start(self, options: dict[str, Any], setup: list[Chain]) -> int:
        translated = {
            re.sub("_([a-z])", lambda match: match[1].upper(), name): (
                value * 1000
                if isinstance(value, int | float) and not isinstance(value, bool)
                else value
            )
            for name, value in options.items()
        }
        port: int = await self.ask(op="start", options=translated, setup=setup)
        return port

    async def do(self, chain: Chain) -> Entry:
        entry: Entry = unpack(await self.ask(op="do", chain=chain))
        return entry

    async def take_log(self) -> list[Entry]:
        log: list[Entry] = unpack(await self.ask(op="take log"))
        return log

    async def stop(self) -> None:
        await self.ask(op="stop")

    async def ask(self, **command: Any) -> Any:
        assert self.process.stdin is not None
        self.number += 1
        future = self.asked[self.number] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps({"number": self.number, **command}).encode() + b"\n")
        async with asyncio.timeout(10):
            answer = await future
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            answer = json.loads(line)
            future = self.asked.pop(answer["number"])
            if not future.done():
                future.set_result(answer)


def name_of(socket: Socket) -> str:
    return f"<{socket.handshake.auth['name']}>"


def bytes_of(data: bytes) -> dict[str, Any]:
    """Return bytes as an argument of a chain."""
    return {"packed": pack(data)}

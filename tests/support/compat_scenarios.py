"""What python-socketio's server and `roomcast.compat` are both asked to do, and what came of it.

A scenario gets a `World`: a server that was made of either library, with official clients at the other end. Whatever it notes is
compared between the two, with the ids of sockets by the names of their clients.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from support.compat_servers import library
from support.official_client import OfficialClient, OfficialClients

__all__ = ["OPTIONS", "SCENARIOS", "World"]

Scenario = Callable[["World"], Awaitable[None]]

SCENARIOS: Final[dict[str, Scenario]] = {}
OPTIONS: Final[dict[str, dict[str, Any]]] = {}


def scenario(**options: Any) -> Callable[[Scenario], Scenario]:
    """Add a scenario, with the options of its server."""

    def add(function: Scenario) -> Scenario:
        SCENARIOS[function.__name__] = function
        OPTIONS[function.__name__] = options
        return function

    return add


class World:
    """A server, its clients, and what was noted.

    Attributes:
        sio: The server.
        socketio: The library that it is of.
        notes: What was noted, in order.
    """

    def __init__(self, kind: str, options: dict[str, Any], node: OfficialClients) -> None:
        self.socketio = library(kind)
        self.sio = self.socketio.AsyncServer(async_mode="asgi", **options)
        self.node = node
        self.notes: list[Any] = []
        self._names: dict[str, str] = {}

    def note(self, *what: Any) -> None:
        self.notes.append(self._named(what))

    async def connect(self, name: str, nsp: str = "/", **options: Any) -> OfficialClient:
        client = await self.node.connect(nsp, **options)
        self._names[client.id] = name
        return client

    async def heard(self, name: str, client: OfficialClient) -> None:
        """Note what a client has heard since it was asked last; the server answers ``settle``."""
        assert await client.ask("settle") == []
        start = getattr(client, "noted", 0)
        client.noted = len(client.record)  # type: ignore[attr-defined]
        for event in client.record[start:]:
            if event[0] not in ("connect", "upgrade"):
                self.note(name, *event)

    async def raised(self, what: Awaitable[Any]) -> None:
        """Note what is raised, or what comes of it otherwise."""
        try:
            self.note("returned", await what)
        except Exception as error:  # noqa: BLE001  whatever it is
            self.note("raised", type(error).__name__)

    def _named(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._names.get(value, value)
        if isinstance(value, list | tuple):
            return [self._named(item) for item in value]
        if isinstance(value, dict):
            return {self._named(key): self._named(item) for key, item in value.items()}
        return value


def settling(world: World, *namespaces: str) -> None:
    for nsp in namespaces or ("/",):
        world.sio.on("settle", lambda *args: None, namespace=nsp)


async def answer_to(client: OfficialClient, *event: Any) -> Any:
    """Return the acknowledgement of an event, if there is one by the time that of the next event comes."""
    asked = asyncio.ensure_future(client.ask(*event))
    await asyncio.sleep(0)
    await client.ask("settle")
    if not asked.done():
        asked.cancel()
        return "no answer"
    return asked.result()


async def trio(world: World, nsp: str = "/") -> list[OfficialClient]:
    """Three clients: a and b in the room r, b and c in the room s."""
    settling(world, nsp)
    clients = [await world.connect(name, nsp) for name in "abc"]
    a, b, c = [client.id for client in clients]
    for sid, room in ((a, "r"), (b, "r"), (b, "s"), (c, "s")):
        await world.sio.enter_room(sid, room, namespace=nsp)
    return clients


async def all_heard(world: World, clients: list[OfficialClient]) -> None:
    for name, client in zip("abc", clients, strict=True):
        await world.heard(name, client)


@scenario()
async def recipients(world: World) -> None:
    sio, clients = world.sio, await trio(world)
    a, b, c = [client.id for client in clients]
    for number, given in enumerate(
        (
            {},
            {"to": a},
            {"room": a},
            {"to": a, "room": b},
            {"to": "r"},
            {"room": "r"},
            {"to": ["r", "s"]},
            {"to": ("r", "s")},
            {"to": [a, "s"]},
            {"to": "nowhere"},
            {"to": ["nowhere", a]},
            {"to": "r", "skip_sid": a},
            {"to": ["r", "s"], "skip_sid": [a, b]},
            {"skip_sid": b},
            {"skip_sid": [a, c]},
            {"to": a, "skip_sid": a},
            {"skip_sid": None},
            {"to": []},
            {"to": ""},
            {"namespace": "/"},
            {"namespace": "/nobody"},
            {"ignore_queue": True},
        )
    ):
        await sio.emit("event", number, **given)
    await all_heard(world, clients)


@scenario()
async def arguments(world: World) -> None:
    sio, (a, *_) = world.sio, await trio(world)
    for data in (
        None,
        0,
        False,
        "",
        (),
        [],
        {},
        (1,),
        (1, "2", [3]),
        [1, 2],
        (None,),
        b"bytes",
        {"a": [b"1", {"b": b"2"}]},
        ("é😀", 1.5, -(2**53)),
    ):
        await sio.emit("event", data, to=a.id)
        await sio.emit("event", data, to="r")
        await sio.send(data, to=a.id)
    await world.heard("a", a)


@scenario()
async def rooms(world: World) -> None:
    sio, clients = world.sio, await trio(world)
    a, b, c = [client.id for client in clients]
    await sio.enter_room(a, 5)
    await sio.enter_room(b, "5")
    await sio.emit("event", "int", to=5)
    await sio.emit("event", "str", to="5")
    for sid in (a, b, c, "nobody"):
        world.note(sorted(map(repr, world._named(sio.rooms(sid)))))
    for room in ("r", None, ["r", "s"], "nowhere"):
        sids = [sid for sid, _ in sio.manager.get_participants("/", room)]
        world.note(sorted(world._named(sids)))
    world.note(list(sio.manager.get_namespaces()))
    world.note([sio.manager.is_connected(sid, "/") for sid in (a, "nobody")])
    await sio.leave_room(a, "r")
    await sio.leave_room(a, "r")
    await sio.leave_room("nobody", "r")
    await sio.emit("event", "left", to="r")
    await sio.close_room("s")
    await sio.close_room("nowhere")
    await sio.emit("event", "closed", to="s")
    await world.raised(sio.enter_room("nobody", "r"))
    await world.raised(sio.enter_room(a, "r", namespace="/nobody"))
    await world.raised(sio.enter_room(a, b))
    await world.raised(sio.close_room(a))
    await all_heard(world, clients)


@scenario()
async def callbacks(world: World) -> None:
    sio, clients = world.sio, await trio(world)
    answers: asyncio.Queue[Any] = asyncio.Queue()
    for client, values in zip(clients, ((), ("one",), (1, b"2")), strict=True):
        await client.answer("ask", *values)
        await sio.emit("ask", callback=lambda *args: answers.put_nowait(args), to=client.id)
        world.note(await answers.get())

    async def later(*args: Any) -> None:
        await asyncio.sleep(0)
        answers.put_nowait(("later", *args))

    await sio.emit("ask", "x", to=clients[1].id, callback=later)
    world.note(await answers.get())
    await sio.emit("ask", to=["r", "s"], callback=lambda *args: answers.put_nowait(args))
    world.note(sorted([await answers.get() for _ in clients], key=len))
    await sio.send("text", to=clients[0].id, callback=lambda *args: answers.put_nowait(args))
    await all_heard(world, clients)
    world.note(answers.empty())


@scenario()
async def calls(world: World) -> None:
    sio, clients = world.sio, await trio(world)
    a, b, c = clients
    await a.answer("ask")
    await b.answer("ask", "one")
    await c.answer("ask", 1, b"2")
    for client in clients:
        world.note(await sio.call("ask", "x", to=client.id))
        world.note(await sio.call("ask", ("x", "y"), sid=client.id, timeout=5))
    await world.raised(sio.call("never answered", to=a.id, timeout=0.1))
    await world.raised(sio.call("ask", to="nobody", timeout=0.1))
    await world.raised(sio.call("ask"))
    error = world.socketio.exceptions.TimeoutError
    world.note(issubclass(error, world.socketio.exceptions.SocketIOError))
    await all_heard(world, clients)


@scenario(async_handlers=False)
async def handlers_in_turn(world: World) -> None:
    sio = world.sio
    settling(world)

    @sio.event
    async def step(sid: str, number: int) -> int:
        await asyncio.sleep(0.02 * (3 - number))
        world.note("stepped", number)
        return number

    a = await world.connect("a")
    await world.raised(sio.call("ask", to=a.id, timeout=0.1))
    world.note(await asyncio.gather(*(a.ask("step", number) for number in range(3))))


@scenario()
async def handlers_at_once(world: World) -> None:
    sio = world.sio
    settling(world)
    done = [asyncio.Event() for _ in range(3)]

    @sio.event
    async def step(sid: str, number: int) -> int:
        if number < 2:
            await done[number + 1].wait()
        world.note("stepped", number)
        done[number].set()
        return number

    a = await world.connect("a")
    world.note(await asyncio.gather(*(a.ask("step", number) for number in range(3))))


@scenario()
async def answers(world: World) -> None:
    sio = world.sio
    settling(world)
    returned: dict[str, Any] = {
        "none": None,
        "value": 1,
        "false": False,
        "list": [1, 2],
        "tuple": (1, b"2"),
        "nothing": (),
        "dict": {"a": None},
    }
    for name, value in returned.items():
        sio.on(name, lambda sid, value=value: value)

    @sio.on("fails")
    async def fails(sid: str) -> None:
        raise ValueError("on purpose")

    a = await world.connect("a")
    for name in returned:
        world.note(name, await a.ask(name))
    for name in ("fails", "nobody's"):
        world.note(name, await answer_to(a, name))
    await world.heard("a", a)


@scenario()
async def sessions(world: World) -> None:
    sio = world.sio
    settling(world, "/", "/chat")
    kept: list[Any] = []

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.save_session(
            sid, {"path": environ["PATH_INFO"], "method": environ["REQUEST_METHOD"]}
        )

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        kept.append((await sio.get_session(sid), sio.get_environ(sid) is not None, sio.rooms(sid)))

    a, b = await world.connect("a"), await world.connect("b")
    await sio.enter_room(a.id, "r")
    world.note(await sio.get_session(a.id))
    async with sio.session(a.id) as session:
        session["more"] = 1
    world.note(await sio.get_session(a.id), await sio.get_session(b.id))
    (await sio.get_session(a.id))["changed"] = True
    world.note(await sio.get_session(a.id))
    chat = await world.connect("chat", "/chat", manager=a)
    world.note(await sio.get_session(chat.id, "/chat"))
    await sio.save_session(chat.id, {"chat": True}, "/chat")
    world.note(await sio.get_session(chat.id, "/chat"), await sio.get_session(a.id))
    world.note(sio.get_environ(a.id) is sio.get_environ(chat.id, "/chat"))
    world.note(sio.transport(a.id), sio.transport(chat.id, "/chat"))
    chat.disconnect()
    await a.state()
    await world.heard("a", a)
    chat.connect()
    await chat.next("connect")
    world.note(await sio.get_session(chat.id, "/chat"))
    a_id = a.id
    await sio.disconnect(a.id)
    world.note(*kept)
    await world.raised(sio.get_session(a_id))
    await world.raised(sio.save_session("nobody", {}))
    world.note(sio.get_environ("nobody"), sio.rooms(a_id))
    for sid in (a_id, "nobody"):
        try:
            sio.transport(sid)
        except KeyError as error:
            world.note("raised", str(error))


@scenario(namespaces=["/listed"])
async def namespaces(world: World) -> None:
    sio = world.sio
    settling(world, "/chat", "/listed")

    @sio.on("say", namespace="/chat")
    async def say(sid: str, text: str) -> str:
        await sio.emit("said", text, namespace="/chat", skip_sid=sid)
        return text

    a, b = await world.connect("a", "/chat"), await world.connect("b", "/chat")
    listed = await world.connect("listed", "/listed", manager=a)
    world.note(await a.ask("say", "hello"))
    await sio.emit("event", "listed", namespace="/listed")
    await sio.emit("event", "root")
    await sio.enter_room(a.id, "r", namespace="/chat")
    await sio.emit("event", "room", to="r", namespace="/chat")
    world.note(
        sorted(world._named(sio.rooms(a.id, "/chat"))),
        sio.rooms(a.id),
        sorted(sio.manager.get_namespaces()),
    )
    for name, client in (("a", a), ("b", b), ("listed", listed)):
        await world.heard(name, client)
    for nsp in ("/", "/unknown"):
        refused = world.node.open(nsp)
        await refused.next("connect_error")
        world.note("refused", nsp)


@scenario(namespaces="*")
async def catch_alls(world: World) -> None:
    sio = world.sio
    settling(world, "*")
    for nsp, event in (
        ("/", "known"),
        ("/", "*"),
        ("*", "shared"),
        ("/chat", "known"),
        ("*", "connect"),
        ("*", "disconnect"),
    ):

        def handler(*args: Any, nsp: str = nsp, event: str = event) -> Any:
            shown = [arg for arg in args if not isinstance(arg, dict)]
            world.note("handler", nsp, event, shown[:-1] if event == "connect" else shown)
            return [nsp, event]

        sio.on(event, handler, namespace=nsp)
    # The ids of these are not known yet while their `connect` handlers are called.
    clients = {nsp: await world.connect(nsp, nsp) for nsp in ("/", "/chat", "/other")}
    world.notes = [note[:3] for note in world.notes]
    for nsp, client in clients.items():
        for event in ("known", "shared", "unknown"):
            world.note(nsp, event, await answer_to(client, event, 1))
    sio.on("*", lambda *args: world.note("last", *args), namespace="*")
    for nsp, client in clients.items():
        world.note(nsp, await client.ask("unknown", 1))
    for client in clients.values():
        await sio.disconnect(client.id, "/")
    await sio.disconnect(clients["/chat"].id, "/chat")


@scenario()
async def refusals(world: World) -> None:
    sio = world.sio
    refused = world.socketio.exceptions.ConnectionRefusedError
    gone: asyncio.Queue[str] = asyncio.Queue()
    outcomes: dict[str, Any] = {
        "false": lambda: False,
        "none": lambda: None,
        "zero": lambda: 0,
        "bare": refused,
        "message": lambda: refused("no"),
        "number": lambda: refused(5),
        "data": lambda: refused("no", {"code": 5}),
        "more": lambda: refused("no", 1, 2, 3),
        "builtin": ConnectionRefusedError,
    }

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> Any:
        outcome = outcomes[auth["how"]]()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        gone.put_nowait(reason)

    for how in outcomes:
        client = world.node.open(auth={"how": how})
        async with asyncio.timeout(5):
            await client.decided.wait()
        event, *args = client.record[0]
        world.note(how, event, *([] if event == "connect" else map(repr, args)))
        client.close_engine()
    async with asyncio.timeout(5):
        world.note("gone", await gone.get(), await gone.get())


@scenario(always_connect=True)
async def always_connect(world: World) -> None:
    sio = world.sio
    settling(world)

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> Any:
        await sio.emit("early", to=sid)
        await asyncio.sleep(0.05)
        world.note("connect is done")
        return auth is not None

    @sio.event
    async def first(sid: str) -> None:
        world.note("first event")

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        world.note("disconnect", reason)

    a = await world.connect("a", auth={"yes": True})
    await a.ask("first")
    world.note(a.order)
    refused = await world.connect("b")
    # Not why: python-socketio's DISCONNECT has data, which official clients take for a parse error.
    await refused.next("disconnect")
    world.note(refused.order)
    await sio.disconnect(a.id)


@scenario()
async def within_connect(world: World) -> None:
    sio = world.sio
    settling(world)

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.enter_room(sid, "lobby")
        await sio.emit("event", "to itself", to=sid)
        await sio.emit("event", "to the lobby", to="lobby")
        await sio.emit("event", "to all")
        await sio.emit("event", "to the others", skip_sid=sid)
        await sio.save_session(sid, {"rooms": len(sio.rooms(sid))})
        await sio.disconnect(sid)  # it is not connected yet
        world.note(sio.manager.is_connected(sid, "/"), sio.transport(sid))

    a = await world.connect("a")
    b = await world.connect("b")
    world.note(await sio.get_session(a.id), sorted(world._named(sio.rooms(b.id))))
    await sio.emit("event", "afterwards", to="lobby")
    await world.heard("a", a)
    await world.heard("b", b)


@scenario()
async def reasons(world: World) -> None:
    sio = world.sio
    gone: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        gone.put_nowait((sid, reason))

    async def noted() -> None:
        async with asyncio.timeout(10):
            world.note(*await gone.get())

    for options in ({}, {"transports": ["polling"]}):
        a = await world.connect("left", **options)
        a.disconnect()
        await noted()
        b = await world.connect("sent away", **options)
        await sio.disconnect(b.id)
        await sio.disconnect(b.id)
        await noted()
        world.note((await b.next("disconnect"))[0])
        c = await world.connect("closed", **options)
        c.close_engine()
        await noted()
    words = ("SERVER_DISCONNECT", "CLIENT_DISCONNECT", "PING_TIMEOUT")
    world.note(
        *(getattr(sio.reason, word) for word in (*words, "TRANSPORT_CLOSE", "TRANSPORT_ERROR"))
    )


@scenario()
async def old_signatures(world: World) -> None:
    sio = world.sio
    settling(world, "/", "/chat")

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        world.note("connect")

    @sio.event
    def disconnect(sid: str) -> None:
        world.note("disconnect", sid)

    class Chat(world.socketio.AsyncNamespace):  # type: ignore[misc,name-defined]
        def on_connect(self, sid: str, environ: Any) -> None:
            world.note("chat connect")

        async def on_disconnect(self, sid: str) -> None:
            world.note("chat disconnect", sid)

    sio.register_namespace(Chat("/chat"))
    a = await world.connect("a")
    chat = await world.connect("c", "/chat", manager=a)
    await sio.disconnect(chat.id, "/chat")
    await sio.disconnect(a.id)


@scenario()
async def classes(world: World) -> None:
    sio = world.sio
    settling(world, "/chat")

    class Chat(world.socketio.AsyncNamespace):  # type: ignore[misc,name-defined]
        async def trigger_event(self, event: str, *args: Any) -> Any:
            if event.startswith("odd "):
                return event, list(args[1:])
            return await super().trigger_event(event, *args)

        async def on_connect(self, sid: str, environ: Any, auth: Any) -> bool:
            await self.enter_room(sid, "all")
            await self.save_session(sid, {"auth": auth})
            return auth is not None

        async def on_disconnect(self, sid: str, reason: str) -> None:
            world.note("disconnect", sid, reason, await self.get_session(sid), self.rooms(sid))

        async def on_everything(self, sid: str) -> Any:
            await self.emit("event", 1, room="all", skip_sid=sid)
            await self.send("text", to=sid)
            async with self.session(sid) as session:
                session["more"] = 1
            await self.leave_room(sid, "all")
            await self.close_room("all")
            return await self.call("ask", "x", to=sid), await self.get_session(sid)

        async def on_bye(self, sid: str) -> None:
            await self.disconnect(sid)

    chat = Chat("/chat")
    sio.register_namespace(chat)
    world.note(chat.namespace, chat.server is sio, chat.is_asyncio_based())
    await world.raised(asyncio.to_thread(sio.register_namespace, object()))
    a = await world.connect("a", "/chat", auth={"a": 1})
    b = await world.connect("b", "/chat", auth={"b": 1})
    refused = world.node.open("/chat")
    world.note(*map(repr, await refused.next("connect_error")))
    await a.answer("ask", "answered")
    world.note(await a.ask("everything"))
    world.note(await a.ask("odd one", 1), await a.ask("nothing"))
    a.emit("bye")
    world.note(await a.next("disconnect"))
    await world.heard("b", b)


@scenario(serializer="msgpack")
async def message_pack(world: World) -> None:
    sio = world.sio
    settling(world)
    sio.on("echo", lambda sid, *args: args)
    a = await world.connect("a", parser="socket.io-msgpack-parser")
    world.note(await a.ask("echo", 1, b"2", {"a": [b"3", None, 1.5]}))
    await sio.emit("event", (b"1", {"2": 3}))
    await world.heard("a", a)


@scenario(namespaces="*")
async def class_for_all_namespaces(world: World) -> None:
    sio = world.sio
    settling(world, "/chat")

    class Anywhere(world.socketio.AsyncNamespace):  # type: ignore[misc,name-defined]
        def on_connect(self, nsp: str, sid: str, environ: Any, auth: Any) -> None:
            world.note("connect", nsp)

        def on_disconnect(self, nsp: str, sid: str, reason: str) -> None:
            world.note("disconnect", nsp, sid, reason)

        def on_ask(self, nsp: str, sid: str, value: Any) -> Any:
            return nsp, value

    sio.register_namespace(Anywhere("*"))

    @sio.event(namespace="/chat")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        world.note("chat connect")

    @sio.event(namespace="/chat")
    async def error(sid: str, *args: Any) -> str:
        return "an event as any other"

    chat = await world.connect("chat", "/chat")
    other = await world.connect("other", "/other")
    world.note(await chat.ask("ask", 1), await other.ask("ask", 2), await chat.ask("error", 3))
    await sio.disconnect(other.id, "/other")
    await sio.disconnect(chat.id, "/chat")

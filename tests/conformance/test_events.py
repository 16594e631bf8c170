"""Listeners of every kind, handlers in classes, and what is told of a socket's end, with the official client."""

import asyncio
import re
from typing import Any

import pytest

import roomcast
from roomcast.server import Namespace, Server, Socket
from support.official_client import OfficialClients
from support.served import (
    WITH_OFFICIAL_CLIENTS,
    eventually,
    in_rooms,
    served,
    server_socket,
    settling,
)

pytestmark = WITH_OFFICIAL_CLIENTS


async def test_listeners_are_called_in_their_order(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    heard: list[Any] = []

    def first(*args: Any) -> None:
        heard.append(("first", *args))

    @socket.once("x")
    async def once(*args: Any) -> None:
        heard.append(("once", *args))

    socket.on("x", first).on("x", first)
    io.event("x")(lambda socket, *args: heard.append(("shared", *args)))
    client.emit("x", 1)
    client.emit("x", 2)
    await client.settle()
    assert heard == [
        *[("once", 1), ("first", 1), ("first", 1), ("shared", 1)],
        *[("first", 2), ("first", 2), ("shared", 2)],
    ]
    assert socket.listeners("x") == [first, first]
    heard.clear()
    socket.off("x", first)
    client.emit("x", 3)
    await client.settle()
    assert heard == [("first", 3), ("shared", 3)]
    socket.off("x")
    client.emit("x", 4)
    await client.settle()
    assert heard[2:] == [("shared", 4)]


async def test_listener_that_adds_and_removes_does_not_disturb_the_others(
    io: Server, clients: OfficialClients
) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    heard: list[str] = []

    def last() -> None:
        heard.append("last")

    @socket.on("x")
    def first() -> None:
        heard.append("first")
        socket.off("x", last)
        socket.on("x", lambda: heard.append("new"))

    socket.on("x", last)
    client.emit("x")
    await client.settle()
    assert heard == ["first", "last"]
    client.emit("x")
    await client.settle()
    assert heard == ["first", "last", "first", "new"]


async def test_new_and_removed_listeners_are_told(io: Server, clients: OfficialClients) -> None:
    socket = server_socket(io, await clients.connect())
    told: list[Any] = []

    def listener() -> None:
        pass

    socket.on(
        "newListener", lambda event, fn: told.append(("new", event, fn, socket.listeners(event)))
    )
    socket.on("removeListener", lambda event, fn: told.append(("gone", event, fn, socket.listeners(event))))  # fmt: skip
    told.clear()
    socket.on("x", listener)
    socket.once("x", listener)
    socket.off("x", listener)
    socket.off("x")
    assert told == [
        ("new", "x", listener, []),
        ("new", "x", listener, [listener]),
        ("gone", "x", listener, [listener]),
        ("gone", "x", listener, []),
    ]


async def test_listeners_for_every_event(io: Server, clients: OfficialClients) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    heard: list[Any] = []

    def second(*event: Any) -> int:
        heard.append(("second", *event))
        return 7  # no acknowledgement

    @socket.prepend_any
    async def first(*event: Any) -> None:
        heard.append(("first", *event))

    socket.on_any(second)
    socket.on("x", lambda *args: heard.append(("x", *args)))
    assert socket.listeners_any() == [first, second]
    assert await client.ask("x", 1, b"2") == []
    client.emit("unheard")
    await client.settle()
    assert heard[:3] == [("first", "x", 1, b"2"), ("second", "x", 1, b"2"), ("x", 1, b"2")]
    assert heard[3:5] == [("first", "unheard"), ("second", "unheard")]
    socket.off_any(first)
    socket.off_any(first)
    assert socket.listeners_any() == [second]
    socket.off_any()
    heard.clear()
    client.emit("x")
    await client.settle()
    assert heard == [("x",)]


async def test_listener_for_every_event_may_end_the_socket(
    io: Server, clients: OfficialClients
) -> None:
    client = await clients.connect()
    socket = server_socket(io, client)
    heard: list[str] = []
    socket.on_any(lambda *event: socket.disconnect())
    socket.on("x", lambda: heard.append("x"))
    client.emit("x")
    await client.next("disconnect")
    assert heard == []


async def test_listeners_for_everything_that_is_sent(io: Server, clients: OfficialClients) -> None:
    client, other = await in_rooms(clients, ("a",), ("a",))
    socket = server_socket(io, client)
    heard: list[Any] = []

    def second(*event: Any) -> None:
        heard.append(("second", *event))

    @socket.prepend_any_outgoing
    def first(*event: Any) -> None:
        heard.append(("first", *event))

    socket.on_any_outgoing(second)
    assert socket.listeners_any_outgoing() == [first, second]
    socket.off_any_outgoing(first)
    await client.answer("asked", 1)
    socket.on("x", lambda: "acknowledgements are no events")
    socket.emit("emit", 1)
    socket.volatile.emit("volatile")
    io.emit("all", b"1")
    io.to("a").emit("room")
    server_socket(io, other).broadcast.emit("broadcast")
    await socket.emit_with_ack("asked")
    await io.to(socket.id).timeout(5).emit_with_ack("asked")
    assert await client.ask("x") == ["acknowledgements are no events"]
    for event, *args in (("emit", 1), ("volatile",), ("all", b"1"), ("room",), ("broadcast",)):
        assert heard.pop(0) == ("second", event, *args)
    assert heard == [("second", "asked")] * 2
    io.except_("a").emit("for others")
    socket.broadcast.emit("for others")
    io.of("/other").emit("for others")
    socket.off_any_outgoing()
    io.emit("unheard")
    assert len(heard) == 2
    assert not io.outgoing_observers
    assert await client.next("room") == []


class Chat(Namespace):
    """Handlers as methods."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(server, name)
        self.heard: list[Any] = []

    async def on_connection(self, socket: Socket) -> None:
        self.heard.append("connection")
        await socket.join("everybody")

    async def on_message(self, socket: Socket, text: str) -> str:
        self.heard.append(("message", text))
        return text.upper()

    @roomcast.event("chat message")
    def spaces(self, socket: Socket, *args: Any) -> int:
        return len(args)

    def on_disconnecting(self, socket: Socket) -> None:
        self.heard.append(("disconnecting", "everybody" in socket.rooms))

    def on_disconnect(self, socket: Socket, reason: str, details: str | None) -> None:
        self.heard.append(("disconnect", reason, details))

    def helper(self) -> None:
        raise AssertionError("not a handler")


class LoudChat(Chat):
    async def on_message(self, socket: Socket, text: str) -> str:
        return await super().on_message(socket, text) + "!"

    def on_more(self, socket: Socket) -> str:
        return self.name


@pytest.mark.parametrize("how", ["by name", "by pattern", "by pattern, from the program"])
async def test_handlers_may_be_methods_of_a_class(
    io: Server, clients: OfficialClients, how: str
) -> None:
    if how == "by name":
        assert isinstance(io.of("/chat", LoudChat), LoudChat)
    else:
        io.of(re.compile("^/chat$"), LoudChat)
    if how == "by pattern, from the program":
        assert isinstance(io.of("/chat"), LoudChat)
    client = await clients.connect("/chat")
    chat = io.of("/chat", LoudChat)
    chat.event("message")(lambda socket, text: chat.heard.append("besides"))
    assert await client.ask("message", "hi") == ["HI!"]
    assert await client.ask("chat message", 1, 2) == [2]
    assert await client.ask("more") == ["/chat"]
    with pytest.raises(TypeError):
        roomcast.event(lambda socket: None)  # type: ignore[arg-type]
    client.emit("helper")
    client.disconnect()
    await eventually(lambda: len(chat.heard) == 5)
    assert chat.heard == [
        "connection",
        ("message", "hi"),
        "besides",
        ("disconnecting", True),
        ("disconnect", "client namespace disconnect", None),
    ]


async def test_a_server_may_be_a_class_too(node: OfficialClients) -> None:
    class Echo(Server):
        def on_echo(self, socket: Socket, *args: Any) -> tuple[Any, ...]:
            return args

    io = settling(Echo(ping_interval=5.0))
    async with served(io, node) as clients:
        client = await clients.connect()
        assert await client.ask("echo", 1, b"2") == [1, b"2"]


async def test_errors_go_to_the_hooks_of_socket_namespace_and_server(
    io: Server, clients: OfficialClients, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    def hook(level: str) -> Any:
        return lambda error, socket, event: heard.append((level, str(error), socket, event))

    io.on_error(hook("server"))
    io.of("/chat").on_error(hook("namespace"))

    @io.of("/chat").event("x")
    async def broken(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise LookupError("broken")

    client = await clients.connect("/chat")
    (socket,) = io.of("/chat").sockets.values()

    @socket.on_error
    async def own(error: BaseException, concerned: Socket | None, event: str) -> None:
        await asyncio.sleep(0)
        heard.append(("socket", str(error), concerned, event))

    client.emit("x")
    await eventually(lambda: len(heard) == 3)
    assert {level for level, *_ in heard} == {"socket", "namespace", "server"}
    assert {tuple(rest) for _, *rest in heard} == {("broken", socket, "x")}
    assert [record.getMessage() for record in caplog.records] == [
        f"handler of x failed, socket {socket.id}"
    ]
    heard.clear()
    main = await clients.connect()
    server_socket(io, main).on("x", broken)
    client_socket = server_socket(io, main)
    client_socket.on("y", lambda: 1 / 0)
    main.emit("y")
    await main.settle()
    assert heard == [("server", "division by zero", client_socket, "y")]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("disconnect", "client namespace disconnect"),
        ("close engine", "transport close"),
        ("bad packet", "forced close"),
        ("bad frame", "parse error"),
        ("ping of a client", "transport error"),
        ("not joined", "forced close"),
    ],
)
@pytest.mark.parametrize("level", ["socket", "namespace"])
async def test_reasons_and_details(
    io: Server, clients: OfficialClients, how: str, reason: str, level: str
) -> None:
    client = await clients.connect(auth={"rooms": ["a"]})
    socket = server_socket(io, client)
    heard: list[Any] = []

    def disconnecting(*args: Any) -> None:
        heard.append((args[-2], "a" in socket.rooms, socket.connected))

    def disconnect(*args: Any) -> None:
        assert args[-1] is None or isinstance(args[-1], str)
        heard.append((args[-2], "a" in socket.rooms, socket.connected))

    if level == "socket":
        socket.on("disconnecting", disconnecting).on("disconnect", disconnect)
    else:
        io.event(disconnecting)
        io.event(disconnect)
    actions = {
        "disconnect": client.disconnect,
        "close engine": client.close_engine,
        "bad packet": lambda: client.send_raw("9"),
        "bad frame": lambda: client.send_frame("x"),
        "ping of a client": lambda: client.send_frame("2"),
        "not joined": lambda: client.send_raw('2/other,["x"]'),
    }
    actions[how]()
    await eventually(lambda: len(heard) == 2)
    assert heard == [(reason, True, True), (reason, False, False)]


async def test_details_name_what_was_wrong(io: Server, clients: OfficialClients) -> None:
    heard: list[Any] = []
    io.event("disconnect")(lambda socket, reason, details: heard.append(details))
    (await clients.connect()).send_raw("9")
    await eventually(lambda: len(heard) == 1)
    (await clients.connect()).send_raw('2/other,["x"]')
    await eventually(lambda: len(heard) == 2)
    assert heard == ["unknown packet type", "EVENT for a namespace that is not joined"]

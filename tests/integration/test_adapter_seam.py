"""`Server(adapter=…)`: adapters that a program brings, and when they are started and closed."""

import re

import pytest

from roomcast import FetchedSockets, Server
from roomcast.server import Adapter, BroadcastOptions, Namespace


class Recording(Adapter):
    """Tells its factory what it is asked for."""

    def __init__(self, nsp: Namespace, log: list[object]) -> None:
        super().__init__(nsp)
        self.log = log

    def broadcast(self, event: str, args: tuple[object, ...], options: BroadcastOptions):
        self.log.append((self.nsp.name, event, args, options))
        return super().broadcast(event, args, options)

    def close(self) -> None:
        self.log.append(("close", self.nsp.name))


class Factory:
    """Makes recording adapters."""

    def __init__(self) -> None:
        self.log: list[object] = []

    def new_adapter(self, nsp: Namespace) -> Adapter:
        return Recording(nsp, self.log)

    async def start(self) -> None:
        self.log.append("start")

    async def close(self) -> None:
        self.log.append("close")


async def test_every_namespace_gets_an_adapter_of_the_factory(connect):
    factory = Factory()
    io = Server(adapter=factory)
    nsp = io.of("/chat")
    assert isinstance(io.adapter, Recording)
    assert isinstance(nsp.adapter, Recording)
    raw = await connect(io)
    await raw.join("/chat")
    nsp.to("room").except_("other").emit("hello", 1)
    options = BroadcastOptions(rooms=("room",), except_=("other",))
    assert factory.log[-1] == ("/chat", "hello", (1,), options)
    nsp.emit("hello")
    assert await raw.recv() == '42/chat,["hello"]'


async def test_it_is_started_before_the_port_is_open_and_closed_after_the_clients(connect):
    factory = Factory()
    io = Server(adapter=factory)
    io.on("connection", lambda socket: factory.log.append("connection"))
    raw = await connect(io)
    await raw.join()
    assert factory.log == ["start", "start", "connection"]
    await io.close()
    assert factory.log.count("close") >= 1


async def test_adapter_of_an_empty_child_is_closed(connect):
    factory = Factory()
    io = Server(adapter=factory)
    io.of(re.compile(r"^/child"))
    raw = await connect(io)
    await raw.join("/child-1")
    await raw.send("41/child-1,")
    await raw.join("/child-2")
    assert ("close", "/child-1") in factory.log
    assert ("close", "/child-2") not in factory.log


@pytest.mark.parametrize("adapter", [1, "redis://localhost", Adapter])
def test_what_is_no_factory_is_refused(adapter):
    with pytest.raises(TypeError, match="AdapterFactory"):
        Server(adapter=adapter)


async def test_alone_everybody_has_answered(io, connect):
    raw = await connect(io)
    await raw.join()
    found = await io.fetch_sockets()
    assert isinstance(found, FetchedSockets)
    assert (len(found), found.servers, found.answered, found.complete) == (1, 1, 1, True)

"""Sessions of a cluster over Redis Streams on roomcast nodes: what fails honestly, what keeps its order, and a broker that is gone."""

import asyncio
import base64
import random
from functools import partial
from typing import Any, Final, Self

import pytest

import roomcast.msgpack
from roomcast import RecoveryFailure, RedisStreamsAdapter, Server, Socket
from roomcast.adapters.notepack import Notepack
from roomcast.testing import Manager
from support.broker import RunningBroker, missing_broker
from support.broker_fixtures import NewNode
from support.ears import heard_again
from support.official_client import OfficialClients
from support.reference import missing_reference
from support.served import eventually

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(60),
]

KEY: Final = "sio:session:"


@pytest.fixture
def adapter_kind() -> str:
    return "streams"


@pytest.fixture
def node(start_node: NewNode) -> NewNode:
    """Start a node whose clients may come back; it is closed at the end of the test."""
    return partial(start_node, connection_state_recovery=True)


class Client:
    """A client that may come back to another node than it has left."""

    def __init__(self, io: Server, *rooms: str) -> None:
        self.io = io
        self.manager = Manager(io, transports=["websocket"])
        self.socket = self.manager.socket(auth={"rooms": list(rooms)})
        self.heard: list[Any] = []
        self.socket.on_any(lambda *args: self.heard.append(list(args)))

    async def __aenter__(self) -> Self:
        await self.socket.connect()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.manager.__aexit__(None, None, None)

    @property
    def server_side(self) -> Socket:
        return self.io.sockets[self.socket.id]

    async def leave(self) -> None:
        """Break the line, and let the server notice."""
        id = self.socket.id
        self.manager.line.reset()
        await eventually(lambda: id not in self.io.sockets)
        adapter: Any = self.io.adapter
        await adapter.link._appender.drained(1)  # what is stored is there before the next node asks

    async def back(self, io: Server) -> RecoveryFailure | None:
        """Come back to a node; return why the session was not found, if it was not."""
        self.io = io
        self.manager._app = io.asgi()
        self.heard.clear()
        await self.socket.connect()
        assert self.socket.recovered is self.server_side.recovered
        return self.server_side.recovery_failure

    async def hears(self, *expected: list[Any]) -> None:
        await eventually(lambda: len(self.heard) >= len(expected))
        assert self.heard == [*expected]


async def test_order_of_what_is_emitted_is_kept_whatever_it_is(node: NewNode) -> None:
    (a, _), _ = await node(), await node()
    async with Client(a, "room") as client:
        socket = client.server_side
        socket.on("ask", lambda: (a.emit("in", 1), socket.emit("in", 2), "done")[-1])
        expected = []
        for number in range(100):
            match number % 5:
                case 0:
                    a.emit("n", number)
                case 1:
                    socket.emit("n", number)
                case 2:
                    a.volatile.emit("n", number)
                case 3:
                    socket.emit("n", number, ack=lambda: None)
                case _:
                    a.local.emit("n", number)
            expected.append(["n", number])
        await client.hears(*expected)
        client.heard.clear()
        assert await client.socket.emit_with_ack("ask") == "done"
        assert client.heard == [["in", 1], ["in", 2]]


async def test_who_gets_an_event_is_decided_when_it_is_emitted(node: NewNode) -> None:
    a, _ = await node()
    async with Client(a, "in") as member, Client(a) as other, Client(a, "in") as third:
        a.to("in").emit("n", 1)
        member.server_side.leave("in")
        other.server_side.join("in")
        a.to("in").emit("n", 2)
        third.server_side.disconnect()
        a.to("in").emit("n", 3)
        await other.hears(["n", 2], ["n", 3])
        await member.hears(["n", 1])
        await third.hears(["n", 1], ["n", 2])
        await eventually(lambda: not third.socket.connected)


async def test_events_that_wait_reach_who_is_disconnected_with_its_connection(
    node: NewNode,
) -> None:
    a, _ = await node()
    async with Client(a) as client:
        client.server_side.emit("last", "words")
        client.server_side.disconnect(close=True)
        await client.hears(["last", "words"])


async def test_events_that_wait_reach_who_comes_back(node: NewNode) -> None:
    (a, _), (b, _) = await node(), await node()
    async with Client(a, "room") as client:
        a.emit("n", 0)
        await client.hears(["n", 0])
        for number in range(1, 20):
            await client.leave()
            io = (a, b)[number % 2]
            a.to("room").emit("n", number, "a")
            b.to("room").emit("n", number, "b")
            assert await client.back(io) is None
            await eventually(lambda: len(client.heard) >= 2)
            assert sorted(client.heard) == [["n", number, "a"], ["n", number, "b"]]


async def test_nothing_is_lost_or_twice_while_a_client_wanders(node: NewNode) -> None:
    nodes = [(await node())[0] for _ in range(3)]
    sent = 0
    stop = asyncio.Event()

    async def load() -> None:
        nonlocal sent
        while not stop.is_set():
            nodes[sent % 3].to("room").emit("n", sent)
            sent += 1
            await asyncio.sleep(0.001)

    heard: list[int] = []
    randomly = random.Random(7)
    async with Client(nodes[0], "room") as client:
        client.socket.on("n", heard.append)
        nodes[0].emit("n", -1)
        await eventually(lambda: heard)
        loading = asyncio.create_task(load())
        for _ in range(25):
            await asyncio.sleep(randomly.uniform(0, 0.03))
            await client.leave()
            await asyncio.sleep(randomly.uniform(0, 0.03))
            # A moment after a recovery the session cannot be taken over; the line is broken for sure, so it may.
            assert await client.back(randomly.choice(nodes)) is None
        stop.set()
        await loading
        await eventually(lambda: len(heard) >= sent + 1)
        assert sorted(heard) == list(range(-1, sent))
        for sender in range(3):
            of_one = [number for number in heard if number % 3 == sender and number >= 0]
            assert of_one == sorted(of_one)


async def test_volatile_and_local_events_are_not_sent_again(node: NewNode) -> None:
    (a, _), (b, _) = await node(), await node()
    async with Client(a) as client:
        a.emit("seen")
        await client.hears(["seen"])
        await client.leave()
        b.volatile.emit("volatile", 1)
        a.local.emit("local", 1)
        b.emit("kept", 1)
        assert await client.back(b) is None
        await client.hears(["kept", 1])


async def test_text_of_a_volatile_event_is_not_taken_for_an_offset(node: NewNode) -> None:
    (a, _), (b, _) = await node(), await node()
    async with Client(a) as client:
        a.emit("seen")
        a.volatile.emit("volatile", "text")
        b.volatile.emit("volatile", "text")
        a.local.emit("local", "text")
        await eventually(lambda: len(client.heard) == 4)
        await client.leave()
        b.emit("missed")
        assert await client.back(b) is None
        await client.hears(["missed"])


async def test_client_that_has_heard_nothing_comes_back_too(node: NewNode) -> None:
    (a, _), (b, _) = await node(), await node()
    for number in range(2):
        async with Client(a) as client:
            await client.leave()
            b.emit("missed", number)
            assert await client.back(b) is None
            await client.hears(["missed", number])


async def test_room_that_was_joined_late_has_nothing_from_before(node: NewNode) -> None:
    (a, _), (b, _) = await node(), await node()
    async with Client(a) as client:
        a.emit("seen")
        await client.hears(["seen"])
        b.to("room").emit("before")
        b.emit("mark")
        await client.hears(["seen"], ["mark"])
        client.server_side.join("room")
        await client.leave()
        b.to("room").emit("after")
        assert await client.back(b) is None
        await client.hears(["after"])


async def test_session_serves_once(node: NewNode) -> None:
    (a, _), (b, _), (c, _) = await node(), await node(), await node()
    async with Client(a) as client:
        a.emit("seen")
        await client.hears(["seen"])
        await client.leave()
        twin = Client(c)
        twin.socket._pid, twin.socket._offset = client.socket._pid, client.socket._offset
        assert await client.back(b) is None
        async with twin:
            assert twin.server_side.recovery_failure is RecoveryFailure.UNKNOWN_SESSION
            assert not twin.socket.recovered


@pytest.mark.parametrize(
    ("offset", "failure"),
    [
        ("", RecoveryFailure.UNKNOWN_OFFSET),
        ("1-x", RecoveryFailure.UNKNOWN_OFFSET),
        ("1" * 30 + "-0", RecoveryFailure.UNKNOWN_OFFSET),
        (7, RecoveryFailure.UNKNOWN_OFFSET),
        ("1-1", RecoveryFailure.EVICTED),
    ],
)
async def test_offset_that_is_none_makes_recovery_fail(
    node: NewNode, offset: Any, failure: RecoveryFailure
) -> None:
    (a, _), (b, adapter) = await node(), await node()
    a.emit("first")
    await eventually(lambda: b.adapter.position)
    async with Client(a) as client:
        await client.leave()
        client.socket._offset = offset
        found = await client.back(b)
        # The session of a roomcast node begins where its client came; an older offset is as good as none.
        assert found is (None if offset == "1-1" else failure)
        assert adapter.counters["failed"] == 0


async def test_what_was_trimmed_makes_recovery_fail(node: NewNode) -> None:
    (a, _), (b, adapter) = await node(max_len=100), await node(max_len=100)
    async with Client(a) as client:
        a.emit("seen")
        await client.hears(["seen"])
        await client.leave()
        for number in range(500):
            b.emit("n", number)
        await eventually(lambda: not adapter.health.queued)
        assert await client.back(b) is RecoveryFailure.EVICTED
    async with Client(a) as client:
        assert await client.socket.emit_with_ack("settle") is None
        await client.leave()
        for number in range(500):
            b.emit("n", number)
        await eventually(lambda: not adapter.health.queued)
        assert await client.back(a) is RecoveryFailure.EVICTED


async def test_too_much_that_was_missed_makes_recovery_fail(node: NewNode) -> None:
    (a, _), (b, adapter) = await node(), await node()
    async with Client(a) as client:
        a.emit("seen")
        await client.hears(["seen"])
        await client.leave()
        for _ in range(12):
            b.emit("n", "x" * 100_000)
        # Read back, too: what comes later would be for the client, and more than it may be behind.
        await eventually(lambda: adapter.counters["own"] >= 12 and not adapter.health.queued)
        assert await client.back(b) is RecoveryFailure.TOO_LARGE


async def test_session_ends_after_its_time(node: NewNode) -> None:
    recovery = {"max_disconnection_duration": 0.2}
    (a, _), (b, _) = [await node(connection_state_recovery=recovery) for _ in range(2)]
    async with Client(a) as client:
        await client.leave()
        await asyncio.sleep(0.4)
        assert await client.back(b) is RecoveryFailure.UNKNOWN_SESSION


async def test_stored_session_that_is_none_is_none(broker: RunningBroker, node: NewNode) -> None:
    io, adapter = await node()
    pack = Notepack().pack
    whole = {
        "sid": "somebody",
        "pid": "p",
        "rooms": ["somebody", "room"],
        "data": {},
        "begin": "0-0",
    }
    strange: list[Any] = [None, True, -1, 1.5, "", [], {}, b"x", "x" * 1_000]
    stored = [b"", b"\xff", b"not base64!", base64.b64encode(b"\xc1"), base64.b64encode(pack([]))]
    for name in whole:
        stored += [base64.b64encode(pack(whole | {name: each})) for each in strange]
        stored.append(base64.b64encode(pack({key: whole[key] for key in whole if key != name})))
    for value in stored:
        broker.command("SET", f"{KEY}p", value)
        client = Client(io)
        client.socket._pid = "p"
        async with client:
            assert client.socket.id
            await client.socket.emit_with_ack("settle")
    assert adapter.counters["failed"] == 0
    assert adapter.counters["invalid"] > 20
    await eventually(lambda: adapter.health.ok)


def new_offset(client: Client, old: str | None) -> bool:
    """Emit once more; say whether the client has got an offset since."""
    client.io.emit("again")
    return client.socket._offset != old


async def test_clients_hear_without_offsets_while_the_broker_is_gone(
    broker: RunningBroker, node: NewNode
) -> None:
    a, b = await node(), await node()
    async with Client(a[0]) as client:
        a[0].emit("n", 1)
        await client.hears(["n", 1])
        offset = client.socket._offset
        broker.kill()
        a[0].emit("n", 2)  # nobody knows yet
        await eventually(lambda: not a[1].health.publishing)
        a[0].emit("n", 3)
        client.server_side.emit("n", 4)
        await client.hears(["n", 1], ["n", 2], ["n", 3], ["n", 4])
        assert client.socket._offset == offset
        assert a[0].engine.counters["without_offset"] == 3
        await client.leave()
        assert await client.back(a[0]) is RecoveryFailure.STORAGE_ERROR
        broker.start()
        await heard_again(a, b)
        await eventually(lambda: new_offset(client, offset))
        await client.leave()
        b[0].emit("n", 6)
        assert await client.back(b[0]) is None
        await eventually(lambda: client.heard[-1] == ["n", 6])
        assert {each[0] for each in client.heard[:-1]} <= {"again"}


async def test_clients_hear_soon_though_the_broker_hangs(
    broker: RunningBroker, node: NewNode
) -> None:
    a = await node()
    async with Client(a[0], "room") as client:
        broker.pause()
        for number in range(20):
            a[0].emit("n", number)
        await client.hears(*(["n", number] for number in range(20)))
        assert a[0].engine.counters["without_offset"] == 20
        a[0].emit("n", 20)
        client.server_side.leave("room")
        await eventually(lambda: client.heard[-1] == ["n", 20])
        broker.resume()
        await heard_again(a)

        await eventually(lambda: new_offset(client, None))
        assert [each for each in client.heard if each[0] == "n"] == [["n", n] for n in range(21)]


@pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference()))
async def test_parser_of_a_program_has_offsets_too(broker: RunningBroker) -> None:
    adapter = RedisStreamsAdapter(broker.url)
    io = Server(adapter=adapter, parser=roomcast.msgpack, connection_state_recovery=True)
    listening = await io.listen(0)
    async with OfficialClients() as clients:
        clients.url = f"http://127.0.0.1:{listening.port}"
        client = await clients.connect(parser="socket.io-msgpack-parser")
        data = {"a": [1]}
        io.emit("hello", data, b"\x00")
        data["a"].append(2)
        event, offset = (await client.next("hello"))[:2], adapter.readers[b"socket.io"].last
        assert event == [{"a": [1]}, b"\x00"]
        assert client.record[-1][-1] == (offset or b"").decode()
        client.close_engine()
        await client.next("disconnect")
        await eventually(lambda: not io.sockets)
        io.emit("missed", b"\x01")
        client.connect()
        assert (await client.next("missed"))[:-1] == [b"\x01"]
        assert (await client.state())["recovered"]
    await io.close()


async def test_many_that_wait_are_bounded(broker: RunningBroker, node: NewNode) -> None:
    io, adapter = await node()
    async with Client(io) as client:
        broker.pause()
        for number in range(10_001):
            io.emit("n", number)
        assert not io.adapter._line
        assert io.engine.counters["without_offset"] == 10_001
        await eventually(lambda: len(client.heard) == 10_001)
        broker.resume()
        await heard_again((io, adapter))

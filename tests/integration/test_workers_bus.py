"""Workers of one host without a broker: what one of them emits reaches the clients of all, over real Unix sockets."""

import asyncio
import re
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import eventually
from roomcast import Server, WorkersAdapter
from roomcast.adapters.bus_frames import HEAD, MAX_NAME, VERSION, Frames, Kind, frame
from roomcast.errors import UsageError
from roomcast.testing import Connect, Manager
from roomcast.testing.pytest import Connector
from support.process import open_files

NewWorker = Callable[..., Any]


@pytest.fixture
async def connect() -> AsyncIterator[Connector]:
    """The clients of the test kit, as in tests that are not about a line; the bus is what is real here."""
    connector = Connector()
    yield connector
    await connector.close()


@pytest.fixture
async def start_worker(tmp_path: Path) -> AsyncIterator[NewWorker]:
    """Start one more worker in the test's directory."""
    servers: list[Server] = []

    async def start(*, adapter: dict[str, Any] | None = None, **options: Any) -> Server:
        directory = str(tmp_path / "workers")
        if adapter is not None:
            options["adapter"] = WorkersAdapter(directory, **adapter)
        io = Server(workers=directory, **options)
        servers.append(io)

        @io.on("connection")
        def connection(socket: Any) -> None:
            for room in socket.handshake.auth.get("rooms", ()):
                socket.join(room)

        await adapter_of(io).start()
        return io

    yield start
    for io in servers:
        await io.close()


def adapter_of(io: Server) -> WorkersAdapter:
    adapter = io.options.adapter
    assert isinstance(adapter, WorkersAdapter)
    return adapter


@contextmanager
def stranger_at(io: Server) -> Iterator[socket.socket]:
    """Connect to where the other workers find one."""
    subscriber = adapter_of(io).subscriber
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.setblocking(False)
        stranger.connect(subscriber._directory.path(subscriber._listener._name))
        yield stranger


def heard_by(client: Any, event: str) -> list[Any]:
    heard: list[Any] = []
    client.on(event, lambda *args: heard.append(args[0] if len(args) == 1 else args))
    return heard


async def test_emits_reach_the_clients_of_all_workers(
    start_worker: NewWorker, connect: Connect
) -> None:
    a, b, c = [await start_worker() for _ in range(3)]
    clients = [
        await connect(io, auth={"rooms": [f"of-{n}", "all"]}) for n, io in enumerate((a, b, c))
    ]
    heard = [heard_by(client, "n") for client in clients]
    a.emit("n", 1)
    a.to("of-1").emit("n", 2)
    b.to("of-0").to("of-2").emit("n", 3)
    c.to("all").except_("of-2").emit("n", 4)
    a.to(clients[2].id).emit("n", 5)
    a.all_of("all", "of-1").emit("n", 6)
    b.local.emit("n", 7)
    a.to("nobody").emit("n", 8)
    await eventually(lambda: list(map(sorted, heard)) == [[1, 3, 4], [1, 2, 4, 6, 7], [1, 3, 5]])
    assert adapter_of(a).counters["unheard"] >= 1  # positions are messages, too
    assert adapter_of(a).health.ok


async def test_values_arrive_as_clients_of_the_same_worker_get_them(
    start_worker: NewWorker, connect: Connect
) -> None:
    a, b = await start_worker(), await start_worker()
    here, there = await connect(a), await connect(b)
    both = heard_by(here, "v"), heard_by(there, "v")
    values = [
        None, 1.0, 2**80, -5, "é🎉", b"\x00\xff", {"deep": [b"x", {"y": [1]}]}, datetime(2026, 1, 2, tzinfo=UTC)
    ]  # fmt: skip
    for value in values:
        a.emit("v", value)
    a.emit("v", *values)
    await eventually(lambda: len(both[1]) == len(values) + 1)
    assert both[0] == both[1]
    large = "x" * 5_000_000
    a.emit("v", large)
    await eventually(lambda: both[1][-1] == large)


async def test_every_operation_reaches_the_other_workers(
    start_worker: NewWorker, connect: Connect
) -> None:
    a, b, c = [await start_worker() for _ in range(3)]
    clients = [await connect(io) for io in (a, b, c)]
    for client in clients:
        client.on("ask", lambda question, client=client: [client.id, question])
    answers = await a.timeout(5).emit_with_ack("ask", "?")
    assert sorted(answers) == sorted([client.id, "?"] for client in clients)
    b.sockets[clients[1].id].data["name"] = "Bea"
    found = await a.fetch_sockets()
    assert (len(found), found.answered, found.servers) == (3, 3, 3)
    assert {each.data.get("name") for each in found} == {None, "Bea"}
    assert await a.adapter.server_count() == 3

    c.in_(clients[1].id).sockets_join("new")
    await eventually(lambda: "new" in b.sockets[clients[1].id].rooms)
    heard = heard_by(clients[1], "n")
    a.to("new").emit("n", 1)
    await eventually(lambda: heard == [1])
    a.in_("new").sockets_leave("new")
    await eventually(lambda: "new" not in b.sockets[clients[1].id].rooms)

    b.on("between", lambda text: f"b {text}")
    c.on("between", lambda text: f"c {text}")
    assert sorted(await a.server_side_emit_with_ack("between", "x")) == ["b x", "c x"]
    a.disconnect_sockets()
    await eventually(lambda: not any(client.connected for client in clients))


async def test_namespaces_and_their_children_have_channels_of_their_own(
    start_worker: NewWorker, connect: Connect
) -> None:
    a, b = await start_worker(), await start_worker()
    for io in (a, b):
        io.of(re.compile(r"^/room-\d$"))
    first, second = await connect(a, "/room-1"), await connect(b, "/room-1")
    other = await connect(b, "/room-2")
    heard, elsewhere = heard_by(second, "n"), heard_by(other, "n")
    a.of("/room-1").emit("n", 1)
    await eventually(lambda: heard == [1])
    assert await a.of("/room-1").adapter.server_count() == 2
    await second.disconnect()
    await eventually(lambda: "/room-1" not in b._namespaces)
    assert await a.of("/room-1").adapter.server_count() == 1
    assert first.connected
    assert not elsewhere


async def test_who_was_told_of_a_member_reaches_it(
    start_worker: NewWorker, connect: Connect
) -> None:
    """Worker b has a new member of a room and says so; who is told then asks a to emit, and a reads that first."""
    a, b = await start_worker(), await start_worker()
    member = await connect(b)
    heard = heard_by(member, "n")
    loop = asyncio.get_running_loop()
    there, here = socket.socketpair()
    with there, here:
        there.setblocking(False)

        def asked() -> None:
            number = there.recv(1)[0]
            a.to(f"room-{len(heard)}-{number}").emit("n", number)

        loop.add_reader(there, asked)
        for n in range(200):
            here.send(bytes((n,)))
            b.sockets[member.id].join(f"room-{n}-{n}")
            await eventually(lambda n=n: heard == list(range(n + 1)), lambda: heard)
        loop.remove_reader(there)


async def test_rooms_that_nobody_else_has_cost_the_others_nothing(
    start_worker: NewWorker, connect: Connect
) -> None:
    a, b = await start_worker(), await start_worker()
    await connect(a, auth={"rooms": ["here"]})
    await connect(b)
    before = adapter_of(b).counters["received"]
    for _ in range(100):
        a.to("here").emit("n", 1)
    await eventually(lambda: adapter_of(a).counters["unheard"] >= 100)
    assert adapter_of(b).counters["received"] == before


async def test_order_is_that_of_the_sender(start_worker: NewWorker, connect: Connect) -> None:
    a, b = await start_worker(), await start_worker()
    client = await connect(b, auth={"rooms": ["x"]})
    heard = heard_by(client, "n")
    for n in range(5_000):
        (a if n % 3 else a.to("x")).emit("n", n)
        if n % 500 == 0:
            await asyncio.sleep(0)
    await eventually(lambda: len(heard) == 5_000, seconds=10)
    assert heard == list(range(5_000))


async def test_workers_come_and_go(
    start_worker: NewWorker, connect: Connect, tmp_path: Path
) -> None:
    before = open_files()
    a = await start_worker()
    for turn in range(3):
        b = await start_worker()
        client = await connect(b)
        heard = heard_by(client, "n")
        assert await a.adapter.server_count() == 2
        a.emit("n", turn)
        await eventually(lambda heard=heard, turn=turn: heard == [turn])
        await client.disconnect()
        await b.close()
        await eventually(lambda: not adapter_of(a).publisher._lines)
        assert await a.adapter.server_count() == 1
        a.emit("n", -1)
    assert adapter_of(a).health.ok
    await a.close()
    await eventually(lambda: open_files() <= before)
    assert not list((tmp_path / "workers").iterdir())


async def test_what_a_killed_worker_left_is_swept_away(
    start_worker: NewWorker, connect: Connect, tmp_path: Path
) -> None:
    directory = tmp_path / "workers"
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(directory / "bus-AAAAAAAA"))
    a = await start_worker()
    assert not (directory / "bus-AAAAAAAA").exists()
    client = await connect(a)
    heard = heard_by(client, "n")
    a.emit("n", 1)
    await eventually(lambda: heard == [1])


async def test_worker_that_does_not_read_holds_nobody_up(
    start_worker: NewWorker, connect: Connect, tmp_path: Path
) -> None:
    """What waits for it is bounded and counted; the others hear everything."""
    listener = socket.socket(socket.AF_UNIX)
    directory = tmp_path / "workers"
    directory.mkdir(mode=0o700)
    listener.bind(str(directory / "bus-hanging1"))
    listener.listen()
    with listener:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        a = await start_worker(adapter={"queue_size": 100_000})
        assert loop.time() - begin < 3, "it is waited for once, and not for long"
        b = await start_worker()
        client = await connect(b)
        heard = heard_by(client, "n")
        with stranger_at(a) as hanging:
            hello = frame(Kind.HELLO, b"hanging1", VERSION) + frame(Kind.WANT, b"socket.io#/#")
            hanging.send(hello + frame(Kind.READY))
            await eventually(lambda: "hanging1" in str(adapter_of(a).publisher._wanting))
            for n in range(500):
                a.emit("n", n, "x" * 5_000)
                await asyncio.sleep(0)
            await eventually(lambda: len(heard) == 500, seconds=10)
            assert [n for n, _ in heard] == list(range(500))
            counters = adapter_of(a).counters
            assert counters["dropped_outbound"] > 100
            assert adapter_of(a).health.queued <= 200_000


async def test_rooms_that_come_and_go_leave_nothing_for_a_worker_that_does_not_read(
    start_worker: NewWorker, connect: Connect, tmp_path: Path
) -> None:
    directory = tmp_path / "workers"
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "bus-hanging1"))
        listener.listen()
        a = await start_worker()
        member = await connect(a, auth={"rooms": ["stays", "leaves"]})
        with stranger_at(a) as hanging:
            hanging.send(frame(Kind.HELLO, b"hanging1", VERSION) + frame(Kind.READY))
            listener.accept()[0].close()  # the look whether somebody is there
            line, _ = listener.accept()
            with line:
                for n in range(8_000):
                    await a.sockets[member.id].join(f"room{n}", "leaves")
                    a.sockets[member.id].leave(f"room{n}")
                await a.sockets_leave("leaves")
                assert adapter_of(a).publisher.size < 1_000
                frames, wanted = Frames(), set[bytes]()
                line.setblocking(False)
                loop = asyncio.get_running_loop()

                async def read_all() -> None:
                    while b"over" not in wanted:
                        data = await loop.sock_recv(line, 65_536)
                        for kind, name, _ in frames.feed(data):
                            room = name.rpartition(b"#")[0].rpartition(b"#")[2]
                            if kind is Kind.WANT:
                                wanted.add(room)
                            elif kind is Kind.UNWANT:
                                wanted.remove(room)

                await a.sockets[member.id].join("over")
                await asyncio.wait_for(read_all(), 5)
                assert {b"stays", b"over"} <= wanted
                assert b"leaves" not in wanted
                assert not any(room.startswith(b"room") for room in wanted)


async def test_worker_that_emits_and_ends_is_heard(
    start_worker: NewWorker, connect: Connect, tmp_path: Path
) -> None:
    a = await start_worker()
    client = await connect(a)
    heard = heard_by(client, "n")
    for n in range(10):
        io = Server(workers=str(tmp_path / "workers"))
        io.emit("n", n)
        adapter_of(io).ensure_started()
        io.emit("n", n + 0.5)
        await io.close()
        await eventually(lambda n=n: n + 0.5 in heard)
    assert heard == [n / 2 for n in range(20)]


async def test_early_events_are_bounded(tmp_path: Path) -> None:
    directory = tmp_path / "workers"
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(directory / "bus-hanging1"))
        hanging.listen()
        adapter = WorkersAdapter(str(directory), queue_size=10_000)
        io = Server(adapter=adapter)
        adapter.ensure_started()
        for n in range(100):
            io.emit("n", n, "x" * 1_000)
        assert adapter.publisher.size < 11_000
        assert adapter.counters["dropped_outbound"] > 90
        await adapter.start()
        assert adapter.publisher.size < 1_000
        await io.close()


async def test_worker_without_descriptors_waits_calmly(
    start_worker: NewWorker, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    a = await start_worker()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with stranger_at(a) as first, stranger_at(a) as second:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            await asyncio.sleep(0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert [each.getMessage()[:40] for each in caplog.records] == [
            "cannot take the connection of another wo"
        ]
        for each in (first, second):
            each.send(b"GET / HTTP/1.1\r\n\r\n")  # it is taken, and refused
            loop = asyncio.get_running_loop()
            assert await asyncio.wait_for(loop.sock_recv(each, 1), 5) == b""


async def test_gap_is_told_where_messages_were_dropped(
    start_worker: NewWorker, connect: Connect
) -> None:
    a, b = await start_worker(adapter={"queue_size": 60_000}), await start_worker()
    client = await connect(b)
    heard, gaps = heard_by(client, "n"), list[Any]()
    adapter_of(b).on("gap", lambda nsp, sender, missing: gaps.append(missing))
    a.emit("n", 0)
    await eventually(lambda: heard)
    for n in range(1, 1_001):  # in one iteration, so that nobody reads meanwhile
        a.emit("n", n, "x" * 5_000)
    await eventually(lambda: adapter_of(a).publisher.size == 0, seconds=10)
    a.emit("n", -1)
    await eventually(lambda: heard and heard[-1] == -1, seconds=10)
    dropped = adapter_of(a).counters["dropped_outbound"]
    assert dropped > 0
    assert sum(gaps) == dropped
    assert len(heard) == 1_002 - dropped


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        frame(Kind.WANT, b"socket.io#/#"),
        frame(Kind.HELLO, b"12345678", b"99"),
        frame(Kind.HELLO, b"../../etc", VERSION),
        frame(Kind.HELLO, b"12345678", VERSION) + HEAD.pack(9, 1, 1),
        frame(Kind.HELLO, b"12345678", VERSION) + HEAD.pack(Kind.MESSAGE, MAX_NAME + 1, 0),
        frame(Kind.HELLO, b"12345678", VERSION) + HEAD.pack(Kind.MESSAGE, 1, 2**32 - 1),
    ],
)
async def test_who_is_no_worker_is_not_heard(
    start_worker: NewWorker, connect: Connect, said: bytes
) -> None:
    a, b = await start_worker(), await start_worker()
    client = await connect(b)
    heard = heard_by(client, "n")
    loop = asyncio.get_running_loop()
    with stranger_at(a) as stranger:
        await loop.sock_sendall(stranger, said)
        stranger.shutdown(socket.SHUT_WR)
        assert await asyncio.wait_for(loop.sock_recv(stranger, 1), 5) == b""
    a.emit("n", 1)
    await eventually(lambda: heard == [1])
    assert await b.adapter.server_count() == 2


async def test_messages_that_are_none_are_dropped_and_counted(
    start_worker: NewWorker, connect: Connect
) -> None:
    a = await start_worker()
    client = await connect(a)
    heard = heard_by(client, "n")
    loop = asyncio.get_running_loop()
    with stranger_at(a) as stranger:
        bad = [
            b"",
            b"{",
            b"\xc1",
            b"[]",
            b'{"type":3,"data":{},"uid":"u","nsp":"/"}',
            b"\x93\x01\x02\x03",
        ]
        messages = b"".join(frame(Kind.MESSAGE, b"socket.io#/#", each) for each in bad)
        hello = frame(Kind.HELLO, b"12345678", VERSION)
        await loop.sock_sendall(stranger, hello + messages)
        await eventually(lambda: adapter_of(a).counters["invalid"] == len(bad))
        a.emit("n", 1)
        await eventually(lambda: heard == [1])


async def test_recovery_has_what_other_workers_emitted(start_worker: NewWorker) -> None:
    a, b = await start_worker(), await start_worker(connection_state_recovery=True)
    async with Manager(b, transports=["websocket"]) as manager:
        client = manager.socket(auth={"rooms": ["room"]})
        heard: list[Any] = []
        client.on("n", lambda number, *_: heard.append(number))
        await client.connect()
        a.to("room").emit("n", 1)
        await eventually(lambda: heard == [1])
        manager.line.reset()
        await eventually(lambda: not b.sockets)
        a.to("room").emit("n", 2)
        a.emit("n", 3)
        await eventually(lambda: b.adapter.sessions.event_count >= 2)
        await client.connect()
        assert client.recovered
        await eventually(lambda: heard == [1, 2, 3])


def test_an_adapter_of_ones_own_is_left_alone(tmp_path: Path) -> None:
    other = WorkersAdapter(str(tmp_path / "other"))
    assert Server(workers=str(tmp_path / "workers"), adapter=other).options.adapter is other
    assert Server().options.adapter is None


def test_options_are_checked(tmp_path: Path) -> None:
    directory = str(tmp_path / "workers")
    with pytest.raises(ValueError, match="queue_size must be at least 1"):
        WorkersAdapter(directory, queue_size=0)
    with pytest.raises(ValueError, match="requests_timeout must be positive"):
        WorkersAdapter(directory, requests_timeout=0)
    with pytest.raises(UsageError, match="too long for Unix sockets"):
        WorkersAdapter(str(tmp_path / ("x" * 100)))
    open_to_all = tmp_path / "open"
    open_to_all.mkdir(mode=0o755)
    with pytest.raises(UsageError, match="others may enter"):
        WorkersAdapter(str(open_to_all))

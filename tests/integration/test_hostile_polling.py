"""Rows of hardening.md about many requests of one connection: burst, twice, slow, stalled reader, upgrade hangs.

The row stands in the name of each test. ``ROOMCAST_HOSTILE=full`` takes the numbers of the page instead of smaller ones.
"""

import asyncio
import gc
import time

import pytest
from tests.integration.conftest import FULL, asgi_handshake, end_all, eventually

from roomcast import Server
from support.official_client import OfficialClients
from support.process import watch_memory
from support.reference import missing_reference
from support.wire import WEBSOCKET, Session, head

pytestmark = pytest.mark.usefixtures("nothing_left")

RACES = 1000 if FULL else 30

CLOSED = ("", "1000")
"""The code of an ordinary close: none, or 1000 where ASGI is between."""


@pytest.fixture
def watched(io, log):
    """A server that logs what arrives and why sockets end."""
    io.event("x")(lambda socket, *args: log.append(args))
    io.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))
    return io


async def held(wire, query):
    """Begin a GET, and return when the server holds it."""
    wire.ask(query)
    await asyncio.sleep(0.02)


async def gone(session):
    """Say whether a connection is unknown, to GETs and POSTs alike."""
    return [(await session.get()).code, (await session.post("3")).code] == [1, 1]


# burst


async def test_burst_of_5000_packets_in_one_body_arrives_in_order(watched, poll, log):
    session = await poll(watched)
    await session.join()
    await session.sent(*[f'42["x",{number}]' for number in range(5000)], seconds=10)
    assert log == [(number,) for number in range(5000)]


async def test_burst_costs_what_its_bytes_cost(watched, poll, log):
    session = await poll(watched)
    await session.join()
    times = []
    for count in (5_000, 50_000):
        body = b"\x1e".join([b'42["x",1]'] * count)
        start = time.process_time()
        await session.sent(body, seconds=10)
        times.append(time.process_time() - start)
    assert len(log) == 55_000
    assert times[1] < 15 * times[0]


async def test_burst_does_not_hold_up_the_others(watched, poll):
    session = await poll(watched)
    await session.join()
    body = b"\x1e".join([b"6"] * 500_000)
    longest = [0.0, 0.0]

    async def other():
        while True:
            start = time.process_time()
            await asyncio.sleep(0)
            longest.append(time.process_time() - start)
            longest.sort()
            del longest[0]

    gc.collect()
    gc.freeze()  # what thousands of other tests have left would take the collector longer than anything here
    try:
        looking = asyncio.create_task(other())
        start = time.process_time()
        await session.sent(body, seconds=10)
        whole = time.process_time() - start
        looking.cancel()
    finally:
        gc.unfreeze()
    assert longest[0] < whole / 3  # a tenth, mostly; the longest may be the garbage collector's


@pytest.mark.parametrize("end", [b"1", b"", b'42["end"]'], ids=["close", "parse error", "handler"])
async def test_burst_is_cut_where_the_connection_ends(watched, poll, log, end):
    watched.event("end")(lambda socket: socket.disconnect(close=True))
    session = await poll(watched)
    await session.join()
    many = [b'42["x",1]'] * 5_000
    answer = await session.post(*many, end, *many, seconds=10)
    assert (answer.status, answer.body) == (200, b"ok")
    assert len(log) == 5_001
    if end.startswith(b"42"):  # what waited may still be fetched
        assert await session.packets() == ["41"]
        assert await session.packets() == ["6", "1"]
    assert await gone(session)


async def test_burst_holds_no_more_than_its_bytes(watched, poll):
    session = await poll(watched)
    await session.join()
    body = b"\x1e".join([b"43"] * 333_000)
    for _ in range(2):  # the first warms up
        async with watch_memory() as memory:
            await session.sent(body, seconds=10)
    assert memory.rise < 3_000_000


@pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference()))
async def test_burst_of_5000_emits_of_the_official_client_arrives_in_order(watched, port_of, log):
    url = f"http://127.0.0.1:{await port_of(watched)}"
    async with OfficialClients() as node:
        node.reset(url)
        client = await node.connect(transports=["polling"])
        for number in range(5000):
            client.emit("x", number)
        await log.count(5000)
        assert log == [(number,) for number in range(5000)]
        client.disconnect()
        await log.until(("client namespace disconnect", None))


# twice


async def test_twice_a_get_closes_and_answers_both(watched, poll, dial, log):
    session = await poll(watched)
    await session.join()
    await held(session.gets, session.query)
    second = await (await dial(watched)).request(session.query)
    assert (second.status, second.body) == (400, b"")
    first = await session.gets.answer()
    assert (first.status, first.body) == (200, b"1")
    assert log == [("transport error", "overlap from client")]
    assert await gone(session)


async def test_twice_a_post_closes_and_answers_both(watched, poll, dial, log):
    session = await poll(watched)
    await session.join()
    await held(session.gets, session.query)
    session.posts.write(
        head("POST", session.posts.target(session.query), [("Content-Length", "9")])
    )
    session.posts.write(b'42["x')
    await asyncio.sleep(0.02)
    second = await (await dial(watched)).request(session.query, b'42["x"]')
    assert (second.status, second.body) == (400, b"")
    assert (await session.posts.answer()).status == 400
    assert (await session.gets.answer()).body == b"1"
    assert log == [("transport error", "overlap from client")]
    session.posts = await dial(watched)
    assert await gone(session)


async def test_twice_a_get_in_races_never_leaves_one_unanswered(watched, poll, dial):
    other = await dial(watched)
    session = await poll(watched)
    for _ in range(RACES):
        session = await again(watched, session)
        session.gets.ask(session.query)
        other.ask(session.query)
        answers = [await session.gets.answer(), await other.answer()]
        assert sorted((a.status, a.body) for a in answers) == [(200, b"1"), (400, b"")]
        assert (await other.request(session.query)).code == 1


async def again(io, session):
    """Begin another connection over the same lines."""
    fresh = Session(session.gets, session.posts)
    await fresh.open()
    return fresh


async def test_twice_a_post_in_races_processes_each_once_or_not_at_all(watched, poll, dial, log):
    other = await dial(watched)
    session = await poll(watched)
    for number in range(RACES):
        session = await again(watched, session)
        await session.join()
        log.clear()
        # The first body comes in two parts, and the second request somewhere between them.
        body = b'42["x",1]'
        request = head("POST", other.target(session.query), [("Content-Length", str(len(body)))])
        session.posts.write(request + body[: number % len(body)])
        if number % 3:
            await asyncio.sleep(0)
        other.ask(session.query, b'42["x",2]')
        if number % 2:
            await asyncio.sleep(0)
        session.posts.write(body[number % len(body) :])
        answers = [await session.posts.answer(), await other.answer()]
        statuses = [answer.status for answer in answers]
        assert set(statuses) <= {200, 400}
        taken = [entry for entry in log if entry in ((1,), (2,))]
        assert sorted(taken) == [
            (n,) for n, status in zip((1, 2), statuses, strict=True) if status == 200
        ]
        assert (await other.request(session.query, b"1")).code == (1 if 400 in statuses else None)


async def test_twice_a_websocket_in_races_upgrades_once(watched, poll, dial, log):
    session = await poll(watched)
    for number in range(RACES):
        session = await again(watched, session)
        await session.join()
        wires = [await dial(watched), await dial(watched)]
        for wire in wires:
            wire.ask(session.upgrade_query, headers=WEBSOCKET)
        for wire in wires:
            assert (await wire.answer()).status == 101
            wire.send("2probe")
        outcomes = []
        for wire in wires:
            try:
                outcomes.append(await wire.recv())
            except ConnectionError as error:
                outcomes.append(str(error))
        assert max(outcomes) == "3probe"
        assert min(outcomes) in CLOSED
        winner = wires[outcomes.index("3probe")]
        winner.send("5", f'42["x",{number}]')
        await log.until((number,))
        winner.send("42")
        await winner.closed()


async def test_twice_a_websocket_during_the_upgrade_and_after_it(watched, poll, dial, log):
    session = await poll(watched)
    await session.join()
    first, second, third = [await dial(watched) for _ in range(3)]
    await first.upgrade(session.upgrade_query)
    assert (await second.upgrade(session.upgrade_query)).status == 101
    assert await second.closed() in CLOSED
    first.send("2probe", "5", '42["x",1]')
    assert await first.recv() == "3probe"
    await log.until((1,))
    assert (await third.upgrade(session.upgrade_query)).status == 101
    assert await third.closed() in CLOSED
    first.send('42["x",2]')
    await log.until((2,))


async def test_twice_polling_after_the_upgrade_is_refused(watched, poll, dial, log):
    session = await poll(watched)
    await session.join()
    wire = await dial(watched)
    await wire.upgrade(session.upgrade_query)
    wire.send("2probe", "5")
    assert await wire.recv() == "3probe"
    await eventually(lambda: watched.engine.connections[session.sid].transport.name == "websocket")
    assert (await session.get()).code == 3
    assert (await session.post('42["x",1]')).code == 3
    wire.send('42["x",2]')
    await log.until((2,))
    assert log == [(2,)]


async def test_twice_a_get_that_the_upgrade_overtakes_gets_the_close_packet(watched, poll, dial):
    session = await poll(watched)
    await session.join()
    wire = await dial(watched)
    await wire.upgrade(session.upgrade_query)
    await held(session.gets, session.query)
    wire.send("5")
    assert (await session.gets.answer()).body == b"1"


# upgrade hangs


@pytest.fixture
def impatient(log):
    """A server whose upgrades must be quick."""
    io = Server(upgrade_timeout=0.15)
    io.event("x")(lambda socket, *args: log.append(args))
    io.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))
    return io


@pytest.mark.parametrize("frames", [(), ("2probe",), ("2probe", "2probe")], ids=repr)
async def test_upgrade_that_hangs_is_given_up_and_the_session_stays(
    impatient, poll, dial, log, frames
):
    session = await poll(impatient)
    await session.join()
    wire = await dial(impatient)
    await wire.upgrade(session.upgrade_query)
    start = asyncio.get_running_loop().time()
    wire.send(*frames)
    assert await wire.closed() in CLOSED
    elapsed = asyncio.get_running_loop().time() - start
    assert 0.1 < elapsed < 1
    wire.send("5", '42["x",1]')
    await session.sent('42["x",2]')
    assert log == [(2,)]
    # Another attempt succeeds.
    wire = await dial(impatient)
    await wire.upgrade(session.upgrade_query)
    wire.send("2probe", "5", '42["x",3]')
    await log.until((3,))


@pytest.mark.parametrize(
    "first",
    ["", "0", "1", "2", "2prob", "2probe ", "3probe", "4", '42["x"]', "6", "x", b"2probe", b""],
    ids=repr,
)
async def test_upgrade_with_a_wrong_first_packet_ends_at_once(watched, poll, dial, log, first):
    session = await poll(watched)
    await session.join()
    wire = await dial(watched)
    await wire.upgrade(session.upgrade_query)
    wire.send(first, '42["x",1]', "5")
    assert await wire.closed() in CLOSED
    await session.sent('42["x",2]')
    assert log == [(2,)]


async def test_upgrade_of_probes_without_end_queues_one_answer(io):
    """A client that asks and asks, and reads no answer."""
    app = io.asgi()
    query = f"EIO=4&transport=websocket&sid={await asgi_handshake(app)}".encode()
    scope = {"type": "websocket", "path": "/socket.io/", "headers": [], "query_string": query}
    incoming, sent, readable = asyncio.Queue(), [], asyncio.Event()
    probe = {"type": "websocket.receive", "text": "2probe"}
    incoming.put_nowait({"type": "websocket.connect"})
    incoming.put_nowait(probe)

    async def send(message):
        sent.append(message.get("text"))
        if sent != [None]:  # the accept
            await readable.wait()

    trying = asyncio.create_task(app(scope, incoming.get, send))
    await eventually(lambda: len(sent) == 2)
    for _ in range(1000):
        incoming.put_nowait(probe)
    await eventually(incoming.empty)
    readable.set()
    await eventually(lambda: len(sent) == 3)
    incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await trying
    assert sent == [None, "3probe", "3probe"]
    end_all(io)


# slow


async def test_slow_head_costs_nothing_of_ours(io, dial):
    wires = [await dial(io) for _ in range(20)]
    request = head("GET", wires[0].target("EIO=4&transport=polling"), [("X", "y")])
    for number in range(len(request) - 1):
        for wire in wires:
            wire.write(request[number : number + 1])
        await asyncio.sleep(0.002)
    assert io.engine.connections == {}
    assert len(io.engine.timers) == 0
    wires[0].write(request[-1:])
    answer = await wires[0].answer()
    assert answer.status == 200
    end_all(io)


async def test_slow_body_ends_with_the_ping(log, poll):
    io = Server(ping_interval=0.1, ping_timeout=0.15)
    io.event("disconnect")(lambda socket, reason: log.append(reason))
    session = await poll(io)
    await session.join()
    start = asyncio.get_running_loop().time()
    session.posts.write(
        head("POST", session.posts.target(session.query), [("Content-Length", "99")])
    )
    assert await session.packets() == ["2"]
    await held(session.gets, session.query)
    while not log:
        session.posts.write(b"4")
        await asyncio.sleep(0.02)
    assert asyncio.get_running_loop().time() - start < 0.6
    assert log == ["ping timeout"]
    assert (await session.gets.answer()).body == b"1"
    assert (await session.posts.answer()).status == 400


async def test_slow_polls_are_held_by_one_task_each_and_end_with_the_ping(poll):
    count = 1000 if FULL else 150
    io = Server(ping_interval=count / 100, connect_timeout=60)
    sessions = [await poll(io) for _ in range(count)]
    for session in sessions:
        await session.posts.close()
    tasks = len(asyncio.all_tasks())
    for session in sessions:
        session.gets.ask(session.query)
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) == tasks + count  # the server's, which sees the line end too
    assert len(io.engine.timers) == 2 * count
    for session in sessions:
        assert (await session.gets.answer(count / 50)).body == b"2"
    await asyncio.sleep(0.02)
    assert len(asyncio.all_tasks()) == tasks


# stalled reader


async def test_stalled_reader_on_polling_is_closed_as_a_slow_client(watched, poll, log):
    stalled, other = await poll(watched), await poll(watched)
    await stalled.join()
    await other.join()
    outbox = watched.engine.connections[stalled.sid].outbox
    sizes = []
    received = 0
    while not log:
        watched.emit("news", "a" * 50_000)
        sizes.append(outbox.size)
        (packet,) = await other.packets()
        assert len(packet) > 50_000
        received += 1
    assert log == [("forced close", "slow client")]
    assert 900_000 < max(sizes) <= 1_000_000
    assert 19 <= received <= 20
    assert outbox.size == 0
    assert await gone(stalled)
    await other.sent('42["x",1]')
    assert log[1:] == [(1,)]


async def test_stalled_reader_on_polling_may_hold_one_larger_packet(watched, poll, log):
    session = await poll(watched)
    await session.join()
    watched.emit("news", "a" * 3_000_000)
    await asyncio.sleep(0.02)
    (packet,) = await session.packets()
    assert len(packet) > 3_000_000
    assert log == []

"""Rows of hardening.md, "Hostile input", that concern the server's state: what a peer must not be able to do."""

import asyncio
import logging

import pytest
from tests.integration.conftest import eventually

from roomcast import Limits, PacketError, Server


@pytest.fixture
def watched(io, log):
    """A server that logs what is dispatched and why sockets end."""
    for nsp in (io, io.of("/a")):
        nsp.event("x")(lambda socket, *args: log.append(("x", *args)))
        nsp.event("disconnect")(lambda socket, reason, details: log.append((reason, details)))
        nsp.event("error")(lambda socket, error: log.append(("error", error.kind.value)))
    return io


@pytest.fixture
async def bystander(watched, connect):
    """Another client, which must not notice anything."""
    raw = await connect(watched)
    await raw.join()
    yield raw
    await raw.send('421["nobody"]')
    watched.emit("still here")
    assert await raw.recv() == '42["still here"]'


# order


@pytest.mark.parametrize(
    ("frames", "details"),
    [
        (['42["x"]'], "EVENT for a namespace that is not joined"),
        (["430[]"], "ACK for a namespace that is not joined"),
        (["41"], "DISCONNECT for a namespace that is not joined"),
        (['44{"message":"x"}'], "CONNECT_ERROR for a namespace that is not joined"),
        (["40", '42/a,["x"]'], "EVENT for a namespace that is not joined"),
        (["40", "41/a,"], "DISCONNECT for a namespace that is not joined"),
        (["40", "40"], "CONNECT for a namespace that is joined"),
        (["40", '44{"message":"x"}'], "CONNECT_ERROR for a namespace that is joined"),
        (["40", "40/a,", "41", '42["x"]'], "EVENT for a namespace that is not joined"),
    ],
)
async def test_order_is_enforced(watched, bystander, connect, log, frames, details):
    raw = await connect(watched)
    await raw.send(*frames)
    await raw.closed()
    assert ("x",) not in log
    joined = sum(frame.startswith("40") for frame in frames) - ("41" in frames)
    joined -= frames.count("40") > 1
    assert [entry for entry in log if entry[0] == "forced close"] == [
        ("forced close", details)
    ] * joined


@pytest.mark.parametrize("frame", ["40", '42["x"]', "430[]", "41", '44{"message":"x"}'])
async def test_order_is_enforced_while_pending(watched, bystander, connect, log, frame):
    decide = asyncio.Event()
    pending = watched.of("/p")

    @pending.use
    async def wait(socket):
        log.append(("asked",))
        await decide.wait()

    pending.event("x")(lambda socket: log.append(("x",)))
    pending.on("connection", lambda socket: log.append(("connection",)))
    raw = await connect(watched)
    await raw.send("40/p,")
    await log.until(("asked",))
    await raw.send(frame[:2] + "/p," + frame[2:])
    await raw.closed()
    decide.set()
    await asyncio.sleep(0.02)
    assert log == [("asked",)]
    assert pending.sockets == {}


# packets


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        (["4"], "unknown packet type"),
        (["49"], "unknown packet type"),
        (['42[{"toString":"x"}]'], "invalid payload"),
        (["42[]"], "invalid payload"),
        (["42"], "missing event name"),
        (['42["connect"]'], "reserved event name"),
        (['42["newListener"]'], "reserved event name"),
        (["40[]"], None),
        (["40null"], None),
        (['40"x"'], None),
        (["4511-[]"], "too many attachments"),
        (["45999999999999-[]"], None),
        ([b"x"], "attachment without a header"),
        (
            ['451-["x",{"_placeholder":true,"num":0}]', '42["x"]'],
            "text while attachments are missing",
        ),
        (['451-["x",{"_placeholder":true,"num":1}]', b"x"], "illegal placeholder"),
        (["42/" + "a" * 257 + ',["x"]'], "namespace too long"),
    ],
)
async def test_bad_packet_closes_its_connection_only(
    watched, bystander, connect, log, frames, kind
):
    raw = await connect(watched)
    await raw.join()
    await raw.join("/a")
    await raw.send(*frames)
    await raw.closed()
    await log.count(4)
    assert ("x",) not in log
    errors = [entry[1] for entry in log if entry[0] == "error"]
    ends = [entry[1] for entry in log if entry[0] == "forced close"]
    assert len(errors) == 2  # on every socket of the connection, before its end
    assert errors == ends
    if kind is not None:
        assert set(errors) == {kind}
    assert [entry[0] for entry in log] == ["error", "error", "forced close", "forced close"]


async def test_error_event_carries_the_packet_error(io, connect, log):
    raw = await connect(io)
    sid = await raw.join()
    io.sockets[sid].on("error", log.append)
    await raw.send('42["x",]')
    await log.count(1)
    assert isinstance(log[0], PacketError)


async def test_engine_packets_may_come_between_attachments(watched, connect, log):
    raw = await connect(watched)
    await raw.join()
    await raw.send('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    await raw.send("3", b"1", "6", "3", b"2")
    await log.until(("x", b"1", b"2"))


# parked


async def test_parked_packet_ends_with_its_time(connect, log):
    io = Server(limits=Limits(max_packet_time=0.2))
    io.event("disconnect")(lambda socket, *args: log.append(args))
    raw = await connect(io)
    await raw.join()
    await raw.send('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    start = asyncio.get_running_loop().time()
    await asyncio.sleep(0.1)
    await raw.send(b"one of two")  # progress does not prolong it
    await raw.closed()
    assert asyncio.get_running_loop().time() - start == pytest.approx(0.2, abs=0.08)
    assert log == [("forced close", "packet took too long")]
    assert io.parked.total == 0
    assert len(io.parked) == 0


async def test_finished_packet_is_not_closed_later(connect, log):
    io = Server(limits=Limits(max_packet_time=0.1))
    raw = await connect(io)
    await raw.join()
    await raw.send('451-["x",{"_placeholder":true,"num":0}]', b"1")
    assert await raw.silent(0.2)
    assert io.parked.total == 0


async def test_parked_bytes_of_one_packet_are_limited(connect, log):
    io = Server(limits=Limits(max_packet_size=1000))
    io.event("disconnect")(lambda socket, *args: log.append(args))
    raw = await connect(io)
    await raw.join()
    await raw.send('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    await raw.send(b"a" * 2000)
    await raw.closed()
    await log.until(("forced close", "packet too large"))
    assert io.parked.total == 0


async def test_parked_bytes_of_all_connections_are_limited(connect, log):
    io = Server(limits=Limits(max_pending_size=5000))
    io.event("disconnect")(lambda socket, *args: log.append((socket.id, *args)))
    header = '452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    small, large = await connect(io), await connect(io)
    await small.join()
    sid = await large.join()
    await small.send(header, b"a" * 1000)
    await large.send(header, b"a" * 3000)
    await asyncio.sleep(0.05)
    assert len(io.parked) == 2
    assert io.parked.total > 4000
    third = await connect(io)
    await third.join()
    await third.send(header, b"a" * 1500)
    await large.closed()  # who holds most pays
    assert log == [(sid, "forced close", "packet too large")]
    assert len(io.parked) == 2
    await small.close()
    await third.send(b"done")
    await eventually(lambda: not io.parked.total)
    assert len(io.parked) == 0


@pytest.mark.parametrize("cut", range(4))
async def test_cut_line_leaves_nothing_for_the_next_connection(watched, connect, log, cut):
    frames = ['453-["x",' + ",".join(f'{{"_placeholder":true,"num":{n}}}' for n in range(3)) + "]"]
    frames += [b"1", b"2", b"3"]
    raw = await connect(watched)
    await raw.join()
    await raw.send(*frames[:cut])
    raw.ws.transport.abort()
    await log.count(1)
    again = await connect(watched)
    await again.join()
    await again.send(*frames)
    await log.until(("x", b"1", b"2", b"3"))
    assert len(log) == 2
    assert watched.parked.total == 0


# namespaces


async def test_namespaces_of_a_connection_are_limited(io, connect):
    for number in range(65):
        io.of(f"/{number}")
    raw = await connect(io)
    for number in range(64):
        await raw.join(f"/{number}")
    await raw.send("40/64,")
    assert await raw.recv() == '44/64,{"message":"too many namespaces"}'
    await raw.send("41/0,")
    await raw.join("/64")


async def test_pending_namespaces_count(connect):
    io = Server(limits=Limits(max_namespaces=1))
    decide = asyncio.Event()

    @io.use
    async def wait(socket):
        await decide.wait()

    io.of("/a")
    raw = await connect(io)
    await raw.send("40", "40/a,")
    assert await raw.recv() == '44/a,{"message":"too many namespaces"}'
    decide.set()
    assert str(await raw.recv()).startswith('40{"sid"')


async def test_unknown_namespaces_make_nothing(io, connect):
    raw = await connect(io)
    for number in range(100):
        await raw.send(f"40/{number},")
        assert await raw.recv() == f'44/{number},{{"message":"Invalid namespace"}}'
    assert len(io._namespaces) == 1


# raising code


class Custom(BaseException):
    pass


ERRORS = [ValueError("x"), Custom("x"), asyncio.CancelledError(), TimeoutError()]


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("kind", ["def", "async", "waits"])
async def test_handler_that_raises_is_reported_once_and_answers_nothing(
    io, connect, log, caplog, error, kind
):
    def plain(socket):
        raise error

    async def coroutine(socket):
        raise error

    async def waits(socket):
        await asyncio.sleep(0)
        raise error

    io.event("ask")({"def": plain, "async": coroutine, "waits": waits}[kind])
    io.event("fine")(lambda socket: "fine")
    io.on_error(lambda *args: log.append(args))
    raw = await connect(io)
    sid = await raw.join()
    socket = io.sockets[sid]
    with caplog.at_level(logging.INFO, "roomcast"):
        await raw.send('421["ask"]', '422["fine"]')
        assert await raw.recv() == '432["fine"]'
        await log.count(1)
    assert log == [(error, socket, "ask")]
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage() == f"handler of ask failed, socket {sid}"
    assert caplog.records[0].name == "roomcast.server"
    assert await raw.silent(0.02)


@pytest.mark.parametrize("error", ERRORS[:3], ids=repr)
async def test_other_code_that_raises_is_contained(io, connect, log, error):
    def fail(*args):
        raise error

    io.on_error(lambda error, socket, event: log.append(event))
    io.on("connection", fail)
    io.event("disconnecting")(fail)
    io.event("disconnect")(fail)
    raw = await connect(io)
    sid = await raw.join()
    socket = io.sockets[sid]
    socket.on("newListener", fail)
    socket.join("room")
    socket.emit("ask", ack=fail)
    assert await raw.recv() == '420["ask"]'
    await raw.send("430[]")
    await log.until("ask")
    await raw.close()
    await log.until("disconnect")
    assert log == ["connection", "ask", "disconnecting", "disconnect"]
    assert io.adapter.rooms.room_names() == []
    assert io.sockets == {}
    assert not socket.connected


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("error", [Custom("x"), asyncio.CancelledError()], ids=repr)
async def test_middleware_that_raises_refuses(io, connect, log, error):
    io.on_error(lambda error, socket, event: log.append(event))

    @io.use
    async def fail(socket):
        raise error

    raw = await connect(io)
    await raw.send("40")
    assert await raw.recv() == '44{"message":"Internal server error"}'
    assert log == ["middleware"]
    await raw.send("40")
    assert await raw.recv() == '44{"message":"Internal server error"}'


async def test_result_without_a_json_form_is_the_handlers_error(io, connect, log):
    io.event("ask")(lambda socket: object())

    @io.event("wait")
    async def wait(socket):
        return {1, 2}.__iter__

    io.on_error(lambda error, socket, event: log.append((type(error).__name__, event)))
    raw = await connect(io)
    await raw.join()
    await raw.send('421["ask"]', '422["wait"]')
    await log.count(2)
    assert log == [("EncodeError", "ask"), ("EncodeError", "wait")]
    assert await raw.silent(0.02)


async def test_error_hooks_may_fail_or_be_coroutines(io, connect, log, caplog):
    @io.on_error
    def fails(error, socket, event):
        raise RuntimeError("hook")

    @io.on_error
    async def fails_too(error, socket, event):
        await asyncio.sleep(0)
        raise RuntimeError("hook")

    @io.on_error
    async def works(error, socket, event):
        await asyncio.sleep(0.01)
        log.append(event)

    @io.event("x")
    def handler(socket):
        raise ValueError

    raw = await connect(io)
    await raw.join()
    await raw.send('42["x"]')
    await log.until("x")
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("the error hook failed") == 2


async def test_peers_text_in_logs_is_escaped_and_cut(io, connect, caplog, log):
    @io.event("evil\x1b[31m\r\n" + "é" * 100)
    def handler(socket):
        raise ValueError

    io.on_error(lambda *args: log.append(args))
    raw = await connect(io)
    await raw.join()
    await raw.send('42["evil\\u001b[31m\\r\\n' + "é" * 100 + '"]')
    await log.count(1)
    (record,) = caplog.records
    assert record.getMessage().startswith("handler of evil\\x1b[31m\\r\\n\\xe9\\xe9")
    assert record.getMessage().isascii()
    assert len(record.getMessage().split("of ")[1].split(" failed")[0]) == 32


# reentry, values


async def test_flood_of_pongs_makes_no_task(io, connect):
    raw = await connect(io)
    await raw.join()
    tasks = len(asyncio.all_tasks())
    for _ in range(500):
        await raw.send("3", "6")
    await raw.send("41")
    await raw.join()
    assert len(asyncio.all_tasks()) <= tasks
    assert len(io.engine.timers) == 1


async def test_deep_and_large_packets_are_refused_before_an_object_is_made(watched, connect, log):
    for payload, kind in (
        ("[" * 300 + "]" * 300, "nested too deep"),
        ("[" + "[]," * 260_000 + "[]]", "too many values"),
    ):
        raw = await connect(watched)
        await raw.join()
        await raw.send(f'42["x",{payload}]')
        await raw.closed()
        await log.until(("forced close", kind))

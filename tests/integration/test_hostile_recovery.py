"""Rows of hardening.md, "Hostile input", that concern recoveries: `recovery` and `cut line`."""

import asyncio
import json
import random

import pytest
from tests.integration.conftest import FULL, eventually
from tests.integration.test_recovery import Reply, args_of, cut, join, offset_of, socket_of

from roomcast import RecoveryFailure, Server
from support.wire import BINARY, TEXT, Wire

WEBSOCKET_QUERY = "EIO=4&transport=websocket"

ANY = [
    None,
    "",
    "x",
    0,
    -1,
    1.5,
    True,
    [],
    {},
    [["x"]],
    "\0",
    "é😀\ud83d",
    "__proto__",
    "0" * 100_000,
    "Q84k1KZ",
    "1700000000000-0",
]


@pytest.fixture
def io():
    return Server(connection_state_recovery=True)


@pytest.mark.parametrize("pid", ANY, ids=repr)
@pytest.mark.parametrize("offset", ["x", ...], ids=repr)
async def test_recovery_of_nobody_is_a_new_connection(io, connect, pid, offset):
    raw = await connect(io)
    reply = await join(raw, {"pid": pid} | ({} if offset is ... else {"offset": offset}))
    assert len(reply.sid) == len(reply.pid) == 20
    socket = socket_of(io, reply)
    assert not socket.recovered
    assert socket.recovery_failure is RecoveryFailure.UNKNOWN_SESSION
    assert io.engine.counters["recovery_unknown_session"] == 1
    await raw.send('42["still here"]')
    io.emit("still here")
    assert args_of(await raw.recv())[0] == "still here"


@pytest.mark.parametrize("offset", [offset for offset in ANY if offset is not None], ids=repr)
async def test_recovery_with_any_offset(io, connect, offset):
    raw = await connect(io)
    reply = await join(raw)
    io.emit("seen")
    await raw.recv()
    await cut(io, raw)
    again = await join(await connect(io), {"pid": reply.pid, "offset": offset})
    assert again.sid != reply.sid
    assert again.before == []
    assert socket_of(io, again).recovery_failure is RecoveryFailure.UNKNOWN_OFFSET
    assert (len(io.sessions), io.adapter.has_sessions) == (0, False)


async def test_recovery_with_an_offset_yet_to_come(io, connect):
    raw = await connect(io)
    reply = await join(raw)
    io.emit("seen")
    offset = offset_of(await raw.recv())
    await cut(io, raw)
    later = offset[:-1] + format(int(offset[-1], 16) + 1, "x")
    again = await join(await connect(io), reply.wish(later))
    assert socket_of(io, again).recovery_failure is RecoveryFailure.UNKNOWN_OFFSET


async def test_recovery_repeated_serves_once(io, connect):
    raw = await connect(io)
    reply = await join(raw)
    await cut(io, raw)
    io.emit("missed")
    lines = [await connect(io) for _ in range(20)]
    replies = await asyncio.gather(*(join(line, reply.wish()) for line in lines))
    assert [each.sid for each in replies].count(reply.sid) == 1
    assert len({each.sid for each in replies}) == 20
    assert sum(len(each.before) for each in replies) == 1
    assert len(io.sockets) == 20


async def test_recovery_twice_on_one_line_closes_it(io, connect):
    raw = await connect(io)
    reply = await join(raw)
    await raw.send("40" + json.dumps(reply.wish()))
    await raw.closed()
    assert io.sockets == {}
    again = await join(await connect(io), reply.wish())
    assert again.sid == reply.sid  # a forced close is one that it may come back from


async def test_recovery_floods_stay_bounded(connect):
    bounds = {"max_sessions": 10, "max_packets": 20, "max_bytes": 50_000}
    io = Server(connection_state_recovery=bounds)
    for number in range(100):
        raw = await connect(io)
        await join(raw)
        io.emit("flood", "x" * (number * 50))
        socket_of_raw = next(iter(io.sockets.values()))
        socket_of_raw.conn.close("transport close", discard=True)
    sessions = io.sessions
    assert len(sessions) == 10
    assert sessions.event_count <= 20
    assert sessions.size <= 50_000
    assert len(sessions._ended) <= 10
    assert io.engine.counters["recovery_max_sessions"] == 90
    assert len(io.engine.timers) <= 2


async def open_wire(port: int, auth: dict[str, object]) -> tuple[Wire, Reply]:
    """Connect with a WebSocket made of bytes; events that come before the answer are left out."""
    wire = await Wire.open(port)
    await wire.upgrade(WEBSOCKET_QUERY)
    assert (await wire.recv())[0] == "0"
    wire.send("40" + json.dumps(auth))
    before = []
    while not (isinstance(message := await wire.recv(), str) and message.startswith("40")):
        before.append(message)
    return wire, Reply(before, json.loads(message[2:]))


class Counting:
    """What a client makes of the frames that came whole: events by their numbers, and the offset of the last one."""

    def __init__(self):
        self.numbers = []
        self.offset = None
        self.begin()

    @property
    def is_whole(self):
        """Whether nothing is missing of an event that has begun."""
        return self._missing == 0

    def begin(self):
        """Begin with a new line, and an empty decoder."""
        self._header = None
        self._missing = 0

    def take(self, message):
        if isinstance(message, bytes):
            self._missing -= 1
        else:
            self._header = message
            self._missing = int(message[2]) if message.startswith("45") else 0
        if self._missing == 0:
            args = args_of(self._header)
            self.numbers.append(args[1])
            self.offset = args[-1]


async def test_cut_line_at_every_byte(io, port_of):
    port = await port_of(io)
    wire, reply = await open_wire(port, {})
    emitted = 0

    def emit():
        nonlocal emitted
        io.emit("event", emitted, b"one", [b"two", {"x": b"three"}])
        emitted += 1

    emit()
    probe = [await wire.recv_frame() for _ in range(4)]
    size = sum(2 + len(data) for _, data in probe) + 2  # two events, and some
    client = Counting()
    for first, data in probe:
        client.take(data.decode() if first & 0xF == TEXT else data)
    step = 1 if FULL else 7
    for length in range(random.randrange(step), 2 * size, step):
        emit()
        emit()
        # A client that has got so many bytes, and no more.
        got = await asyncio.wait_for(wire.reader.readexactly(length), 2)
        for message in whole_frames(got):
            client.take(message)
        wire.reset()
        await eventually(lambda: not io.sockets)
        emit()
        wish = reply.wish(client.offset)
        wire, again = await open_wire(port, wish)
        assert again.sid == reply.sid, io.engine.counters
        client.begin()
        for message in again.before:
            client.take(message)
        assert client.numbers == list(range(emitted))
    assert io.engine.counters["recoveries"] > 10
    await wire.close()


def whole_frames(data):
    """Return the messages of frames that are complete."""
    messages = []
    at = 0
    while at + 2 <= len(data):
        opcode, size, start = data[at] & 0xF, data[at + 1] & 0x7F, at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        if start + size > len(data):
            break
        assert opcode in (TEXT, BINARY)
        payload = data[start : start + size]
        messages.append(payload.decode() if opcode == TEXT else payload)
        at = start + size
    return messages

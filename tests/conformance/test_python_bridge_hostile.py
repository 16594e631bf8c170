"""What stands in python-socketio's channel beside its newest form: older forms, pickles, and what nobody has sent."""

import asyncio
import json
import os
import pickle
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from roomcast import PythonSocketIOBridge, RedisAdapter, Server, UsageError
from roomcast.testing import Connect, Socket
from support.broker import RunningBroker, missing_broker, running_broker
from support.process import watch_memory
from support.python_cluster import new_io
from support.served import eventually

pytestmark = [
    pytest.mark.skipif(missing_broker() is not None, reason=str(missing_broker())),
    pytest.mark.timeout(300),
]

MESSAGES: Final = 200_000 if os.environ.get("ROOMCAST_HOSTILE") == "full" else 20_000

HOST: Final = "2081fbf1da9547528e8edebd226d8925"

Node = tuple[Server, PythonSocketIOBridge]


@pytest.fixture
def broker() -> Iterator[RunningBroker]:
    with running_broker() as broker:
        yield broker


@pytest.fixture
async def node(broker: RunningBroker) -> AsyncIterator[Node]:
    io, bridge = new_io(broker, with_adapter=False)
    await bridge.start()
    yield io, bridge
    await io.close()


def message(method: str = "emit", **fields: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {"method": method, "namespace": "/", "host_id": HOST}
    if method == "emit":
        defaults |= {"event": "news", "data": [1], "binary": False, "room": None}
        defaults |= {"skip_sid": None, "callback": None}
    return defaults | fields


class Ear:
    """What a client hears of ``news``, up to a mark."""

    def __init__(self, broker: RunningBroker, socket: Socket) -> None:
        self.heard: list[list[Any]] = []
        self.marks = 0
        self._broker = broker
        socket.on("news", lambda *args: self.heard.append([*args]))
        socket.on("mark", self._marked)

    def _marked(self, *args: Any) -> None:
        self.marks += 1

    async def hears(self, *messages: dict[str, Any] | bytes) -> list[list[Any]]:
        """Return what it has heard when all messages have been read."""
        for each in (*messages, message(event="mark")):
            data = each if isinstance(each, bytes) else json.dumps(each).encode()
            self._broker.publish("socketio", data)
        marks = self.marks
        await eventually(lambda: self.marks > marks)
        heard, self.heard = self.heard, []
        return heard


@pytest.mark.parametrize(
    ("fields", "args"),
    [
        ({"data": "x"}, ["x"]),  # 5.14: one argument stands by itself
        ({"data": {"a": 1}}, [{"a": 1}]),
        ({"data": ["a", "b"]}, ["a", "b"]),
        ({"data": ["a"]}, ["a"]),
        ({"data": [["a"]]}, [["a"]]),  # 5.15.1: a list of the arguments
        ({"data": [None]}, []),  # what python-socketio makes of it
        ({"data": None}, []),
        ({"data": []}, []),
        ({"data": [{"_placeholder": True, "num": 0}]}, [{"_placeholder": True, "num": 0}]),
        ({"binary": True, "data": [{"_placeholder": True, "num": 0}, "AQI="]}, [b"\1\2"]),  # 5.14.2
        ({"binary": True, "data": [[{"_placeholder": True, "num": 0}], "AQI="]}, [b"\1\2"]),
        (
            {
                "binary": True,
                "data": [[{"b": {"_placeholder": True, "num": 1}}, "x"], "", "AQI="],
            },
            [{"b": b"\1\2"}, "x"],
        ),
    ],
    ids=repr,
)
async def test_every_json_form_is_read(
    broker: RunningBroker, node: Node, connect: Connect, fields: Any, args: list[Any]
) -> None:
    ear = Ear(broker, await connect(node[0]))
    assert await ear.hears(message(**fields)) == [args]
    bare = {name: value for name, value in message(**fields).items() if value is not None}
    del bare["binary"]
    if not fields.get("binary"):
        assert await ear.hears(bare) == [args]


BAD: Final[list[Any]] = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"{}{}",
    b'{"method":"emit"},{"host_id":"x"}',
    b"\xff" * 9,
    message() | {"host_id": None},
    message() | {"host_id": ""},
    message() | {"host_id": "x" * 2_000},
    message() | {"method": None},
    message("steal"),
    message(namespace=None),
    message(namespace=1),
    message(event=None),
    message(event={"toString": 1}),
    message(room=[]),  # nobody: it must not become everybody
    message(room={}),
    message(room=True),
    message(room=[["x"]]),
    message(skip_sid={"x": 1}),
    message(callback="abc"),
    message(callback=["x", "/"]),
    message(callback=["x", "/", None]),
    message(callback=["x", "/", True]),
    message(callback=["x", "/", "y" * 2_000]),
    message(callback=["x" * 2_000, "/", 1]),
    message(callback=[["x"], "/", 1]),
    message(binary=1, data=[[], "AQI="]),
    message(binary=True, data=[]),
    message(binary=True, data="x"),
    message(binary=True, data=[[{"_placeholder": True, "num": 0}]]),
    message(binary=True, data=[[{"_placeholder": True, "num": -1}], "AQI="]),
    message(binary=True, data=[[{"_placeholder": True, "num": "splice"}], "AQI="]),
    message(binary=True, data=[[{"_placeholder": True, "num": True}], "AQI=", "AQI="]),
    message(binary=True, data=[[{"_placeholder": True, "num": 0}], "%%%"]),
    message(binary=True, data=[[{"_placeholder": True, "num": 0}], "é"]),
    message(binary=True, data=[[{"_placeholder": True, "num": 0}], 1]),
    message("enter_room", sid=None, room="r"),
    message("enter_room", sid="x", room=None),
    message("leave_room", sid=["x"], room="r"),
    message("close_room", room=None),
    message("disconnect", sid=None),
    message("callback", id="x", args=[]),
    message("callback", id=1, args=None),
    message("callback", id=True, args=[]),
    (b'{"method":"emit","host_id":"x","namespace":"/","event":"news","data":' + b"[" * 5_000),
]


async def test_what_is_not_well_formed_has_no_effect(
    broker: RunningBroker, node: Node, connect: Connect, caplog: Any
) -> None:
    io, bridge = node
    client = await connect(io)
    io.sockets[client.id].join("r")
    ear = Ear(broker, client)
    for number, each in enumerate(BAD, 1):
        assert await ear.hears(each) == [], each
        assert bridge.counters["invalid"] == number, each
    # Well-formed, but nothing that a client may get.
    assert await ear.hears(message(event="disconnect")) == []
    assert bridge.counters["undeliverable"] == 1
    assert await ear.hears(message(namespace="/elsewhere")) == []
    assert bridge.counters["foreign_namespaces"] == 1
    assert await ear.hears(message("callback", id=1, args=[])) == []
    assert bridge.counters["foreign_responses"] == 1
    for method in ("enter_room", "leave_room", "disconnect"):
        assert await ear.hears(message(method, sid="x" * 20, room="r")) == []
    assert (bridge.counters["failed"], bridge.health.ok) == (0, True)
    assert await ear.hears(message()) == [[1]]
    assert len([record for record in caplog.records if "dropped" in record.message]) == 2


class Trap:
    """What acts when somebody unpickles it."""

    sprung = False

    def __reduce__(self) -> Any:
        return setattr, (Trap, "sprung", True)


async def test_pickles_are_counted_and_never_read(
    broker: RunningBroker, node: Node, connect: Connect, caplog: Any
) -> None:
    ear = Ear(broker, await connect(node[0]))
    pickles = [
        pickle.dumps(each, protocol)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
        for each in (message(), {"method": "emit", "data": Trap()})
    ]
    assert await ear.hears(*pickles) == []
    assert (node[1].counters["pickled"], Trap.sprung) == (len(pickles), False)
    (line,) = [record.message for record in caplog.records if "pickled" in record.message]
    assert "upgrade python-socketio to 5.15.1" in line


async def test_answers_are_taken_of_nobody_else(
    broker: RunningBroker, node: Node, connect: Connect
) -> None:
    io, bridge = node
    ear = Ear(broker, await connect(io))
    asked = asyncio.ensure_future(io.to("x" * 20).timeout(5).emit_with_ack("ask"))
    await asyncio.sleep(0)
    (id,) = bridge._pending
    forged = [
        message("callback", id=id, args=["forged"]),
        message("callback", id=id + 1, args=["forged"], host_id=bridge.host_id),
        message(event="news", host_id=bridge.host_id),
    ]
    assert await ear.hears(*forged) == []
    assert not asked.done()
    await ear.hears(message("callback", id=id, args=["right"], host_id=bridge.host_id))
    assert await asked == ["right"]


async def test_clients_that_do_not_answer_are_forgotten(
    broker: RunningBroker, connect: Connect
) -> None:
    io, bridge = new_io(broker, with_adapter=False, callback_timeout=0.2)
    await bridge.start()
    client = await connect(io)
    ear = Ear(broker, client)
    await ear.hears(message(event="unheard", callback=["x", "/", 1]))
    (socket,) = io.sockets.values()
    assert len(socket._acks) == 1
    await eventually(lambda: not socket._acks)
    await io.close()


def valid() -> list[bytes]:
    binary = [[{"_placeholder": True, "num": 0}, "x"], "AQI="]
    messages = [
        message(event="other", room="r", skip_sid=["x"]),
        message(event="other", binary=True, data=binary, room=["r", "s"]),
        message(event="other", callback=["r", "/", 1], room="r"),
        message("callback", id=1, args=[1, "x"]),
        message("enter_room", sid="x", room="r"),
        message("leave_room", sid="x", room="r"),
        message("close_room", room="r"),
        message("disconnect", sid="x"),
    ]
    return [json.dumps(each).encode() for each in messages]


def bad(randomly: random.Random, messages: list[bytes]) -> bytes:
    """Return something that is not, or mostly not, what a manager sends."""
    data = bytearray(randomly.choice(messages))
    match randomly.randrange(6):
        case 0:
            return randomly.randbytes(randomly.randrange(60))
        case 1:
            return bytes(data[: randomly.randrange(len(data))])
        case 2:
            return pickle.dumps(message())
        case 3:
            for _ in range(randomly.randrange(1, 4)):
                data[randomly.randrange(len(data))] = randomly.randrange(256)
        case 4:
            fields = json.loads(bytes(data))
            name = randomly.choice([*fields])
            fields[name] = randomly.choice([None, True, -1, 1e300, "", "x" * 99, [], [[]], {}])
            return json.dumps(fields).encode()
        case _:
            begin = randomly.randrange(len(data))
            data[begin:begin] = randomly.choice([*b'{}[]",:\\', 0]).to_bytes()
    return bytes(data)


async def test_messages_of_nobody_do_no_harm(
    broker: RunningBroker, node: Node, connect: Connect, caplog: Any
) -> None:
    io, bridge = node
    client = await connect(io)
    ear = Ear(broker, client)
    randomly = random.Random(20)
    messages = valid()
    data = [bad(randomly, messages) for _ in range(MESSAGES)]
    async with watch_memory() as memory:
        for begin in range(0, MESSAGES, 1_000):
            part = [("socketio", each) for each in data[begin : begin + 1_000]]
            await asyncio.to_thread(broker.publish_all, part)
        assert await ear.hears(message()) == [[1]]
    assert memory.rise < 50_000_000
    counters = bridge.counters
    assert counters["failed"] == 0
    assert counters["invalid"] > MESSAGES / 4
    assert counters["pickled"] > MESSAGES / 8
    assert counters["received"] >= MESSAGES
    assert (counters["subscriptions"], bridge.health.ok, client.connected) == (1, True, True)
    assert len([record for record in caplog.records if "dropped" in record.message]) <= 3


async def test_huge_messages_are_dropped_unread(
    broker: RunningBroker, node: Node, connect: Connect
) -> None:
    ear = Ear(broker, await connect(node[0]))
    begin = time.process_time()
    huge = json.dumps(message(data=["x" * 33_000_000])).encode()
    assert await ear.hears(huge) == []
    assert node[1].counters["invalid"] == 1
    assert time.process_time() - begin < 5


async def test_health_is_told_and_what_waited_is_sent(
    broker: RunningBroker, connect: Connect
) -> None:
    a, b = (new_io(broker, with_adapter=False) for _ in range(2))
    for _, bridge in (a, b):
        await bridge.start()
    changes: list[Any] = []
    b[1].on("health", changes.append)
    ear = Ear(broker, await connect(b[0]))
    broker.kill()
    await eventually(lambda: not a[1].health.publishing and not b[1].health.listening)
    a[0].volatile.emit("news", "volatile")
    a[0].emit("news", "kept")
    assert (a[1].counters["dropped_volatile"], b[1].health.ok) == (1, False)
    assert b[1].health.deaf_for > 0
    broker.start()
    await eventually(lambda: ear.heard == [["kept"]])
    assert changes[-1].ok
    assert broker.subscribers("socketio") == 2
    for io, _ in (a, b):
        await io.close()


def test_bridge_belongs_to_one_server_and_checks_what_it_gets() -> None:
    bridge = PythonSocketIOBridge("redis://127.0.0.1:1")
    Server(adapter=bridge)
    with pytest.raises(UsageError):
        Server(adapter=bridge)
    with pytest.raises(UsageError, match="one bridge"):
        Server(
            adapter=PythonSocketIOBridge(
                "redis://127.0.0.1:1", adapter=PythonSocketIOBridge("redis://127.0.0.1:1")
            )
        )
    with pytest.raises(TypeError):
        PythonSocketIOBridge("redis://127.0.0.1:1", adapter="redis")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        PythonSocketIOBridge(7)
    with pytest.raises(ValueError, match="callback_timeout"):
        PythonSocketIOBridge("redis://127.0.0.1:1", callback_timeout=0)


async def test_children_of_dynamic_namespaces_and_recovery_work_with_a_bridge(
    broker: RunningBroker, connect: Connect
) -> None:
    adapter = RedisAdapter(broker.url)
    bridge = PythonSocketIOBridge(broker.url, adapter=adapter)
    io = Server(adapter=bridge, connection_state_recovery=True)
    parent = io.of(lambda name, auth: name.startswith("/room-"))
    await bridge.start()
    client = await connect(io, "/room-1")
    heard: list[Any] = []
    client.on("news", lambda *args: heard.append(args))
    broker.publish("socketio", json.dumps(message(namespace="/room-1")).encode())
    await eventually(lambda: heard)
    assert heard[0][0] == 1
    assert [*bridge._adapters] == ["/", "/room-1"]
    await client.disconnect()
    await eventually(lambda: not parent.children)
    assert [*bridge._adapters] == ["/"]
    assert (bridge.health.ok, io.metrics.adapter) == (True, bridge.health)
    await adapter.subscriber.close()
    assert (bridge.health.listening, bridge.health.publishing) == (False, True)
    await io.close()

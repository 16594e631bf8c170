"""One cluster of roomcast and Node.js servers over a broker: every operation, in both directions, and emitters of both."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from roomcast import AckTimeoutError
from support.cluster import WITH_CLUSTER, Choice, Cluster, running_cluster
from support.official_client import OfficialClient
from support.served import eventually

pytestmark = WITH_CLUSTER

SERVERS = ("a", "node")
"""Where operations begin: ``a`` is roomcast, and ``b`` another node of it."""

ORIGINS = (*SERVERS, "js", "py", "sync")

origins = pytest.mark.parametrize("origin", ORIGINS)
servers = pytest.mark.parametrize("origin", SERVERS)
namespaces = pytest.mark.parametrize("nsp", ["/", "/chat"])


KINDS = (
    "classic",
    "sharded/dynamic",
    "sharded/dynamic-private",
    "sharded/static",
    "streams",
    "streams/sharded",
    "streams/several",
)
"""Which adapter all servers have."""


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=KINDS)
async def running(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with running_cluster(request.param) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(request: pytest.FixtureRequest, running: Cluster) -> AsyncIterator[Cluster]:
    callspec = getattr(request.node, "callspec", None)
    if callspec and callspec.params.get("origin") not in (None, *running.origins):
        pytest.skip("there are no emitters for this format")
    yield running
    await running.alone()


async def test_all_nodes_count_the_same_servers(cluster: Cluster) -> None:
    assert await cluster.io("a").adapter.server_count() == 3
    assert await cluster.io("b").of("/chat").adapter.server_count() == 3
    assert await cluster.node.call("count") == 3
    assert await cluster.node.call("count", nsp="/chat") == 3


@origins
@namespaces
async def test_broadcast_reaches_the_clients_of_all_servers(
    cluster: Cluster, origin: str, nsp: str
) -> None:
    crowd = await cluster.crowd(nsp=nsp)
    args = ["text", 1, -2.5, None, True, {"a": [b"\x00\xff", {"b": b""}]}, [b"\x01"]]
    await cluster.do(origin, "emit", "hello", *args, nsp=nsp)
    assert await cluster.reached(origin, crowd, "hello", nsp) == 3 * [[args]]


@origins
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(to=("red",)), "red both except"),
        (Choice(to=("red", "blue")), "red blue both except"),
        (Choice(to=("red", "blue"), except_=("green",)), "red blue both"),
        (Choice(except_=("red",)), "blue none"),
        (Choice(except_=("red", "blue")), "none"),
        (Choice(to=("nobody",)), ""),
        (Choice(to=("red",), volatile=True, compress=False), "red both except"),
    ],
)
async def test_rooms_and_exceptions_mean_the_same_everywhere(
    cluster: Cluster, origin: str, choice: Choice, expected: str
) -> None:
    members = {
        "red": ("red",),
        "blue": ("blue",),
        "both": ("red", "blue"),
        "except": ("red", "green"),
        "none": (),
    }
    for server in ("b", "node"):
        clients = {name: await cluster.connect(server, *rooms) for name, rooms in members.items()}
        await cluster.do(origin, "emit", "hello", 1, choice=choice)
        heard = await cluster.reached(origin, clients, "hello")
        reached = [name for name, each in zip(clients, heard, strict=True) if each]
        assert reached == expected.split(), server
        assert all(len(each) <= 1 for each in heard)


@origins
@pytest.mark.parametrize("room", ["a#b", "*", "[x]?", "é🎉", "12", "", " "])
async def test_names_of_rooms_are_only_names(cluster: Cluster, origin: str, room: str) -> None:
    inside, outside = await cluster.crowd(room), await cluster.crowd("other")
    await cluster.do(origin, "emit", "hello", choice=Choice(to=(room,)))
    assert await cluster.reached(origin, inside, "hello") == 3 * [[[]]]
    await cluster.do(origin, "emit", "again", choice=Choice(to=(room, "nobody")))
    assert await cluster.reached(origin, inside, "again") == 3 * [[[]]]
    assert await cluster.reached(origin, outside, "hello") == 3 * [[]]


@servers
async def test_broadcast_of_a_socket_leaves_out_the_sender_alone(
    cluster: Cluster, origin: str
) -> None:
    crowd = await cluster.crowd("room")
    sender = crowd[origin]
    if origin == "node":
        await cluster.node.call("broadcast", "hello", 1, sid=sender.id)
    else:
        cluster.io("a").sockets[sender.id].broadcast.emit("hello", 1)
    heard = await cluster.reached(origin, crowd, "hello")
    assert heard == [[] if client is sender else [[1]] for client in crowd.values()]


@origins
async def test_id_of_a_socket_reaches_it_wherever_it_is(cluster: Cluster, origin: str) -> None:
    crowd = await cluster.crowd()
    for client in crowd.values():
        await cluster.do(origin, "emit", "hello", client.id, choice=Choice(to=(client.id,)))
    heard = await cluster.reached(origin, crowd, "hello")
    assert heard == [[[client.id]] for client in crowd.values()]


@servers
async def test_dates_arrive_as_json_has_them(cluster: Cluster, origin: str) -> None:
    crowd = await cluster.crowd()
    args: list[Any] = [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)] if origin == "a" else [{"t": 0}]
    await cluster.do(origin, "emit", "hello", *args)
    heard = await cluster.reached(origin, crowd, "hello")
    assert heard[0] == heard[1] == heard[2]
    if origin == "a":
        assert heard[0] == [["2026-01-02T03:04:05Z"]]


async def test_numbers_and_texts_that_messagepack_does_not_have(cluster: Cluster) -> None:
    crowd = await cluster.crowd()
    cluster.io("a").emit("hello", 2**80, "cut \ud83d", float("nan"))
    for heard in await cluster.reached("a", crowd, "hello"):
        assert heard == [[2**80, "cut \ufffd", None]] or heard == [[2**80, "cut \ud83d", None]]


async def test_local_stays_on_its_node(cluster: Cluster) -> None:
    crowd = await cluster.crowd()
    cluster.io("a").local.emit("hello")
    assert await cluster.reached("a", crowd, "hello") == [
        [[]] if server == "a" else [] for server in crowd
    ]
    assert [each.id for each in await cluster.io("a").local.fetch_sockets()] == [crowd["a"].id]
    cluster.io("a").local.sockets_join("here")
    cluster.io("a").local.disconnect_sockets()
    await crowd["a"].next("disconnect")
    assert await cluster.node.call("count") == 3
    assert len(await cluster.io("a").fetch_sockets()) == 2


async def test_all_of_reaches_roomcast_nodes_and_no_other(cluster: Cluster) -> None:
    both, one = await cluster.crowd("eu", "premium"), await cluster.crowd("eu")
    cluster.io("a").all_of("eu", "premium").emit("offer", 1)
    heard = await cluster.reached("a", both, "offer")
    assert heard == [[] if server == "node" else [[1]] for server in both]
    assert await cluster.reached("a", one, "offer") == 3 * [[]]
    found = await cluster.io("a").all_of("eu", "premium").fetch_sockets()
    assert {each.id for each in found} == {both["a"].id, both["b"].id}
    assert found.complete


async def test_order_of_a_sender_is_kept(cluster: Cluster) -> None:
    crowd = await cluster.crowd("room")
    io = cluster.io("a")
    for number in range(300):
        match number % 3:
            case 0:
                io.emit("n", number)
            case 1:
                io.to("room").emit("n", number)
            case 2:
                io.to("room", "other").emit("n", number, b"x")
    for heard in await cluster.reached("a", crowd, "n"):
        assert [args[0] for args in heard] == list(range(300))


async def answering(clients: list[OfficialClient], *answers: Any) -> None:
    for client, answer in zip(clients, answers, strict=True):
        await client.answer("ask", answer)


@servers
async def test_answers_of_all_servers_are_collected(cluster: Cluster, origin: str) -> None:
    crowd = await cluster.crowd("room")
    await answering(list(crowd.values()), 1, {"two": 2}, b"three")
    if origin == "node":
        error, answers = await cluster.node.call("ask", "ask", "q", b"\x01", timeout=4000)
        assert error is None
        assert len(answers) == 3
    else:
        got = await cluster.io("a").to("room").timeout(4).emit_with_ack("ask", "q", b"\x01")
        assert sorted(map(str, got)) == sorted(map(str, [1, {"two": 2}, b"three"]))
    for client in crowd.values():
        assert await client.next("ask") == ["q", b"\x01"]


@servers
async def test_who_does_not_answer_is_missing_in_time(cluster: Cluster, origin: str) -> None:
    crowd = await cluster.crowd()
    await crowd["a"].answer("ask", "from a")
    if origin == "node":
        error, answers = await cluster.node.call("ask", "ask", timeout=1000)
        assert (error, answers) == ("operation has timed out", ["from a"])
    else:
        with pytest.raises(AckTimeoutError) as raised:
            await cluster.io("a").timeout(1).emit_with_ack("ask")
        assert raised.value.responses == ["from a"]
        report = await cluster.io("a").timeout(1).emit_with_ack_report("ask")
        assert report.answered == {crowd["a"].id: "from a"}
        assert (report.others_timed_out, report.servers_timed_out) == (2, 0)


async def test_who_leaves_is_not_waited_for_between_roomcast_nodes(cluster: Cluster) -> None:
    client = await cluster.connect("b")
    asking = asyncio.ensure_future(cluster.io("a").timeout(30).emit_with_ack_report("ask"))
    await client.next("ask")
    client.disconnect()
    report = await asyncio.wait_for(asking, 5)
    assert (report.gone, report.complete) == ((client.id,), False)


async def test_nobody_to_ask_is_no_answer(cluster: Cluster) -> None:
    assert await cluster.io("a").timeout(5).emit_with_ack("ask") == []
    assert await cluster.node.call("ask", "ask", timeout=4000) == [None, []]


@servers
async def test_sockets_of_all_servers_are_fetched(cluster: Cluster, origin: str) -> None:
    crowd = await cluster.crowd("room", data={"name": "ann", "n": [1, 2]})
    await cluster.crowd("other")
    choice = Choice(to=("room",))
    if origin == "node":
        found = await cluster.node.call("fetch", choice=choice.for_node)
    else:
        sockets = await cluster.io("a").to("room").fetch_sockets()
        assert (sockets.servers, sockets.answered, sockets.complete) == (3, 3, True)
        found = [
            {
                "id": each.id,
                "auth": each.handshake.auth,
                "url": each.handshake.url,
                "rooms": list(each.rooms),
                "data": each.data,
            }
            for each in sockets
        ]
    assert {each["id"] for each in found} == {client.id for client in crowd.values()}
    for each in found:
        assert each["data"] == {"name": "ann", "n": [1, 2]}
        assert each["auth"] == {"rooms": ["room"], "data": {"name": "ann", "n": [1, 2]}}
        assert each["url"].startswith("/socket.io/?EIO=4&transport=websocket")
        assert set(each["rooms"]) == {each["id"], "room"}


async def test_binary_data_of_sockets_arrives(cluster: Cluster) -> None:
    client = await cluster.connect("b")
    cluster.io("b").sockets[client.id].data = {"picture": b"\x89PNG"}
    (fetched,) = await cluster.io("a").fetch_sockets()
    assert fetched.data == {"picture": b"\x89PNG"}
    (told,) = await cluster.node.call("fetch")
    assert told["data"]["picture"] == {"type": "Buffer", "data": list(b"\x89PNG")}


async def test_data_that_cannot_travel_is_left_out(cluster: Cluster) -> None:
    client = await cluster.connect("b")
    cluster.io("b").sockets[client.id].data = {"lock": object()}
    found = await cluster.io("a").fetch_sockets()
    assert (found[0].id, found[0].data, found.complete) == (client.id, {}, True)
    assert cluster.adapter("b").counters["unsent_data"] == 1


async def test_remote_socket_does_what_a_socket_does(cluster: Cluster) -> None:
    crowd = await cluster.crowd()
    for server in ("b", "node"):
        client = crowd[server]
        await client.answer("ask", "yes")
        found = {each.id: each for each in await cluster.io("a").fetch_sockets()}
        remote: Any = found[client.id]
        remote.emit("hello", server)
        assert await client.next("hello") == [server]
        assert await remote.timeout(4).emit_with_ack("ask") == "yes"
        remote.join("joined")
        cluster.io("a").to("joined").emit("in", 1)
        assert await client.next("in") == [1]
        remote.leave("joined")
        assert await cluster.reached("a", [client], "out") == [[]]
        remote.disconnect()
        assert (await client.next("disconnect"))[0] == "io server disconnect"


@origins
async def test_sockets_join_and_leave_on_all_servers(cluster: Cluster, origin: str) -> None:
    crowd = await cluster.crowd("room")
    others = await cluster.crowd()
    choice = Choice(to=("room",))
    await cluster.do(origin, "join", rooms=["new", "newer"], choice=choice)
    if origin == "node":  # which publishes to the channels of rooms before others hear them
        for room in ("new", "newer"):
            cluster.members["/", room] = {*crowd}
            await cluster.subscribed(room)
    await cluster.do(origin, "emit", "hello", choice=Choice(to=("new",)))
    await cluster.do(origin, "emit", "hello", choice=Choice(to=("newer",)))
    if origin == "node":  # its own sockets hear of it from the broker, behind the first events
        heard = dict(zip(crowd, await cluster.reached(origin, crowd, "hello"), strict=True))
        assert (heard["a"], heard["b"]) == ([[], []], [[], []])
    else:
        assert await cluster.reached(origin, crowd, "hello") == 3 * [[[], []]]
    assert await cluster.reached(origin, others, "hello") == 3 * [[]]
    await cluster.do(origin, "leave", rooms=["new"], choice=choice)
    await cluster.reached(origin, crowd, "hello")
    await cluster.do(origin, "emit", "again", choice=Choice(to=("new",)))
    assert (await cluster.reached(origin, crowd, "again"))[1:] == 2 * [[]]


@origins
@pytest.mark.parametrize("close", [False, True])
async def test_sockets_are_disconnected_on_all_servers(
    cluster: Cluster, origin: str, close: bool
) -> None:
    crowd, others = await cluster.crowd("room"), await cluster.crowd()
    await cluster.do(origin, "disconnect", close=close, choice=Choice(to=("room",)))
    for client in crowd.values():
        assert (await client.next("disconnect"))[0] == "io server disconnect"
    for client in others.values():
        assert (await client.state())["connected"]


@origins
@namespaces
async def test_event_between_servers(cluster: Cluster, origin: str, nsp: str) -> None:
    heard: list[tuple[str, tuple[Any, ...]]] = []
    listeners = {}
    for name in ("a", "b"):
        listeners[name] = lambda *args, name=name: heard.append((name, args))
        cluster.io(name).of(nsp).on("bytes", listeners[name])
    await cluster.node.heard()
    await cluster.do(origin, "serverSideEmit", "bytes", 1, "x", {"a": None}, nsp=nsp)
    expected = {"a", "b", "node"} - {origin}
    await eventually(lambda: {name for name, _ in heard} == expected - {"node"})
    assert all(args == (1, "x", {"a": None}) for _, args in heard)
    if "node" in expected:
        told = []
        async with asyncio.timeout(5):
            while not told:
                told = await cluster.node.heard()
        assert told == [[nsp, 1, "x", {"a": None}]]
    for name, listener in listeners.items():
        cluster.io(name).of(nsp).off("bytes", listener)


async def test_bytes_between_servers_stay_bytes(cluster: Cluster) -> None:
    await cluster.node.heard()
    cluster.io("a").server_side_emit("bytes", b"\x00\x01")
    told = []
    async with asyncio.timeout(5):
        while not told:
            told = await cluster.node.heard()
    assert told == [["/", b"\x00\x01"]]


@servers
async def test_event_between_servers_is_answered(cluster: Cluster, origin: str) -> None:
    if origin == "node":
        answers = await cluster.node.call("serverSideAsk", "sum", 1, 2, 3)
    else:
        answers = await cluster.io("a").server_side_emit_with_ack("sum", 1, 2, 3, timeout=4)
    assert answers == [6, 6]


async def test_events_of_the_library_are_nobodys(cluster: Cluster) -> None:
    # A Node.js server would take these for its own, so it has no such namespace.
    nsp = cluster.io("a").of("/alone")
    heard: list[Any] = []
    for event in ("connect", "connection", "new_namespace", "other"):
        nsp.on(event, heard.append)
    while await nsp.adapter.server_count() != 1 or not cluster.adapter("a").health.listening:
        assert not heard
    for event in ("connect", "connection", "new_namespace", "other"):
        if cluster.kind == "classic":
            data = json.dumps({"uid": "emitter", "type": 6, "data": [event, event]}).encode()
            await asyncio.to_thread(cluster.broker.publish, "socket.io-request#/alone#", data)
        elif cluster.kind.startswith("streams"):
            message = json.dumps({"packet": [event, event]})
            words = ("uid", "emitter", "nsp", "/alone", "type", "9", "data", message)
            stream = cluster.stream_of("/alone")
            await asyncio.to_thread(cluster.broker.command, "XADD", stream, "*", *words)
        else:
            message = {"type": 9, "data": {"packet": [event, event]}, "uid": "emitter"}
            data = json.dumps(message | {"nsp": "/alone"}).encode()
            words = ("SPUBLISH", "socket.io#/alone#", data)
            await asyncio.to_thread(cluster.broker.command, *words)
    await eventually(lambda: heard)
    assert heard == ["other"]


async def test_server_that_does_not_answer_makes_results_partial(cluster: Cluster) -> None:
    client = await cluster.connect("b")
    await client.answer("ask", "here")
    # A subscriber of the channel of requests counts as a server.
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.broker.port)
    is_sharded = cluster.kind.startswith(("sharded", "streams/sharded"))
    channel = "socket.io-request#/#" if cluster.kind == "classic" else "socket.io#/#"
    writer.write(f"{'S' if is_sharded else ''}SUBSCRIBE {channel}\r\n".encode())
    await reader.readuntil(b":1\r\n")
    try:
        found = await cluster.io("a").fetch_sockets()
        assert [each.id for each in found] == [client.id]
        assert (found.servers, found.answered, found.complete) == (4, 3, False)
        with pytest.raises(AckTimeoutError) as raised:
            await cluster.io("a").server_side_emit_with_ack("sum", 1, 2, timeout=0.3)
        assert raised.value.responses == [3, 3]
        report = await cluster.io("a").timeout(0.3).emit_with_ack_report("ask")
        assert (report.answered, report.servers_timed_out) == ({client.id: "here"}, 1)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("op", ["allRooms"])
async def test_rooms_of_all_servers_are_told(cluster: Cluster, op: str) -> None:
    if cluster.kind != "classic":
        pytest.skip("the format has no such request")
    crowd = await cluster.crowd("room")
    rooms = await cluster.node.call(op)
    assert set(rooms) == {"room", *(client.id for client in crowd.values())}

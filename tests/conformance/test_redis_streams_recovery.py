"""Clients that come back to another node of a cluster over Redis Streams: from roomcast to Node.js, and back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.cluster import WITH_CLUSTER, Choice, Cluster, running_cluster
from support.official_client import OfficialClient
from support.served import eventually

pytestmark = WITH_CLUSTER

SERVERS = ("a", "b", "node")

origins = pytest.mark.parametrize("origin", SERVERS)
ways = pytest.mark.parametrize(
    ("left", "came"), [(left, came) for left in ("a", "node") for came in SERVERS]
)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["streams", "streams/several"])
async def running(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with running_cluster(request.param, recovers=True) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(running: Cluster) -> AsyncIterator[Cluster]:
    yield running
    await running.alone()


async def broken(cluster: Cluster, server: str, client: OfficialClient) -> None:
    """Break the line of a client, and let the server notice."""
    client.close_engine()
    await client.next("disconnect")
    await gone(cluster, server, client)


async def gone(cluster: Cluster, server: str, client: OfficialClient) -> None:
    if server == "node":
        async with asyncio.timeout(5):
            while client.id in (rooms := await cluster.node.call("rooms")):
                assert rooms
    else:
        await eventually(lambda: client.id not in cluster.io(server).sockets)
        publisher = cluster.adapter(server).publisher
        await eventually(lambda: not publisher.size)


async def back(cluster: Cluster, client: OfficialClient, server: str) -> dict[str, Any]:
    """Let a client come back to a server; return what it says of itself."""
    client.move(cluster.urls[server])
    client.record.clear()
    client.connect()
    await client.next("connect")
    return await client.state()


async def told(cluster: Cluster, server: str, client: OfficialClient, *args: Any) -> None:
    """Let its server emit to a client alone."""
    if server == "node":
        await cluster.node.call("tell", *args, sid=client.id)
    else:
        cluster.io(server).sockets[client.id].emit(*args)


@origins
async def test_every_event_has_the_id_of_its_entry_behind_it(cluster: Cluster, origin: str) -> None:
    crowd = await cluster.crowd("room")
    await cluster.do(origin, "emit", "hello", 1, b"\x00", choice=Choice(to=("room",)))
    heard = [await client.next("hello") for client in crowd.values()]
    assert heard[0] == heard[1] == heard[2]
    assert heard[0][:2] == [1, b"\x00"]
    milliseconds, _, number = heard[0][2].partition("-")
    assert milliseconds.isdigit()
    assert number.isdigit()


@ways
async def test_client_gets_on_another_node_what_it_missed(
    cluster: Cluster, left: str, came: str
) -> None:
    client = await cluster.connect(left, "room", "other", data={"name": "ada", "n": [1]})
    await cluster.do("b", "emit", "seen", 1)
    assert (await client.next("seen"))[0] == 1
    id = client.id
    await broken(cluster, left, client)
    for origin in SERVERS:
        await cluster.do(origin, "emit", "missed", origin, {"b": b"\x01\x02"}, [b""])
        await cluster.do(origin, "emit", "room", "é😀", choice=Choice(to=("room", "x")))
        await cluster.do(origin, "emit", "not", choice=Choice(to=("elsewhere",)))
        await cluster.do(origin, "emit", "not", choice=Choice(except_=("other",)))
        await cluster.do(origin, "emit", "alone", origin, choice=Choice(to=(id,)))
    witness = await cluster.connect("a")
    await cluster.do("node", "emit", "end")
    await witness.next("end")
    state = await back(cluster, client, came)
    assert (state["id"], state["recovered"]) == (id, True)
    heard = [each for each in client.record if each[0] != "connect"]
    assert heard[-1][0] == "end"
    assert sorted(each[0] for each in heard) == sorted(["missed", "room", "alone"] * 3 + ["end"])
    assert {each[1] for each in heard if each[0] == "missed"} == {*SERVERS}
    for event, *args in heard:
        if event == "missed":
            assert args[1:3] == [{"b": b"\x01\x02"}, [b""]]
    offsets = [each[-1] for each in heard]
    assert len({*offsets}) == len(offsets)
    found = await cluster.io("b").to("room").fetch_sockets()
    assert [(each.id, each.data) for each in found] == [(id, {"name": "ada", "n": [1]})]
    # It goes on as ever, and comes back once more.
    await cluster.do("a", "emit", "again", choice=Choice(to=("room",)))
    await client.next("again")
    await broken(cluster, came, client)
    await cluster.do("b", "emit", "later", 5, choice=Choice(to=("other",)))
    state = await back(cluster, client, left)
    assert (state["id"], state["recovered"]) == (id, True)
    assert [each[:-1] for each in client.record if each[0] != "connect"] == [["later", 5]]

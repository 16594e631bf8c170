"""Several hosts behind a balancer that knows nothing: two groups of workers, one broker, official clients with default options."""

import asyncio
import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from roomcast import RedisAdapter, RedisStreamsAdapter, ShardedRedisAdapter
from roomcast.adapters.passing import LEAST_QUEUE
from roomcast.errors import UsageError
from support.balancer import Balancer, balancing
from support.broker import RunningBroker, missing_broker, running_broker
from support.crowd_of_clients import crowd
from support.programs import Program, roomcast, serving
from support.redis_members import RunningMembers, running_members
from support.reference import missing_reference
from support.worker_clients import UNKNOWN, Client, children, wait_until

CLIENTS = int(os.environ.get("ROOMCAST_HOST_CLIENTS", "60"))
"""How many clients come; ``ROOMCAST_HOST_CLIENTS=200`` is the crowd that the documentation speaks of."""

MISSING = missing_reference() or missing_broker()

pytestmark = [
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
    pytest.mark.timeout(180),
]

PROGRAM = """
import os
from roomcast import Limits, RedisAdapter, RedisStreamsAdapter, Server, ShardedRedisAdapter

kinds = {"classic": RedisAdapter, "sharded": ShardedRedisAdapter, "streams": RedisStreamsAdapter}
Adapter = kinds[os.environ["KIND"]]
queue_size = int(os.environ.get("QUEUE_SIZE", 16_000_000))
urls = os.environ["BROKER"].split(",")
adapter = Adapter(urls if urls[1:] else urls[0], pass_requests=True, queue_size=queue_size)
io = Server(adapter=adapter, limits=Limits(max_http_buffer_size=2_000_000))

@io.event
def who(socket, *args):
    return os.getpid()

@io.event
def pid(socket):
    return os.getpid()

@io.event
def length(socket, data):
    return len(data)

@io.event
def echo(socket, data):
    return data

@io.event
def counters(socket):
    return dict(io.engine.counters)

@io.event
def dropped(socket):
    return adapter.counters["dropped_outbound"]

@io.event
def everybody(socket):
    io.emit("hello")
    return 1
"""


class Hosts(NamedTuple):
    """What runs."""

    brokers: list[RunningBroker]
    members: RunningMembers | None
    balancer: Balancer
    programs: list[Program]

    @property
    def url(self) -> str:
        return self.balancer.url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


@contextmanager
def two_hosts(
    folder: Path,
    kind: str = "classic",
    workers: int = 2,
    members: bool = False,
    replicas: bool = False,
    **settings: str,
) -> Iterator[Hosts]:
    """Two groups of processes that have nothing in common but the broker, or the members of a Redis Cluster."""
    command = roomcast("serve", "program:io", "--workers", str(workers), "--port", "0")
    with ExitStack() as stack:

        def start(*options: str) -> RunningBroker:
            return stack.enter_context(running_broker(*options))

        running = asyncio.run(running_members(start, replicas=replicas)) if members else None
        brokers = [start()] if running is None else running.masters
        environment = {"BROKER": ",".join(each.url for each in brokers), "KIND": kind} | settings
        programs = [
            stack.enter_context(serving(*command, cwd=folder, **environment)) for _ in range(2)
        ]
        balancer = stack.enter_context(balancing(*[program.port for program in programs]))
        yield Hosts(brokers, running, balancer, programs)


def kill(program: Program) -> None:
    """End a host as a loss of power does."""
    workers = children(program.pid)
    for pid in (program.pid, *workers):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("transport", ["", "polling"])
@pytest.mark.parametrize("kind", ["classic", "sharded", "streams"])
def test_clients_with_default_options_are_served_without_sticky_connections(
    folder, kind, transport
):
    with two_hosts(folder, kind) as hosts, crowd(hosts.url, CLIENTS, transport) as clients:
        pids = clients.ask()
        if not transport:
            clients.wait_upgraded(CLIENTS)
        assert clients.ask() == pids
        assert sum(pids.values()) == CLIENTS
        for program in hosts.programs:
            assert set(pids) & set(children(program.pid))
        state = clients.state
        assert (state["unknown"], state["disconnects"]) == (0, 0)


@pytest.mark.parametrize("kind", ["classic", "sharded", "streams"])
def test_members_of_a_redis_cluster_are_a_broker_too(folder, kind):
    with two_hosts(folder, kind, members=True) as hosts:
        with crowd(hosts.url, CLIENTS, "polling") as clients:
            pids = clients.ask()
            assert clients.ask() == pids
            for program in hosts.programs:
                assert set(pids) & set(children(program.pid))
            state = clients.state
            assert (state["unknown"], state["disconnects"]) == (0, 0)
        client = Client(hosts.url)
        started = time.monotonic()
        for _ in range(8):
            assert client.request("GET", sid="A" * 28) == (400, UNKNOWN)
        assert time.monotonic() < started + 10
        text = "x" * 1_000_000
        assert client.ask("echo", text) == text


def test_without_a_member_of_a_redis_cluster_nothing_hangs(folder):
    with two_hosts(folder, workers=1, members=True) as hosts:
        clients = [Client(hosts.url) for _ in range(8)]
        hosts.brokers[0].kill()

        def statuses(client: Client) -> set[int]:
            return {client.request("POST", b"3")[0] for _ in range(4)}

        # Nothing hangs, and who is asked at the right host is served.
        wait_until(lambda: all(statuses(client) <= {200, 503} for client in clients))
        assert all(200 in statuses(client) for client in clients)
        hosts.brokers[0].start()
        wait_until(lambda: all(statuses(client) == {200} for client in clients), 40)


@pytest.mark.parametrize("change", ["move", "failover"])
def test_workers_are_found_where_their_channels_are_now(folder, change):
    with two_hosts(folder, workers=1, members=True, replicas=change == "failover") as hosts:
        members = hosts.members
        assert members is not None
        clients = [Client(hosts.url) for _ in range(4)]
        for channel in {f"socket.io-roomcast-worker#{each.sid[-8:]}#" for each in clients}:
            owner = members.owner(channel)
            if change == "move":
                index = members.masters.index(owner)
                members.move(channel, members.masters[index - 1])
            else:
                replica = members.replicas[members.masters.index(owner)]
                replica.command("CLUSTER", "FAILOVER")
                wait_until(lambda each=replica: b"role:master" in each.command("INFO"))
        wait_until(
            lambda: {each.request("POST", b"3")[0] for each in clients for _ in range(4)} == {200},
            40,
        )


@pytest.mark.parametrize("transport", ["", "polling"])
def test_clients_of_a_host_that_is_killed_come_back_to_another_one(folder, transport):
    with two_hosts(folder) as hosts, crowd(hosts.url, CLIENTS, transport) as clients:
        clients.ask()
        if not transport:
            clients.wait_upgraded(CLIENTS)
        kill(hosts.programs[0])
        after = clients.ask()
        assert set(after) <= set(children(hosts.programs[1].pid))
        assert sum(after.values()) == CLIENTS


def test_large_and_binary_messages_travel(folder):
    with two_hosts(folder) as hosts:
        client = Client(hosts.url)
        for size in (10, 60_000, 70_000, 1_500_000):
            for _ in range(4):
                assert client.ask("length", "x" * size) == size
        text = "x" * 1_000_000
        assert client.ask("echo", text) == text
        for _ in range(4):
            assert client.request("POST", b"4" + b"x" * 2_000_000)[0] == 413
        assert client.ask("length", "é") == 1


@pytest.mark.parametrize("kind", ["classic", "sharded", "streams"])
def test_large_messages_find_their_place_in_a_small_queue(folder, kind):
    with two_hosts(folder, kind, workers=1, QUEUE_SIZE=str(LEAST_QUEUE)) as hosts:
        client = Client(hosts.url)

        def ask(number: int) -> None:
            text = f"{number}" * 700_000
            each = Client(hosts.url)
            for _ in range(2):
                assert each.ask("echo", text) == text

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))
        for _ in range(4):
            assert client.ask("dropped") == 0
        assert any(Client(hosts.url).ask("counters").get("passed_here") for _ in range(4))


@pytest.mark.parametrize("kind", [RedisAdapter, ShardedRedisAdapter, RedisStreamsAdapter])
def test_a_queue_that_is_too_small_is_refused(kind):
    kind("redis://127.0.0.1:1", pass_requests=True, queue_size=LEAST_QUEUE)
    with pytest.raises(UsageError, match="pass_requests needs a queue_size of at least 300000"):
        kind("redis://127.0.0.1:1", pass_requests=True, queue_size=LEAST_QUEUE - 1)


def test_bodies_that_come_slowly_are_passed_on_as_they_come(folder):
    with two_hosts(folder) as hosts:
        client = Client(hosts.url)
        body = b'420["length","' + b"x" * 100_000 + b'"]'
        for _ in range(8):
            assert client.post_slowly(body, 5) == 200
            assert client.request("GET") == (200, b"430[100000]")


def test_websockets_travel_in_both_directions(folder):
    with two_hosts(folder) as hosts:
        for _ in range(8):
            client = Client(hosts.url)
            address = f"ws://{client.host}/socket.io/?EIO=4&transport=websocket&sid={client.sid}"
            with connect(address, max_size=None) as line:
                line.send("2probe")
                assert line.recv() == "3probe"
                line.send("5")
                for size in (10, 100_000, 1_500_000):
                    line.send('451-1["echo",{"_placeholder":true,"num":0}]')
                    line.send(os.urandom(16) * (size // 16))
                    assert line.recv() == '461-1[{"_placeholder":true,"num":0}]'
                    assert len(line.recv()) == size // 16 * 16


def test_who_leaves_while_a_request_is_held_has_left(folder):
    with two_hosts(folder) as hosts:
        for _ in range(8):
            client = Client(hosts.url)
            held = http.client.HTTPConnection(client.host, timeout=20)
            held.request("GET", f"/socket.io/?EIO=4&transport=polling&sid={client.sid}")
            time.sleep(0.05)
            held.close()
            wait_until(lambda client=client: client.request("POST", b"3") == (400, UNKNOWN))


def test_ids_that_name_nobody_are_unknown_at_once(folder):
    with two_hosts(folder) as hosts:
        client = Client(hosts.url)
        started = time.monotonic()
        for _ in range(8):
            assert client.request("GET", sid="A" * 28) == (400, UNKNOWN)
            assert client.request("GET", sid="B" * 20 + client.sid[-8:]) == (400, UNKNOWN)
            with pytest.raises(InvalidStatus) as refused:
                connect(
                    f"ws://{client.host}/socket.io/?EIO=4&transport=websocket&sid={'A' * 28}"
                ).close()
            assert refused.value.response.status_code == 400
        assert time.monotonic() < started + 10


def test_a_host_that_hangs_is_given_up(folder):
    with two_hosts(folder, workers=1) as hosts:
        client = Client(hosts.url)
        owner = client.ask("pid")
        program = next(each for each in hosts.programs if each.pid == owner)
        os.kill(program.pid, signal.SIGSTOP)
        hosts.balancer.ports.remove(program.port)
        try:
            assert client.request("GET") == (400, UNKNOWN)
        finally:
            os.kill(program.pid, signal.SIGCONT)


def test_without_the_broker_nothing_hangs_and_with_it_all_is_well_again(folder):
    with two_hosts(folder, workers=1) as hosts:
        client = Client(hosts.url)
        held = http.client.HTTPConnection(client.host, timeout=20)
        hosts.brokers[0].kill()
        statuses = {client.request("POST", b"3")[0] for _ in range(4)}
        assert statuses == {200, 503}
        held.close()
        hosts.brokers[0].start()

        def is_well() -> bool:
            line = http.client.HTTPConnection(client.host, timeout=20)
            line.request("GET", "/socket.io/?EIO=4&transport=polling")
            sid = json.loads(line.getresponse().read()[1:])["sid"]
            line.close()
            return all(client.request("POST", b"3", sid)[0] == 200 for _ in range(4))

        wait_until(is_well)


def test_a_websocket_through_another_host_ends_with_the_broker(folder):
    with two_hosts(folder, workers=1) as hosts, ExitStack() as stack:
        for _ in range(8):
            client = Client(hosts.url)
            address = f"ws://{client.host}/socket.io/?EIO=4&transport=websocket&sid={client.sid}"
            line = stack.enter_context(connect(address))
            line.send("2probe")
            assert line.recv() == "3probe"
            line.send("5")
            line.send('420["counters"]')
            counters = json.loads(line.recv()[3:])[0]
            if counters.get("passed_here"):
                break
        else:
            pytest.fail("none was passed on")
        hosts.brokers[0].kill()
        with pytest.raises(ConnectionClosed):
            line.recv(timeout=10)

"""Two servers of a cluster beside their peers: what an event costs that goes from one to the other over Redis pub/sub.

One node emits at a steady rate to a room; the other has one client in that room, or nobody. What counts is how long an event takes
beyond what the broker takes by itself, and the processor time of each node.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping
from os import getpid
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import uvloop
from bench import Bench
from broker import Broker, round_trips, running_broker
from measured import OURS, Run, met, origin, quartiles, reached, spread_of, table, took
from servers import Server, cluster_node

from machine import Others
from roomcast import connect
from timing import ratios, spread

__all__ = ["CLUSTER"]

PEER: Final = "python-socketio"
NODE: Final = "Node.js"
ALONE: Final = "broker alone"
FLOOR: Final = "floor"

ROOM: Final = "here"
ELSEWHERE: Final = "elsewhere"
CALM: Final = 1_000
FAST: Final = 10_000
ARRIVAL: Final = 20.0
"""Seconds that the last event may take."""

SHARDED_TARGET: Final = 1.0
"""Microseconds of CPU for an event that a node does not receive: an idle process takes that long meanwhile."""

SETTLE: Final = 0.5
"""Seconds until the nodes have subscribed, and what was sent has arrived."""

CASES: Final = [
    *({"workload": "broadcast", "peer": peer} for peer in (ALONE, OURS, PEER, NODE, FLOOR)),
    *({"workload": "emits", "peer": peer} for peer in (OURS, PEER, NODE, FLOOR)),
    *({"workload": "foreign", "peer": peer} for peer in (OURS, PEER, NODE, FLOOR)),
    *({"workload": "foreign, sharded", "peer": peer} for peer in (OURS, NODE)),
    *(
        {"workload": f"{name}, streams", "peer": peer}
        for name in ("emits", "foreign")
        for peer in (OURS, NODE)
    ),
    *({"workload": f"{name}, workers", "peer": OURS} for name in ("broadcast", "emits", "foreign")),
]


def _run(case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    mine = 1 - core if core in (0, 1) else core
    with running_broker(mine) as broker:
        if case["peer"] == ALONE:
            others = Others(broker.pid, getpid())
            trips = uvloop.run(round_trips(broker.url, CALM, given.seconds))
            return {"latency": median(trips), "count": len(trips), "others_cores": others.cores()}
        return _run_nodes(case, broker, core, mine, given)


def _run_nodes(
    case: Mapping[str, Any], broker: Broker, core: int, mine: int, given: argparse.Namespace
) -> Run:
    workload, _, kind = case["workload"].partition(", ")
    with (
        TemporaryDirectory(prefix="roomcast-") as directory,
        _node(case["peer"], kind, broker.url, directory, core) as sender,
        _node(case["peer"], kind, broker.url, directory, mine) as receiver,
    ):
        others = Others(sender.pid, receiver.pid, broker.pid, getpid())
        run = uvloop.run(_pace(workload, sender, receiver, given.seconds))
        return {**run, "others_cores": others.cores()}


def _node(peer: str, kind: str, url: str, directory: str, core: int) -> Server:
    where = directory if kind == "workers" else url
    return Server(cluster_node(peer, kind or "classic", where), core)


async def _pace(workload: str, sender: Server, receiver: Server, seconds: float) -> Run:
    rate = CALM if workload == "broadcast" else FAST
    room = ELSEWHERE if workload == "foreign" else ROOM
    late: list[int] = []
    urls = [f"http://127.0.0.1:{server.port}" for server in (sender, receiver)]
    async with (
        connect(urls[0], transports=["websocket"]) as control,
        connect(urls[1], transports=["websocket"]) as client,
    ):
        client.on("b", lambda sent: late.append(time.monotonic_ns() - sent))
        await client.emit_with_ack("join", ROOM)
        await asyncio.sleep(SETTLE)
        before = sender.cpu_seconds(), receiver.cpu_seconds()
        count = await control.emit_with_ack("pace", room, rate, seconds)
        expected = 0 if workload == "foreign" else count
        await _arrived(late, expected)
        after = sender.cpu_seconds(), receiver.cpu_seconds()
    return {
        "latency": median(late) / 1e9 if late else 0.0,
        "sender": (after[0] - before[0]) / count,
        "receiver": (after[1] - before[1]) / count,
        "count": count,
    }


async def _arrived(late: list[int], expected: int) -> None:
    """Wait until all events have come, which a node may take longer for than the other did to send them."""
    await asyncio.sleep(SETTLE)
    end = time.monotonic() + ARRIVAL
    while len(late) < expected and time.monotonic() < end:  # noqa: ASYNC110  no event says it
        await asyncio.sleep(0.1)
    if len(late) != expected:
        raise SystemExit(f"{len(late)} of {expected} events have arrived")


def _line(run: Run) -> str:
    if "sender" not in run:
        return f"{run['latency'] * 1e6:.0f} µs"
    return (
        f"{run['latency'] * 1e6:.0f} µs, sender {run['sender'] * 1e6:.1f} µs, receiver {run['receiver'] * 1e6:.1f} µs an "
        f"event of {run['count']:,}"
    )


def _page(whole: dict[str, Any]) -> str:
    runs, settings = whole["runs"], whole["settings"]

    def of(name: str, workload: str, peer: str) -> list[float]:
        return took(runs, name, workload=workload, peer=peer)

    def both(workload: str, peer: str) -> list[float]:
        sent, received = of("sender", workload, peer), of("receiver", workload, peer)
        return [one + other for one, other in zip(sent, received, strict=True)]

    def added(peer: str) -> list[float]:
        alone = of("latency", "broadcast", ALONE)
        return [
            (whole - own) * 1e3
            for whole, own in zip(of("latency", "broadcast", peer), alone, strict=True)
        ]

    def micro(name: str, workload: str, peer: str) -> list[float]:
        return [value * 1e6 for value in of(name, workload, peer)]

    def within(what: str, values: list[float], unit: str, target: float) -> list[str]:
        times = spread(values)
        return [what, f"{quartiles(values)} {unit}", f"≤ {target:g}", met(times, target)]

    def more(workload: str, peer: str, target: float | None, than: str = OURS) -> list[str]:
        times = ratios(both(workload, peer), both(workload, than))
        rate = CALM if workload == "broadcast" else FAST
        kind = workload.partition(", ")[2]
        where = f" over Redis {kind}" if kind else ""
        what = f"CPU of both nodes an event, {rate:,} a second{where}, {peer} ÷ {than}"
        if target is None:
            return [what, spread_of(times), "", ""]
        return [what, spread_of(times), f"≥ {target:g}", reached(times, target)]

    verdicts = [
        within("latency beyond the broker's own, median", added(OURS), "ms", 1.0),
        within(
            "CPU of a node an event for rooms it has not",
            micro("receiver", "foreign", OURS),
            "µs",
            6.0,
        ),
        within(
            "the same, sharded: the broker does not send it",
            micro("receiver", "foreign, sharded", OURS),
            "µs",
            SHARDED_TARGET,
        ),
        within("CPU an emit, 10 000 a second", micro("sender", "emits", OURS), "µs", 25.0),
        more("emits", PEER, 5),
        more("emits", NODE, 1),
        more("broadcast", PEER, 5),
        more("broadcast", NODE, 1),
        more("broadcast", PEER, None, FLOOR),
        more("emits", OURS, None, FLOOR),
        more("emits, streams", NODE, 1),
    ]
    rows = [
        [
            peer,
            quartiles(of("latency", "broadcast", peer), 1e3),
            quartiles(of("sender", "broadcast", peer), 1e6),
            quartiles(of("receiver", "broadcast", peer), 1e6),
            quartiles(of("sender", "emits", peer), 1e6),
            quartiles(of("receiver", "emits", peer), 1e6),
            quartiles(of("receiver", "foreign", peer), 1e6),
            ""
            if peer in (PEER, FLOOR)
            else quartiles(of("receiver", "foreign, sharded", peer), 1e6),
            *(
                "" if peer in (PEER, FLOOR) else quartiles(of(end, f"{name}, streams", peer), 1e6)
                for name, end in (
                    ("emits", "sender"),
                    ("emits", "receiver"),
                    ("foreign", "receiver"),
                )
            ),
            quartiles([count / settings["seconds"] for count in of("count", "emits", peer)]),
        ]
        for peer in (OURS, PEER, NODE, FLOOR)
    ]
    workers = [
        "roomcast, workers of one host",
        quartiles(of("latency", "broadcast, workers", OURS), 1e3),
        quartiles(of("sender", "broadcast, workers", OURS), 1e6),
        quartiles(of("receiver", "broadcast, workers", OURS), 1e6),
        quartiles(of("sender", "emits, workers", OURS), 1e6),
        quartiles(of("receiver", "emits, workers", OURS), 1e6),
        quartiles(of("receiver", "foreign, workers", OURS), 1e6),
        *[""] * 4,
        quartiles([count / settings["seconds"] for count in of("count", "emits, workers", OURS)]),
    ]
    alone = quartiles(of("latency", "broadcast", ALONE), 1e3)
    how = (
        "Two nodes on two cores, the broker (Valkey, from a wheel) and the client beside the second one. The first node emits to a room "
        "where the second has one client, 1 000 events a second, or 10 000, or as many as it can; or to a room that nobody "
        f"is in. {settings['rounds']} rounds of {settings['seconds']:g} s, the servers in a new order each time; medians with quartiles, both "
        "sides of a ratio of one round. Latency is from the emit to the handler of the client; that of the broker alone, by redis-py, is "
        f"{alone} ms. A node of the classic format hears its own events too; CPU is that of the whole process, what it takes idle "
        "included. The floor has bare sockets to the broker, of which it "
        "hears everything; it packs and checks nothing, and gives its client the event as roomcast does: what is left is the kernel and the "
        "event loop, waking up. Sharded is sharded pub/sub, by `ShardedRedisAdapter` and `createShardedAdapter`, where a room has a channel of its own; "
        "streams are Redis Streams, by `RedisStreamsAdapter` and its counterpart. Workers of one host have no broker: `WorkersAdapter`."
    )
    head = (
        "",
        "latency, ms",
        "sender, µs an event",
        "receiver, µs an event",
        "sender at 10 000/s, µs",
        "receiver at 10 000/s, µs",
        "receiver, foreign room, µs",
        "the same, sharded, µs",
        "streams: sender at 10 000/s, µs",
        "streams: receiver at 10 000/s, µs",
        "streams: receiver, foreign room, µs",
        "emits a second, of 10 000",
    )
    parts = [
        "# Clusters",
        f"Written by benches/load. {origin(whole)}",
        how,
        table(("", "measured", "target", "verdict"), verdicts),
        table(head, [*rows, workers]),
    ]
    return "\n\n".join(parts) + "\n"


CLUSTER: Final = Bench(
    name="cluster",
    description="two servers of a cluster over Redis; 7 minutes",
    cases=CASES,
    measure=_run,
    line=_line,
    page=_page,
    settings={"loop": "uvloop"},
    rounds=5,
    seconds=3.0,
    files=100,
)

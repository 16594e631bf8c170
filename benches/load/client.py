"""Clients beside their peers: an echo with eight events in flight, a flood of events, and many that are idle.

The server is the same for all: Node.js for the echo and the idle ones, and one that sends ready-made blocks for the flood, where no real
server is as fast as the clients. What counts is the client's processor time a message, as its process tells it, and memory.
"""

import argparse
import json
from collections.abc import Mapping
from os import getpid
from typing import Any, Final

from bench import Bench
from measured import OURS, Run, met, origin, quartiles, reached, spread_of, table, took
from servers import Server, client, flood, node, start

from machine import Others
from timing import ratios

__all__ = ["CLIENT"]

PEER: Final = "python-socketio"
NODE: Final = "Node.js"
PEERS: Final = (OURS, PEER, NODE)
WORKLOADS: Final = ("echo", "flood", "idle")
IDLE: Final = 1000
PING_INTERVAL: Final = 25.0


def _run(case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    workload = case["workload"]
    mine = 1 - core if core in (0, 1) else core
    last = IDLE if workload == "idle" else given.seconds
    with Server(flood() if workload == "flood" else node(PING_INTERVAL), mine) as server:
        process = start(client(case["peer"], server.port, workload, last), core)
        others = Others(server.pid, process.pid, getpid())
        assert process.stdout is not None
        line = process.stdout.readline()
        cores = others.cores()
        process.wait()
        process.stdout.close()
    if process.returncode or not line:
        raise SystemExit(f"{case['peer']} fails at {workload}")
    took_: dict[str, float] = json.loads(line)
    count = took_["count"]
    return {
        "cpu": took_["cpu"] / count,
        "count": count,
        "memory": took_.get("memory", 0) / count,
        "others_cores": cores,
    }


def _line(run: Run) -> str:
    return (
        f"{run['cpu'] * 1e6:.2f} µs each of {run['count']:,}, {run['memory'] / 1024:.1f} KiB each"
    )


def _page(whole: dict[str, Any]) -> str:
    runs, settings = whole["runs"], whole["settings"]

    def of(name: str, workload: str, peer: str) -> list[float]:
        return took(runs, name, workload=workload, peer=peer)

    def more(what: str, workload: str, peer: str, target: float) -> list[str]:
        times = ratios(of("cpu", workload, peer), of("cpu", workload, OURS))
        return [
            what,
            f"{peer} ÷ roomcast",
            spread_of(times),
            f"≥ {target:g}",
            reached(times, target),
        ]

    memory = ratios(of("memory", "idle", OURS), of("memory", "idle", PEER))
    verdicts = [
        more("echo, 8 in flight, client CPU a message", "echo", PEER, 3),
        more("flood, client CPU a message", "flood", PEER, 5),
        more("flood, client CPU a message", "flood", NODE, 1),
        [
            f"{IDLE:,} idle, memory",
            "roomcast ÷ python-socketio",
            spread_of(memory),
            "≤ 0.5",
            met(memory, 0.5),
        ],
    ]
    rows = [
        [
            "echo, 8 in flight: CPU a message, µs",
            *(quartiles(of("cpu", "echo", peer), 1e6) for peer in PEERS),
        ],
        ["flood: CPU a message, µs", *(quartiles(of("cpu", "flood", peer), 1e6) for peer in PEERS)],
        [
            f"{IDLE:,} idle: CPU a connect, µs",
            *(quartiles(of("cpu", "idle", peer), 1e6) for peer in PEERS),
        ],
        [
            f"{IDLE:,} idle: memory each, KiB",
            *(quartiles(of("memory", "idle", peer), 1 / 1024) for peer in PEERS),
        ],
    ]
    how = (
        "One client process on one core, its server on another; WebSockets from the start, payloads of 32 bytes, uvloop in Python. "
        "The echo goes through a Node.js server, the flood comes in ready-made blocks of frames from a server that does nothing else, as "
        f"no real one is as fast. {settings['rounds']} rounds of {settings['seconds']:g} s, the clients in a new order each time; medians with "
        "quartiles, both sides of a ratio of one round. Memory is what the process grows by, after a collection."
    )
    parts = [
        "# Clients",
        f"Written by benches/load. {origin(whole)}",
        how,
        table(("workload", "what", "measured", "target", "verdict"), verdicts),
        table(("", *PEERS), rows),
    ]
    return "\n\n".join(parts) + "\n"


CLIENT: Final = Bench(
    name="client",
    description="clients: echo, flood, a thousand idle; 3 minutes",
    cases=[{"workload": workload, "peer": peer} for workload in WORKLOADS for peer in PEERS],
    measure=_run,
    line=_line,
    page=_page,
    settings={"loop": "uvloop"},
    rounds=5,
    seconds=2.0,
    files=IDLE,
)

"""What users come for, over WebSockets: broadcasts, echoes, acknowledgements, attachments, and connections.

The load is that of `roomcast bench`. What counts is the server's processor time a delivery, a round trip or a connection,
exact to nanoseconds (schedstat), and for idle connections its memory.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench import Bench
from contenders import ASYNC, ASYNCIO, COALESCED, COMMANDS, FLOOR, NODE, PEER, RUST, UVICORN
from generator import Workload, put
from measured import OURS, Run, met, origin, quartiles, reached, spread_of, table, took
from servers import Server

from timing import Spread, ratios, spread

__all__ = ["WEBSOCKETS"]

ALL: Final = (OURS, ASYNCIO, PEER, NODE, RUST)


@dataclass(frozen=True)
class Target:
    """What is to be reached.

    Attributes:
        name: What of the runs.
        bound: Of a ratio, or of microseconds or bytes.
        base: Whom roomcast is divided by; nobody for an absolute value.
        times: Whom is to be divided by roomcast: then the bound is the least.
    """

    name: str
    bound: float
    base: str = ""
    times: str = ""


@dataclass(frozen=True)
class Row:
    """A workload, who takes part, and what is to be reached."""

    workload: Workload
    peers: tuple[str, ...]
    targets: tuple[Target, ...]


def _most(bound: float, base: str = "", name: str = "cpu") -> Target:
    return Target(name, bound, base=base)


def _least(bound: float, peer: str) -> Target:
    return Target("cpu", bound, times=peer)


ROWS: Final = {
    "broadcast, 1 000 clients, 1 a tick": Row(
        Workload("broadcast", 1000, 1, 32),
        (*ALL, FLOOR),
        (_most(1.25, FLOOR), _least(15, PEER), _least(2, NODE)),
    ),
    "broadcast, 1 000 clients, 20 a tick": Row(
        Workload("broadcast", 1000, 20, 32),
        (*ALL, FLOOR, COALESCED),
        (_most(2, COALESCED), _least(100, PEER), _least(15, NODE)),
    ),
    "broadcast, 5 000 clients, 4 a tick": Row(
        Workload("broadcast", 5000, 4, 32),
        (*ALL, FLOOR, COALESCED),
        (_most(1.6, COALESCED),),
    ),
    "echo, 100 clients, 8 in flight": Row(
        Workload("echo", 100, 8, 32),
        (*ALL, ASYNC, FLOOR),
        (_most(4.5e-6), _least(14, PEER), _least(2, NODE)),
    ),
    "echo, 1 000 clients, 1 in flight": Row(
        Workload("echo", 1000, 1, 32),
        (*ALL, ASYNC, FLOOR),
        (_most(11e-6), _least(14, PEER), _least(2, NODE)),
    ),
    "ack, 100 clients, 8 in flight": Row(
        Workload("ack", 100, 8, 32),
        (*ALL, ASYNC, FLOOR),
        (_most(5e-6), _least(13, PEER)),
    ),
    "binary echo of 1 KB, 100 clients, 8 in flight": Row(
        Workload("binary", 100, 8, 1024),
        (*ALL, ASYNC, FLOOR),
        (_most(11e-6), _least(9, PEER), _least(1, NODE)),
    ),
    "idle, 5 000 clients": Row(
        Workload("idle", 5000),
        (*ALL, UVICORN),
        (_most(8 * 1024, name="memory"), _most(300e-6, name="cpu_per_connect")),
    ),
}
UNITS: Final = {"cpu": (1e6, "µs"), "cpu_per_connect": (1e6, "µs"), "memory": (1 / 1024, "KiB")}
WORDS: Final = {
    "cpu": "CPU a delivery or round trip",
    "cpu_per_connect": "CPU a connect",
    "memory": "memory a connection",
}


def _run(case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    with Server(COMMANDS[case["peer"]](), core) as server:
        return put(server, ROWS[case["workload"]].workload, given.seconds)


def _line(run: Run) -> str:
    if "memory" in run:
        return (
            f"{run['memory'] / 1024:.1f} KiB and {run['cpu_per_connect'] * 1e6:.0f} µs a connection"
        )
    return (
        f"{run['cpu'] * 1e6:.2f} µs, {run['rate']:,}/s, p99 {run['latency_p99'] * 1e3:.1f} ms, "
        f"server {run['server_busy']:.0%}, clients {run['clients_busy']:.0%}, errors {run['errors']}"
    )


def _verdict(runs: list[Run], title: str, target: Target) -> list[str]:
    def of(peer: str) -> list[float]:
        return took(runs, target.name, workload=title, peer=peer)

    if target.times:
        times = ratios(of(target.times), of(OURS))
        what, bound = f"{target.times} ÷ roomcast", f"≥ {target.bound:g}"
        return [title, what, spread_of(times), bound, reached(times, target.bound)]
    if target.base:
        times = ratios(of(OURS), of(target.base))
        what, bound = f"roomcast ÷ {target.base}", f"≤ {target.bound:g}"
        return [title, what, spread_of(times), bound, met(times, target.bound)]
    scale, unit = UNITS[target.name]
    values: Spread = spread([value * scale for value in of(OURS)])
    bound = f"≤ {target.bound * scale:g} {unit}"
    what = f"{WORDS[target.name]}, {unit}"
    return [title, what, quartiles(of(OURS), scale), bound, met(values, target.bound * scale)]


def _table(runs: list[Run], name: str, scale: float) -> str:
    """Return a table with a row for each workload that has this, and a column for each server that has any."""
    having = [run for run in runs if name in run]
    peers = [peer for peer in COMMANDS if any(run["peer"] == peer for run in having)]
    rows = []
    for title, row in ROWS.items():
        mine = [run for run in having if run["workload"] == title]
        if mine:
            values = (
                quartiles(took(mine, name, peer=peer), scale) if peer in row.peers else ""
                for peer in peers
            )
            rows.append([title, *values])
    return table(("workload", *peers), rows)


def _page(whole: dict[str, Any]) -> str:
    runs, settings = whole["runs"], whole["settings"]
    verdicts = [
        _verdict(runs, title, target) for title, row in ROWS.items() for target in row.targets
    ]
    errors = sum(sum(run["errors"].values()) for run in runs)
    busiest = max(run.get("clients_busy", 0) for run in runs)
    how = (
        f"The load of `roomcast bench` on one core, the server on another; payloads of 32 bytes unless said otherwise; "
        f"{settings['rounds']} rounds of {settings['seconds']:g} s a run, the servers in a new order each time. Medians, with "
        "quartiles over the rounds; both sides of a ratio are of one round. CPU is that of all threads of the server's process, from "
        "schedstat. All servers speak WebSocket from the start, and nobody compresses. roomcast has `def` handlers, and is "
        "served by `io.listen` on uvloop, as `io.run` does, if nothing else is said; python-socketio is under the same uvicorn with "
        "its websockets-sansio. The floor (`load/peers/floor.rs`) is one call of the system for each delivery, or, "
        f"coalesced, for each client and tick, without any protocol. Errors in all runs: {errors}. The clients kept their core "
        f"busy at most {busiest:.0%}."
    )
    lone = next(iter(ROWS))
    of = {peer: took(runs, "cpu", workload=lone, peer=peer) for peer in (PEER, FLOOR)}
    targets = (
        "Targets in µs and KiB come from a calm machine with the same number of cores, on which the floor took 2.7, 0.14 and 0.87 "
        "µs for the three broadcasts and 0.45, 4.2, 0.45 and 0.58 µs for the four kinds of round trips: see below what it takes here. "
        f"In the first of them python-socketio takes {spread_of(ratios(of[PEER], of[FLOOR]))} times as long as the floor."
    )
    connecting = (
        "CPU a connect (upgrade, open, CONNECT, handler), µs; then memory a connection, KiB (RSS; the kernel's buffers are not in it). Under "
        "a uvicorn of the application's own, the task of each request lasts as long as its connection wherever something stands around "
        "the application, such as uvicorn's own proxy headers:"
    )
    parts = [
        "# WebSockets",
        f"Written by benches/load. {origin(whole)}",
        how,
        table(("workload", "what", "measured", "target", "verdict"), verdicts),
        targets,
        "CPU a delivery or round trip, µs:",
        _table(runs, "cpu", 1e6),
        connecting,
        _table(runs, "cpu_per_connect", 1e6),
        _table(runs, "memory", 1 / 1024),
        "Deliveries or round trips, thousands a second:",
        _table(runs, "rate", 1e-3),
    ]
    return "\n\n".join(parts) + "\n"


WEBSOCKETS: Final = Bench(
    name="websockets",
    description="broadcasts, echoes, acks, attachments and idle clients over WebSockets; 15 minutes",
    cases=[{"workload": title, "peer": peer} for title, row in ROWS.items() for peer in row.peers],
    measure=_run,
    line=_line,
    page=_page,
    settings={"loop": "uvloop", "ws": "websockets-sansio"},
    rounds=5,
    seconds=1.5,
    files=5000,
)

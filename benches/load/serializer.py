"""An application of python-socketio with only `serializer=` changed: a hundred clients whose events it echoes.

Beside it the same handlers on roomcast's own server, under the same uvicorn, which says what the rest of the gain needs. The load is that
of `roomcast bench`; what counts is the server's processor time an echo.
"""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from bench import Bench
from contenders import PEER, UVICORN
from generator import Workload, put
from measured import OURS, Run, origin, quartiles, spread_of, table, took
from servers import Server, python

from timing import ratios

__all__ = ["SERIALIZER"]

COMPAT: Final = "python-socketio, serializer=roomcast.compat.Packet"
SERVERS: Final = {
    PEER: lambda: python(PEER),
    COMPAT: lambda: python(PEER, serializer="Packet"),
    UVICORN: lambda: python(OURS, ws="direct"),
}
WORKLOADS: Final = {
    "echo of 32 characters": Workload("echo", 100, 1, 32),
    "echo of 1 KB of binary data": Workload("binary", 100, 1, 1024),
    "echo of 16 KB": Workload("echo", 100, 1, 16_384),
}


def _run(case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    with Server(SERVERS[case["server"]](), core) as server:
        return put(server, WORKLOADS[case["workload"]], given.seconds)


def _line(run: Run) -> str:
    return (
        f"{run['cpu'] * 1e6:.1f} µs, {run['rate']:,}/s, server {run['server_busy']:.0%}, "
        f"clients {run['clients_busy']:.0%}, errors {run['errors']}"
    )


def _page(whole: dict[str, Any]) -> str:
    runs, settings = whole["runs"], whole["settings"]
    rows = []
    for workload in WORKLOADS:
        of = {server: took(runs, "cpu", workload=workload, server=server) for server in SERVERS}
        rows.append(
            [
                workload,
                *(quartiles(cpu, 1e6) for cpu in of.values()),
                spread_of(ratios(of[PEER], of[COMPAT])),
                spread_of(ratios(of[PEER], of[UVICORN])),
            ]
        )
    errors = sum(sum(run["errors"].values()) for run in runs)
    how = (
        f"{settings['clients']} clients on WebSockets, one event of each in flight, which the server echoes; the load of "
        "`roomcast bench` on one core, the server on another, under uvicorn and uvloop, with coroutines for handlers. "
        f"{settings['rounds']} rounds of {settings['seconds']:g} s, the servers in a new order each time. Server CPU an echo, µs: medians with "
        f"quartiles; both sides of a ratio are of one round. Errors in all runs: {errors}."
    )
    head = (
        "server CPU an echo, µs",
        *SERVERS,
        "gain of `serializer=`",
        "gain of roomcast's server",
    )
    parts = [
        "# An application of python-socketio",
        f"Written by benches/load. {origin(whole)}",
        how,
        table(head, rows),
    ]
    return "\n\n".join(parts) + "\n"


SERIALIZER: Final = Bench(
    name="serializer",
    description="an application of python-socketio with roomcast's packets; 2 minutes",
    cases=[
        {"workload": workload, "server": server} for workload in WORKLOADS for server in SERVERS
    ],
    measure=_run,
    line=_line,
    page=_page,
    settings={"clients": 100, "loop": "uvloop", "ws": "websockets-sansio"},
    rounds=5,
    seconds=1.0,
    files=100,
)

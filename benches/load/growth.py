"""How a broadcast's processor time grows: with the number of clients, and with the size of the payload."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from bench import Bench
from contenders import COMMANDS, FLOOR, NODE, PEER, RUST
from generator import Workload, put
from measured import OURS, Run, origin, quartiles, table, took
from servers import Server

from plot import plot_growth
from results import FOLDER
from timing import spread

__all__ = ["GROWTH"]

PEERS: Final = (OURS, PEER, NODE, RUST, FLOOR)
SIZE: Final = 32
CLIENTS: Final = 1000
NUMBERS: Final = (100, 300, 1000, 3000, 10_000)
SIZES: Final = (16, 128, 1024, 8192, 65_536)
POINTS: Final = (*((number, SIZE) for number in NUMBERS), *((CLIENTS, size) for size in SIZES))


def _run(case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    workload = Workload("broadcast", case["clients"], 1, case["size"])
    with Server(COMMANDS[case["peer"]](), core) as server:
        return put(server, workload, given.seconds)


def _line(run: Run) -> str:
    return f"{run['cpu'] * 1e6:.2f} µs a delivery, {run['rate']:,}/s, errors {run['errors']}"


def _cpu(runs: list[Run], peer: str, point: tuple[int, int]) -> list[float]:
    clients, size = point
    return [value * 1e6 for value in took(runs, "cpu", peer=peer, clients=clients, size=size)]


def _table(runs: list[Run], what: str, points: Mapping[int, tuple[int, int]]) -> str:
    rows = [
        [f"{number:,}", *(quartiles(_cpu(runs, peer, point)) for peer in PEERS)]
        for number, point in points.items()
    ]
    return table((what, *PEERS), rows)


def _page(whole: dict[str, Any]) -> str:
    runs, settings = whole["runs"], whole["settings"]
    panels = {
        f"clients (payload of {SIZE} bytes)": {number: (number, SIZE) for number in NUMBERS},
        f"bytes of the payload ({CLIENTS:,} clients)": {size: (CLIENTS, size) for size in SIZES},
    }
    lines = {
        title: {
            peer: {number: spread(_cpu(runs, peer, point)) for number, point in points.items()}
            for peer in PEERS
        }
        for title, points in panels.items()
    }
    plot_growth(FOLDER / "growth.svg", lines, "µs of server CPU a delivery")
    errors = sum(sum(run["errors"].values()) for run in runs)
    how = (
        f"Broadcasts, one a tick: the server's processor time a delivery, µs. As [WebSockets](websockets.md), "
        f"{settings['rounds']} rounds of {settings['seconds']:g} s a run; medians, with quartiles. Errors in all runs: {errors}."
    )
    parts = [
        "# Growth",
        f"Written by benches/load. {origin(whole)}",
        how,
        "![CPU a delivery against clients and payload](growth.svg)",
        *(_table(runs, title, points) for title, points in panels.items()),
    ]
    return "\n\n".join(parts) + "\n"


GROWTH: Final = Bench(
    name="growth",
    description="broadcasts to 100 … 10 000 clients, and of 16 B … 64 KB; 10 minutes",
    cases=[
        {"clients": clients, "size": size, "peer": peer}
        for clients, size in POINTS
        for peer in PEERS
    ],
    measure=_run,
    line=_line,
    page=_page,
    settings={"loop": "uvloop", "ws": "websockets-sansio"},
    rounds=3,
    seconds=1.0,
    files=max(NUMBERS),
)

"""A thousand clients on polling, an event a second each that the server echoes: python benches/load/polling.py.

Each event is a POST, and a GET that was waiting for it. What counts is the server's processor time an event. Every server
runs on one core and the clients on another; in each round every server has one run, in a new order, and only runs of one
round are divided by each other. Takes six minutes; --rounds, --seconds and --clients make it shorter, and fewer than three rounds
only print.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from os import getpid, sched_setaffinity
from pathlib import Path
from typing import Any, Final

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from clients import Errors, PollingClient
from measured import (
    LEAST_ROUNDS,
    OURS,
    Run,
    load_average,
    met,
    origin,
    quartiles,
    save,
    table,
    took,
)
from servers import Server, cores, cpu_seconds, python, raise_open_files

from machine import Others
from results import FOLDER
from timing import ratios

PEER: Final = "python-socketio"
FLOOR: Final = "uvicorn alone"
PEERS: Final = (OURS, PEER, FLOOR)
HTTP: Final = ("httptools", "h11")
TARGET: Final = 0.5
"""roomcast's processor time an event may be this much of python-socketio's (issue 3)."""

WARM_UP: Final = 2.0
"""Seconds from the last connection to the first sample: every client has sent an event by then."""

DRAIN: Final = 15.0
"""Seconds that the last events have to come back in, at most; on a calm machine they take some milliseconds."""

AT_ONCE: Final = 50
"""Clients that connect at a time."""


async def _measure(server: Server, count: int, seconds: float) -> Run:
    loop = asyncio.get_running_loop()
    errors = Errors()
    clients = [PollingClient(loop, number, errors) for number in range(count)]
    for first in range(0, count, AT_ONCE):
        chosen = clients[first : first + AT_ONCE]
        opened = await asyncio.gather(
            *(client.open(server.port) for client in chosen), return_exceptions=True
        )
        errors["clients that did not connect"] += sum(
            isinstance(outcome, BaseException) for outcome in opened
        )
    await asyncio.sleep(WARM_UP)

    before = sum(client.received for client in clients)
    seen = [len(client.latencies) for client in clients]
    others, start = Others(server.pid, getpid()), loop.time()
    cpu, own = server.cpu_seconds(), cpu_seconds(getpid())
    await asyncio.sleep(seconds)
    cpu, own = server.cpu_seconds() - cpu, cpu_seconds(getpid()) - own
    elapsed = loop.time() - start
    events = sum(client.received for client in clients) - before
    latencies = [
        latency
        for client, first in zip(clients, seen, strict=True)
        for latency in client.latencies[first:]
    ]
    cuts = statistics.quantiles(latencies, n=100)

    for client in clients:
        client.stop()
    end = loop.time() + DRAIN
    while any(client.sent > client.received for client in clients) and loop.time() < end:  # noqa: ASYNC110  once a run
        await asyncio.sleep(0.1)
    for client in clients:
        client.close()
    return {
        "seconds": round(elapsed, 3),
        "events": events,
        "events_per_second": round(events / elapsed, 1),
        "cpu_per_event": cpu / events,
        "server_busy": round(cpu / elapsed, 3),
        "clients_busy": round(own / elapsed, 3),
        "others_cores": others.cores(),
        "latency_p50": cuts[49],
        "latency_p99": cuts[98],
        "errors": {what: number for what, number in errors.items() if number},
    }


def _run(peer: str, http: str, core: int, given: argparse.Namespace) -> Run:
    average = load_average()
    with Server(python(peer, http=http), core) as server:
        measured = uvloop.run(_measure(server, given.clients, given.seconds))
    return {"peer": peer, "http": http, "load_average": average, **measured}


def page(whole: dict[str, Any]) -> str:
    """Return the page of the results."""
    runs, settings = whole["runs"], whole["settings"]
    verdicts, rows = [], []
    for http in HTTP:
        of = {peer: took(runs, "cpu_per_event", peer=peer, http=http) for peer in PEERS}
        times = ratios(of[OURS], of[PEER])
        spread_text = f"{times.median:.3f} ({times.q1:.3f} to {times.q3:.3f})"
        verdicts.append([http, spread_text, f"≤ {TARGET:g}", met(times, TARGET)])
        for peer in PEERS:
            mine = [run for run in runs if (run["peer"], run["http"]) == (peer, http)]

            def cell(name: str, scale: float = 1.0, *, peer: str = peer, http: str = http) -> str:
                return quartiles(took(runs, name, peer=peer, http=http), scale)

            rows.append(
                [
                    f"{peer}, {http}",
                    cell("cpu_per_event", 1e6),
                    cell("latency_p50", 1e3),
                    cell("latency_p99", 1e3),
                    cell("events_per_second"),
                    cell("server_busy", 100),
                    cell("clients_busy", 100),
                    str(sum(sum(run["errors"].values()) for run in mine)),
                ]
            )
    head = (
        "server, HTTP parser",
        "CPU an event, µs",
        "latency p50, ms",
        "latency p99, ms",
        "events a second",
        "server's core, %",
        "clients' core, %",
        "errors",
    )
    how = (
        f"{settings['clients']:,} clients that only poll, an event a second each, echoed: a POST and a GET an event. uvicorn with "
        f"uvloop on one core, the clients on another; {settings['rounds']} rounds of {settings['seconds']:g} s each. Medians, "
        "with quartiles over the rounds; both sides of a ratio are of one round. CPU is user and system time of the server's "
        "process. Latency is from when an event was due until it was back."
    )
    parts = [
        "# Polling",
        f"Written by load/polling.py. {origin(whole)}",
        how,
        table(("roomcast ÷ python-socketio, CPU an event", "ratio", "target", "verdict"), verdicts),
        table(head, rows),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run, write the results, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=1000)
    given = parser.parse_args()
    raise_open_files(2 * given.clients + 200)
    mine, core = cores()
    sched_setaffinity(0, {mine})
    order = [(peer, http) for http in HTTP for peer in PEERS]
    shuffle = random.Random(time.time_ns()).shuffle
    runs: list[Run] = []
    for number in range(given.rounds):
        shuffle(order)
        for peer, http in order:
            if peer == FLOOR and number % 2:
                continue  # it varies little, and minutes are dear
            run = _run(peer, http, core, given)
            runs.append({"round": number, **run})
            print(
                f"{number} {peer:15} {http:9} {run['cpu_per_event'] * 1e6:6.0f} µs an event, "
                f"p50 {run['latency_p50'] * 1e3:.2f} ms, p99 {run['latency_p99'] * 1e3:.2f} ms, "
                f"{run['events_per_second']:.0f}/s, busy {run['server_busy']:.0%}, clients {run['clients_busy']:.0%}, "
                f"others {run['others_cores']}, errors {run['errors']}",
                flush=True,
            )
    if given.rounds < LEAST_ROUNDS:
        return
    settings = {
        "rounds": given.rounds,
        "seconds": given.seconds,
        "clients": given.clients,
        "loop": "uvloop",
    }
    text = page(save("polling", settings, runs, {}))
    (FOLDER / "polling.md").write_text(text)
    print(text)


main()

"""A thousand clients on polling, an event a second each that the server echoes.

Each event is a POST, and a GET that was waiting for it. What counts is the server's processor time an event.
"""

import argparse
import asyncio
import statistics
from collections.abc import Mapping
from os import getpid
from typing import Any, Final

import uvloop
from bench import Bench
from clients import Errors, PollingClient
from measured import OURS, Run, met, origin, quartiles, spread_of, table, took
from servers import Server, cpu_seconds, python

from machine import Others
from timing import ratios

__all__ = ["POLLING"]

PEER: Final = "python-socketio"
FLOOR: Final = "uvicorn alone"
PEERS: Final = (OURS, PEER, FLOOR)
HTTP: Final = ("httptools", "h11")
CLIENTS: Final = 1000
TARGET: Final = 0.5
"""roomcast's processor time an event may be this much of python-socketio's."""

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


def _run(case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    with Server(python(case["peer"], http=case["http"]), core) as server:
        return uvloop.run(_measure(server, CLIENTS, given.seconds))


def _line(run: Run) -> str:
    return (
        f"{run['cpu_per_event'] * 1e6:.0f} µs an event, p50 {run['latency_p50'] * 1e3:.2f} ms, "
        f"p99 {run['latency_p99'] * 1e3:.2f} ms, {run['events_per_second']:.0f}/s, busy {run['server_busy']:.0%}, "
        f"clients {run['clients_busy']:.0%}, errors {run['errors']}"
    )


def _page(whole: dict[str, Any]) -> str:
    """Return the page of the results."""
    runs, settings = whole["runs"], whole["settings"]
    verdicts, rows = [], []
    for http in HTTP:
        of = {peer: took(runs, "cpu_per_event", peer=peer, http=http) for peer in PEERS}
        times = ratios(of[OURS], of[PEER])
        verdicts.append([http, spread_of(times), f"≤ {TARGET:g}", met(times, TARGET)])
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
        f"Written by benches/load. {origin(whole)}",
        how,
        table(("roomcast ÷ python-socketio, CPU an event", "ratio", "target", "verdict"), verdicts),
        table(head, rows),
    ]
    return "\n\n".join(parts) + "\n"


POLLING: Final = Bench(
    name="polling",
    description="a thousand clients on polling, an event a second each, echoed; 7 minutes",
    cases=[{"peer": peer, "http": http} for http in HTTP for peer in PEERS],
    measure=_run,
    line=_line,
    page=_page,
    settings={"clients": CLIENTS, "loop": "uvloop"},
    rounds=5,
    seconds=10.0,
    files=2 * CLIENTS,
)

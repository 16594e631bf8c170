"""Two workers of one server, and clients on polling whose requests all arrive at the one that does not have their session.

Each client sends an event a second, which comes back: a POST, and a GET that was waiting for it. What counts is the processor time a
request, of both workers together.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

import uvloop
from bench import Bench
from broker import running_broker
from clients import Errors, PollingClient
from measured import Run, met, origin, quartiles, spread_of, table, took
from servers import Server, cpu_seconds, python

from machine import Others
from timing import ratios

__all__ = ["PASSING"]

OWN: Final = "at its owner"
HOST: Final = "over a Unix socket"
BROKER: Final = "over a broker"
WAYS: Final = (OWN, HOST, BROKER)

CLIENTS: Final = 400
REQUESTS: Final = 2
"""Requests of an event: a POST and a GET."""

TARGETS: Final = {HOST: 3.5, BROKER: 5.0}
"""A passed request may take so many times the processor time of one at its owner, where one of both workers reads and answers it, too."""

WARM_UP: Final = 2.0
"""Seconds from the last connection to the first sample."""

DRAIN: Final = 15.0
"""Seconds that the last events have to come back in, at most."""

AT_ONCE: Final = 50
"""Clients that connect at a time."""


async def _measure(
    port: int, others_port: int | None, seconds: float, cpu: Mapping[str, int]
) -> Run:
    loop = asyncio.get_running_loop()
    errors = Errors()
    clients = [PollingClient(loop, number, errors) for number in range(CLIENTS)]
    for first in range(0, CLIENTS, AT_ONCE):
        chosen = clients[first : first + AT_ONCE]
        await asyncio.gather(*(client.open(port, others_port) for client in chosen))
    await asyncio.sleep(WARM_UP)

    requests = -sum(client.received for client in clients) * REQUESTS
    others, start = Others(*cpu.values(), os.getpid()), loop.time()
    before = {name: cpu_seconds(pid) for name, pid in cpu.items()}
    seen = [len(client.latencies) for client in clients]
    await asyncio.sleep(seconds)
    took = {name: cpu_seconds(pid) - before[name] for name, pid in cpu.items()}
    elapsed = loop.time() - start
    requests += sum(client.received for client in clients) * REQUESTS
    latencies = sorted(
        latency
        for client, first in zip(clients, seen, strict=True)
        for latency in client.latencies[first:]
    )
    for client in clients:
        client.stop()
    end = loop.time() + DRAIN
    while any(client.sent > client.received for client in clients) and loop.time() < end:  # noqa: ASYNC110  once a run
        await asyncio.sleep(0.1)
    for client in clients:
        client.close()
    return {
        "seconds": round(elapsed, 3),
        "requests": requests,
        "cpu_per_request": (took["owner"] + took["other"]) / requests,
        "owner": took["owner"] / requests,
        "other": took["other"] / requests,
        "broker": took.get("broker", 0.0) / requests,
        "latency_p50": latencies[len(latencies) // 2],
        "others_cores": others.cores(),
        "errors": {what: number for what, number in errors.items() if number},
    }


def _run(case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    way = case["way"]
    options: dict[str, object] = {"ws": "alone"}
    cpu = {}
    with ExitStack() as stack:
        if way == BROKER:
            broker = stack.enter_context(running_broker(1 - core if core in (0, 1) else core))
            options["broker"], cpu["broker"] = broker.url, broker.pid
        else:
            options["workers"] = stack.enter_context(tempfile.TemporaryDirectory())
        command = python("roomcast", **options)
        owner, other = (stack.enter_context(Server(command, core)) for _ in range(2))
        others_port = None if way == OWN else other.port
        cpu |= {"owner": owner.pid, "other": other.pid}
        return uvloop.run(_measure(owner.port, others_port, given.seconds, cpu))


def _line(run: Run) -> str:
    return (
        f"{run['cpu_per_request'] * 1e6:.0f} µs a request (owner {run['owner'] * 1e6:.0f}, other "
        f"{run['other'] * 1e6:.0f}, broker {run['broker'] * 1e6:.0f}), p50 {run['latency_p50'] * 1e3:.2f} ms, "
        f"errors {run['errors']}"
    )


def _page(whole: dict[str, Any]) -> str:
    """Return the page of the results."""
    runs, settings = whole["runs"], whole["settings"]
    own = took(runs, "cpu_per_request", way=OWN)
    verdicts, rows = [], []
    for way in WAYS:
        if way != OWN:
            times = ratios(took(runs, "cpu_per_request", way=way), own)
            target = TARGETS[way]
            verdicts.append([way, spread_of(times), f"≤ {target:g}", met(times, target)])
        names = ("cpu_per_request", "owner", "other", "broker")
        cells = [quartiles(took(runs, name, way=way), 1e6) for name in names]
        errors = sum(sum(run["errors"].values()) for run in runs if run["way"] == way)
        latency = quartiles(took(runs, "latency_p50", way=way), 1e3)
        rows.append([way, *cells, latency, str(errors)])
    head = (
        "a request",
        "CPU of both workers, µs",
        "its owner, µs",
        "where it arrives, µs",
        "broker, µs",
        "latency p50, ms",
        "errors",
    )
    how = (
        f"{settings['clients']:,} clients that only poll, an event a second each, echoed: a POST and a GET an event, all of which arrive "
        "at one worker, while the sessions are another one's; or at that directly, the other one idle. Two processes as by `io.run` with "
        f"uvloop, on one core; clients and broker on another; {settings['rounds']} rounds of {settings['seconds']:g} s each. Medians, with "
        "quartiles over the rounds; both sides of a ratio are of one round. CPU is user and system time. Latency is from when an event was "
        "due until it was back."
    )
    parts = [
        "# Passed requests",
        f"Written by benches/load. {origin(whole)}",
        how,
        table(("passed ÷ at its owner, CPU", "ratio", "target", "verdict"), verdicts),
        table(head, rows),
    ]
    return "\n\n".join(parts) + "\n"


PASSING: Final = Bench(
    name="passing",
    description="clients on polling whose requests all arrive at the wrong one of two workers; 5 minutes",
    cases=[{"way": way} for way in WAYS],
    measure=_run,
    line=_line,
    page=_page,
    settings={"clients": CLIENTS, "loop": "uvloop"},
    rounds=5,
    seconds=10.0,
    files=4 * CLIENTS,
)

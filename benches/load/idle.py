"""Five thousand WebSockets that do nothing but answer heartbeats: python benches/load/idle.py.

What counts is the memory that a connection takes and the server's processor time a minute. Heartbeats come every 5 s for
every server, five times as often as by default, so that twenty seconds show what they cost. Every server runs on one core and
the clients on another; in each round every server has one run, in a new order, and only runs of one round are divided by each
other. Takes five minutes; --rounds, --seconds and --clients make it shorter, and fewer than three rounds
only print.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from os import getpid, sched_setaffinity
from pathlib import Path
from typing import Any, Final

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from clients import Errors, IdleClient
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
from servers import Server, cores, cpu_seconds, node, python, raise_open_files

from machine import Others
from results import FOLDER
from timing import ratios

PEER: Final = "python-socketio"
NODE: Final = "Node.js socket.io"
PEERS: Final = (OURS, PEER, NODE)
TARGET: Final = 1.0
"""In memory and in processor time roomcast is to be below python-socketio (issue 3)."""

PING_INTERVAL: Final = 5.0
WS: Final = "websockets-sansio"
"""uvicorn's choice by itself where websockets is installed."""

FIRST: Final = 50
"""Connections from before the first look at the memory: by then the server has loaded and made what it keeps."""

SETTLE: Final = 5.5
"""Seconds from the last connection to the first sample: every client has had a heartbeat by then."""

AT_ONCE: Final = 100
"""Clients that connect at a time."""


async def _connect(server: Server, count: int, errors: Errors) -> list[IdleClient]:
    loop = asyncio.get_running_loop()

    async def open_one() -> IdleClient:
        _, client = await loop.create_connection(
            lambda: IdleClient(loop, errors), "127.0.0.1", server.port
        )
        await client.ready
        return client

    clients: list[IdleClient] = []
    for first in range(0, count, AT_ONCE):
        opening = (open_one() for _ in range(min(AT_ONCE, count - first)))
        for outcome in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(outcome, IdleClient):
                clients.append(outcome)
            else:
                errors["clients that did not connect"] += 1
    return clients


async def _measure(server: Server, count: int, seconds: float) -> Run:
    loop = asyncio.get_running_loop()
    errors = Errors()
    first = await _connect(server, FIRST, errors)
    await asyncio.sleep(0.5)
    memory = server.memory()
    clients = await _connect(server, count, errors)
    await asyncio.sleep(SETTLE)

    pings = [client.pings for client in clients]
    others, start = Others(server.pid, getpid()), loop.time()
    cpu, own = server.cpu_seconds(), cpu_seconds(getpid())
    await asyncio.sleep(seconds)
    cpu, own = server.cpu_seconds() - cpu, cpu_seconds(getpid()) - own
    elapsed = loop.time() - start
    memory = server.memory() - memory
    pings = [client.pings - before for client, before in zip(clients, pings, strict=True)]
    errors["clients without their heartbeats"] += sum(
        number < seconds // PING_INTERVAL - 1 for number in pings
    )
    for client in first + clients:
        client.close()
    return {
        "seconds": round(elapsed, 3),
        "memory_per_connection": round(memory / len(clients)),
        "cpu_per_minute": round(cpu * 60 / elapsed, 3),
        "heartbeats_per_second": round(sum(pings) / elapsed, 1),
        "clients_busy": round(own / elapsed, 3),
        "others_cores": others.cores(),
        "errors": {what: number for what, number in errors.items() if number},
    }


def _run(peer: str, core: int, given: argparse.Namespace, versions: dict[str, str]) -> Run:
    average = load_average()
    command = (
        node(PING_INTERVAL)
        if peer == NODE
        else python(peer, http="httptools", ws=WS, ping_interval=PING_INTERVAL)
    )
    with Server(command, core) as server:
        if peer == NODE:
            versions.update(json.loads(server.line()))
        measured = uvloop.run(_measure(server, given.clients, given.seconds))
    return {"peer": peer, "load_average": average, **measured}


def page(whole: dict[str, Any]) -> str:
    """Return the page of the results."""
    runs, settings = whole["runs"], whole["settings"]
    verdicts = []
    for name, title in (
        ("memory_per_connection", "memory a connection"),
        ("cpu_per_minute", "CPU a minute"),
    ):
        times = ratios(took(runs, name, peer=OURS), took(runs, name, peer=PEER))
        spread_text = f"{times.median:.3f} ({times.q1:.3f} to {times.q3:.3f})"
        verdicts.append([title, spread_text, f"< {TARGET:g}", met(times, TARGET)])
    rows = []
    for peer in PEERS:
        mine = [run for run in runs if run["peer"] == peer]

        def cell(name: str, scale: float = 1.0, *, peer: str = peer) -> str:
            return quartiles(took(runs, name, peer=peer), scale)

        rows.append(
            [
                peer,
                cell("memory_per_connection", 1 / 1024),
                cell("cpu_per_minute"),
                cell("heartbeats_per_second"),
                cell("clients_busy", 100),
                str(sum(sum(run["errors"].values()) for run in mine)),
            ]
        )
    head = (
        "server",
        "memory a connection, KiB",
        "CPU a minute, s",
        "heartbeats a second",
        "clients' core, %",
        "errors",
    )
    how = (
        f"{settings['clients']:,} WebSockets with a socket each, which do nothing but answer a ping every "
        f"{settings['ping_interval']:g} s (the default is 25 s; the same for all). The Python servers run on uvicorn with uvloop "
        f"and its {settings['ws']}, its own pings off; no client offers compression. {settings['rounds']} rounds of "
        f"{settings['seconds']:g} s each, server and clients on a core of their own. Medians, with quartiles over the rounds; "
        "both sides of a ratio are of one round. Memory is what the process (RSS) grew by, from 50 connections on; buffers of "
        "the kernel are not in it. CPU is user and system time of the server's process. Node.js for information."
    )
    parts = [
        "# Idle",
        f"Written by load/idle.py. {origin(whole)}",
        how,
        table(("roomcast ÷ python-socketio", "ratio", "target", "verdict"), verdicts),
        table(head, rows),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run, write the results, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=5000)
    given = parser.parse_args()
    raise_open_files(given.clients + FIRST + 200)
    mine, core = cores()
    sched_setaffinity(0, {mine})
    order, versions = list(PEERS), dict[str, str]()
    shuffle = random.Random(time.time_ns()).shuffle
    runs: list[Run] = []
    for number in range(given.rounds):
        shuffle(order)
        for peer in order:
            run = _run(peer, core, given, versions)
            runs.append({"round": number, **run})
            print(
                f"{number} {peer:17} {run['memory_per_connection'] / 1024:5.1f} KiB a connection, "
                f"{run['cpu_per_minute']:.2f} s a minute, {run['heartbeats_per_second']:.0f} heartbeats/s, "
                f"clients {run['clients_busy']:.0%}, others {run['others_cores']}, errors {run['errors']}",
                flush=True,
            )
    if given.rounds < LEAST_ROUNDS:
        return
    settings = {
        "rounds": given.rounds,
        "seconds": given.seconds,
        "clients": given.clients,
        "ping_interval": PING_INTERVAL,
        "loop": "uvloop",
        "ws": WS,
    }
    text = page(save("idle", settings, runs, versions))
    (FOLDER / "idle.md").write_text(text)
    print(text)


main()

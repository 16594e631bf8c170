"""Five thousand WebSockets under plain ASGI that do nothing but answer heartbeats.

What counts is the memory that a connection takes and the server's processor time a minute. Heartbeats come every 5 s for
every server, five times as often as by default, so that twenty seconds show what they cost.
"""

import argparse
import asyncio
from collections.abc import Mapping
from os import getpid
from typing import Any, Final

import uvloop
from bench import Bench
from clients import Errors, IdleClient
from measured import OURS, Run, met, origin, quartiles, spread_of, table, took
from servers import Server, cpu_seconds, node, python

from machine import Others
from timing import ratios

__all__ = ["IDLE"]

PEER: Final = "python-socketio"
NODE: Final = "Node.js socket.io"
PEERS: Final = (OURS, PEER, NODE)
TARGET: Final = 1.0
"""In memory and in processor time roomcast is to be below python-socketio."""

CLIENTS: Final = 5000
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


def _run(case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    peer = case["peer"]
    command = (
        node(PING_INTERVAL)
        if peer == NODE
        else python(peer, http="httptools", ws=WS, ping_interval=PING_INTERVAL)
    )
    with Server(command, core) as server:
        return uvloop.run(_measure(server, CLIENTS, given.seconds))


def _line(run: Run) -> str:
    return (
        f"{run['memory_per_connection'] / 1024:.1f} KiB a connection, {run['cpu_per_minute']:.2f} s a minute, "
        f"{run['heartbeats_per_second']:.0f} heartbeats/s, clients {run['clients_busy']:.0%}, errors {run['errors']}"
    )


def _page(whole: dict[str, Any]) -> str:
    """Return the page of the results."""
    runs, settings = whole["runs"], whole["settings"]
    verdicts = []
    for name, title in (
        ("memory_per_connection", "memory a connection"),
        ("cpu_per_minute", "CPU a minute"),
    ):
        times = ratios(took(runs, name, peer=OURS), took(runs, name, peer=PEER))
        verdicts.append([title, spread_of(times), f"< {TARGET:g}", met(times, TARGET)])
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
        f"Written by benches/load. {origin(whole)}",
        how,
        table(("roomcast ÷ python-socketio", "ratio", "target", "verdict"), verdicts),
        table(head, rows),
    ]
    return "\n\n".join(parts) + "\n"


IDLE: Final = Bench(
    name="idle",
    description="five thousand WebSockets under plain ASGI that answer pings; 5 minutes",
    cases=[{"peer": peer} for peer in PEERS],
    measure=_run,
    line=_line,
    page=_page,
    settings={
        "clients": CLIENTS,
        "ping_interval": PING_INTERVAL,
        "loop": "uvloop",
        "ws": WS,
    },
    rounds=3,
    seconds=20.0,
    files=CLIENTS + FIRST,
)

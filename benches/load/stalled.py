"""One client that stops reading, among a thousand that get broadcasts: what it holds, and whether the others wait longer.

Round by round without it, with it under `drop_oldest`, where it stays and its buffer is full all the time, and with it under the
default policy, which closes it. Without it once more shows what chance alone does to the ratio.
"""

import argparse
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from bench import Bench
from clients import CONNECT, UPGRADE
from generator import Workload, put
from measured import OURS, Run, met, origin, quartiles, spread_of, table, took
from servers import Server, python

from roomcast.types import Limits
from timing import Spread, ratios

__all__ = ["STALLED"]

NOBODY: Final = "nobody stalled"
AGAIN: Final = "nobody stalled, again"
STAYS: Final = "one stalled, drop_oldest"
CLOSED: Final = "one stalled, close"
POLICIES: Final = {NOBODY: "close", AGAIN: "close", STAYS: "drop_oldest", CLOSED: "close"}
WORKLOAD: Final = Workload("broadcast", 1000, 20, 1024)
WARMING: Final = 8.0
"""Seconds in which what is sent to the stalled client fills the kernel's buffers, and then its own."""

TARGET: Final = 1.2
"""What the others' p99 may be multiplied by."""

LIMIT: Final = Limits().send_buffer_size


@contextmanager
def _stalled(port: int) -> Iterator[None]:
    """Have a client that joins, and reads nothing more."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(20)
        line.connect(("127.0.0.1", port))
        line.sendall(UPGRADE)
        _read_until(line, b'0{"sid"')
        line.sendall(CONNECT)
        _read_until(line, b'40{"sid"')
        yield


def _client(who: str, port: int) -> AbstractContextManager[None]:
    return _stalled(port) if who in (STAYS, CLOSED) else nullcontext()


def _read_until(line: socket.socket, text: bytes) -> None:
    received = b""
    while text not in received:
        data = line.recv(4096)
        if not data:
            raise ConnectionError("the server has closed the connection")
        received += data


def _run(case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    who = case["stalled"]
    command = python(OURS, ws="alone", handlers="def", policy=POLICIES[who])
    held, dropped = 0, 0

    def look() -> None:
        nonlocal held, dropped
        size, dropped = map(int, server.ask(signal.SIGUSR1).split())
        held = max(held, size)

    with Server(command, core) as server, _client(who, server.port):
        run = put(server, WORKLOAD, given.seconds, WARMING, look)
    return {**run, "held": held, "dropped": dropped}


def _line(run: Run) -> str:
    return (
        f"p50 {run['latency_p50'] * 1e3:.2f} ms, p99 {run['latency_p99'] * 1e3:.2f} ms, {run['cpu'] * 1e6:.2f} µs a delivery, "
        f"held {run['held']:,} bytes, dropped {run['dropped']:,}, errors {run['errors']}"
    )


def _page(whole: dict[str, Any]) -> str:
    runs, settings = whole["runs"], whole["settings"]

    def of(name: str, who: str) -> list[float]:
        return took(runs, name, stalled=who)

    verdicts = []
    for who in (STAYS, CLOSED):
        times = ratios(of("latency_p99", who), of("latency_p99", NOBODY))
        what = f"p99 of the others, {who} ÷ {NOBODY}"
        verdicts.append([what, spread_of(times), f"≤ {TARGET:g}", met(times, TARGET)])
    times = ratios(of("latency_p99", AGAIN), of("latency_p99", NOBODY))
    verdicts.append([f"the same, {AGAIN}: what chance does", spread_of(times), "", ""])
    for who in (STAYS, CLOSED):
        most = max(of("held", who))
        verdict = met(Spread(most, most, most), LIMIT)
        verdicts.append([f"bytes held, {who}", f"{most:,} at most", f"≤ {LIMIT:,}", verdict])
    rows = [
        [
            who,
            quartiles(of("latency_p50", who), 1e3),
            quartiles(of("latency_p99", who), 1e3),
            quartiles(of("cpu", who), 1e6),
            quartiles(of("rate", who), 1e-3),
            f"{max(of('held', who)):,}",
            quartiles(of("dropped", who)),
            str(sum(sum(run["errors"].values()) for run in runs if run["stalled"] == who)),
        ]
        for who in POLICIES
    ]
    head = (
        "",
        "p50, ms",
        "p99, ms",
        "CPU a delivery, µs",
        "deliveries, thousands a second",
        "most bytes held for one client",
        "events dropped",
        "errors of the others",
    )
    how = (
        f"{WORKLOAD.clients:,} clients get {WORKLOAD.amount} events of {WORKLOAD.size:,} bytes a tick, as fast as they take them; "
        f"one more has joined and reads nothing. {WARMING:g} s fill its buffers, then {settings['seconds']:g} s are measured; "
        f"{settings['rounds']} rounds, medians with quartiles, both sides of a ratio of one round. With `drop_oldest` its buffer stays "
        "full all the time; the default policy closes it once it is. Held is what the server itself keeps for a client, looked at "
        "once a second."
    )
    parts = [
        "# A client that does not read",
        f"Written by benches/load. {origin(whole)}",
        how,
        table(("what", "measured", "target", "verdict"), verdicts),
        table(head, rows),
    ]
    return "\n\n".join(parts) + "\n"


STALLED: Final = Bench(
    name="stalled",
    description="a thousand clients and one that does not read; 7 minutes",
    cases=[{"stalled": who} for who in POLICIES],
    measure=_run,
    line=_line,
    page=_page,
    settings={"loop": "uvloop"},
    rounds=7,
    seconds=5.0,
    files=WORKLOAD.clients,
)

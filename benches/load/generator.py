"""What `roomcast bench` is made of, as a load for servers: on one thread, without the interpreter."""

from collections.abc import Callable
from dataclasses import dataclass
from os import getpid
from typing import Final

from measured import Run
from servers import Server

from machine import Others
from roomcast._core import Load
from roomcast.cli.bench.load import watch
from roomcast.cli.bench.summary import summarize
from roomcast.cli.bench.target import find_target, sources
from roomcast.cli.bench.workloads import WORKLOADS

__all__ = ["Workload", "put"]

PATIENCE: Final = 60.0
WARMING: Final = 0.5
SETTLING: Final = 2.0
"""Seconds from the last of idle connections to the look at the memory."""


@dataclass(frozen=True)
class Workload:
    """What the clients do.

    Attributes:
        kind: As `roomcast bench` calls it.
        clients: How many.
        amount: Events that are asked for at a time, or that each client has in flight.
        size: Characters or bytes of the payload.
    """

    kind: str
    clients: int
    amount: int = 0
    size: int = 0


def put(
    server: Server,
    workload: Workload,
    seconds: float,
    warming: float = WARMING,
    look: Callable[[], None] = lambda: None,
) -> Run:
    """Put a load on a server, and return what was measured.

    Args:
        server: The server.
        workload: What the clients do.
        seconds: How long it is measured.
        warming: How long it runs before that; idle connections are left alone for longer.
        look: Called once a second.
    """
    words = WORKLOADS[workload.kind]
    url = f"http://127.0.0.1:{server.port}"
    target = find_target(url, path="/socket.io/", headers=(), patience=PATIENCE)
    idle = workload.kind == "idle"
    load = Load(
        workload.kind,
        workload.amount,
        address=target.socket_address,
        sources=sources(target.address[0], workload.clients),
        request=target.request,
        nsp=target.nsp,
        auth="",
        event=words.event,
        reply=words.reply,
        size=workload.size,
        connections=workload.clients,
        connecting=64,
        patience=PATIENCE,
        warming=SETTLING if idle else warming,
        measuring=0.1 if idle else seconds,
        pid=server.pid,
    )
    others = Others(server.pid, getpid())
    report = watch(load, 1.0, lambda _: look())
    busy = others.cores()
    summary = summarize(workload.kind, url, report, None)
    if report.failure or summary.connecting is None or summary.measured is None:
        raise RuntimeError(f"{workload} on port {server.port}: {report.failure}")
    errors = {what: number for what, number in summary.errors.items() if number}
    made, measured = summary.connecting, summary.measured
    common = {"others_cores": busy, "errors": errors}
    if idle:
        return {"cpu_per_connect": made.server_cpu, "memory": made.server_memory, **common}
    assert measured.server
    assert measured.generator
    assert measured.latency
    return {
        "cpu": measured.server.cpu_per_message,
        "rate": round(measured.rate),
        "latency_p50": measured.latency.p50,
        "latency_p99": measured.latency.p99,
        "finish_p99": measured.finish and measured.finish.p99,
        "server_busy": round(measured.server.cpu, 3),
        "clients_busy": round(measured.generator.cpu, 3),
        **common,
    }

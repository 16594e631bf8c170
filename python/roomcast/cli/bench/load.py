"""A load in a thread of its own, and what it tells: snapshots while it runs, a report at its end."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import NamedTuple, TypeAlias

from roomcast._core import Load

__all__ = ["Failure", "Mark", "Quantiles", "Report", "Snapshot", "watch"]

MarkTuple: TypeAlias = tuple[float, int, int, int, float | None, float | None, int | None]


class Quantiles(NamedTuple):
    """Seconds that half, nine of ten, 99 of 100 and all of the times do not exceed."""

    p50: float
    p90: float
    p99: float
    max: float


class Snapshot(NamedTuple):
    """How it goes.

    Attributes:
        phase: What the load is doing.
        ready: Connections that were made.
        received: Deliveries or answers so far.
        bytes_in: Bytes read so far.
        bytes_out: Bytes written so far.
        lost: Connections that were lost.
        wrong: Replies with another payload than the one asked for.
        surplus: Replies that nobody asked for.
        other: Packets that have nothing to do with the load.
        pings: Pings that were answered.
        latency: Since the last snapshot, if anything was received.
    """

    phase: str
    ready: int
    received: int
    bytes_in: int
    bytes_out: int
    lost: int
    wrong: int
    surplus: int
    other: int
    pings: int
    latency: Quantiles | None


class Mark(NamedTuple):
    """How things stood at some moment.

    Attributes:
        at: Seconds since the start.
        received: Deliveries or answers so far.
        bytes_in: Bytes read so far.
        bytes_out: Bytes written so far.
        own_cpu: Seconds of processor time of the load, where the system tells.
        server_cpu: The same of the server's process, if it is known.
        server_memory: Bytes that the server's process holds resident, if it is known.
    """

    at: float
    received: int
    bytes_in: int
    bytes_out: int
    own_cpu: float | None
    server_cpu: float | None
    server_memory: int | None


class Failure(NamedTuple):
    """What went wrong: one of the kinds of the core, and what the server or the system said."""

    kind: str
    detail: str


class Report(NamedTuple):
    """What a load has come to; marks that were not reached are ``None``.

    Attributes:
        start: Before the first connection.
        connected: When all connections were made.
        begin: When what counts began.
        end: When it ended.
        latency: From requests to replies.
        finish: From a broadcast's request to its last delivery.
        failure: Why it ended early.
        loss: Why the first lost connection was lost.
        snapshot: How it stood at the end.
        interrupted: Whether somebody ended it.
    """

    start: Mark | None
    connected: Mark | None
    begin: Mark | None
    end: Mark | None
    latency: Quantiles | None
    finish: Quantiles | None
    failure: Failure | None
    loss: Failure | None
    snapshot: Snapshot
    interrupted: bool


def _look(load: Load) -> Snapshot:
    *_, latency = counts = load.snapshot()
    return Snapshot(*counts[:-1], latency=_quantiles(latency))


def _quantiles(times: tuple[float, float, float, float] | None) -> Quantiles | None:
    return None if times is None else Quantiles(*times)


def _mark(mark: MarkTuple | None) -> Mark | None:
    return None if mark is None else Mark(*mark)


def _failure(failure: tuple[str, str] | None) -> Failure | None:
    return None if failure is None else Failure(*failure)


def watch(load: Load, interval: float, show: Callable[[Snapshot], None]) -> Report:
    """Run a load; Ctrl-C ends it early.

    Args:
        load: The load, which has not run yet.
        interval: Seconds between two snapshots.
        show: Is handed each of them.
    """
    interrupted = False
    with ThreadPoolExecutor(1, "roomcast-bench") as threads:
        running = threads.submit(load.run)
        try:
            while not wait([running], interval).done:
                show(_look(load))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            load.stop()
    (start, connected, begin, end), latency, finish, failure, loss = running.result()
    return Report(
        start=_mark(start),
        connected=_mark(connected),
        begin=_mark(begin),
        end=_mark(end),
        latency=_quantiles(latency),
        finish=_quantiles(finish),
        failure=_failure(failure),
        loss=_failure(loss),
        snapshot=_look(load),
        interrupted=interrupted,
    )

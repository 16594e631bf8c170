"""What is seen: a line a second while the load runs, and the summary; with rich on a terminal, a display that stays in its place."""

import contextlib
import sys
import time
from collections.abc import Generator, Sequence
from typing import Protocol

from roomcast.cli.bench.load import Snapshot
from roomcast.cli.bench.summary import quantiles
from roomcast.cli.bench.units import bytes_, count
from roomcast.cli.bench.workloads import Workload

__all__ = ["Display", "open_display", "print_rows"]


class Display(Protocol):
    """Shows snapshots."""

    interval: float
    """Seconds between two of them."""

    def show(self, snapshot: Snapshot) -> None:
        """Show how it goes."""


class _Rates:
    """Turns snapshots into what happened since the last one."""

    def __init__(self, workload: Workload, connections: int) -> None:
        self._workload = workload
        self._connections = connections
        self._started = self._at = time.monotonic()
        self._received = 0
        self._bytes = 0

    def cells(self, snapshot: Snapshot) -> list[str]:
        now = time.monotonic()
        took = now - self._at
        received = (snapshot.received - self._received) / took
        traffic = (snapshot.bytes_in - self._bytes) / took
        self._at, self._received, self._bytes = now, snapshot.received, snapshot.bytes_in
        found = [f"{now - self._started:4.0f} s", f"{snapshot.phase:10}"]
        if snapshot.phase in ("connecting", "closing") or not self._workload.event:
            made = f"{count(snapshot.ready - snapshot.lost)} of {count(self._connections)}"
            found.append(f"{made} connections")
        else:
            found += [
                f"{count(received):>10} {self._workload.messages} a second",
                f"{bytes_(traffic)} a second",
            ]
        if snapshot.latency:
            found.append(quantiles(snapshot.latency))
        faults = snapshot.lost + snapshot.wrong + snapshot.surplus
        if faults:
            found.append(f"{count(faults)} errors")
        return found


class _Lines:
    """A line for each snapshot."""

    interval = 1.0

    def __init__(self, rates: _Rates) -> None:
        self._rates = rates

    def show(self, snapshot: Snapshot) -> None:
        print("  ".join(self._rates.cells(snapshot)), file=sys.stderr, flush=True)


@contextlib.contextmanager
def open_display(title: str, workload: Workload, connections: int) -> Generator[Display]:
    """Show a load on the standard error output, so that its result stands alone on the other.

    Args:
        title: What it is.
        workload: Its workload.
        connections: How many there will be.
    """
    rates = _Rates(workload, connections)
    if sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console  # noqa: PLC0415  an optional dependency
            from rich.live import Live  # noqa: PLC0415  as above
            from rich.panel import Panel  # noqa: PLC0415  as above

            class InPlace:
                interval = 0.5

                def show(self, snapshot: Snapshot) -> None:
                    lines = "\n".join(cell.strip() for cell in rates.cells(snapshot))
                    live.update(Panel(lines, title=title), refresh=True)

            with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
                yield InPlace()
                return
    print(title, file=sys.stderr, flush=True)
    yield _Lines(rates)


def print_rows(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print a summary as a table.

    Args:
        title: What it is of.
        rows: Pairs of what and how much.
    """
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console  # noqa: PLC0415  an optional dependency
            from rich.table import Table  # noqa: PLC0415  as above
            from rich.text import Text  # noqa: PLC0415  as above

            table = Table(title=title, show_header=False)
            for name, value in rows:
                table.add_row(name, Text(value))
            Console().print(table)
            return
    width = max(len(name) for name, _ in rows)
    print(title)
    for name, value in rows:
        print(f"  {name:{width}}  {value}")

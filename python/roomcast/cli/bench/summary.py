"""What a load has come to: numbers for programs, and the same as rows for people."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from roomcast.cli.bench.load import Mark, Quantiles, Report
from roomcast.cli.bench.units import bytes_, count, plural, seconds
from roomcast.cli.bench.workloads import Workload

__all__ = ["Connecting", "Measured", "Process", "Summary", "rows", "summarize"]

BUSY: Final = 0.9
"""The share of a core from which on a process is what the load waits for."""


@dataclass(frozen=True, slots=True)
class Process:
    """What a process has used.

    Attributes:
        cpu: Cores while it was measured: 1 is one core all the time.
        cpu_per_message: Seconds.
    """

    cpu: float
    cpu_per_message: float | None


@dataclass(frozen=True, slots=True)
class Connecting:
    """How connections were made.

    Attributes:
        seconds: For all of them.
        rate: Connections a second.
        server_cpu: Seconds of the server's processor time for each.
        server_memory: Bytes that the server's process has grown by for each, up to the end of the warm-up.
    """

    seconds: float
    rate: float
    server_cpu: float | None
    server_memory: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        seconds: How long.
        messages: Deliveries of broadcasts, or round trips.
        rate: Messages a second.
        bytes_in: Bytes a second that the clients received, with frames and pings.
        bytes_out: Bytes a second that they sent.
        latency: Seconds from a request to its reply, or to each delivery.
        finish: Seconds from the request for a broadcast to its last delivery.
        server: What the server has used, if its process is known.
        generator: What the load itself has used, where the system tells.
    """

    seconds: float
    messages: int
    rate: float
    bytes_in: float
    bytes_out: float
    latency: Quantiles | None
    finish: Quantiles | None
    server: Process | None
    generator: Process | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a load has come to.

    Attributes:
        workload: Its name.
        url: The server.
        connections: How many were made.
        connecting: How they were made, if all were.
        measured: What was measured, if it came to that.
        errors: Lost connections, wrong replies and surplus replies.
        other_packets: Packets that have nothing to do with the load.
        failure: Why it ended early, in words.
    """

    workload: str
    url: str
    connections: int
    connecting: Connecting | None
    measured: Measured | None
    errors: dict[str, int]
    other_packets: int
    failure: str | None

    @property
    def is_good(self) -> bool:
        """Whether nothing went wrong."""
        return self.failure is None and not any(self.errors.values())

    def as_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        plain = asdict(self)
        if self.measured:
            for name in ("latency", "finish"):
                times: Quantiles | None = getattr(self.measured, name)
                plain["measured"][name] = times and times._asdict()
        return plain


def summarize(name: str, url: str, report: Report, failure: str | None) -> Summary:
    """Make the summary of a report.

    Args:
        name: Of the workload.
        url: Of the server.
        report: The report.
        failure: Its failure in words.
    """
    snapshot = report.snapshot
    return Summary(
        workload=name,
        url=url,
        connections=snapshot.ready,
        connecting=_connecting(report),
        measured=_measured(report),
        errors={"lost": snapshot.lost, "wrong": snapshot.wrong, "surplus": snapshot.surplus},
        other_packets=snapshot.other,
        failure=failure,
    )


def _connecting(report: Report) -> Connecting | None:
    start, connected, number = report.start, report.connected, report.snapshot.ready
    if start is None or connected is None:
        return None
    settled = report.begin or connected
    memory = None
    if settled.server_memory is not None and start.server_memory is not None:
        memory = (settled.server_memory - start.server_memory) / number
    took = connected.at - start.at
    cpu = _between(start.server_cpu, connected.server_cpu)
    return Connecting(took, number / took, None if cpu is None else cpu / number, memory)


def _measured(report: Report) -> Measured | None:
    begin, end = report.begin, report.end
    if begin is None or end is None or end.at <= begin.at:
        return None
    took = end.at - begin.at
    messages = end.received - begin.received
    return Measured(
        seconds=took,
        messages=messages,
        rate=messages / took,
        bytes_in=(end.bytes_in - begin.bytes_in) / took,
        bytes_out=(end.bytes_out - begin.bytes_out) / took,
        latency=report.latency,
        finish=report.finish,
        server=_process(begin, end, _between(begin.server_cpu, end.server_cpu)),
        generator=_process(begin, end, _between(begin.own_cpu, end.own_cpu)),
    )


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else end - begin


def _process(begin: Mark, end: Mark, cpu: float | None) -> Process | None:
    if cpu is None:
        return None
    messages = end.received - begin.received
    return Process(cpu / (end.at - begin.at), cpu / messages if messages else None)


def rows(summary: Summary, workload: Workload) -> list[tuple[str, str]]:
    """Return a summary as pairs of what and how much.

    Args:
        summary: The summary.
        workload: Its workload.
    """
    found: list[tuple[str, str]] = []
    connecting, measured = summary.connecting, summary.measured
    made = count(summary.connections)
    if connecting:
        made += f", {count(connecting.rate)} a second"
        if connecting.server_cpu is not None:
            made += f", {seconds(connecting.server_cpu)} of server CPU each"
    found.append(("connections", made))
    if measured:
        found += _measured_rows(measured, workload)
    if connecting and connecting.server_memory is not None:
        found.append(("server memory", f"{bytes_(connecting.server_memory)} a connection"))
    if measured and workload.event:
        found.append(("limit", _limit(measured)))
    found.append(("errors", _errors(summary, workload)))
    return found


def _measured_rows(measured: Measured, workload: Workload) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if workload.event:
        rate = f"{count(measured.rate)} a second, {count(measured.messages)} in {seconds(measured.seconds)}"
        found.append((workload.messages, rate))
    for name, times in (("latency", measured.latency), ("all have it", measured.finish)):
        if times:
            found.append((name, quantiles(times)))
    traffic = f"{bytes_(measured.bytes_in)} a second in, {bytes_(measured.bytes_out)} out"
    found.append(("bytes", traffic))
    for name, process in (("server CPU", measured.server), ("generator CPU", measured.generator)):
        if process:
            share = f"{process.cpu * 100:.3g} % of a core"
            each = process.cpu_per_message
            found.append(
                (name, share if each is None else f"{seconds(each)} a {workload.message}, {share}")
            )
    return found


def quantiles(times: Quantiles) -> str:
    """Write quantiles in a line."""
    return ", ".join(f"{name} {seconds(time)}" for name, time in times._asdict().items())


def _limit(measured: Measured) -> str:
    generator, server = measured.generator, measured.server
    if generator and generator.cpu >= BUSY:
        return "this load generator was the bottleneck, and the server can do more"
    if server is None:
        return "not this load generator, which had time to spare; --pid tells of the server"
    if server.cpu >= BUSY:
        return "the server's processor; the generator had time to spare"
    return "neither processor: the load waited for answers, and more in flight may come to more"


def _errors(summary: Summary, workload: Workload) -> str:
    names = {
        "lost": ("connection lost", "connections lost"),
        "wrong": (f"wrong {workload.message}", f"wrong {workload.messages}"),
        "surplus": (f"{workload.message} too many", f"{workload.messages} too many"),
    }
    found = [plural(summary.errors[kind], *names[kind]) for kind in names if summary.errors[kind]]
    if summary.failure:
        found.append(summary.failure)
    return "; ".join(found) or "none"

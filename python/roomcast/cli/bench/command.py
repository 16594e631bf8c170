"""``roomcast bench``: the arguments of all workloads, and how one is run."""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace

from roomcast._core import Load
from roomcast.cli.arguments import json_object, number_of, port, seconds
from roomcast.cli.bench import server
from roomcast.cli.bench.display import open_display, print_rows
from roomcast.cli.bench.load import Report, watch
from roomcast.cli.bench.summary import rows, summarize
from roomcast.cli.bench.target import Target, find_target, sources
from roomcast.cli.bench.units import plural
from roomcast.cli.bench.words import explain
from roomcast.cli.bench.workloads import HANDLERS, WORKLOADS, Workload
from roomcast.cli.errors import INTERRUPTED, CommandError
from roomcast.cli.files import allow_connections

__all__ = ["add_command"]

DESCRIPTION = """\
Put many clients on a Socket.IO server, and measure how it bears them: messages
a second, latency, and with --pid its processor time a message and its memory a
connection. Any server of Socket.IO 3 or later will do. To try it out, in two
terminals:

  roomcast bench server
  roomcast bench broadcast http://127.0.0.1:3000
"""

MOST_CONNECTIONS = 100_000
MOST_IN_FLIGHT = 10_000
MOST_SIZE = 100_000_000
MOST_BYTES = 1_000_000_000
"""Of the payloads that one client has in flight: the load holds them all."""


def add_command(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the arguments."""
    parser = add_parser(
        "bench",
        help="measure a Socket.IO server under load",
        description=DESCRIPTION,
        epilog=HANDLERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    workloads = parser.add_subparsers(title="workloads", metavar="WORKLOAD", required=True)
    for name, workload in WORKLOADS.items():
        _add_workload(workloads.add_parser, name, workload)
    serving = workloads.add_parser("server", help="serve the handlers of all workloads")
    serving.add_argument("--host", default="127.0.0.1", help="the address (%(default)s)")
    serving.add_argument("--port", type=port, default=3000, help="the port (%(default)s)")
    serving.set_defaults(run=server.run)


def _add_workload(
    add_parser: Callable[..., argparse.ArgumentParser], name: str, workload: Workload
) -> None:
    parser = add_parser(
        name,
        help=workload.help,
        description=f"{workload.help.capitalize()}.",
        epilog=HANDLERS if workload.event else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("url", metavar="URL", help="the server; a path is the namespace, a query goes along")
    add(
        "-c",
        "--connections",
        type=number_of(1, MOST_CONNECTIONS),
        default=100,
        metavar="N",
        help="clients (%(default)s)",
    )
    add(
        "-t",
        "--seconds",
        type=seconds,
        default=5.0,
        metavar="S",
        help="how long it is measured (%(default)g)",
    )
    add(
        "--warm-up",
        type=seconds,
        default=0.5 if workload.event else 3.0,
        metavar="S",
        help="how long it runs before that (%(default)g)",
    )
    if workload.event:
        _add_messages(parser, name, workload)
    add("--auth", type=json_object, metavar="JSON", help="an object for the CONNECT packet")
    add(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header of the request; may be repeated",
    )
    add("--path", default="/socket.io/", help="where the server is (%(default)s)")
    add(
        "--pid",
        type=number_of(1, 2**31),
        metavar="PID",
        help="the server's process on this Linux machine",
    )
    add(
        "--connecting",
        type=number_of(1, MOST_CONNECTIONS),
        default=64,
        metavar="N",
        help="connections that are made at a time (%(default)s)",
    )
    add(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="S",
        help="how long the server may keep a client waiting (%(default)g)",
    )
    add("--json", action="store_true", help="print the summary as a JSON object")
    parser.set_defaults(run=run, workload=name)


def _add_messages(parser: argparse.ArgumentParser, name: str, workload: Workload) -> None:
    add = parser.add_argument
    unit = "bytes" if name == "binary" else "characters"
    add(
        "-s",
        "--size",
        type=number_of(0, MOST_SIZE),
        default=32,
        metavar="N",
        help=f"{unit} of the payload (%(default)s)",
    )
    if name == "broadcast":
        add(
            "-k",
            "--burst",
            dest="amount",
            type=number_of(1, 1_000_000),
            default=workload.amount,
            metavar="N",
            help="events that are asked for at a time (%(default)s)",
        )
    else:
        add(
            "-d",
            "--in-flight",
            dest="amount",
            type=number_of(1, MOST_IN_FLIGHT),
            default=workload.amount,
            metavar="N",
            help="events of each client that wait for their answer (%(default)s)",
        )
    add(
        "--event",
        default=workload.event,
        metavar="NAME",
        help="the event that is sent (%(default)s)",
    )
    if workload.reply:
        add(
            "--reply",
            default=workload.reply,
            metavar="NAME",
            help="the event that comes back (%(default)s)",
        )


def run(given: argparse.Namespace) -> int:
    """Run a workload."""
    workload = WORKLOADS[given.workload]
    if workload.event:
        reply = given.reply if workload.reply else ""
        workload = replace(workload, event=given.event, reply=reply)
        if given.workload != "broadcast" and given.amount * given.size > MOST_BYTES:
            raise CommandError(f"{given.amount} times {given.size} is more than 1 GB in flight")
    allow_connections(given.connections)
    target = find_target(given.url, path=given.path, headers=given.header, patience=given.timeout)
    title = f"{given.workload} on {given.url}, {plural(given.connections, 'client', 'clients')}"
    with open_display(title, workload, given.connections) as display:
        report = watch(_load(given, workload, target), display.interval, display.show)
    return _finish(given, workload, target, report)


def _load(given: argparse.Namespace, workload: Workload, target: Target) -> Load:
    return Load(
        given.workload,
        given.amount if workload.event else 0,
        address=target.socket_address,
        sources=sources(target.address[0], given.connections),
        request=target.request,
        nsp=target.nsp,
        auth=""
        if given.auth is None
        else json.dumps(given.auth, ensure_ascii=False, separators=(",", ":")),
        event=workload.event,
        reply=workload.reply,
        size=given.size if workload.event else 0,
        connections=given.connections,
        connecting=given.connecting,
        patience=given.timeout,
        warming=given.warm_up,
        measuring=given.seconds,
        pid=given.pid,
    )


def _finish(given: argparse.Namespace, workload: Workload, target: Target, report: Report) -> int:
    failure = None
    if report.failure:
        made = f"{report.snapshot.ready} of {plural(given.connections, 'connection', 'connections')} had been made"
        failure = explain(report.failure, target, workload, patience=given.timeout, made=made)
    elif report.loss:
        failure = f"the first of them: {report.loss.detail}"
    summary = summarize(given.workload, given.url, report, failure)
    if report.failure and summary.measured is None and not given.json:
        raise CommandError(failure)
    if given.json:
        print(json.dumps(summary.as_json()))
    else:
        title = f"{given.workload} on {given.url}"
        print_rows(title, rows(summary, workload))
    if report.interrupted:
        return INTERRUPTED
    return 0 if summary.is_good else 1

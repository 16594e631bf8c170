"""``roomcast doctor URL``: the arguments, and the order in which things are looked at."""

import argparse
import asyncio
from collections.abc import Callable

from roomcast.cli.arguments import seconds
from roomcast.cli.connecting import add_arguments, find_destination
from roomcast.cli.doctor.cors import look_at_cors
from roomcast.cli.doctor.examination import Examination
from roomcast.cli.doctor.handshake import shake_hands
from roomcast.cli.doctor.joining import join
from roomcast.cli.doctor.network import reach
from roomcast.cli.doctor.polling import (
    look_at_clock,
    look_at_heartbeat,
    look_at_polling,
    look_at_version,
)
from roomcast.cli.doctor.report import Check, Report
from roomcast.cli.doctor.show import as_json, changes, print_check, print_title
from roomcast.cli.doctor.websocket import look_at_websockets
from roomcast.cli.errors import FAILED
from roomcast.client.url import parse_url

__all__ = ["add_command"]

DESCRIPTION = """\
Look at what usually goes wrong between a client and a Socket.IO server, step by
step, and say what to change: name, port, TLS; the path, and what answers there;
versions, heartbeat, clock; whether a second request reaches the same process, and
whether requests are held; WebSockets and the upgrade to one; CORS; the namespace.
Any server will do, and anything in front of it.
"""

EXAMPLES = """\
examples:
  roomcast doctor https://api.example.com
  roomcast doctor https://api.example.com --origin https://app.example.com
  roomcast doctor https://api.example.com/admin --auth '{"token": "s3cret"}'
  roomcast doctor https://api.example.com --hold 20       is a proxy impatient?

some twenty sessions are opened on the server, and closed.

exit codes: 0 nothing fails; 1 something does; 2 typed wrongly.
"""


def add_command(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the arguments."""
    parser = add_parser(
        "doctor",
        help="find out why clients do not connect",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("url", metavar="URL", help="the server; a path is the namespace, a query goes along")
    add(
        "--origin", type=_origin, metavar="ORIGIN", help="where the page is from that is to connect"
    )
    add(
        "--hold",
        type=seconds,
        default=3.0,
        metavar="S",
        help="seconds that a request of polling is held, a heartbeat at most (%(default)g)",
    )
    add("--json", action="store_true", help="print one object of JSON, at the end")
    add_arguments(parser, timeout="each answer", transport=False)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Look at everything."""
    report = Report(_ignore if given.json else print_check)
    path = _path_in_url(given)
    if path:
        given.url = given.url.replace(path, "", 1)
    to = find_destination(given)
    if not given.json:
        print_title(to)
    if path:
        report.warn(
            "URL",
            f"{given.path} in the URL is a namespace to clients; it is taken for the path here",
            f"Give clients {to.address.origin} alone: they ask for {given.path} by themselves, and another path is their option path.",
        )
    seen = Examination(to, report, origin=given.origin, hold=given.hold)
    asyncio.run(_examine(seen))
    if given.json:
        print(as_json(to, report))
    else:
        print(changes(report.checks) or "\nNothing to change.")
    return FAILED if report.failed else 0


async def _examine(seen: Examination) -> None:
    if not await reach(seen) or not await shake_hands(seen):
        return
    if seen.opened is not None and seen.answer is not None:
        await look_at_version(seen)
        look_at_heartbeat(seen, seen.opened)
        look_at_clock(seen, seen.answer)
        await look_at_polling(seen)
    await look_at_websockets(seen)
    await look_at_cors(seen)
    if seen.websocket or seen.sticks:
        await join(seen)


def _path_in_url(given: argparse.Namespace) -> str:
    """Return the path of the URL if it is that of the server, which people copy from the network tab of a browser."""
    try:
        _, nsp, _ = parse_url(given.url)
    except ValueError:
        return ""
    return nsp if nsp != "/" and nsp.strip("/") == given.path.strip("/") else ""


def _origin(text: str) -> str:
    """Read the origin of a page; a URL of one will do."""
    try:
        address, _, _ = parse_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return address.origin


def _ignore(check: Check) -> None:
    """Print nothing yet."""

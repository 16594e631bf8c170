"""``roomcast listen URL``: print events as they come."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from roomcast.cli.arguments import number_of
from roomcast.cli.connecting import (
    Destination,
    add_arguments,
    client,
    connected,
    find_destination,
)
from roomcast.cli.errors import INTERRUPTED, CommandError
from roomcast.cli.text import clean, json_line
from roomcast.cli.words import why_not
from roomcast.client import Details, Socket
from roomcast.errors import ConnectError, EventsLostError, TransportError

__all__ = ["add_command"]

DESCRIPTION = """\
Connect, and print every event that the server sends, one a line: its name and its
arguments as JSON. A connection that breaks is made anew; what happens to it is said
on the standard error output. Events are not acknowledged. Ctrl-C ends it.
"""

EXAMPLES = """\
examples:
  roomcast listen http://127.0.0.1:3000
  roomcast listen http://127.0.0.1:3000/admin --auth '{"token": "s3cret"}'
  roomcast listen http://127.0.0.1:3000 --event said --json | jq .args[0]
  roomcast listen http://127.0.0.1:3000 --event ready --count 1     wait for one

with --json, a line is {"time": "2026-01-31T12:00:00.000Z", "event": "said", "args": [1, "2"]};
bytes are {"base64": "…"} in either form.

exit codes: 0 after Ctrl-C, or after --count events; 1 refused, or disconnected by
the server; 2 typed wrongly; 130 Ctrl-C before --count events.
"""

MOST_EVENTS = 2**62


def add_command(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the arguments."""
    parser = add_parser(
        "listen",
        help="print the events that a server sends",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("url", metavar="URL", help="the server; a path is the namespace, a query goes along")
    add(
        "--event",
        action="append",
        default=[],
        metavar="NAME",
        help="only events of this name; may be repeated",
    )
    add("--json", action="store_true", help="print each event as an object of JSON")
    add("--count", type=number_of(1, MOST_EVENTS), metavar="N", help="end after so many events")
    add_arguments(parser, timeout="connecting")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print events until a signal, or until there are enough."""
    to = find_destination(given)
    try:
        asyncio.run(_listen(to, given.event, given.count or MOST_EVENTS, as_json=given.json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0 if given.count is None else INTERRUPTED
    return 0


async def _listen(to: Destination, names: Sequence[str], count: int, *, as_json: bool) -> None:
    socket = client(to, reconnection=True)
    _end_at_sigterm()
    news = _News(to, socket)
    await connected(socket, to)
    try:
        while True:
            try:
                async for event, *args in socket:
                    if names and event not in names:
                        continue
                    print(_line(event, args, as_json=as_json), flush=True)
                    count -= 1
                    if not count:
                        return
            except EventsLostError as error:
                _say(str(error))
            else:
                raise CommandError(news.end(await socket.wait_for("disconnect")))
    finally:
        await socket.disconnect()


def _line(event: str, args: list[Any], *, as_json: bool) -> str:
    if as_json:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json_line({"time": now, "event": event, "args": args})
    name = event if event and event.isprintable() and " " not in event else json_line(event)
    return " ".join((name, *map(json_line, args)))


def _say(text: str) -> None:
    print(f"roomcast: {text}", file=sys.stderr, flush=True)


def _end_at_sigterm() -> None:
    """Let SIGTERM end this task as Ctrl-C does, so that the server is told."""
    task = asyncio.current_task()
    assert task is not None
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


class _News:
    """Says what happens to the connection, each thing once."""

    def __init__(self, to: Destination, socket: Socket) -> None:
        self._to = to
        self._socket = socket
        self._refused: ConnectError | None = None
        self._said = ""
        socket.on("connect", self._on_connect)
        socket.on("disconnect", self._on_disconnect)
        socket.on("connect_error", self._on_connect_error)

    def end(self, reason: str) -> str:
        """Say why nothing comes any more."""
        if self._refused is not None:
            return self._why(self._refused)
        if reason == "io server disconnect":
            return "the server has disconnected this client"
        return f"disconnected: {reason}"

    def _on_connect(self) -> None:
        self._said = ""
        again = " again, with the session from before" if self._socket.recovered else ""
        _say(
            f"connected to {self._to.address.origin}, namespace {self._to.nsp}, as {self._socket.id}{again}"
        )

    def _on_disconnect(self, reason: str, details: Details | None = None) -> None:
        if self._socket.active:
            more = "" if details is None else f" ({clean(details.description, 100)})"
            _say(f"disconnected: {reason}{more}; trying again")

    def _on_connect_error(self, error: ConnectError) -> None:
        if not isinstance(error, TransportError):
            self._refused = error
        elif self._socket.active and self._socket.id is None and self._said != str(error):
            self._said = str(error)
            _say(f"not connected yet: {self._why(error)}")

    def _why(self, error: ConnectError) -> str:
        return why_not(error, self._to.address, self._to.nsp, self._to.path)

"""``roomcast emit URL EVENT [JSON…]``: send one event, and print what is answered."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from roomcast.cli.connecting import (
    Destination,
    add_arguments,
    client,
    connected,
    find_destination,
)
from roomcast.cli.errors import ACK_TIMEOUT, ArgumentsError, CommandError
from roomcast.cli.text import json_line
from roomcast.client import Socket
from roomcast.client.socket import SERVER_DISCONNECT
from roomcast.errors import AckTimeoutError, DisconnectedError, EncodeError, ReservedEventError

__all__ = ["add_command", "read_arguments"]

PAUSE: Final = 0.1
"""Seconds between an event and the disconnect. The reference drops an event if it reads both at once (``Socket.dispatch`` of socket.io)."""

DESCRIPTION = """\
Connect, send one event, and leave. With --ack, print what the server answers: a
line of JSON for each argument of the answer, bytes as {"base64": "…"}.
"""

EXAMPLES = """\
arguments are JSON; the shell takes one pair of quotes away:
  roomcast emit http://127.0.0.1:3000 say '"hello"'           a text
  roomcast emit http://127.0.0.1:3000 add 1 2 --ack           two numbers, and an answer
  roomcast emit http://127.0.0.1:3000 move '{"x": 1}'         an object
  roomcast emit http://127.0.0.1:3000/admin kick '"bob"' --auth '{"token": "s3cret"}'

files are arguments behind these: --file PATH is the bytes of one, and all
--file NAME=PATH together are one object, {"NAME": bytes, …}; - is the standard
input:
  roomcast emit http://127.0.0.1:3000 photo '"bob"' --file jpeg=bob.jpg

exit codes: 0 sent, with --ack answered; 1 failed; 2 typed wrongly; 3 not
acknowledged in time.
"""


def add_command(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the arguments."""
    parser = add_parser(
        "emit",
        help="send one event to a server",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("url", metavar="URL", help="the server; a path is the namespace, a query goes along")
    add("event", metavar="EVENT", help="the name of the event")
    add("json", metavar="JSON", nargs="*", default=[], help="its arguments")
    add(
        "--file",
        action="append",
        default=[],
        metavar="[NAME=]PATH",
        help="bytes, as an argument or in an object (see below); may be repeated",
    )
    add("--ack", action="store_true", help="wait for the acknowledgement, and print it")
    add(
        "--output",
        metavar="PATH",
        help="save bytes of the answer here; further ones beside it, as PATH.2, PATH.3 …",
    )
    add_arguments(parser, timeout="connecting, and then the acknowledgement,")
    parser.set_defaults(run=run, trailing="json")


def run(given: argparse.Namespace) -> int:
    """Send the event."""
    if given.output is not None and not given.ack:
        raise ArgumentsError("--output is for the answer, so it needs --ack")
    to = find_destination(given)
    args = read_arguments(given.json, given.file)
    answer = asyncio.run(_emit(to, given.event, args, ack=given.ack))
    if answer is not None:
        _print(answer, given.output)
    return 0


def read_arguments(texts: Sequence[str], files: Sequence[str]) -> list[Any]:
    """Return the arguments of an event.

    Args:
        texts: JSON.
        files: Paths, and names with paths, as typed.

    Raises:
        ArgumentsError: If one is no JSON, or no such file is there.
    """
    args = [_read_json(number, text) for number, text in enumerate(texts, 1)]
    named: dict[str, bytes] = {}
    for given in files:
        name, equals, path = given.partition("=")
        if not equals:
            args.append(_read_file(given))
            continue
        if not named:
            args.append(named)
        if name in named:
            raise ArgumentsError(f"--file {name}= is there twice")
        named[name] = _read_file(path)
    return args


async def _emit(
    to: Destination, event: str, args: list[Any], *, ack: bool
) -> tuple[Any, ...] | None:
    """Connect, send the event and leave; return the arguments of the acknowledgement, if one is asked for."""
    socket = client(to, reconnection=False)
    await connected(socket, to)
    try:
        if not ack:
            await socket.emit(event, *args)
            await asyncio.sleep(PAUSE)
            # A server that disconnects the client has read what it sent before; a line that breaks may have lost it.
            if not socket.connected and await _reason(socket) != SERVER_DISCONNECT:
                raise DisconnectedError
            return None
        answered: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None, *answer: Any) -> None:
            if error is None:
                answered.set_result(answer)
            else:
                answered.set_exception(error)

        socket.timeout(to.timeout).emit(event, *args, ack=done)
        return await answered
    except AckTimeoutError as error:
        failure = CommandError(
            f'"{event}" was sent, and not acknowledged within {to.timeout:g} s (--timeout): '
            "the server may have no handler of that name, or one that does not answer"
        )
        failure.code = ACK_TIMEOUT
        raise failure from error
    except DisconnectedError as error:
        reason = await _reason(socket)
        before = "the answer" if ack else "the event was sent for sure"
        raise CommandError(f"the connection has ended before {before}: {reason}") from error
    except (EncodeError, ReservedEventError) as error:
        raise ArgumentsError(str(error)) from error
    finally:
        await socket.disconnect()


async def _reason(socket: Socket) -> str:
    """Say why a socket is disconnected."""
    reason: str = await socket.wait_for("disconnect")
    return reason


def _read_json(number: int, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ArgumentsError(f"argument {number}, {text}, is not JSON; {_advice(text)}") from error


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _advice(text: str) -> str:
    """Say how to type what was perhaps meant."""
    if text[:1] in ("{", "["):
        return (
            "an object or a list stands between ' for the shell, and texts in it between \", "
            """as in '{"name": "bob"}' or '["bob", 7]'"""
        )
    if text in ("True", "False", "None"):
        return f"it is {({'True': 'true', 'False': 'false'}).get(text, 'null')} there"
    if text[:1] == "'" and text[-1:] == "'" and len(text) > 1:
        text = text[1:-1]
    return f"a text needs quotes of its own within those for the shell: '{json.dumps(text, ensure_ascii=False)}'"


def _read_file(path: str) -> bytes:
    if not path:
        raise ArgumentsError("--file names no file; it takes PATH or NAME=PATH")
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise ArgumentsError(f"--file: cannot read {path}: {error.strerror}") from error


def _print(answer: tuple[Any, ...], output: str | None) -> None:
    saved: list[str] = []

    def save(data: bytes) -> dict[str, Any]:
        assert output is not None
        path = f"{output}.{len(saved) + 1}" if saved else output
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise CommandError(f"cannot write {path}: {error.strerror}") from error
        saved.append(path)
        return {"file": path, "bytes": len(data)}

    for value in answer:
        print(json_line(value) if output is None else json_line(value, save))
    if output is not None and not saved:
        raise CommandError(f"the answer has no bytes: {output} was not written")

"""Read the command line, run the command, turn its errors into a line and an exit code."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Final

from roomcast.cli import emit, listen, serve
from roomcast.cli.bench import command as bench
from roomcast.cli.doctor import command as doctor
from roomcast.cli.errors import FAILED, INTERRUPTED, CommandError
from roomcast.errors import MissingDependencyError

__all__ = ["main"]

OPTION: Final = re.compile(r"-(?![0-9])")
"""What begins like an option, and not like a negative number."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the name of the program; by default those of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="roomcast", description="Socket.IO for Python.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    serve.add_command(commands.add_parser)
    emit.add_command(commands.add_parser)
    listen.add_command(commands.add_parser)
    doctor.add_command(commands.add_parser)
    bench.add_command(commands.add_parser)
    given = _parse(parser, arguments)
    try:
        code: int = given.run(given)
    except CommandError as error:
        print(f"roomcast: {error}", file=sys.stderr)
        return error.code
    except MissingDependencyError as error:
        print(f"roomcast: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; what Python would still write goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments; those of a list may also stand behind an option, where argparse itself would refuse them."""
    given, left = parser.parse_known_args(arguments)
    if left:
        name: str | None = getattr(given, "trailing", None)
        if name is None or any(OPTION.match(text) for text in left):
            parser.error(f"unrecognized arguments: {' '.join(left)}")
        setattr(given, name, [*getattr(given, name), *left])
    return given

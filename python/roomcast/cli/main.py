"""Read the command line, run the command, turn its errors into a line and an exit code."""

import argparse
import sys
from collections.abc import Sequence

from roomcast.cli import serve
from roomcast.cli.bench import command as bench
from roomcast.cli.errors import FAILED, INTERRUPTED, CommandError
from roomcast.errors import MissingDependencyError

__all__ = ["main"]


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
    bench.add_command(commands.add_parser)
    given = parser.parse_args(arguments)
    try:
        code: int = given.run(given)
    except (CommandError, MissingDependencyError) as error:
        print(f"roomcast: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code

"""What commands raise, and their exit codes."""

from typing import Final

__all__ = ["FAILED", "INTERRUPTED", "CommandError"]

FAILED: Final = 1
"""The exit code of a command that could not do what it was asked for; wrong arguments are 2, as argparse has it."""

INTERRUPTED: Final = 130
"""The exit code of a command that Ctrl-C has ended, as shells have it."""


class CommandError(Exception):
    """A command cannot do what it was asked for; the message is for the person who typed it."""

"""What commands raise, and their exit codes."""

from typing import Final

__all__ = [
    "ACK_TIMEOUT",
    "FAILED",
    "INTERRUPTED",
    "WRONG_ARGUMENTS",
    "ArgumentsError",
    "CommandError",
]

FAILED: Final = 1
"""The exit code of a command that could not do what it was asked for."""

WRONG_ARGUMENTS: Final = 2
"""The exit code of a command that was typed wrongly, as argparse has it."""

ACK_TIMEOUT: Final = 3
"""The exit code of ``roomcast emit --ack`` whose event was sent and not acknowledged in time."""

INTERRUPTED: Final = 130
"""The exit code of a command that Ctrl-C has ended, as shells have it."""


class CommandError(Exception):
    """A command cannot do what it was asked for; the message is for the person who typed it.

    Attributes:
        code: The exit code.
    """

    code = FAILED


class ArgumentsError(CommandError):
    """What was typed is wrong in a way that argparse does not see."""

    code = WRONG_ARGUMENTS

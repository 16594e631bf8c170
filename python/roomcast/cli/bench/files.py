"""Open files: each connection is one, and systems begin with few."""

import sys
from typing import Final

from roomcast.cli.errors import CommandError

__all__ = ["raise_open_files"]

OTHERS: Final = 64
"""Files that are open besides connections."""


def raise_open_files(connections: int) -> None:
    """Let this process have so many connections open.

    Args:
        connections: How many.

    Raises:
        CommandError: If the system does not allow it.
    """
    if sys.platform == "win32":  # it has no such limit
        return
    import resource  # noqa: PLC0415  not there on Windows

    needed = connections + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise CommandError(
            f"{connections} connections need {needed} open files, and {hard} are allowed: ulimit -Hn"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

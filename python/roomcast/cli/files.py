"""Open files: each connection is one, and systems begin with few."""

import sys
from typing import Final

from roomcast.cli.errors import CommandError

__all__ = ["OTHERS", "allow_connections", "allow_most_connections"]

OTHERS: Final = 64
"""Files that are open besides connections."""


def allow_connections(connections: int) -> None:
    """Let this process have so many connections.

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


def allow_most_connections() -> None:
    """Let this process have as many connections as the system allows it.

    Source:
        Go, which does so in every program.
    """
    if sys.platform == "win32":  # as above
        return
    import resource  # noqa: PLC0415  as above

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says that it has no limit, and then refuses this.
    if soft != hard and hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

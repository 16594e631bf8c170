"""What every way to other workers of one server is like, whatever carries it: a Unix socket, or the broker of an adapter."""

import asyncio
import re
from typing import Final, Protocol

from roomcast.engine.asgi import ASGIApplication, Receive, Scope, Send

__all__ = ["NAME", "NAME_BYTES", "NAME_LENGTH", "UnreachableError", "Way", "WorkerLostError"]

NAME_BYTES: Final = 6
"""Random bytes of a worker's name. It is no secret, but no two workers of a cluster have the same: of 10 000, two would once in six
million times."""

NAME_LENGTH: Final = 8
"""Characters of a name."""

NAME: Final = re.compile(r"[A-Za-z0-9_-]{8}")


class WorkerLostError(Exception):
    """The worker that has the session is gone, or went before it answered."""


class UnreachableError(Exception):
    """Nobody can say at this moment what has become of the worker."""


class Way(Protocol):
    """A way to other workers. It belongs to one event loop at a time."""

    def start(self, loop: asyncio.AbstractEventLoop, name: str, serve: ASGIApplication) -> None:
        """Take from now on what others pass on to this worker.

        Args:
            loop: The event loop.
            name: The name of this worker, a new one each time.
            serve: Serves a request that was passed here.
        """

    def stop(self) -> None:
        """Take nothing more."""

    async def ready(self) -> None:
        """Wait until others find this worker; not for long where nobody knows when that will be."""

    async def close(self) -> None:
        """Take nothing more, and end what others have passed here."""

    def leads_to(self, name: str) -> bool:
        """Say whether a worker may be there; what a client says is the name, in the alphabet of names."""
        ...

    async def pass_on(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let another worker serve a request.

        Raises:
            WorkerLostError: If that is gone. Nothing has been answered then.
            UnreachableError: If nobody can say. Nothing has been answered then.
        """

"""uvicorn as a guest in somebody else's event loop. The one module that imports uvicorn; it is there with ``roomcast[server]`` only."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator
from typing import Final

import uvicorn

__all__ = ["Embedded"]

GRACE: Final = 5
"""Seconds that the server waits at its end for requests that it is still serving."""

POLL: Final = 0.005
"""Seconds between two looks whether the last request has ended; uvicorn tells nobody."""

log = logging.getLogger("roomcast.server")


class Embedded(uvicorn.Server):
    """Tells when it is ready, stops at once, and leaves the signals to the program.

    Attributes:
        ready: Done when connections are accepted.
        stopping: Set it to end the server.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        """Take the settings; serving begins with `serve`."""
        super().__init__(config)
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stopping = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on bound sockets, which are closed at the end.

        Raises:
            RuntimeError: If the application fails in its lifespan startup.
        """
        try:
            await super().serve(sockets)
        except SystemExit:  # it would take the program along
            raise RuntimeError("the application failed in its lifespan startup") from None
        finally:
            for bound in sockets or ():
                bound.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and say so."""
        await super().startup(sockets)
        self.ready.set_result(None)

    async def main_loop(self) -> None:
        """Serve until `stopping`; uvicorn's own loop looks every 0.1 s only, but sets the date of its headers."""
        ticking = asyncio.ensure_future(super().main_loop())
        try:
            await self.stopping.wait()
        finally:
            ticking.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End as uvicorn does, but without its sleeps of 0.1 s wherever there may be something to wait for."""
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(GRACE):
                while state.connections or state.tasks:  # noqa: ASYNC110  see POLL
                    await asyncio.sleep(POLL)
        except TimeoutError:
            log.warning("cancelled %d requests that did not end in time", len(state.tasks))
            for task in state.tasks:
                task.cancel()
        await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield

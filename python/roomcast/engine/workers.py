"""Several processes of one server behind one port or balancer: whoever gets a request for a session of another one passes it on.

The name of a worker, eight random characters, ends the id of each session that it opens, so that any worker knows whose a request is
without asking anybody. How the request gets there is the business of the ways (`ways.py`), which are tried in their order.

All checks are those of the worker that has the session. Who is passed on is not passed on again. Of a worker that is gone nothing is
left but the name: what is for it is answered ``Session ID unknown``, and its clients begin anew.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence

from roomcast.engine.asgi import ASGIApplication, Receive, Scope, Send
from roomcast.engine.ways import NAME, NAME_BYTES, NAME_LENGTH, Way

__all__ = ["Workers"]


class Workers:
    """This worker among the others. It belongs to one event loop at a time.

    Attributes:
        name: Its name; empty before it has started.
    """

    def __init__(
        self, ways: Sequence[Way], serve: ASGIApplication, count: Callable[[str], None]
    ) -> None:
        """Prepare; it can be reached from `start` on.

        Args:
            ways: The ways to the others.
            serve: Serves a request that was passed to this worker.
            count: Counts what happens.
        """
        self.name = ""
        self._ways = ways
        self._serve = serve
        self._count = count
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take what others pass on, if it does not yet, in this event loop."""
        if self._loop is loop:
            return
        if self._loop is not None:
            for way in self._ways:
                way.stop()
        self._loop, self._ready = loop, False
        self.name = secrets.token_urlsafe(NAME_BYTES)
        for way in self._ways:
            way.start(loop, self.name, self._serve_passed)

    async def ready(self) -> None:
        """Wait until others find this worker: a client may be told of a session, and be with another one in the same moment."""
        if not self._ready:
            for way in self._ways:
                await way.ready()
            self._ready = True

    async def close(self) -> None:
        """Take nothing more, and end what other workers have passed on."""
        self._loop = None
        for way in self._ways:
            await way.close()

    def owner_of(self, sid: str) -> tuple[Way, str] | None:
        """Return the worker that has a session, and the way there; ``None`` where that is this one, or nobody."""
        name = sid[-NAME_LENGTH:]
        if name == self.name or not NAME.fullmatch(name):
            return None
        way = next((way for way in self._ways if way.leads_to(name)), None)
        return None if way is None else (way, name)

    async def pass_on(
        self, owner: tuple[Way, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Let another worker serve a request; as `Way.pass_on`."""
        self._count("passed_on")
        way, name = owner
        await self.ready()
        await way.pass_on(name, scope, receive, send)

    async def _serve_passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._count("passed_here")
        await self._serve(scope, receive, send)

"""HTTP requests to an ASGI application, without a port."""

import asyncio
from typing import NamedTuple

from roomcast.engine.asgi import ASGIApplication, Message, Scope

__all__ = ["LostError", "Request", "Response"]


class LostError(Exception):
    """The line of a request ended before its answer."""


class Response(NamedTuple):
    """What came back.

    Attributes:
        status: The status.
        body: The body.
    """

    status: int
    body: bytes


class Request:
    """One request. It belongs to the loop of its client."""

    def __init__(self, app: ASGIApplication, scope: Scope, body: bytes = b"") -> None:
        """Take who is asked, how, and the body."""
        self._app = app
        self._scope = scope
        self._body: bytes | None = body
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._received = b""
        self._complete = False

    async def answer(self) -> Response:
        """Ask, and wait for the answer.

        Raises:
            LostError: If the line ended before.
            Exception: What the application has raised.
        """
        await self._app(self._scope, self._receive, self._send)
        if not self._complete:
            raise LostError
        return Response(self._status, self._received)

    def abort(self) -> None:
        """End the line."""
        if not self._lost.done():
            self._lost.set_result(None)

    async def _receive(self) -> Message:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.shield(self._lost)
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._lost.done():
            return  # as HTTP servers do for a client that is gone
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body":
            self._received += message.get("body", b"")
            self._complete = not message.get("more_body", False)

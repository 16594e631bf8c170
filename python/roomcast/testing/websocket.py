"""A WebSocket of an ASGI application, without a port: what an ASGI server does, as far as the application can tell.

The application runs in a task. What it sends goes to the line; what the line brings is what it receives.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final

from roomcast.engine.asgi import ASGIApplication, Message, Scope
from roomcast.testing.line import Unit, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RefusedError", "WebSocket"]

NO_STATUS: Final = 1005
"""The close code of a client that closes as the official one does, without a status."""

ABNORMAL: Final = 1006
"""The close code of a line that ended without a close."""


class RefusedError(Exception):
    """A request was not answered as one that is accepted.

    Attributes:
        status: The status of the answer.
        body: Its body.
    """

    def __init__(self, status: int, body: str = "") -> None:
        """Take what came back."""
        super().__init__(f"the server answered {status}" + (f": {body}" if body else ""))
        self.status = status
        self.body = body


class WebSocket:
    """One WebSocket. It belongs to the loop of its client.

    Attributes:
        on_message: Gets every message; that is the wire, but for one that is being tried.
        on_end: Called once, when the application has ended it after it had accepted; as above.
        error: What the application has raised after it had accepted.
    """

    name: ClassVar[str] = "websocket"

    def __init__(
        self,
        app: ASGIApplication,
        scope: Scope,
        wire: Wire,
    ) -> None:
        """Take who is called, and how.

        Args:
            app: The application.
            scope: The scope of the request.
            wire: What it goes over.
        """
        self.on_message: Callable[[str | bytes], None] = wire.feed
        self.on_end: Callable[[], None] = wire.end
        self.error: BaseException | None = None
        self._app = app
        self._scope = scope
        self._wire = wire
        self._inbox: deque[Message] = deque(({"type": "websocket.connect"},))
        self._wake: asyncio.Future[None] | None = None
        self._gone = False
        self._closed = False
        self._refusal: int | None = None
        self._body = b""
        self._accepted: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def reason(self) -> str:
        """Why it has ended."""
        return "transport close"

    @property
    def busy(self) -> bool:
        """Whether what is written now has to wait: never."""
        return False

    async def open(self) -> None:
        """Call the application, and wait until it has accepted.

        Raises:
            RefusedError: If it has not.
            Exception: What the application has raised.
        """
        loop = asyncio.get_running_loop()
        self._accepted = loop.create_future()
        self._task = loop.create_task(self._run())
        try:
            await self._accepted
        except asyncio.CancelledError:
            self.abort()
            raise

    def write(self, unit: Unit) -> None:
        """Send a packet to the application, a message for each of its parts."""
        for message in unit:
            kind = "text" if isinstance(message, str) else "bytes"
            self._put({"type": "websocket.receive", kind: message})

    def close(self, code: int = NO_STATUS) -> None:
        """Close it, as the client; a second close is ignored."""
        if not self._gone:
            self._gone = True
            self._put({"type": "websocket.disconnect", "code": code, "reason": ""})

    def abort(self) -> None:
        """End it without a close, as a line that breaks does."""
        self.close(ABNORMAL)

    async def wait_closed(self, seconds: float) -> None:
        """Wait until the application has returned.

        Args:
            seconds: Then it is cancelled.
        """
        if self._task is not None:
            _, late = await asyncio.wait((self._task,), timeout=seconds)
            for task in late:
                task.cancel()
                await asyncio.wait((task,))

    async def _run(self) -> None:
        accepted = self._accepted
        assert accepted is not None
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  any application's own way to fail
            if not accepted.done():
                accepted.set_exception(error)
            elif not accepted.cancelled():
                self.error = error
        else:
            if not accepted.done():
                accepted.set_exception(RefusedError(500, "the application returned without a word"))
        finally:
            if not self._closed and not accepted.cancelled() and accepted.done():
                self._closed = True
                if accepted.exception() is None:
                    self.on_end()

    async def _receive(self) -> Message:
        while not self._inbox:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
            self._wake = None
        return self._inbox.popleft()

    def _put(self, message: dict[str, Any]) -> None:
        self._inbox.append(message)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _send(self, message: Message) -> None:
        if self._gone:
            raise OSError("the client is gone")  # as ASGI says it, from version 2.4 on
        kind = message["type"]
        if kind == "websocket.send":
            await self._wire.ready()
            if self._gone:
                raise OSError("the client is gone")
            text: str | None = message.get("text")
            self.on_message(message["bytes"] if text is None else text)
        elif kind == "websocket.accept":
            assert self._accepted is not None
            if not self._accepted.done():
                self._accepted.set_result(None)
        elif kind == "websocket.close":
            self._on_close()
        elif kind == "websocket.http.response.start":
            self._refusal = message["status"]
        elif kind == "websocket.http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self._refuse(self._refusal or 500, self._body.decode(errors="replace"))

    def _on_close(self) -> None:
        assert self._accepted is not None
        if not self._accepted.done():
            self._refuse(403)  # what ASGI servers make of a close before the accept
            return
        self._closed = True
        self.on_end()
        # A server that has closed waits for no answer of the client, whatever the line is like.
        self.close()

    def _refuse(self, status: int, body: str = "") -> None:
        assert self._accepted is not None
        self._closed = True
        if not self._accepted.done():
            self._accepted.set_exception(RefusedError(status, body))
        self.close()

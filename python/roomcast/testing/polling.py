"""HTTP long-polling as a client does it: one GET that waits, one POST at a time.

Source:
    engine.io-client, ``lib/transports/polling.ts``.
"""

import asyncio
from base64 import b64encode
from collections import deque
from typing import ClassVar, Final

from roomcast._core import decode_payload
from roomcast.engine.asgi import ASGIApplication
from roomcast.testing.http import LostError, Request, Response
from roomcast.testing.line import Unit, Wire
from roomcast.testing.options import Options
from roomcast.testing.websocket import RefusedError

__all__ = ["Polling"]

SEPARATOR: Final = "\x1e"
CLOSE: Final = "1"
OK: Final = 200


class Polling:
    """A connection on polling. It belongs to the loop of its client.

    Attributes:
        reason: Why it has ended.
        error: What the application has raised.
    """

    name: ClassVar[str] = "polling"

    def __init__(self, app: ASGIApplication, options: Options, wire: Wire) -> None:
        """Take who is asked, how, and what it goes over."""
        self.reason = "transport close"
        self.error: BaseException | None = None
        self._app = app
        self._options = options
        self._wire = wire
        self._sid: str | None = None
        self._max_payload = 0
        self._outbox: deque[str] = deque()
        self._requests: set[Request] = set()
        self._polling: asyncio.Task[None] | None = None
        self._posting: asyncio.Task[None] | None = None
        self._reading = False
        self._stopped = False
        self._aborted = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether a POST is under way."""
        return self._posting is not None and not self._posting.done()

    async def open(self) -> str:
        """Ask for a connection; return the packet that opens it.

        Raises:
            RefusedError: If there is none.
            Exception: What the application has raised.
        """
        response = await self._request("GET")
        if response.status != OK:
            raise RefusedError(response.status, response.body.decode(errors="replace"))
        packet, *rest = decode_payload(response.body)
        if not isinstance(packet, str) or packet[:1] != "0" or rest:
            raise RefusedError(response.status, "it is no handshake of Engine.IO")
        return packet

    def start(self, sid: str, max_payload: int) -> None:
        """Poll from now on."""
        self._sid = sid
        self._max_payload = max_payload
        self._polling = asyncio.get_running_loop().create_task(self._poll())

    def write(self, unit: Unit) -> None:
        """Send a packet with the next POST."""
        self._outbox.extend(
            part if isinstance(part, str) else "b" + b64encode(part).decode() for part in unit
        )
        self._post_soon()

    def close(self) -> None:
        """Say goodbye, after all that waits."""
        self._stopped = True
        self._outbox.append(CLOSE)
        self._post_soon()

    def abort(self) -> None:
        """End every request that is under way."""
        self._stopped = True
        self._aborted.set()
        for request in list(self._requests):
            request.abort()

    def stop(self) -> None:
        """Ask no more; what is under way goes on."""
        self._stopped = True

    async def pause(self) -> None:
        """Ask no more, and wait until nothing is under way."""
        self.stop()
        if self._polling is not None:
            if not self._reading:
                self._polling.cancel()
            await asyncio.wait((self._polling,))
        if self._posting is not None:
            await asyncio.wait((self._posting,))

    async def wait_closed(self, seconds: float) -> None:
        """Wait until nothing is under way.

        Args:
            seconds: Then it is cancelled.
        """
        tasks = [task for task in (self._polling, self._posting) if task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
                await asyncio.wait((task,))

    async def _poll(self) -> None:
        wire = self._wire
        try:
            while not self._stopped:
                await wire.ready()
                self._reading = True
                response = await self._request("GET")
                self._reading = False
                self._check(response)
                for packet in decode_payload(response.body):
                    if packet == CLOSE:
                        self._end("transport close")
                        return
                    wire.feed(packet)
        except LostError:
            self._end("transport close")
        except Exception as error:  # noqa: BLE001  any application's own way to fail
            self._fail(error)

    def _post_soon(self) -> None:
        if not self.busy:
            self._posting = asyncio.get_running_loop().create_task(self._post())

    async def _post(self) -> None:
        try:
            while self._outbox:
                self._check(await self._request("POST", self._take_payload().encode()))
        except LostError:
            self._end("transport close")
        except Exception as error:  # noqa: BLE001  any application's own way to fail
            self._fail(error)

    def _take_payload(self) -> str:
        """Take what one POST may carry; a packet over the limit goes alone."""
        payload = [self._outbox.popleft()]
        size = len(payload[0].encode())
        while self._outbox:
            size += 1 + len(self._outbox[0].encode())
            if size > self._max_payload:
                break
            payload.append(self._outbox.popleft())
        return SEPARATOR.join(payload)

    async def _request(self, method: str, body: bytes = b"") -> Response:
        scope = self._options.scope("http", self.name, sid=self._sid, method=method)
        request = Request(self._app, scope, body)
        self._requests.add(request)
        try:
            response = await request.answer()
        finally:
            self._requests.discard(request)
        if not self._wire.is_alive:
            await self._aborted.wait()  # the answer does not arrive
            raise LostError
        return response

    def _check(self, response: Response) -> None:
        if response.status != OK:
            raise RefusedError(response.status, response.body.decode(errors="replace"))

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, RefusedError):
            self.error = error
        self._end("transport error")

    def _end(self, reason: str) -> None:
        if not self._stopped:
            self._stopped = True
            self.reason = reason
            self._wire.end()

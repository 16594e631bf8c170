"""The HTTP requests of a connection on polling: here they are held and read.

A GET that finds packets is answered at once. One that finds none is held by the server's own task that called the application;
a second task listens meanwhile whether its line is lost. `polling` decides what becomes of both kinds.
"""

import asyncio
import logging
from typing import Any, Final

from roomcast._core import decode_payload
from roomcast.engine.asgi import Receive
from roomcast.engine.polling import SEPARATOR, Polling
from roomcast.engine.requests import Request

__all__ = ["take_post", "wait_poll"]

OCTET_STREAM: Final = "application/octet-stream"
"""The one content type that is refused: protocol 4 sends binary data as base64."""

PIECE: Final = 16_384
"""Bytes of a body whose packets are taken at once: a few milliseconds of the loop, where they are as small as packets can be.
All of 1 MB would be a quarter of a second, and 20 MB of objects."""

MAX_DIGITS: Final = 18
"""Digits of an announced length that are worth reading."""

log = logging.getLogger("roomcast.engine")


async def wait_poll(
    polling: Polling, receive: Receive, loop: asyncio.AbstractEventLoop
) -> tuple[bytes, bool] | None:
    """Hold a GET until there is a payload for it; return that, and whether it may be compressed.

    Returns:
        ``None`` if the GET is refused, or its line is lost.
    """
    held = _HeldPoll(loop)
    polling.on_poll(held)
    try:
        await held.wait(receive)
    finally:
        if not held.answered:
            polling.on_poll_gone(held)
    return None if held.payload is None else (held.payload, held.compress)


async def take_post(
    polling: Polling,
    request: Request,
    receive: Receive,
    loop: asyncio.AbstractEventLoop,
    limit: int,
) -> int:
    """Read the body of a POST and process its packets; return the status of the answer.

    Args:
        polling: Where the packets go.
        request: The head of the POST.
        receive: ASGI's ``receive``.
        loop: The loop.
        limit: Bytes that the body may have; announced larger, it is not read at all.
    """
    if request.header(b"content-type") == OCTET_STREAM:
        polling.on_post_content()
        return 400
    announced = request.header(b"content-length") or ""
    if announced.isdecimal() and (len(announced) > MAX_DIGITS or int(announced) > limit):
        return 413
    body = _Body()
    if not polling.on_post(body):
        return 400
    try:
        data = await body.read(receive, limit)
        if data is not None:
            await _take_packets(polling, body, data, loop)
        return 400 if body.refused else 200
    except _BodyTooLargeError:
        polling.on_post_too_large(body)
        return 413
    except _LineLostError:
        return 400
    finally:
        polling.on_post_gone(body)  # unless one of the above was told


async def _take_packets(
    polling: Polling, body: "_Body", data: bytes, loop: asyncio.AbstractEventLoop
) -> None:
    """Process the packets of a body, in order, with turns of the loop between them; the rest is dropped when one ends it all."""
    start = 0
    while True:
        end = data.find(SEPARATOR, start + PIECE)
        piece = data[start:] if end < 0 else data[start:end]
        wanted = polling.on_post_body(body, decode_payload(piece), loop.time(), more=end >= 0)
        if end < 0 or not wanted:
            return
        start = end + 1
        await asyncio.sleep(0)


class _HeldPoll:
    """A GET, and its answer once there is one."""

    __slots__ = ("_answer", "_loop", "_refused", "compress", "payload")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answer: asyncio.Future[None] | None = None
        self._refused = False
        self.compress = True
        self.payload: bytes | None = None

    @property
    def answered(self) -> bool:
        """Whether it was answered or refused."""
        return self._refused or self.payload is not None

    def answer(self, payload: bytes, *, compress: bool = True) -> None:
        """Answer with a payload, which may be compressed or not."""
        self.payload = payload
        self.compress = compress
        self._wake()

    def refuse(self) -> None:
        """Answer with 400."""
        self._refused = True
        self._wake()

    async def wait(self, receive: Receive) -> None:
        """Wait until there is an answer, or the line is lost."""
        if self.answered:
            return
        self._answer = self._loop.create_future()
        listening = self._loop.create_task(_until_lost(receive))
        listening.add_done_callback(self._line_lost)
        try:
            await self._answer
        finally:
            listening.cancel()

    def _wake(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    def _line_lost(self, listening: asyncio.Task[None]) -> None:
        if not listening.cancelled() and listening.exception() is not None:
            log.debug("receiving failed: %s", listening.exception())
        self._wake()


async def _until_lost(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _BodyTooLargeError(Exception):
    """A body passes the limit."""


class _LineLostError(Exception):
    """The line ended in the middle of a body."""


class _Body:
    """The body of a POST, while it arrives."""

    __slots__ = ("_task", "refused")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self.refused = False

    def refuse(self) -> None:
        """Read no further."""
        self.refused = True
        if self._task is not None:
            self._task.cancel()

    async def read(self, receive: Receive, limit: int) -> bytes | None:
        """Return the whole body, or ``None`` if it was refused meanwhile.

        Args:
            receive: ASGI's ``receive``.
            limit: Bytes that it may have.

        Raises:
            _BodyTooLargeError: As soon as the limit is passed.
            _LineLostError: If the line ends before the body does.
        """
        self._task = asyncio.current_task()
        try:
            return await _read(receive, limit)
        except asyncio.CancelledError:
            if not self.refused:
                raise
            assert self._task is not None
            self._task.uncancel()
            return None
        finally:
            self._task = None


async def _read(receive: Receive, limit: int) -> bytes:
    # Bytes in pieces of one each must not cost an object each.
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _LineLostError
        chunk: bytes = message.get("body", b"")
        if len(body) + len(chunk) > limit:
            raise _BodyTooLargeError
        if not message.get("more_body", False):
            return bytes(body + chunk) if body else chunk
        body += chunk

"""The HTTP requests of connections on polling: which way they go, and how the body of a POST is read.

`polling` decides what becomes of them, and `held` holds the GETs.
"""

import asyncio
import logging
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from roomcast._core import decode_payload
from roomcast.engine.answers import OK, Answers
from roomcast.engine.asgi import Message, Receive, Scope, Send
from roomcast.engine.connection import Connection
from roomcast.engine.held import HeldPoll, Payload, PlainPoll
from roomcast.engine.http import Header, answer
from roomcast.engine.options import EngineOptions
from roomcast.engine.polling import SEPARATOR, Polling
from roomcast.engine.requests import Request
from roomcast.engine.senders import may_send_anywhere, write_whole
from roomcast.engine.visits import Visits

__all__ = ["Exchanges"]

Visit: TypeAlias = tuple[str, bool, Sequence[Header]]
"""The id of a usual request, whether it is a GET or else a POST, and the headers that let its page read the answer."""

OCTET_STREAM: Final = "application/octet-stream"
"""The one content type that is refused: protocol 4 sends binary data as base64."""

PIECE: Final = 16_384
"""Bytes of a body whose packets are taken at once: a few milliseconds of the loop, where they are as small as packets can be.
All of 1 MB would be a quarter of a second, and 20 MB of objects."""

MAX_DIGITS: Final = 18
"""Digits of an announced length that are worth reading."""

log = logging.getLogger("roomcast.engine")


class Exchanges:
    """Serves the requests of connections on polling, for one server."""

    __slots__ = ("_answers", "_count", "_find", "_limit", "_loop", "_visits")

    def __init__(
        self,
        options: EngineOptions,
        answers: Answers,
        find: Callable[[str], Connection | None],
        count: Callable[[str], None],
        loop: Callable[[], asyncio.AbstractEventLoop],
    ) -> None:
        """Take the options and what the engine does for the requests.

        Args:
            options: The options.
            answers: Answers.
            find: Finds the connection of an id.
            count: Counts limits that were hit.
            loop: Returns the loop of the engine; to ask for the running one is a system call in Python 3.11.
        """
        self._answers = answers
        self._find = find
        self._count = count
        self._loop = loop
        self._limit = options.limits.max_http_buffer_size
        self._visits = Visits(options)

    def usual(self, scope: Scope) -> Visit | None:
        """Return what is to be known of a request that needs no other checks; ``None`` for one that does."""
        return None if self._answers.depend_on_requests else self._visits.read(scope)

    def polling_of(self, sid: str) -> Polling | None:
        """Return the polling of a connection; ``None`` if there is none here, or it is on something else."""
        connection = self._find(sid)
        if connection is None or not isinstance(connection.transport, Polling):
            return None
        return connection.transport

    async def serve_usual(
        self, polling: Polling, visit: Visit, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a request that `usual` knows, without ever making an object of it."""
        _, is_get, added = visit
        outcome: Payload | int | None
        if not is_get:
            outcome = await _take_post(polling, receive, self._limit, self._loop())
        elif may_send_anywhere(send):
            answering = partial(self._answer_plainly, send, added)
            outcome = await PlainPoll(self._loop(), answering).hold(polling, receive)
            if outcome is None:
                return
        else:
            outcome = await HeldPoll(self._loop()).hold(polling, receive)
        plainly = self._answer_plainly(send, added, outcome)
        if plainly is not True:
            await (plainly or self._answer(send, Request.from_scope(scope), outcome))

    def _answer_plainly(
        self, send: Send, added: Sequence[Header], outcome: Payload | int
    ) -> Coroutine[Any, Any, None] | bool:
        """Answer, if nothing of the request but its page matters to that.

        Returns:
            ``True`` if that is done, what does it if it may have to wait, ``False`` if more has to be known.
        """
        headers = self._answers.plain_headers(outcome, added)
        if headers is None:
            return False
        body = OK if isinstance(outcome, int) else outcome[0]
        return write_whole(send, headers, body) or answer(send, 200, headers, body)

    async def serve(
        self, connection: Connection, request: Request, receive: Receive, send: Send
    ) -> None:
        """Serve a request that has passed the checks."""
        polling, method = connection.transport, request.method
        assert isinstance(polling, Polling)  # the checks have seen to it
        outcome: Payload | int | None
        if method == "GET":
            outcome = await HeldPoll(self._loop()).hold(polling, receive)
        elif method == "POST":
            outcome = self._refuse_post(polling, request)
            if outcome is None:
                outcome = await _take_post(polling, receive, self._limit, self._loop())
        else:
            outcome = 500  # the reference's answer
        await self._answer(send, request, outcome)

    def _refuse_post(self, polling: Polling, request: Request) -> int | None:
        """Return the status for a POST whose body is not to be read, or ``None``."""
        if request.header(b"content-type") == OCTET_STREAM:
            polling.on_post_content()
            return 400
        announced = request.header(b"content-length") or ""
        if announced.isdecimal() and (len(announced) > MAX_DIGITS or int(announced) > self._limit):
            return 413
        return None

    async def _answer(self, send: Send, request: Request, outcome: Payload | int) -> None:
        if isinstance(outcome, tuple):
            payload, compress = outcome
            await self._answers.payload(send, request, payload, compress=compress)
        elif outcome == 200:
            await self._answers.received(send, request)
        else:
            if outcome == 413:
                self._count("max_http_buffer_size")
            await self._answers.status(send, request, outcome)


async def _take_post(
    polling: Polling, receive: Receive, limit: int, loop: asyncio.AbstractEventLoop
) -> int:
    """Read the body of a POST and process its packets; return the status of the answer.

    Args:
        polling: Where the packets go.
        receive: ASGI's ``receive``.
        limit: Bytes that the body may have.
        loop: The loop.
    """
    body = _Body()
    if not polling.on_post(body):
        return 400
    try:
        first = _begin(receive())
        data = _whole(first, limit)
        if data is None:
            data = await body.read(first, receive, limit)
        if data is None:
            pass
        elif len(data) <= PIECE:
            polling.on_post_body(body, decode_payload(data), loop.time())
        else:
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


def _begin(receiving: Awaitable[Message]) -> Message | Awaitable[Message]:
    """Return the next event if it is there, or else what waits for it."""
    steps = receiving.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as end:
        message: Message = end.value
        return message
    return _go_on(steps, waits_for)


@types.coroutine
def _go_on(steps: Generator[Any, Any, Message], waits_for: Any) -> Generator[Any, Any, Message]:
    yield waits_for
    return (yield from steps)


def _whole(first: Message | Awaitable[Message], limit: int) -> bytes | None:
    """Return the body that is all there with the first event, as nearly all are; otherwise `_Body` reads it."""
    if not isinstance(first, dict) or first["type"] != "http.request" or first.get("more_body"):
        return None
    body: bytes = first.get("body", b"")
    return body if len(body) <= limit else None


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

    async def read(
        self, first: Message | Awaitable[Message], receive: Receive, limit: int
    ) -> bytes | None:
        """Return the whole body, or ``None`` if it was refused meanwhile.

        Args:
            first: Its first event, or what waits for that.
            receive: ASGI's ``receive``.
            limit: Bytes that it may have.

        Raises:
            _BodyTooLargeError: As soon as the limit is passed.
            _LineLostError: If the line ends before the body does.
        """
        self._task = asyncio.current_task()
        body = bytearray()  # bytes in pieces of one each must not cost an object each
        try:
            message = first if isinstance(first, MutableMapping) else await first
            while True:
                if message["type"] != "http.request":
                    raise _LineLostError
                chunk: bytes = message.get("body", b"")
                if len(body) + len(chunk) > limit:
                    raise _BodyTooLargeError
                if not message.get("more_body", False):
                    return bytes(body + chunk) if body else chunk
                body += chunk
                message = await receive()
        except asyncio.CancelledError:
            if not self.refused:
                raise
            assert self._task is not None
            self._task.uncancel()
            return None
        finally:
            self._task = None

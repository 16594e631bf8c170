"""A request on its way between two workers, whatever carries it: `pass_request` where it has arrived, `serve_request` where it is served."""

import asyncio
import contextlib
import logging
from typing import Final

from roomcast.engine.asgi import ASGIApplication, Message, Receive, Scope, Send
from roomcast.engine.frames import (
    pack_answer,
    pack_message,
    pack_scope,
    unpack_answer,
    unpack_message,
    unpack_scope,
)
from roomcast.engine.held import Payload, PlainPoll
from roomcast.engine.http import answer
from roomcast.engine.senders import may_send_anywhere, write_whole
from roomcast.engine.streams import Stream
from roomcast.engine.waiting import Either

__all__ = ["HEAD_TIMEOUT", "end_all", "pass_request", "serve_request"]

GOING_AWAY: Final = 1001

HEAD_TIMEOUT: Final = 5.0
"""Seconds that a worker may take to be connected to, or to say what it wants."""

DRAIN_TIMEOUT: Final = 1.0
"""Seconds that a worker which ends waits for requests that it was passed."""

log = logging.getLogger("roomcast.engine")


async def pass_request(stream: Stream, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the worker at the other end serve a request; the stream is closed then.

    Raises:
        OSError: If it is gone before it has answered.
    """
    stream.write(pack_scope(scope))
    try:
        if scope["type"] == "http":
            await _exchange(stream, receive, send)
        else:
            await _relay(stream, receive, send)
    except ValueError as error:
        raise ConnectionResetError("another worker does not speak the same") from error
    finally:
        stream.close()


async def serve_request(stream: Stream, serve: ASGIApplication) -> None:
    """Serve a request that came here; the stream is closed then."""
    try:
        scope = await _read_scope(stream)
        if scope is None:
            return
        is_http = scope["type"] == "http"
        send = _Answer(stream).send if is_http else _sender(stream)
        await serve(scope, _receiver(stream, is_http=is_http), send)
    except OSError as error:
        log.debug("another worker has left before the answer: %s", error)
    except Exception:
        log.exception("a request that another worker has passed on has failed")
    finally:
        stream.close()


async def end_all(serving: set[asyncio.Task[None]]) -> None:
    """Let requests that were passed here end; what takes too long is cancelled."""
    if not serving:
        return
    _, late = await asyncio.wait(serving, timeout=DRAIN_TIMEOUT)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late)


class _Answer:
    """The answer to a request, which goes back as one frame: those of the engine are whole."""

    __slots__ = ("_start", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._start: Message = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            start = self._start
            frame = pack_answer(start["status"], start["headers"], message["body"])
            await self._stream.send(frame)


def _sender(stream: Stream) -> Send:
    async def send(message: Message) -> None:
        await stream.send(pack_message(message))

    return send


def _receiver(stream: Stream, *, is_http: bool) -> Receive:
    async def receive() -> Message:
        frame = await stream.read()
        if frame is not None:
            try:
                return unpack_message(frame)
            except ValueError as error:
                log.debug("another worker does not speak the same: %s", error)
                stream.reset()
        if is_http:
            return {"type": "http.disconnect"}
        return {"type": "websocket.disconnect", "code": 1006}

    return receive


async def _read_scope(stream: Stream) -> Scope | None:
    """Return what a stream begins with; ``None`` if that is no scope, or does not come."""
    try:
        if stream.has_next():  # as nearly always: it has come with the stream
            frame = stream.next()
        else:
            async with asyncio.timeout(HEAD_TIMEOUT):
                frame = await stream.read()
        return unpack_scope(frame or b"")
    except (TimeoutError, ValueError) as error:
        log.debug("another worker has said nothing: %s", error)
        return None


async def _exchange(stream: Stream, receive: Receive, send: Send) -> None:
    """Pass a request of HTTP on, and its answer back.

    Raises:
        OSError: If the other worker is gone before that.
        ValueError: If it answers what is no answer.
    """
    frame: bytes | None = None
    answered = Either(stream.loop)
    stream.tell(answered.tell)
    # It may answer before it has the whole body, as to one that is too large.
    while (message := await answered.or_(receive())) is not None:
        if message["type"] == "http.disconnect":
            return
        stream.write(pack_message(message))
        if stream.is_full:
            await answered.or_(_drained(stream))
        if not message.get("more_body") and not answered.told and may_send_anywhere(send):
            asking = _Asking(stream, send)
            is_answered = await PlainPoll(stream.loop, asking.answer).hold(asking, receive) is None
            if is_answered or asking.has_left:
                return
            frame = asking.frame
            break
    else:
        frame = stream.next()
    if frame is None:
        raise ConnectionResetError
    status, headers, body = unpack_answer(frame)
    if status != 200 or not write_whole(send, headers, body):
        await answer(send, status, headers, body)


class _Asking:
    """What answers a request whose body is all there, as soon as the answer comes in, where ``send`` may be called from anywhere.

    Attributes:
        frame: An answer that the task of the request has to send; ``None`` if there is none, as the other worker is gone.
        has_left: Whether the client is gone before.
    """

    __slots__ = ("_send", "_stream", "frame", "has_left")

    def __init__(self, stream: Stream, send: Send) -> None:
        self._stream = stream
        self._send = send
        self.frame: bytes | None = None
        self.has_left = False

    def on_poll(self, poll: PlainPoll) -> None:
        self._stream.tell(lambda: poll.answer(b""))

    def on_poll_gone(self, poll: PlainPoll) -> None:
        self.has_left = True

    def answer(self, _: Payload) -> bool:
        """Answer, if that can be done here."""
        frame = self._stream.next()
        if frame is None:
            return False
        status, headers, body = unpack_answer(frame)
        if status == 200 and write_whole(self._send, headers, body):
            return True
        self.frame = frame
        return False


async def _drained(stream: Stream) -> None:
    with contextlib.suppress(OSError):  # then it is told, too
        await stream.drain()


async def _relay(stream: Stream, receive: Receive, send: Send) -> None:
    """Pass a WebSocket on, until either side ends it.

    Raises:
        OSError: If the other worker is gone before it has answered.
        ValueError: If it says what is no message.
    """
    upwards = asyncio.ensure_future(_pass_up(stream, receive))
    accepted = refused = False
    try:
        while (frame := await stream.read()) is not None:
            message = unpack_message(frame)
            kind = message["type"]
            accepted |= kind == "websocket.accept"
            refused |= kind in ("websocket.close", "websocket.http.response.body")
            try:
                await send(message)
            except OSError as error:
                log.debug("a client left meanwhile: %s", error)
                return
            if refused:
                break
    finally:
        upwards.cancel()
        await asyncio.wait((upwards,))
    left = not upwards.cancelled() and upwards.exception() is None
    if refused or left:
        return
    if not accepted:
        raise ConnectionResetError
    with contextlib.suppress(OSError):
        await send({"type": "websocket.close", "code": GOING_AWAY})


async def _pass_up(stream: Stream, receive: Receive) -> None:
    while True:
        message = await receive()
        await stream.send(pack_message(message))
        if message["type"] == "websocket.disconnect":
            return

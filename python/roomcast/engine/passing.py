"""A request on its way between two workers, whatever carries it: `pass_request` where it has arrived, `serve_request` where it is served."""

import asyncio
import contextlib
import logging
from typing import Final

from roomcast.engine.asgi import ASGIApplication, Message, Receive, Scope, Send
from roomcast.engine.hops import Hop, pack_scope

__all__ = ["end_all", "pass_request", "serve_request"]

GOING_AWAY: Final = 1001

DRAIN_TIMEOUT: Final = 1.0
"""Seconds that a worker which ends waits for requests that it was passed."""

log = logging.getLogger("roomcast.engine")


async def pass_request(hop: Hop, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the worker at the other end serve a request; the hop is closed then.

    Raises:
        OSError: If it is gone before it has answered.
    """
    try:
        await hop.write(pack_scope(scope))
        exchange = _exchange if scope["type"] == "http" else _relay
        await exchange(hop, receive, send)
    finally:
        hop.close()


async def serve_request(hop: Hop, scope: Scope, serve: ASGIApplication) -> None:
    """Serve a request that came here; the hop is closed then."""
    try:
        send = _Answer(hop).send if scope["type"] == "http" else hop.send
        await serve(scope, _receiver(hop, scope["type"]), send)
        await hop.end()
    except OSError as error:
        log.debug("another worker has left before the answer: %s", error)
    finally:
        hop.close()


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

    def __init__(self, hop: Hop) -> None:
        self._hop = hop
        self._start: Message = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            await self._hop.send({**self._start, "body": message["body"]})


def _receiver(hop: Hop, kind: str) -> Receive:
    async def receive() -> Message:
        message = await hop.read()
        if message is not None:
            return message
        return (
            {"type": "http.disconnect"}
            if kind == "http"
            else {"type": "websocket.disconnect", "code": 1006}
        )

    return receive


async def _exchange(hop: Hop, receive: Receive, send: Send) -> None:
    """Pass a request of HTTP on, and its answer back.

    Raises:
        OSError: If the other worker is gone before that.
    """
    answering = asyncio.ensure_future(hop.read())
    passing = asyncio.ensure_future(_pass_body(hop, receive))
    try:
        await asyncio.wait((answering, passing), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and passing.result():
            return  # the client has left
        answer = await answering
    finally:
        for task in (answering, passing):
            task.cancel()
        await asyncio.wait((answering, passing))
        if not passing.cancelled():
            passing.exception()
    if answer is None:
        raise ConnectionResetError
    body = answer.pop("body")
    try:
        await send(answer)
        await send({"type": "http.response.body", "body": body})
    except OSError as error:
        log.debug("a client left before its answer: %s", error)


async def _pass_body(hop: Hop, receive: Receive) -> bool:
    """Pass a body on; return at the end of the request, or where the other end listens no more: whether the client has left."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return True
        try:
            await hop.send(message)
        except OSError:
            return False  # it may have answered before, as to a body that is too large


async def _relay(hop: Hop, receive: Receive, send: Send) -> None:
    """Pass a WebSocket on, until either side ends it.

    Raises:
        OSError: If the other worker is gone before it has answered.
    """
    upwards = asyncio.ensure_future(_pass_up(hop, receive))
    accepted = refused = False
    try:
        while (message := await hop.read()) is not None:
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


async def _pass_up(hop: Hop, receive: Receive) -> None:
    while True:
        message = await receive()
        await hop.send(message)
        if message["type"] == "websocket.disconnect":
            return

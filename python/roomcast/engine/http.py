"""Answering an HTTP request whole."""

import logging
from collections.abc import Iterable

from roomcast.engine.asgi import Send

__all__ = ["Header", "answer", "respond"]

Header = tuple[bytes, bytes]

log = logging.getLogger("roomcast.engine")


async def respond(
    send: Send,
    status: int,
    body: bytes = b"",
    headers: Iterable[Header] = (),
    *,
    kind: str = "http",
) -> None:
    """Answer a request whole; a line that is gone meanwhile is not an error.

    Args:
        send: ASGI's ``send``.
        status: The status.
        body: The body.
        headers: All headers but ``content-length``.
        kind: ``http``, or ``websocket.http`` to refuse a WebSocket; there the server adds the length, and some do so twice.
    """
    given = [*headers]
    if kind == "http":
        given.append((b"content-length", b"%d" % len(body)))
    await answer(send, status, given, body, kind)


async def answer(
    send: Send, status: int, headers: list[Header], body: bytes, kind: str = "http"
) -> None:
    """The same with all headers there."""
    try:
        await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
        await send({"type": f"{kind}.response.body", "body": body})
    except OSError as error:
        log.debug("a client left before its answer: %s", error)

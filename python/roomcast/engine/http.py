"""Answering an HTTP request whole."""

import logging
from collections.abc import Iterable

from roomcast.engine.asgi import Send

__all__ = ["Header", "respond"]

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
    start = [*headers]
    if kind == "http":
        start.append((b"content-length", b"%d" % len(body)))
    try:
        await send({"type": f"{kind}.response.start", "status": status, "headers": start})
        await send({"type": f"{kind}.response.body", "body": body})
    except OSError as error:
        log.debug("a client left before its answer: %s", error)

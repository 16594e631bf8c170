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
        kind: ``http``, or ``websocket.http`` to refuse a WebSocket.
    """
    start = [*headers, (b"content-length", b"%d" % len(body))]
    try:
        await send({"type": f"{kind}.response.start", "status": status, "headers": start})
        await send({"type": f"{kind}.response.body", "body": body})
    except OSError as error:
        log.debug("a client left before its answer: %s", error)

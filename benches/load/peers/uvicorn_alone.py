"""What uvicorn alone takes for a POST and a GET that waits for it: an ASGI application that does the least that still echoes.

It checks nothing, keeps no time, and knows one message at a time. Nothing that answers through ASGI can be cheaper on this uvicorn; who
writes past it, as roomcast does, saves uvicorn's part of an answer too.
"""

import asyncio
from secrets import token_urlsafe
from typing import Any, Final

__all__ = ["app"]

OPEN: Final = (
    '0{"sid":"%s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
)

_connections: dict[str, "_Connection"] = {}


class _Connection:
    """A packet that waits for its GET, or a GET for its packet."""

    __slots__ = ("packet", "poll")

    def __init__(self) -> None:
        self.packet: bytes | None = None
        self.poll: asyncio.Future[bytes] | None = None


async def _answer(send: Any, body: bytes) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=UTF-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Echo by polling."""
    if scope["type"] != "http":
        return
    sid = scope["query_string"].decode().partition("&sid=")[2]
    if not sid:
        sid = token_urlsafe(15)
        _connections[sid] = _Connection()
        await _answer(send, (OPEN % sid).encode())
        return
    connection = _connections[sid]
    if scope["method"] == "GET":
        packet, connection.packet = connection.packet, None
        if packet is None:
            connection.poll = asyncio.get_running_loop().create_future()
            packet = await connection.poll
        await _answer(send, packet)
        return
    packet = (await receive())["body"]
    if packet == b"40":
        packet = b'40{"sid":"%s"}' % sid.encode()
    if connection.poll is None:
        connection.packet = packet
    else:
        connection.poll.set_result(packet)
        connection.poll = None
    await _answer(send, b"ok")

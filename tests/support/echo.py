"""A server whose WebSockets send every message back as it is: what is tried is the codec and the transports, without Engine.IO.

The handshake, the checks and the transport are those of any connection. In place of the connection that the engine would open,
the transport carries an `Echo`, and no packet of Engine.IO is ever sent.
"""

import asyncio
from collections import deque
from typing import Any, Final

from roomcast import Limits, Server
from roomcast._core import Encoder, Outbox

__all__ = ["TARGET", "echo_server"]

TARGET: Final = "/socket.io/?EIO=4&transport=websocket"
"""Where it answers."""

RETRY: Final = 0.002
"""Seconds after which it is tried again to send to a client that does not read."""


class Echo:
    """What a transport carries in place of a connection."""

    decoder = None

    def __init__(self, flusher: Any, transport: Any) -> None:
        """Belong to a transport."""
        self.outbox = Outbox(flusher)
        self._flusher = flusher
        self._waiting: deque[str | bytes] = deque()
        self.outbox.carry(transport)
        transport.carry(self)

    def receive_text(self, text: str, now: float) -> None:
        """Send a text back."""
        self._waiting.append(text)
        self._send()

    def receive_binary(self, data: bytes, now: float) -> None:
        """Send bytes back."""
        self._waiting.append(data)
        self._send()

    def lost(self, reason: str, details: str | None = None) -> None:
        """Let go of what waits."""
        self._waiting.clear()

    def close(self, reason: str, *, discard: bool = False) -> None:
        """Be told that the server stops."""

    def _send(self) -> None:
        # An outbox holds packets of Socket.IO, whose bytes follow a text. Here they have none in front, as behind an upgrade
        # where the text has gone with the last poll; that is so for the first packet of an outbox only.
        while self._waiting and self.outbox.empty:
            message = self._waiting.popleft()
            if isinstance(message, str):
                self.outbox.push_text(message)
            else:
                self.outbox.push(Encoder().encode_event("/", "", (message,)))
                self.outbox.take_payload(1)
            self._flusher.flush()
        if self._waiting:
            asyncio.get_running_loop().call_later(RETRY, self._send)


def echo_server(max_size: int = 1_000_000, **options: Any) -> Server:
    """Return a server that sends back messages of up to so many bytes, in up to as many fragments."""
    limits = Limits(
        max_http_buffer_size=max_size, max_fragments=max_size, send_buffer_size=2 * max_size
    )
    io = Server(limits=limits, **options)
    engine = io.engine

    def open_echo(sid: str, request: Any, transport: Any, outbox: Outbox, place: Any) -> None:
        Echo(engine.flusher, transport)

    engine._open = open_echo  # type: ignore[method-assign]
    return io

"""What carries a connection: here its bytes are read and written.

`ASGIWebSocket` is the WebSocket of any ASGI server. Two tasks belong to it, both as long-lived as the connection: the
server's own task that called the application, which receives, and a writer, which awaits ``send`` packet by packet and
sleeps while the outbox is empty. No task is made per packet.

How it ends:

    =======================  ==========================================================================================
    who ends it              what happens
    =======================  ==========================================================================================
    the peer, the line       ``receive`` says so; the connection is `lost`
    we                       the connection is closed for everybody above; the writer sends what the outbox holds, then
                             the close, and ``receive`` reports the end. Where that takes longer than `LINGER`, as with
                             a slow client, the line is aborted.
    =======================  ==========================================================================================
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from math import inf
from typing import Any, Final

from roomcast.engine.connection import Connection, ConnectionState
from roomcast.engine.heartbeat import Timers
from roomcast.engine.outbox import Flusher, Outbox

__all__ = ["ASGIWebSocket", "Message", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LINGER: Final = 5.0
"""Seconds that a closed connection may take to send its last packets and to finish the closing handshake."""

NORMAL_CLOSE: Final = 1000
"""Differs from engine.io, which closes without a status: ASGI cannot express that, and clients treat both alike."""

MESSAGE_TOO_BIG: Final = 1009

FRAME_ERRORS: Final = frozenset({1002, 1007, 1009})
"""Close codes by which the server underneath reports that the peer broke the WebSocket protocol."""

log = logging.getLogger("roomcast.engine")


class ASGIWebSocket:
    """A WebSocket of an ASGI server. It belongs to one event loop."""

    __slots__ = (
        "_aborted",
        "_close_code",
        "_closing",
        "_in_send",
        "_max_size",
        "_receive",
        "_send",
        "_task",
        "_timers",
        "_wake",
        "_writer",
        "deadline",
        "outbox",
        "tick",
    )

    def __init__(
        self, receive: Receive, send: Send, *, flusher: Flusher, timers: Timers, max_size: int
    ) -> None:
        """Take the two ends of the line.

        Args:
            receive: ASGI's ``receive``.
            send: ASGI's ``send``.
            flusher: Flushes the outbox.
            timers: Watches over the closing.
            max_size: Bytes of the largest message that is taken.
        """
        self._receive = receive
        self._send = send
        self._timers = timers
        self._max_size = max_size
        self._close_code = NORMAL_CLOSE
        self._closing = False
        self._aborted = False
        self._in_send = False
        self._task: asyncio.Task[Any] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self.outbox = Outbox(flusher, self)
        self.deadline = inf
        self.tick: int | None = None

    @property
    def name(self) -> str:
        """The transport's name in the protocol."""
        return "websocket"

    async def run(self, connection: Connection) -> None:
        """Carry an open connection to its end."""
        self._task = asyncio.current_task()
        self._writer = asyncio.get_running_loop().create_task(self._write(connection))
        try:
            await self._read(connection)
        except asyncio.CancelledError:
            if not self._aborted:
                connection.lost("transport close", "cancelled by the server")
                raise
            assert self._task is not None
            self._task.uncancel()
        finally:
            self._closing = True
            self._task = None
            self._timers.remove(self)
            connection.lost("transport close")
            self.outbox.discard()
            self._writer.cancel()

    def flush(self) -> None:
        """Wake the writer, unless it is at work anyway."""
        wake = self._wake
        if wake is not None and not wake.done():
            wake.set_result(None)

    def close(self, *, discard: bool) -> None:
        """End the line, after sending what waits unless that is to be discarded."""
        if self._closing:
            return
        self._closing = True
        if discard:
            self.outbox.discard()
        self.deadline = self._timers.now() + LINGER
        self._timers.add(self)
        self.flush()
        if discard and self._in_send:
            # The writer stands in ``send``, before a client that does not read: its close frame would not arrive either.
            self._abort()

    def on_deadline(self, now: float) -> None:
        """Give up a closing that does not come to its end."""
        self.deadline = inf
        self._abort()

    def _abort(self) -> None:
        if self._task is not None and not self._aborted:
            self._aborted = True
            self._task.cancel()

    async def _read(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code", 1005)
                reason = "transport error" if code in FRAME_ERRORS else "transport close"
                connection.lost(reason, f"close code {code}")
                return
            text: str | None = message.get("text")
            data: bytes = message.get("bytes") or b""
            if self._too_big(data if text is None else text):
                self._close_code = MESSAGE_TOO_BIG
                connection.close("transport error", "message too big", discard=True)
            elif text is not None:
                connection.receive_text(text, loop.time())
            else:
                connection.receive_binary(data, loop.time())

    def _too_big(self, data: str | bytes) -> bool:
        # Counted in UTF-8, but only encoded where the number of characters does not settle it.
        if len(data) > self._max_size:
            return True
        if isinstance(data, bytes) or len(data) * 4 <= self._max_size or data.isascii():
            return False
        return len(data.encode()) > self._max_size

    async def _write(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        outbox, queue, send = self.outbox, self.outbox.queue, self._send
        try:
            while True:
                self._in_send = True
                while queue:
                    packet = queue.popleft()
                    if isinstance(packet, str):
                        await send({"type": "websocket.send", "text": packet})
                    else:
                        await send({"type": "websocket.send", "text": packet.text})
                        for attachment in packet.attachments:
                            await send({"type": "websocket.send", "bytes": attachment})
                    if outbox.size:  # it was not discarded meanwhile
                        outbox.sent(packet)
                self._in_send = False
                if self._closing:
                    await send({"type": "websocket.close", "code": self._close_code})
                    return
                self._wake = loop.create_future()
                await self._wake
                self._wake = None
        except OSError:
            # ASGI's way to say that the peer is gone. ``receive`` says the same, perhaps a little later.
            connection.lost("transport close")
        except Exception as error:  # noqa: BLE001  any server's own way to fail
            if connection.state is not ConnectionState.CLOSED:
                log.warning("sending failed: %s", error)
            connection.lost("transport error", "sending failed")
            self._abort()

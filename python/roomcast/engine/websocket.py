"""The WebSocket of any ASGI server: here its messages are read and written.

Two tasks belong to it, both as long-lived as the line: the server's own task that called the application, which receives, and a
writer, which awaits ``send`` packet by packet and sleeps while there is nothing to send. No task is made per packet.

What it receives goes to its peer: a `Probe` while a client tries the line, otherwise the connection that it carries.

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
from collections.abc import Callable
from math import inf
from typing import Any, Final

from roomcast._core import Outbox
from roomcast.engine.asgi import Receive, Send
from roomcast.engine.connection import Connection
from roomcast.engine.heartbeat import Timers
from roomcast.engine.line import LINGER, Peer, WebSocketLine

__all__ = ["ASGIWebSocket"]

NORMAL_CLOSE: Final = 1000
"""Differs from engine.io, which closes without a status: ASGI cannot express that, and clients treat both alike."""

MESSAGE_TOO_BIG: Final = 1009

FRAME_ERRORS: Final = frozenset({1002, 1007, 1009})
"""Close codes by which the server underneath reports that the peer broke the WebSocket protocol."""

log = logging.getLogger("roomcast.engine")


class ASGIWebSocket(WebSocketLine):
    """A WebSocket of an ASGI server. It belongs to one event loop."""

    __slots__ = (
        "_aborted",
        "_close_code",
        "_closing",
        "_count",
        "_in_send",
        "_max_size",
        "_outbox",
        "_own",
        "_receive",
        "_send",
        "_task",
        "_timers",
        "_wake",
        "_writer",
        "deadline",
        "peer",
        "tick",
    )

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        timers: Timers,
        max_size: int,
        count: Callable[[str], None],
    ) -> None:
        """Take the two ends of the line.

        Args:
            receive: ASGI's ``receive``.
            send: ASGI's ``send``.
            timers: Watches over the closing.
            max_size: Bytes of the largest message that is taken.
            count: Counts a limit that was hit, by its name.
        """
        self._receive = receive
        self._send = send
        self._timers = timers
        self._max_size = max_size
        self._count = count
        self._close_code = NORMAL_CLOSE
        self._closing = False
        self._aborted = False
        self._in_send = False
        self._task: asyncio.Task[Any] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._outbox: Outbox | None = None
        self._own: str | None = None
        self.peer: Peer | None = None
        self.deadline = inf
        self.tick: int | None = None

    def carry(self, connection: Connection) -> None:
        """Give a connection what is received from now on, and send what its outbox holds."""
        self.peer = connection
        self._outbox = connection.outbox
        self._outbox.writable = not self._in_send
        self.flush()

    async def run(self) -> None:
        """Receive and send until the line ends; there must be a peer."""
        self._task = asyncio.current_task()
        self._writer = asyncio.get_running_loop().create_task(self._write())
        try:
            await self._read()
        except asyncio.CancelledError:
            if not self._aborted:
                self._lost("transport close", "cancelled by the server")
                raise
            assert self._task is not None
            self._task.uncancel()
        finally:
            self._closing = True
            self._task = None
            self._timers.remove(self)
            self._lost("transport close")
            if self._outbox is not None:
                self._outbox.discard()
            self._writer.cancel()

    def send_text(self, text: str) -> None:
        """Send a text past the outbox. It replaces one that waits, so that a client that asks and does not read costs nothing."""
        self._own = text
        self.flush()

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
        if discard and self._outbox is not None:
            self._outbox.discard()
        self.deadline = self._timers.now() + LINGER
        self._timers.add(self)
        self.flush()
        if discard and self._in_send:
            # The writer stands in ``send``, before a client that does not read: its close frame would not arrive either.
            self.abort()

    def on_deadline(self, now: float) -> None:
        """Give up a closing that does not come to its end."""
        self.deadline = inf
        self.abort()

    def abort(self) -> None:
        """End now, whatever is left."""
        if self._task is not None and not self._aborted:
            self._aborted = True
            self._task.cancel()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code", 1005)
                if code == MESSAGE_TOO_BIG and not self._closing:  # found by the server underneath
                    self._count("max_http_buffer_size")
                reason = "transport error" if code in FRAME_ERRORS else "transport close"
                self._lost(reason, f"close code {code}")
                return
            text: str | None = message.get("text")
            data: bytes = message.get("bytes") or b""
            peer = self.peer
            if peer is None:
                continue  # it was only accepted to be closed
            if self._too_big(data if text is None else text):
                self._close_code = MESSAGE_TOO_BIG
                self._count("max_http_buffer_size")
                peer.lost("transport error", "message too big")
            elif text is not None:
                peer.receive_text(text, loop.time())
            else:
                peer.receive_binary(data, loop.time())

    def _too_big(self, data: str | bytes) -> bool:
        # Counted in UTF-8, but only encoded where the number of characters does not settle it.
        if len(data) > self._max_size:
            return True
        if isinstance(data, bytes) or len(data) * 4 <= self._max_size or data.isascii():
            return False
        return len(data.encode()) > self._max_size

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._stand_in_send(True)
                await self._write_own()
                if self._outbox is not None:
                    await self._write_packets(self._outbox)
                if self._own is not None:
                    continue
                self._stand_in_send(False)
                if self._closing:
                    await self._send({"type": "websocket.close", "code": self._close_code})
                    return
                self._wake = loop.create_future()
                await self._wake
                self._wake = None
        except OSError:
            # ASGI's way to say that the peer is gone. ``receive`` says the same, perhaps a little later.
            self._lost("transport close")
        except Exception as error:  # noqa: BLE001  any server's own way to fail
            if not self._closing:
                log.warning("sending failed: %s", error)
            self._lost("transport error", "sending failed")
            self.abort()

    def _stand_in_send(self, in_send: bool) -> None:
        self._in_send = in_send
        if self._outbox is not None:
            self._outbox.writable = not in_send

    async def _write_own(self) -> None:
        text, self._own = self._own, None
        if text is not None:
            await self._send({"type": "websocket.send", "text": text})

    async def _write_packets(self, outbox: Outbox) -> None:
        send = self._send
        while (first := outbox.pop()) is not None:
            packet, skip = first
            if isinstance(packet, str):
                await send({"type": "websocket.send", "text": packet})
                outbox.sent(len(packet))
                continue
            # What went with the last poll before an upgrade is not sent again.
            for message in packet.messages[skip:]:
                kind = "text" if isinstance(message, str) else "bytes"
                await send({"type": "websocket.send", kind: message})
            outbox.sent(packet.size)

"""A WebSocket whose bytes are read and written here: no task, no queue and no ASGI message between a packet and its socket.

The HTTP server does the handshake through the whole ASGI stack; then the asyncio transport is handed over with everything that
the client sends on it. One crossing into Rust turns each piece of it into finished packets, and all packets of one iteration of
the event loop leave in one write.

    ==================  =================================================================================================
    state               what happens
    ==================  =================================================================================================
    open                what arrives goes to the peer (a `Probe`, then the connection); a flush writes
    paused              the client does not read: flushes wait in the outbox until the transport has room again
    closing             the last packets and the close frame are written, and nothing is read any more; the line ends
                        when the client closes it too, or is aborted after `LINGER` or `FAREWELL`
    ended               nothing; whoever waits in `run` goes on
    ==================  =================================================================================================
"""

import asyncio
from math import inf
from typing import Any, Final, Protocol

from roomcast._core import Agreement, FrameReader, Outbox, Packet
from roomcast.engine.connection import Connection
from roomcast.engine.heartbeat import Timers
from roomcast.engine.line import LINGER, Peer, WebSocketLine, fileno, is_tls
from roomcast.errors import PacketError
from roomcast.types import Limits

__all__ = ["DirectWebSocket"]

FAREWELL: Final = 0.1
"""Seconds that a client has to close its side where nothing but the close frame was left to send. Cut off at once, what it is still
sending would make the kernel drop that frame."""

TEXT: Final = 0x81
PONG: Final = 0x8A
CLOSE: Final = 0x88

LIMITS: Final = {1008: "max_fragments", 1009: "max_http_buffer_size"}
"""The limits whose end is a close code of its own."""

NO_STATUS: Final = b"\x88\x00"
"""A close frame without a status, as the reference sends it."""


class Owner(Protocol):
    """What a line needs from its server."""

    def count(self, name: str) -> None:
        """Count a limit that was hit."""

    def line_ended(self, websocket: "DirectWebSocket") -> None:
        """Learn that a line has ended."""


class Registry(Protocol):
    """Where the HTTP server keeps what it has to tell when it stops."""

    def add(self, line: Any, /) -> None:
        """Keep a line."""

    def discard(self, line: Any, /) -> None:
        """Forget a line."""


def control_frame(opcode: int, payload: bytes) -> bytes:
    """Return a control frame of the server; its payload is at most 125 bytes long."""
    return bytes((opcode, len(payload))) + payload


class DirectWebSocket(WebSocketLine, asyncio.Protocol):
    """A WebSocket on an asyncio transport. It belongs to one event loop.

    Attributes:
        agreement: How its messages are compressed; ``None`` where they are not.
    """

    __slots__ = (
        "_closing",
        "_connection",
        "_ended",
        "_limits",
        "_outbox",
        "_owner",
        "_paused",
        "_pong",
        "_reader",
        "_registry",
        "_timers",
        "_transport",
        "agreement",
        "deadline",
        "peer",
        "tick",
    )

    def __init__(self, timers: Timers, limits: Limits, owner: Owner) -> None:
        """Take what watches over the closing, the limits, and the server."""
        self._timers = timers
        self._limits = limits
        self._owner = owner
        self._reader = FrameReader(limits.max_http_buffer_size, limits.max_fragments)
        self._transport: asyncio.Transport | None = None
        self._registry: Registry | None = None
        self._connection: Connection | None = None
        self._outbox: Outbox | None = None
        self._paused = False
        self._pong: bytes | None = None
        self._closing = False
        self._ended: asyncio.Future[None] | None = None
        self.agreement: Agreement | None = None
        self.peer: Peer | None = None
        self.deadline = inf
        self.tick: int | None = None

    def agree(self, agreement: Agreement) -> None:
        """Take compressed messages from the client, and send it such; before the line is taken over."""
        limits = self._limits
        self.agreement = agreement
        self._reader = FrameReader(limits.max_http_buffer_size, limits.max_fragments, agreement)

    def take_over(self, transport: asyncio.Transport, registry: Registry) -> None:
        """Read and write a transport from now on.

        Args:
            transport: The transport, behind a finished handshake.
            registry: Where the server keeps this line until it ends.
        """
        self._transport = transport
        self._registry = registry
        # Paused means: the transport holds something. Only when it does not may the outbox write past it. That of TLS pauses
        # at its mark, others above it.
        transport.set_write_buffer_limits(high=1 if is_tls(transport) else 0)
        transport.set_protocol(self)

    def carry(self, connection: Connection) -> None:
        """Give a connection what is received from now on, and send what its outbox holds."""
        assert self._transport is not None
        self.peer = self._connection = connection
        self._outbox = connection.outbox
        self._outbox.writable = not self._paused
        self._outbox.write_to(self._transport, fileno(self._transport), self.agreement)
        self.flush()

    async def run(self) -> None:
        """Wait until the line has ended; everything else happens without this task."""
        if self._transport is None:
            return  # it has ended already
        self._ended = asyncio.get_running_loop().create_future()
        try:
            await self._ended
        except asyncio.CancelledError:
            self._lost("transport close", "cancelled by the server")
            self.abort()
            raise

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent."""
        if self._closing:
            return
        connection = self._connection
        decoder = None if connection is None else connection.decoder
        now = self._timers.now()
        # A connection that closes in the middle ignores the rest by itself.
        for item in self._reader.feed(data, decoder):
            if type(item) is Packet or item is None:
                assert connection is not None
                connection.receive_packet(item, now)
            else:
                self._receive(item, now)

    def eof_received(self) -> None:
        """Let the transport close."""

    def pause_writing(self) -> None:
        """Write no more: the client does not read."""
        self._paused = True
        if self._outbox is not None:
            self._outbox.writable = False

    def resume_writing(self) -> None:
        """Write what has waited."""
        self._paused = False
        if self._outbox is not None:
            self._outbox.writable = True
            self._outbox.drained_to(0)
        pong, self._pong = self._pong, None
        if pong is not None:
            self._write(pong)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._closing = True
        self._timers.remove(self)
        self._lost(
            "transport error"
            if exc is not None and not isinstance(exc, OSError)
            else "transport close"
        )
        if self._outbox is not None:
            self._outbox.discard()
        if self._registry is not None:
            self._registry.discard(self)
        self._transport = None
        self._owner.line_ended(self)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def shutdown(self) -> None:
        """Let the client go: the server stops."""
        if self._connection is not None:
            self._connection.close("server shutting down")
        else:
            self.end()

    # What a connection or a probe calls.

    def send_text(self, text: str) -> None:
        """Send a text of ASCII past the outbox."""
        self._write(control_frame(TEXT, text.encode("ascii")))

    def flush(self) -> None:
        """Let the outbox write what it holds, unless the client does not read."""
        if self._outbox is not None:
            self._outbox.schedule()

    def close(self, *, discard: bool) -> None:
        """End the line, after sending what waits unless that is to be discarded."""
        self._close(NO_STATUS, discard=discard)

    def on_deadline(self, now: float) -> None:
        """Give up a closing that does not come to its end."""
        self.deadline = inf
        self.abort()

    def abort(self) -> None:
        """End now, whatever is left."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self, frame: bytes, *, discard: bool) -> None:
        transport = self._transport
        if self._closing or transport is None:
            return
        self._closing = True
        outbox = self._outbox
        if outbox is not None:
            if discard:
                outbox.discard()
            elif not outbox.empty:
                transport.write(outbox.take_frames())
        if discard and self._paused:
            # The close frame would wait behind what the client does not read.
            transport.abort()
            return
        transport.write(frame)
        if transport.can_write_eof():
            # The client's close is not waited for: after an error nothing that it sends is looked at any more.
            transport.write_eof()
        else:
            transport.close()
        self.deadline = self._timers.now() + (FAREWELL if discard else LINGER)
        self._timers.add(self)

    def _receive(self, item: str | bytes | PacketError | tuple[Any, ...], now: float) -> None:
        """Take what is no packet of Socket.IO."""
        peer = self.peer
        if peer is None:
            return  # the line was only accepted to be closed
        if isinstance(item, str):
            peer.receive_text(item, now)
        elif isinstance(item, bytes):
            peer.receive_binary(item, now)
        elif isinstance(item, PacketError):
            assert self._connection is not None
            self._connection.receive_error(item)
        else:
            self._control(peer, *item)

    def _control(self, peer: Peer, kind: str, *args: Any) -> None:
        transport = self._transport
        assert transport is not None
        if kind == "ping":
            pong = control_frame(PONG, *args)
            if self._paused:
                # Of those that a client does not read, the newest one answers all (RFC 6455 section 5.5.3).
                self._pong = pong
            else:
                self._write(pong)
        elif kind == "close":
            (code,) = args
            if not self._closing:
                self._closing = True
                transport.write(
                    NO_STATUS if code == 1005 else control_frame(CLOSE, code.to_bytes(2))
                )
            peer.lost("transport close", f"close code {code}")
            transport.close()
        elif kind == "error":
            code, reason = args
            if code in LIMITS:
                self._owner.count(LIMITS[code])
            self._close(control_frame(CLOSE, code.to_bytes(2)), discard=True)
            peer.lost("transport error", reason)

    def _write(self, frame: bytes) -> None:
        # Where the client does not read, what it asks for past the outbox is dropped: it has that before it to wait for.
        if self._transport is not None and not self._closing and not self._paused:
            self._transport.write(frame)

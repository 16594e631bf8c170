"""A WebSocket of a client on an asyncio transport: no task, no queue between a packet and its socket.

One crossing into Rust turns each piece that arrives into finished packets; all packets of one iteration of the event loop leave in one
write.

    ==========  =====================================================================================================
    state       what happens
    ==========  =====================================================================================================
    opening     the head of the answer is read
    open        what arrives goes to the receiver; a flush of the outbox writes
    closing     the last packets and the close frame are written; what arrives is dropped until the server closes, or
                `LINGER` is over
    closed      nothing
    ==========  =====================================================================================================
"""

import asyncio
import os
from typing import ClassVar, Final, cast

from roomcast._core import Agreement, Decoder, Deflate, FrameReader, Outbox, Packet
from roomcast.client.handshake import MAX_BODY, Head, Opening, parse_head
from roomcast.client.options import Options
from roomcast.client.proxies import find_proxy, tunnel
from roomcast.client.requests import Requests
from roomcast.client.tls import context_of
from roomcast.client.transport import LINGER, Details, Receiver
from roomcast.codec.parser import AnyDecoder
from roomcast.engine.line import fileno, is_tls
from roomcast.errors import PacketError, TransportError

__all__ = ["WebSocket"]

SWITCHING: Final = 101

TEXT: Final = 0x81
CLOSE: Final = 0x88
PONG: Final = 0x8A

THRESHOLD: Final = 1_024
"""Bytes from which on a message is compressed, if the server agrees; engine.io-client's ``perMessageDeflate.threshold``."""

DEFLATE: Final = Deflate(THRESHOLD, 6, 15, True)


class WebSocket(asyncio.Protocol):
    """A WebSocket. It belongs to one event loop."""

    name: ClassVar[str] = "websocket"

    def __init__(
        self,
        requests: Requests,
        options: Options,
        receiver: Receiver,
        decoder: AnyDecoder | None,
        sid: str | None = None,
    ) -> None:
        """Take where it goes to.

        Args:
            requests: Path and headers.
            options: The options.
            receiver: Gets what arrives.
            decoder: Makes packets of messages; ``None`` while the WebSocket is only tried: messages then go to `Receiver.receive`.
            sid: The session that it is to take over.
        """
        self._requests = requests
        self._options = options
        self._receiver = receiver
        self._decoder = decoder if isinstance(decoder, Decoder) else None
        self._sid = sid
        self._transport: asyncio.Transport | None = None
        self._reader: FrameReader | None = None
        self._opening: Opening | None = None
        self._agreement: Agreement | None = None
        self._received = bytearray()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[None] | None = None
        self._outbox: Outbox | None = None
        self._paused = False
        self._closing = False
        self._lost = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left of it."""
        return self._transport is None

    @property
    def ended(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closing

    async def open(self) -> None:
        """Connect, and wait for the end of the handshake.

        Raises:
            TransportError: If that fails.
        """
        requests, options = self._requests, self._options
        address = requests.address
        context = context_of(options.ssl) if address.secure else None
        local = None if options.local_address is None else (options.local_address, 0)
        self._opening = Opening(
            address.authority,
            requests.target(self.name, self._sid),
            requests.headers(self.name),
            DEFLATE.OFFER if options.per_message_deflate else None,
            options.protocols,
        )
        connected = False
        try:
            proxy = find_proxy(address, options)
            if proxy is None:
                await asyncio.get_running_loop().create_connection(
                    lambda: self,
                    address.host,
                    address.port,
                    ssl=context,
                    server_hostname=address.host if context is not None else None,
                    local_addr=local,
                )
            else:
                await tunnel(proxy, address, self, context, local)
            connected = True
            await self._opened
        except TransportError:
            self.abort()
            raise
        except (OSError, ValueError) as error:
            self.abort()
            raise TransportError("websocket error", error) from error
        except BaseException:
            self.abort()
            if not connected:
                # Cancelled while it was being connected, uvloop closes the line without a word.
                self.connection_lost(None)
            raise
        finally:
            self._opening = None

    def carry(self, outbox: Outbox) -> None:
        """Send what an outbox holds from now on."""
        transport = self._transport
        if transport is None:
            return
        self._outbox = outbox
        outbox.writable = not self._paused
        outbox.write_to(
            transport,
            fileno(transport),
            self._agreement,
            masked=True,
            base64=self._options.force_base64,
        )
        outbox.schedule()

    def decode(self, decoder: AnyDecoder) -> None:
        """Make packets of messages from now on."""
        self._decoder = decoder if isinstance(decoder, Decoder) else None

    def send_text(self, text: str) -> None:
        """Send a text of ASCII past the outbox."""
        if self._transport is not None and not self._closing:
            self._transport.write(_frame(TEXT, text.encode("ascii")))

    def close(self) -> None:
        """Say goodbye, after what the outbox holds."""
        transport, outbox = self._transport, self._outbox
        if transport is None or self._reader is None:
            self.abort()
            return
        if self._closing:
            return
        self._closing = True
        if outbox is not None and not outbox.empty:
            transport.write(outbox.take_frames())
        transport.write(_frame(CLOSE, b""))
        # What the server sends meanwhile is read and dropped: left unread, it would make the kernel drop what we have sent.
        self._timer = asyncio.get_running_loop().call_later(LINGER, self.abort)

    def abort(self) -> None:
        """End at once."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait for the end, `LINGER` seconds at most."""
        if self._transport is not None:
            if self._ended is None:
                self._ended = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._ended)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        line = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._transport = line
        if self._closing or self._opening is None:
            line.abort()
            return
        # Paused means: the transport holds something. Only when it does not may the outbox write past it. That of TLS pauses
        # at its mark, others above it.
        line.set_write_buffer_limits(high=1 if is_tls(line) else 0)
        line.write(self._opening.request)

    def data_received(self, data: bytes) -> None:
        """Hand on what is complete."""
        reader = self._reader
        if reader is None:
            self._read_head(data)
            return
        if self._closing:
            self._look_for_close(reader, data)
            return
        receiver = self._receiver
        for item in reader.feed(data, self._decoder):
            if type(item) is Packet:
                receiver.receive_packet(item)
            elif item is not None:
                self._receive(item)

    def pause_writing(self) -> None:
        """Write no more: the server does not read."""
        self._paused = True
        if self._outbox is not None:
            self._outbox.writable = False

    def resume_writing(self) -> None:
        """Write what has waited."""
        self._paused = False
        if self._outbox is not None:
            self._outbox.writable = True
            self._outbox.drained_to(0)
            self._outbox.schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._transport is None:
            return
        self._closing = True
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._outbox is not None:
            self._outbox.discard()
            self._outbox = None
        if not self._opened.done():
            self._opened.set_exception(
                exc or ConnectionResetError("the server closed the connection")
            )
            self._opened.exception()
        else:
            self._tell("transport close", Details("websocket connection closed", 1006))
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _read_head(self, data: bytes) -> None:
        if self._opening is None or self._opened.done():
            return
        self._received += data
        try:
            parsed = parse_head(self._received)
            if parsed is None:
                return
            head, rest = parsed
            if head.status == SWITCHING:
                self._begin(head)
        except ValueError as error:
            self._fail(TransportError("websocket error", error))
            return
        if self._requests.cookies is not None:
            self._requests.cookies.take(head.all("set-cookie"))
        if head.status != SWITCHING:
            self._read_refusal(head, rest)
            return
        self._received.clear()
        self._opened.set_result(None)
        if rest:
            self.data_received(rest)

    def _begin(self, head: Head) -> None:
        assert self._opening is not None
        extensions = self._opening.check(head)
        self._agreement = None if extensions is None else DEFLATE.accept(extensions)
        limits = self._options.limits
        self._reader = FrameReader(
            limits.max_http_buffer_size, limits.max_fragments, self._agreement, client=True
        )

    def _read_refusal(self, head: Head, body: bytes) -> None:
        """Fail, as soon as there is enough of the body to say why."""
        announced = next(iter(head.all("content-length")), "0")
        length = (
            int(announced)
            if announced.isascii() and announced.isdigit() and len(announced) < 10
            else 0
        )
        if len(body) >= min(length, MAX_BODY):
            self._fail(
                TransportError(
                    "websocket error", head.status, body[:MAX_BODY].decode(errors="replace")
                )
            )

    def _fail(self, error: TransportError) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)
            self._opened.exception()

    def _receive(self, item: str | bytes | PacketError | tuple[object, ...]) -> None:
        """Take what is no packet of Socket.IO."""
        if isinstance(item, str | bytes):
            self._receiver.receive(item)
        elif isinstance(item, PacketError):
            self._receiver.receive_error(item)
        elif item[0] == "ping":
            if self._transport is not None and not self._paused and not self._closing:
                payload = item[1]
                assert isinstance(payload, bytes)
                self._transport.write(_frame(PONG, payload))
        elif item[0] == "close":
            code = item[1]
            assert isinstance(code, int)
            self._answer_close()
            self._tell("transport close", Details("websocket connection closed", code))
        elif item[0] == "error":
            _, code, reason = item
            assert isinstance(code, int)
            if self._transport is not None and not self._closing:
                self._closing = True
                self._transport.write(_frame(CLOSE, code.to_bytes(2)))
                self._transport.close()
            self._tell("transport error", Details(str(reason), code))

    def _answer_close(self) -> None:
        if self._transport is not None:
            if not self._closing:
                self._closing = True
                self._transport.write(_frame(CLOSE, b""))
            self._transport.close()

    def _look_for_close(self, reader: FrameReader, data: bytes) -> None:
        for item in reader.feed(data):
            if (
                isinstance(item, tuple)
                and item[0] in ("close", "error")
                and self._transport is not None
            ):
                self._transport.close()

    def _tell(self, reason: str, details: Details) -> None:
        if not self._lost:
            self._lost = True
            self._receiver.lost(self, reason, details)


def _frame(first: int, payload: bytes) -> bytes:
    """Return a short frame of a client."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    return bytes((first, 0x80 | len(payload))) + mask + masked

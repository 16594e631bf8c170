"""Clients that cost next to nothing, so that the server is what is measured: protocols of asyncio, no task for any of them.

What they send is what the official client sends. They check every answer; what is not as it must be is an error.
"""

import asyncio
import random
import string
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Final

from httptools import HttpResponseParser

__all__ = ["CONNECT", "UPGRADE", "Errors", "IdleClient", "PollingClient"]

Errors = Counter[str]
"""How often what went wrong."""

SEPARATOR: Final = "\x1e"
HEADERS: Final = "Accept: */*\r\nUser-Agent: node-XMLHttpRequest\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n"
PADDING: Final = "." * 24
"""Makes an event about as long as a line of chat."""

LETTERS: Final = string.ascii_lowercase + string.digits


def _stamp() -> str:
    """Return the query parameter that keeps caches from answering."""
    return "".join(random.choices(LETTERS, k=8))


class _Line(asyncio.Protocol):
    """A keep-alive connection, for one request at a time."""

    __slots__ = ("_answered", "_body", "_lost", "_parser", "_transport")

    def __init__(self, answered: Callable[[int, bytes], None], lost: Callable[[], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._body = b""
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def connection_lost(self, exception: Exception | None) -> None:
        self._lost()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        self._answered(self._parser.get_status_code(), body)

    def send(self, request: str) -> None:
        self._transport.write(request.encode())

    def close(self) -> None:
        self._lost = lambda: None
        self._transport.close()


class PollingClient:
    """A client on polling that sends an event each second, and expects each to come back.

    Attributes:
        ready: Done when the socket is connected.
        sent: Events sent.
        received: Events that came back.
        latencies: Seconds from when an event was due until it was back.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int, errors: Errors) -> None:
        self.ready: asyncio.Future[None] = loop.create_future()
        self.sent = 0
        self.received = 0
        self.latencies: list[float] = []
        self._loop = loop
        self._number = number
        self._errors = errors
        self._sid = ""
        self._out: list[str] = []
        self._posting = False
        self._waiting: deque[tuple[str, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, port: int, others_port: int | None = None) -> None:
        """Connect; the events begin at once, at a moment of the second of its own.

        Args:
            port: The server's.
            others_port: Of a worker beside it, which gets all requests but the first one.
        """
        rest = others_port or port
        first = await self._connect(port, self._on_payload)
        self._get = await self._connect(rest, self._on_payload)
        self._post = await self._connect(rest, self._on_posted)
        first.send(self._get_request())
        await self.ready
        first.close()
        self._due = self._loop.time() + random.random()
        self._timer = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        """Send no more events."""
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        """Drop both lines; what has not come back is an error."""
        self._errors["events that did not come back"] += len(self._waiting)
        self._get.close()
        self._post.close()

    async def _connect(self, port: int, answered: Callable[[int, bytes], None]) -> _Line:
        new = partial(_Line, answered, self._on_lost)
        _, line = await self._loop.create_connection(new, "127.0.0.1", port)
        return line

    def _target(self) -> str:
        sid = f"&sid={self._sid}" if self._sid else ""
        return f"/socket.io/?EIO=4&transport=polling&t={_stamp()}{sid}"

    def _get_request(self) -> str:
        return f"GET {self._target()} HTTP/1.1\r\n{HEADERS}\r\n"

    def _push(self, packet: str) -> None:
        self._out.append(packet)
        if not self._posting:
            self._flush()

    def _flush(self) -> None:
        self._posting = True
        body = SEPARATOR.join(self._out)
        self._out.clear()
        self._post.send(
            f"POST {self._target()} HTTP/1.1\r\n{HEADERS}Content-type: text/plain;charset=UTF-8\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _tick(self) -> None:
        value = f"{self._number}-{self.sent} {PADDING}"
        self.sent += 1
        self._waiting.append((value, self._due))
        self._push(f'42["echo","{value}"]')
        self._due += 1
        self._timer = self._loop.call_at(self._due, self._tick)

    def _on_lost(self) -> None:
        self._fail("lines lost")

    def _on_posted(self, status: int, body: bytes) -> None:
        self._posting = False
        if status != 200:
            self._fail(f"POST: {status} {body[:60]!r}")
        elif self._out:
            self._flush()

    def _on_payload(self, status: int, body: bytes) -> None:
        if status != 200:
            self._fail(f"GET: {status} {body[:60]!r}")
            return
        for packet in body.decode().split(SEPARATOR):
            self._on_packet(packet)
        self._get.send(self._get_request())

    def _on_packet(self, packet: str) -> None:
        if packet.startswith("42"):
            expected, due = self._waiting.popleft() if self._waiting else ("", 0.0)
            if packet != f'42["echo","{expected}"]':
                self._errors["events that are not what was sent"] += 1
            self.received += 1
            self.latencies.append(self._loop.time() - due)
        elif packet == "2":
            self._push("3")
        elif packet.startswith("40"):
            self.ready.set_result(None)
        elif packet.startswith("0"):
            self._sid = packet.partition('"sid":"')[2].partition('"')[0]
            self._push("40")
        elif packet != "6":
            self._fail(f"packet {packet[:60]!r}")

    def _fail(self, what: str) -> None:
        self._errors[what] += 1
        self.stop()
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(what))


UPGRADE: Final = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
MASK: Final = bytes(4)
"""Masks nothing, and is a legal mask."""

CONNECT: Final = b"\x81\x82" + MASK + b"40"
PONG: Final = b"\x81\x81" + MASK + b"3"


class IdleClient(asyncio.Protocol):
    """A client on a WebSocket that does nothing but answer pings.

    Attributes:
        ready: Done when the socket is connected.
        pings: Pings so far.
    """

    __slots__ = ("_buffer", "_closed", "_errors", "_transport", "pings", "ready")

    def __init__(self, loop: asyncio.AbstractEventLoop, errors: Errors) -> None:
        self.ready: asyncio.Future[None] = loop.create_future()
        self.pings = 0
        self._errors = errors
        self._buffer = b""
        self._closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.write(UPGRADE)

    def connection_lost(self, exception: Exception | None) -> None:
        if not self._closed:
            self._fail("lines lost")

    def close(self) -> None:
        """Drop the line."""
        self._closed = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        if buffer.startswith(b"HTTP"):
            head, end, buffer = buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._fail(f"refused: {head[:40]!r}")
        while len(buffer) >= 2 and len(buffer) >= (end := self._end(buffer)):
            packet = buffer[4 if buffer[1] == 126 else 2 : end]
            self._on_packet(buffer[0], packet)
            buffer = buffer[end:]
        self._buffer = buffer

    @staticmethod
    def _end(buffer: bytes) -> int:
        """Return where a frame ends; none is longer than 65 535 bytes here."""
        if buffer[1] < 126:
            return 2 + buffer[1]
        return 4 + int.from_bytes(buffer[2:4])

    def _on_packet(self, opcode: int, packet: bytes) -> None:
        if opcode != 0x81:
            self._fail(f"frame {opcode:#x} {packet[:60]!r}")
        elif packet == b"2":
            self.pings += 1
            self._transport.write(PONG)
        elif packet.startswith(b"40"):
            self.ready.set_result(None)
        elif packet.startswith(b"0"):
            self._transport.write(CONNECT)
        else:
            self._fail(f"packet {packet[:60]!r}")

    def _fail(self, what: str) -> None:
        self._errors[what] += 1
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(what))

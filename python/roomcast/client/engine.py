"""One Engine.IO connection of a client: its handshake, its heartbeat, its way from polling to a WebSocket, its end.

    ==========  ============================================  ==========================================================
    state       what is true                                  leaves it
    ==========  ============================================  ==========================================================
    new         nothing was asked for                         `open`: to opening
    opening     a transport is asking                         the server's open packet: to open; a failure: to closed
    open        there is a session; an upgrade may be under   `close`: to closing; the server's close, the line's end, a
                way, during which packets wait                missed heartbeat: to closed
    closing     the transport says goodbye                    its end: to closed
    closed      nothing                                       never
    ==========  ============================================  ==========================================================

Source:
    engine.io-client, ``lib/socket.ts``.
"""

import asyncio
import json
import logging
from typing import ClassVar, Final, Literal, Protocol

from roomcast._core import EncodedPacket, Flusher, Outbox, Packet
from roomcast.client.options import Options
from roomcast.client.polling import Polling
from roomcast.client.requests import Requests
from roomcast.client.transport import LINGER, Details, Transport
from roomcast.client.websocket import WebSocket
from roomcast.codec.parser import decoder_of
from roomcast.errors import PacketError, TransportError
from roomcast.logs import printable

__all__ = ["Engine", "Owner"]

log = logging.getLogger("roomcast.client")

PROBE: Final = "2probe"
PROBED: Final = "3probe"
UPGRADE: Final = "5"
PONG: Final = "3"

IGNORED: Final = frozenset("01356")
"""Packets that mean nothing to a client on an open connection; the close of polling has been read before."""

FAILED: Final = {"polling": "xhr poll error", "websocket": "websocket error"}
"""What the official client says about a transport that does not open."""

MAX_HEARTBEAT: Final = 86_400.0
"""Seconds that a server may announce for its heartbeat, in all. Beyond: the handshake is refused; nobody would notice a dead line."""

PING_INTERVAL: Final = 0.1
"""Seconds between two heartbeats that are answered while the line takes nothing: a server that only writes must not fill our memory."""


class Owner(Protocol):
    """What an engine needs from its manager."""

    def engine_opened(self) -> None:
        """Learn that it is open."""

    def engine_received(self, packet: Packet) -> None:
        """Take a packet."""

    def engine_pinged(self) -> None:
        """Learn of a heartbeat of the server."""

    def engine_upgraded(self) -> None:
        """Learn that the transport is another one."""

    def engine_closed(self, engine: "Engine", reason: str, details: Details | None) -> None:
        """Learn that an open connection has ended; called once."""

    def engine_dropped(self, count: int) -> None:
        """Learn that so many packets found no room."""


class Engine:
    """A connection. It belongs to one event loop.

    Attributes:
        state: Its state, see above.
        sid: The id of its session.
        outbox: What waits to be sent.
        transport: What carries it; ``None`` before it is open.
    """

    _has_upgraded: ClassVar[bool] = False
    """Whether an upgrade has succeeded in this process."""

    def __init__(
        self, requests: Requests, options: Options, flusher: Flusher, owner: Owner
    ) -> None:
        """Take where it goes to.

        Args:
            requests: Paths and headers.
            options: The options.
            flusher: Flushes its outbox.
            owner: Gets what arrives.
        """
        self.state: Literal["new", "opening", "open", "closing", "closed"] = "new"
        self.sid = ""
        self.outbox = Outbox(flusher)
        self.transport: Transport | None = None
        self._requests = requests
        self._options = options
        self._owner = owner
        self._decoder = decoder_of(options.parser, options.limits)
        self._transports: list[Transport] = []
        self._upgrade: asyncio.Task[None] | None = None
        self._probed: asyncio.Future[str | bytes] | None = None
        self._opened: asyncio.Future[None] | None = None
        self._max_payload = 0
        self._upgrades: list[object] = []
        self._patience = 0.0
        self._deadline = 0.0
        self._answered_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.outbox.attach(self)

    @property
    def finished(self) -> bool:
        """Whether nothing is left of it."""
        ended = self.state in ("closing", "closed")
        return ended and all(transport.finished for transport in self._transports)

    async def open(self) -> None:
        """Connect.

        Raises:
            TransportError: If no transport can.
        """
        options = self._options
        self.state = "opening"
        order = list(options.order)
        if options.remember_upgrade and Engine._has_upgraded and "websocket" in order:
            order.sort(key=lambda name: name != "websocket")
        for name in order[:-1] if options.try_all_transports else ():
            try:
                await self._try(name)
            except TransportError as error:
                Engine._has_upgraded = False
                log.debug("%s does not open (%s), the next transport is tried", name, error)
            else:
                return
        try:
            await self._try(order[-1] if options.try_all_transports else order[0])
        except TransportError:
            Engine._has_upgraded = False
            raise

    def send(self, packet: EncodedPacket, volatile: bool = False) -> bool:
        """Send a packet; return whether it was not dropped for being volatile."""
        return self.outbox.push(packet, volatile)

    def close(self) -> None:
        """End the connection, after what was sent."""
        if self.state == "open":
            assert self.transport is not None
            self._cancel_upgrade()
            self.transport.close()
            self._end("closing", "forced close", None)
        elif self.state in ("new", "opening"):
            self._abort()

    def fail(self, reason: str, details: Details) -> None:
        """End the connection at once."""
        self._end("closed", reason, details)
        self._abort()

    async def wait_closed(self) -> None:
        """Wait until nothing is left of it."""
        if self._upgrade is not None:
            await asyncio.wait((self._upgrade,), timeout=LINGER)
        for transport in self._transports:
            await transport.wait_closed()
        self.state = "closed"

    # What transports and the outbox call.

    def receive_packet(self, packet: Packet) -> None:
        """Take a packet of Socket.IO."""
        if self.state == "open":
            self._owner.engine_received(packet)
        elif self.state == "opening":
            self._refuse("a message came before the open packet")

    def receive(self, message: str | bytes) -> None:
        """Take a message that is not read yet."""
        if self._probed is not None and not self._probed.done() and message == PROBED:
            self._probed.set_result(message)
            return
        if self.state == "opening":
            self._receive_open(message)
            return
        if self.state != "open":
            return
        kind = message[:1]
        if kind == "4" or isinstance(message, bytes):
            try:
                packet = self._decoder.feed(message, 1 if kind == "4" else 0)
            except PacketError as error:
                self.receive_error(error)
                return
            if packet is not None:
                self._owner.engine_received(packet)
        elif kind == "2":
            self._beat()
            self._answer_ping()
            self._owner.engine_pinged()
        elif kind not in IGNORED:
            self.fail("transport error", Details(f"unknown packet {printable(message)!r}"))

    def receive_error(self, error: PacketError) -> None:
        """Learn that a message is no packet."""
        if self.state == "open":
            self.fail("parse error", Details(error))
        elif self.state == "opening":
            self._refuse(error)

    def lost(self, transport: Transport, reason: str, details: Details) -> None:
        """Learn that a transport has ended."""
        if transport is self.transport and self.state == "open":
            self.fail(reason, details)
        elif transport is self.transport and self.state == "opening":
            why = details.description
            self._refuse(why if isinstance(why, BaseException) else ConnectionResetError(why))
        elif (
            self._probed is not None and not self._probed.done() and transport is not self.transport
        ):
            self._probed.set_result("")

    def on_overflow(self) -> None:
        """Close, as the server does not read."""
        self.fail("transport error", Details("the server does not read"))

    def on_drop(self, dropped: int) -> None:
        """Learn that packets were dropped for that."""
        self._owner.engine_dropped(dropped)

    async def _try(self, name: str) -> None:
        """Connect with one transport.

        Raises:
            TransportError: If that fails.
        """
        self._decoder = decoder_of(self._options.parser, self._options.limits)
        transport: Transport
        if name == "polling":
            transport = Polling(self._requests, self._options, self)
        else:
            transport = WebSocket(self._requests, self._options, self, self._decoder)
        self._transports.append(transport)
        self.transport = transport
        # Done with the open packet, which comes after the handshake of a WebSocket, and may come in the same piece as that.
        answer = self._opened = asyncio.get_running_loop().create_future()
        try:
            await transport.open()
            await answer
        except BaseException:
            if self.state == "opening":
                self.transport = None
            transport.abort()
            raise

    def _receive_open(self, message: str | bytes) -> None:
        transport = self.transport
        assert transport is not None
        if isinstance(message, bytes) or message[:1] != "0":
            self._refuse(f"{printable(message)!r} is no open packet")
            return
        try:
            self._read_handshake(message[1:])
        except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
            self._refuse(f"malformed open packet: {printable(error)}")
            return
        self.state = "open"
        self._beat()
        self._timer = asyncio.get_running_loop().call_at(self._deadline, self._look)
        transport.carry(self.outbox)
        if isinstance(transport, Polling):
            transport.start(self.sid, self._max_payload)
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)
        self._owner.engine_opened()
        if not isinstance(transport, Polling):
            Engine._has_upgraded = True
        elif self._may_move():
            self._upgrade = asyncio.get_running_loop().create_task(self._move(transport))

    def _may_move(self) -> bool:
        options = self._options
        wanted = options.upgrade and "websocket" in options.order
        return wanted and "websocket" in self._upgrades and self.state == "open"

    def _refuse(self, why: str | BaseException) -> None:
        """Give an attempt up because of what has come."""
        if self._opened is not None and not self._opened.done() and self.transport is not None:
            error = why if isinstance(why, BaseException) else ValueError(why)
            self._opened.set_exception(TransportError(FAILED[self.transport.name], error))
            self._opened.exception()  # whoever waits may have stopped to

    def _read_handshake(self, text: str) -> None:
        handshake = json.loads(text)
        sid, interval, timeout = (
            handshake["sid"],
            handshake["pingInterval"],
            handshake["pingTimeout"],
        )
        if not isinstance(sid, str) or not sid:
            raise TypeError("sid")
        for number in (interval, timeout):
            if isinstance(number, bool) or not isinstance(number, int | float) or not number >= 0:
                raise TypeError("pingInterval, pingTimeout")
        patience = (interval + timeout) / 1_000
        if not 0 < patience <= MAX_HEARTBEAT:
            raise ValueError("pingInterval, pingTimeout")
        limit = handshake.get("maxPayload", 0)
        upgrades = handshake.get("upgrades", [])
        if not isinstance(limit, int) or limit < 0 or not isinstance(upgrades, list):
            raise TypeError("maxPayload, upgrades")
        self.sid = sid
        self._patience = patience
        self._max_payload = limit
        self._upgrades = upgrades

    async def _move(self, polling: Polling) -> None:
        """Move from polling to a WebSocket; where that fails, the connection stays where it is."""
        probed = self._probed = asyncio.get_running_loop().create_future()
        websocket = WebSocket(self._requests, self._options, self, None, self.sid)
        self._transports.append(websocket)
        paused = False
        try:
            await websocket.open()
            websocket.send_text(PROBE)
            if await probed != PROBED:
                raise TransportError("probe error")
            # What is emitted from here on waits for the WebSocket.
            self.outbox.writable = False
            paused = True
            await polling.pause()
            if self.state != "open" or websocket.ended:
                raise TransportError("the connection ended")
        except TransportError as error:
            log.debug("no upgrade: %s", error)
            websocket.abort()
            if paused and self.state == "open":
                polling.resume()
            return
        except BaseException:
            websocket.abort()
            if paused and self.state == "open":
                polling.resume()
            raise
        self.transport = websocket
        polling.retire()
        websocket.decode(self._decoder)
        websocket.send_text(UPGRADE)
        websocket.carry(self.outbox)
        Engine._has_upgraded = True
        self._owner.engine_upgraded()

    def _cancel_upgrade(self) -> None:
        if self._upgrade is not None and not self._upgrade.done():
            self._upgrade.cancel()

    def _beat(self) -> None:
        self._deadline = asyncio.get_running_loop().time() + self._patience

    def _answer_ping(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.outbox.writable or now - self._answered_at >= PING_INTERVAL:
            self._answered_at = now
            self.outbox.push_text(PONG)

    def _look(self) -> None:
        """See whether the heartbeat of the server has come in time."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._look)
        else:
            self.fail("ping timeout", Details("the server sent no heartbeat"))

    def _end(
        self, state: Literal["closing", "closed"], reason: str, details: Details | None
    ) -> None:
        was_open = self.state == "open"
        self.state = state
        if self._timer is not None:
            self._timer.cancel()
        if was_open:
            self.outbox.close()
            self._owner.engine_closed(self, reason, details)

    def _abort(self) -> None:
        self.state = "closed"
        if self._timer is not None:
            self._timer.cancel()
        self._cancel_upgrade()
        self._refuse(ConnectionAbortedError("the connection was closed"))
        self.outbox.discard()
        for transport in self._transports:
            transport.abort()

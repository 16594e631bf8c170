"""One Engine.IO connection of a client: its handshake, its heartbeat, its way from polling to a WebSocket, its end.

    ==========  ============================================  ==========================================================
    state       what is true                                  leaves it
    ==========  ============================================  ==========================================================
    new         nothing was asked for                         `open`
    open        there is a transport; an upgrade may be       `close`, a close of the server, the line's end, a missed
                under way, during which packets are held      heartbeat: to closed
    closed      whoever is above knows; the transport may     the application returns
                still say goodbye
    ==========  ============================================  ==========================================================

Source:
    engine.io-client, ``lib/socket.ts``.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from roomcast.engine.asgi import ASGIApplication
from roomcast.testing.line import Line, Unit, Wire
from roomcast.testing.options import Options
from roomcast.testing.polling import Polling
from roomcast.testing.websocket import RefusedError, WebSocket

__all__ = ["Engine"]

LINGER: Final = 5.0
"""Seconds that the application may take to return after the end of its line; then it is cancelled."""


class Transport(Protocol):
    """What carries a connection.

    Attributes:
        name: Its name in the protocol.
    """

    name: ClassVar[str]

    @property
    def reason(self) -> str:
        """Why it has ended."""
        ...

    @property
    def busy(self) -> bool:
        """Whether what is written now has to wait."""
        ...

    @property
    def error(self) -> BaseException | None:
        """What the application has raised."""
        ...

    def write(self, unit: Unit) -> None:
        """Send a packet."""

    def close(self) -> None:
        """Say goodbye, after what was written."""

    def abort(self) -> None:
        """End without a word."""

    async def wait_closed(self, seconds: float) -> None:
        """Wait so long for the end."""


class Engine:
    """A connection. It belongs to the loop of its client.

    Attributes:
        sid: Its id.
        closed: Whether it has ended, as far as the client knows.
    """

    def __init__(
        self,
        app: ASGIApplication,
        options: Options,
        line: Line,
        *,
        on_message: Callable[[str | bytes], None],
        on_close: Callable[[str], None],
    ) -> None:
        """Take who is asked, how, and over what.

        Args:
            app: The application.
            options: The options.
            line: The line.
            on_message: Gets every message; a text still has its type digit.
            on_close: Called once with the reason when an open connection has ended.
        """
        self.sid = ""
        self.closed = False
        self._app = app
        self._options = options
        self._line = line
        self._wire: Wire = line.begin(self._reset)
        self._on_message = on_message
        self._on_close = on_close
        self._transport: Transport | None = None
        self._retired: list[Transport] = []
        self._upgrade: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[str] | None = None
        self._said_goodbye: asyncio.Future[None] | None = None
        self._held: list[Unit] | None = None
        self._patience = 0.0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def transport(self) -> str | None:
        """The name of the transport; ``None`` before there is one."""
        return None if self._transport is None else self._transport.name

    @property
    def writable(self) -> bool:
        """Whether what is sent now leaves at once."""
        transport = self._transport
        if self.closed or transport is None or transport.busy or self._held is not None:
            return False
        return self._line.outgoing.writable

    async def open(self) -> None:
        """Connect.

        Raises:
            RefusedError: If the server refuses.
            Exception: What the application has raised.
        """
        if self._options.order[0] == "polling":
            polling = Polling(self._app, self._options, self._wire)
            self._transport = polling
            handshake = self._read_handshake(await polling.open())
            self._carry()
            polling.start(self.sid, handshake["maxPayload"])
            if self._options.may_upgrade and "websocket" in handshake["upgrades"]:
                self._upgrade = asyncio.get_running_loop().create_task(self._move(polling))
        else:
            self._opened = asyncio.get_running_loop().create_future()
            websocket = self._websocket()
            self._transport = websocket
            self._carry()
            await websocket.open()
            self._read_handshake(await self._opened)

    async def wait_upgraded(self) -> None:
        """Wait until the upgrade is over, however it has ended; does nothing if there is none."""
        if self._upgrade is not None:
            await asyncio.wait((self._upgrade,))

    def send(self, unit: Unit) -> None:
        """Send a packet."""
        if not self.closed and self._wire.is_alive:
            self._line.outgoing.push(unit)

    def close(self) -> None:
        """End the connection, after what was sent; over a line on which nothing gets through, at once and for both."""
        if self.closed or self._transport is None:
            return
        outgoing = self._line.outgoing
        if not self._wire.is_alive or outgoing.stalled:
            self._reset()
            return
        self._said_goodbye = asyncio.get_running_loop().create_future()
        self._end("forced close")
        outgoing.push(None)

    def give_up(self) -> None:
        """End the connection for both; it has never been open, so whoever is above does not hear of it."""
        self.closed = True
        self._abort()

    def fail(self, reason: str) -> None:
        """End the connection for both, because of what has come."""
        self._end(reason)
        self._abort()

    def leave_behind(self) -> None:
        """Go on without the connection, of whose end the server is not told."""
        self._end("transport close")
        self._line.end(self._wire)

    async def wait_closed(self) -> BaseException | None:
        """Wait until the application has returned; return what it has raised."""
        if self._said_goodbye is not None:
            await asyncio.wait((self._said_goodbye,), timeout=LINGER + self._line.outgoing.latency)
        if self.closed:
            if self._said_goodbye is None or not self._said_goodbye.done():
                self._abort()
            await self.wait_upgraded()
        transports = [*self._retired, *([self._transport] if self._transport else [])]
        for transport in transports:
            await transport.wait_closed(LINGER)
        self._line.end(self._wire)
        return next((transport.error for transport in transports if transport.error), None)

    def _websocket(self) -> WebSocket:
        scope = self._options.scope("websocket", "websocket", sid=self.sid or None)
        return WebSocket(self._app, scope, self._wire)

    def _carry(self) -> None:
        self._line.incoming.carry(self._receive)
        self._line.outgoing.carry(self._write)

    def _read_handshake(self, packet: str) -> dict[str, Any]:
        handshake: dict[str, Any] = json.loads(packet[1:])
        self.sid = handshake["sid"]
        self._patience = (handshake["pingInterval"] + handshake["pingTimeout"]) / 1000
        self._beat()
        self._timer = asyncio.get_running_loop().call_at(self._deadline, self._look)
        return handshake

    def _receive(self, unit: Unit | None) -> None:
        if unit is None:
            if self._opened is not None and not self._opened.done():
                self._opened.set_exception(RefusedError(101, "and closed the WebSocket at once"))
            elif self._transport is not None:
                self.fail(self._transport.reason)
            return
        if self.closed:
            return
        text = unit[0]
        kind = text[:1]
        if kind == "4" or isinstance(text, bytes):
            for message in unit:
                self._on_message(message)
        elif kind == "2":
            self._beat()
            self.send(("3" + text[1:],))
        elif kind == "0" and self._opened is not None and not self._opened.done():
            self._opened.set_result(text)

    def _write(self, unit: Unit | None) -> None:
        transport = self._transport
        if transport is None:
            return
        if unit is None:
            transport.close()
            self._goodbye_is_over()
        elif self._held is not None:
            self._held.append(unit)
        else:
            transport.write(unit)

    async def _move(self, polling: Polling) -> None:
        """Move from polling to a WebSocket; where that fails, the connection stays where it is."""
        answer: asyncio.Future[str | bytes] = asyncio.get_running_loop().create_future()

        def settle(message: str | bytes) -> None:
            if message == "3probe":
                polling.stop()  # before the answer to its GET makes it ask once more
            if not answer.done():
                answer.set_result(message)

        websocket = self._websocket()
        websocket.on_message = settle
        websocket.on_end = lambda: settle("")
        try:
            await websocket.open()
        except Exception:  # noqa: BLE001  as in a browser: nobody minds
            return
        self._retired.append(websocket)
        try:
            websocket.write(("2probe",))
            if await answer != "3probe":
                websocket.close()
                return
            self._held = []
            await polling.pause()
        except asyncio.CancelledError:
            websocket.abort()
            raise
        self._retired[-1] = polling
        self._transport = websocket
        websocket.on_message = self._wire.feed
        websocket.on_end = self._wire.end
        websocket.write(("5",))
        held, self._held = self._held, None
        for unit in held:
            websocket.write(unit)

    def _beat(self) -> None:
        self._deadline = asyncio.get_running_loop().time() + self._patience

    def _look(self) -> None:
        """See whether the heartbeat of the server has come in time."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._look)
        else:
            self._end("ping timeout")
            if self._wire.is_alive:
                self._abort()

    def _reset(self) -> None:
        self.fail("transport close")

    def _end(self, reason: str) -> None:
        if not self.closed:
            self.closed = True
            if self._timer is not None:
                self._timer.cancel()
            self._on_close(reason)

    def _abort(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._upgrade is not None:
            self._upgrade.cancel()
        for transport in (*self._retired, self._transport):
            if transport is not None:
                transport.abort()
        self._line.end(self._wire)
        self._goodbye_is_over()

    def _goodbye_is_over(self) -> None:
        if self._said_goodbye is not None and not self._said_goodbye.done():
            self._said_goodbye.set_result(None)

"""One Engine.IO connection, without I/O: what arrives and the time go in, packets and the next deadline come out.

States and what moves between them:

    ============  ==================================================  =========================
    state         leaves it                                           goes to
    ============  ==================================================  =========================
    OPENING       `open`                                              OPEN
    OPEN          `close` (by us), `lost` (by the peer or the line),  CLOSED
                  a packet that may not be, no pong in time
    CLOSED        nothing
    ============  ==================================================  =========================

The heartbeat has two phases, and one deadline that means something else in each:

    ============  ====================  ==============================  ===============================
    phase         at the deadline       on a pong                       on any other packet
    ============  ====================  ==============================  ===============================
    idle          ping, go to waiting   deadline = now + ping_interval
    waiting       ``ping timeout``      go to idle,                     the first one only:
                                        deadline = now + ping_interval  deadline = now + ping_timeout
    ============  ====================  ==============================  ===============================

A connection closes at once for everybody above it. What its outbox still holds, and the closing of the line, are the
transport's business.

Source:
    engine.io, ``lib/socket.ts`` and ``lib/transports/websocket.ts``.
"""

from base64 import b64decode
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import Enum
from json import dumps
from math import inf
from typing import Any, Final, Protocol

from roomcast._core import EncodedPacket
from roomcast.engine.requests import Request

__all__ = ["Connection", "ConnectionState", "Owner", "Receiver", "Sink", "Timing", "Transport"]


NO_PACKET: Final = "not an Engine.IO packet"


class ConnectionState(Enum):
    """Where a connection is in its life."""

    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"


class Receiver(Protocol):
    """The layer above: takes the messages of a connection and its end."""

    def on_message(self, data: str | bytes) -> None:
        """Take one message; a text still starts with the type digit ``4``, so that nothing is copied to drop it."""

    def on_close(self, reason: str, details: str | None) -> None:
        """Learn that nothing more arrives and nothing more can be sent."""


class Sink(Protocol):
    """Where outgoing packets go: the outbox."""

    @property
    def congested(self) -> bool:
        """Whether the client is behind, so that awaiting an emit waits."""
        ...

    def drained(self) -> Awaitable[None]:
        """Return what is done when the client has caught up; shared by all who wait."""
        ...

    def push(self, packet: EncodedPacket) -> None:
        """Take a packet of Socket.IO."""

    def push_text(self, text: str) -> None:
        """Take a packet of Engine.IO's own."""

    def close(self) -> None:
        """Take nothing more."""


class Transport(Protocol):
    """What carries a connection at the moment."""

    @property
    def name(self) -> str:
        """``websocket``."""
        ...

    def close(self, *, discard: bool) -> None:
        """End the line, after sending what the outbox holds unless that is to be discarded."""


class Owner(Protocol):
    """What a connection needs from its server: a place among the deadlines, and to be forgotten."""

    def schedule(self, connection: "Connection") -> None:
        """Call `Connection.on_deadline` at its deadline."""

    def forget(self, connection: "Connection") -> None:
        """Drop a connection that is closed, and its deadline."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What the open packet tells the client, shared by all connections of a server.

    Attributes:
        ping_interval: Seconds from a pong to the next ping.
        ping_timeout: Seconds from a ping until its pong must be there.
        max_payload: Bytes that one message may have.
    """

    ping_interval: float
    ping_timeout: float
    max_payload: int


class Connection:
    """One Engine.IO connection; applications meet it as ``socket.conn``. It belongs to its server's event loop.

    Attributes:
        id: The engine's session id. It is a secret: whoever has it can act for the client.
        request: The request that opened it.
        state: Where it is in its life.
        outbox: What is to be sent to the client.
        transport: What carries it.
        close_reason: Why it closed; ``None`` before.
    """

    __slots__ = (
        "__weakref__",
        "_extended",
        "_owner",
        "_receiver",
        "_timing",
        "_waiting",
        "close_reason",
        "deadline",
        "id",
        "outbox",
        "request",
        "state",
        "tick",
        "transport",
    )

    def __init__(
        self,
        sid: str,
        request: Request,
        *,
        transport: Transport,
        outbox: Sink,
        timing: Timing,
        owner: Owner,
    ) -> None:
        """Take what belongs to the connection; it is dead until `open`."""
        self.id = sid
        self.request = request
        self.transport = transport
        self.outbox = outbox
        self.state = ConnectionState.OPENING
        self.close_reason: str | None = None
        self.deadline = inf
        self.tick: int | None = None
        self._timing = timing
        self._owner = owner
        self._receiver: Receiver | None = None
        self._waiting = False
        self._extended = False

    @property
    def protocol(self) -> int:
        """The revision of Engine.IO that the client speaks."""
        return 4

    def open(self, receiver: Receiver, now: float) -> None:
        """Send the handshake and start the heartbeat.

        Args:
            receiver: Who gets the messages.
            now: The time.
        """
        timing = self._timing
        handshake: dict[str, Any] = {
            "sid": self.id,
            "upgrades": [],
            "pingInterval": round(timing.ping_interval * 1000),
            "pingTimeout": round(timing.ping_timeout * 1000),
            "maxPayload": timing.max_payload,
        }
        self._receiver = receiver
        self.state = ConnectionState.OPEN
        self.outbox.push_text("0" + dumps(handshake, separators=(",", ":")))
        self._restart(now)

    def receive_text(self, text: str, now: float) -> None:
        """Take a packet in its text form; after the close it is ignored.

        Args:
            text: The whole packet with its type digit.
            now: The time.
        """
        if self.state is not ConnectionState.OPEN:
            return
        match text[:1]:
            case "4":
                self._alive(now)
                self._deliver(text)
            case "3":
                # An unsolicited one counts too, as in the reference: it only delays the next ping.
                self._restart(now)
            case "2":
                self._end("transport error", "invalid heartbeat direction", discard=True)
            case "b":
                self._base64(text, now)
            case "0" | "1" | "5" | "6":
                self._alive(now)  # without a meaning on a WebSocket
            case _:
                self._end("parse error", NO_PACKET, discard=True)

    def receive_binary(self, data: bytes, now: float) -> None:
        """Take a binary message; after the close it is ignored."""
        if self.state is not ConnectionState.OPEN:
            return
        self._alive(now)
        self._deliver(data)

    def on_deadline(self, now: float) -> None:
        """Send the ping that is due, or give up waiting for its pong."""
        if self.state is not ConnectionState.OPEN:
            return
        if self._waiting:
            self._end("ping timeout", None, discard=True)
            return
        self._waiting = True
        self._extended = False
        self.deadline = now + self._timing.ping_timeout
        self.outbox.push_text("2")

    def on_overflow(self) -> None:
        """Close the connection of a client that does not read; called by its outbox."""
        self._end("forced close", "slow client", discard=True)

    def close(
        self, reason: str = "forced close", details: str | None = None, *, discard: bool = False
    ) -> None:
        """Close the connection from this side; a second close is ignored.

        Args:
            reason: What the sockets' ``disconnect`` events get.
            details: More about it, for the same events; never sent to the client.
            discard: Drop what is still to be sent; otherwise it goes out before the line is closed.
        """
        self._end(reason, details, discard=discard)

    def lost(self, reason: str, details: str | None = None) -> None:
        """Learn that the line is gone."""
        self._end(reason, details, discard=True)

    def _alive(self, now: float) -> None:
        """Count any packet but a pong as a sign of life, once per ping.

        Source:
            engine.io 6.6.11, ``Socket.onPacket``.
        """
        if self._waiting and not self._extended:
            self._extended = True
            self.deadline = now + self._timing.ping_timeout

    def _deliver(self, data: str | bytes) -> None:
        assert self._receiver is not None
        self._receiver.on_message(data)

    def _restart(self, now: float) -> None:
        self._waiting = False
        self.deadline = now + self._timing.ping_interval
        self._owner.schedule(self)

    def _base64(self, text: str, now: float) -> None:
        try:
            # Lenient as the reference's Buffer.from: padding may be missing, foreign characters are skipped.
            data = b64decode(text[1:] + "==")
        except ValueError:
            self._end("parse error", NO_PACKET, discard=True)
            return
        self._alive(now)
        self._deliver(data)

    def _end(self, reason: str, details: str | None, *, discard: bool) -> None:
        if self.state is ConnectionState.CLOSED:
            return
        self.state = ConnectionState.CLOSED
        self.close_reason = reason
        self.deadline = inf
        self._owner.forget(self)
        self.outbox.close()
        receiver, self._receiver = self._receiver, None
        try:
            if receiver is not None:
                receiver.on_close(reason, details)
        finally:
            self.transport.close(discard=discard)

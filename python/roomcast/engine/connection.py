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

A connection closes at once for everybody above it. What its outbox still holds, and the end of the line, are the business of
the transport (`polling`, `websocket`).

The heartbeat has two phases, and one deadline that means something else in each:

    ============  ====================  ==============================  ===============================
    phase         at the deadline       on a pong                       on any other packet
    ============  ====================  ==============================  ===============================
    idle          ping, go to waiting   deadline = now + ping_interval
    waiting       ``ping timeout``      go to idle,                     the first one only:
                                        deadline = now + ping_interval  deadline = now + ping_timeout
    ============  ====================  ==============================  ===============================

A connection starts on either transport. From polling it may move to a WebSocket, once; `upgrade` has the table of that, and
`switch` is its last step.

Source:
    engine.io, ``lib/socket.ts`` and ``lib/transports/websocket.ts``.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cache
from json import dumps
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol

from roomcast._core import Decoder, Outbox, Packet, decode_base64
from roomcast.codec.parser import AnyDecoder
from roomcast.engine.requests import Request
from roomcast.errors import PacketError
from roomcast.events import EventEmitter, Listener

if TYPE_CHECKING:
    from roomcast.engine.upgrade import Probe

__all__ = [
    "Connection",
    "ConnectionState",
    "Owner",
    "Receiver",
    "Settings",
    "Timed",
    "Transport",
]

NO_PACKET: Final = "not an Engine.IO packet"


class ConnectionState(Enum):
    """Where a connection is in its life."""

    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"


class Receiver(Protocol):
    """The layer above: takes the messages of a connection and its end."""

    @property
    def decoder(self) -> AnyDecoder:
        """What makes packets of its messages, for a transport that does so while it reads."""
        ...

    def on_packet(self, packet: Packet | None) -> None:
        """Take what the decoder has made of a message: a packet, or ``None`` while attachments are missing."""

    def on_packet_error(self, error: PacketError) -> None:
        """Learn that a message was no packet."""

    def on_message(self, data: str | bytes) -> None:
        """Take one message; a text still starts with the type digit ``4``, so that nothing is copied to drop it."""

    def on_close(self, reason: str, details: str | None) -> None:
        """Learn that nothing more arrives and nothing more can be sent."""


class Transport(Protocol):
    """What carries a connection at the moment."""

    @property
    def name(self) -> str:
        """``polling`` or ``websocket``."""
        ...

    def flush(self) -> None:
        """Start to send what the outbox holds."""

    def carry(self, connection: "Connection") -> None:
        """Hand what arrives to this connection from now on, and send what its outbox holds."""

    def on_close_packet(self) -> bool:
        """Say whether a close packet of the client ends the connection; on polling it does."""
        ...

    def retire(self) -> None:
        """End, because another transport has taken over."""

    def close(self, *, discard: bool) -> None:
        """End the line, after sending what the outbox holds unless that is to be discarded."""


class Timed(Protocol):
    """Something that waits for a moment.

    Attributes:
        deadline: When to be called; ``inf`` for never.
        tick: Where the timers have put it; ``None`` when it is not there.
    """

    deadline: float
    tick: int | None

    def on_deadline(self, now: float) -> None:
        """Be told that the deadline has passed; set a new one to be called again."""


class Owner(Protocol):
    """What a connection and its parts need from their server."""

    def now(self) -> float:
        """Return the time."""
        ...

    def schedule(self, item: Timed) -> None:
        """Call ``on_deadline`` of an item at its deadline."""

    def unschedule(self, item: Timed) -> None:
        """Forget the deadline of an item."""

    def forget(self, connection: "Connection") -> None:
        """Drop a connection that is closed, and its deadline."""

    def linger(self, connection: "Connection") -> None:
        """Keep a closed connection for the requests that still come for it, until it has `ended`."""

    def ended(self, connection: "Connection") -> None:
        """Drop it altogether."""

    def call(self, listener: Listener, args: tuple[Any, ...]) -> None:
        """Run a listener of an event; what it raises is not the caller's."""

    def count(self, name: str) -> None:
        """Add one to a counter: a limit that was hit, or what has no effect and is not logged."""

    def slow(self, connection: "Connection", dropped: int) -> None:
        """Learn that a client does not read: packets were dropped, or its connection is about to be closed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all connections of a server; the open packet tells most of it to the client.

    Attributes:
        ping_interval: Seconds from a pong to the next ping.
        ping_timeout: Seconds from a ping until its pong must be there.
        upgrade_timeout: Seconds from the beginning of an upgrade to its end.
        max_payload: Bytes that one message, or one polling body, may have.
        upgrades: The transports that a client on polling may move to.
    """

    ping_interval: float
    ping_timeout: float
    upgrade_timeout: float
    max_payload: int
    upgrades: tuple[str, ...]

    @cache  # noqa: B019  one object for each server
    def handshake(self, *, may_upgrade: bool) -> str:
        """Return what follows the id in the open packet, as JSON."""
        handshake: dict[str, Any] = {
            "upgrades": self.upgrades if may_upgrade else (),
            "pingInterval": round(self.ping_interval * 1000),
            "pingTimeout": round(self.ping_timeout * 1000),
            "maxPayload": self.max_payload,
        }
        return dumps(handshake, separators=(",", ":"))[1:]


class Connection(EventEmitter):
    """One Engine.IO connection; applications meet it as ``socket.conn``. It belongs to its server's event loop.

    Events: ``upgrading`` and ``upgrade``, both with the new transport, ``heartbeat`` for each pong, ``close`` with the reason
    and, where there are any, details.

    Attributes:
        id: The engine's session id. It is a secret: whoever has it can act for the client.
        request: The request that opened it.
        state: Where it is in its life.
        outbox: What is to be sent to the client.
        transport: What carries it.
        probe: The upgrade that is under way.
        close_reason: Why it closed; ``None`` before.
    """

    __slots__ = (
        "__weakref__",
        "_extended",
        "_receiver",
        "_waiting",
        "close_reason",
        "deadline",
        "id",
        "outbox",
        "owner",
        "probe",
        "request",
        "settings",
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
        outbox: Outbox,
        settings: Settings,
        owner: Owner,
    ) -> None:
        """Take what belongs to the connection; it is dead until `open`."""
        super().__init__()
        self.id = sid
        self.request = request
        self.transport = transport
        self.outbox = outbox
        self.settings = settings
        self.owner = owner
        self.state = ConnectionState.OPENING
        self.probe: Probe | None = None
        self.close_reason: str | None = None
        self.deadline = inf
        self.tick: int | None = None
        self._receiver: Receiver | None = None
        self._waiting = False
        self._extended = False
        outbox.carry(transport)
        transport.carry(self)

    @property
    def protocol(self) -> int:
        """The revision of Engine.IO that the client speaks."""
        return 4

    @property
    def upgraded(self) -> bool:
        """Whether it came by polling and has moved to a WebSocket."""
        return self.transport.name != self.request.query.get("transport")

    def open(self, receiver: Receiver, now: float) -> None:
        """Send the handshake and start the heartbeat.

        Args:
            receiver: Who gets the messages.
            now: The time.
        """
        self._receiver = receiver
        self.state = ConnectionState.OPEN
        rest = self.settings.handshake(may_upgrade=self.transport.name == "polling")
        self.outbox.push_text(f'0{{"sid":{dumps(self.id)},{rest}')
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
                if not self._waiting:
                    self.owner.count("unsolicited_pongs")
                self._restart(now)
                self.notify("heartbeat")
            case "2":
                self._end("transport error", "invalid heartbeat direction", discard=True)
            case "b":
                self._alive(now)
                self._deliver(decode_base64(text, 1))
            case "1" if self.transport.on_close_packet():
                self._end("transport close", "closed by the client", discard=True)
            case "0" | "1" | "5" | "6":  # without a meaning here
                self._alive(now)
                self.owner.count("ignored_packets")
            case _:
                self._end("parse error", NO_PACKET, discard=True)

    def receive_binary(self, data: bytes, now: float) -> None:
        """Take a binary message; after the close it is ignored."""
        if self.state is not ConnectionState.OPEN:
            return
        self._alive(now)
        self._deliver(data)

    @property
    def decoder(self) -> Decoder | None:
        """What makes packets of its messages while they are read; ``None`` when it is not open, or has another parser."""
        decoder = None if self._receiver is None else self._receiver.decoder
        return decoder if isinstance(decoder, Decoder) else None

    def receive_packet(self, packet: Packet | None, now: float) -> None:
        """Take what the decoder has made of a message; after the close it is ignored."""
        receiver = self._receiver
        if receiver is not None:
            if self._waiting:  # asked here too, because it almost never is
                self._alive(now)
            receiver.on_packet(packet)

    def receive_error(self, error: PacketError) -> None:
        """Take what the decoder has against a message; after the close it is ignored."""
        if self._receiver is not None:
            self._receiver.on_packet_error(error)

    def switch(self, transport: Transport, now: float) -> None:
        """Move to another transport: what comes from now on, in either direction, goes over it.

        A closed connection moves too, so that the new transport sends what the old one could not.
        """
        self.probe = None
        old, self.transport = self.transport, transport
        old.retire()
        self.outbox.carry(transport)
        transport.carry(self)
        if self.state is ConnectionState.OPEN:
            # Differs from engine.io, where the next ping waits for the answer to a ping that may have been lost with polling.
            self._restart(now)
            self.notify("upgrade", transport)
        else:
            transport.close(discard=False)

    def on_deadline(self, now: float) -> None:
        """Send the ping that is due, or give up waiting for its pong."""
        if self.state is not ConnectionState.OPEN:
            return
        if self._waiting:
            self.owner.count("ping_timeout")
            self._end("ping timeout", None, discard=True)
            return
        self._waiting = True
        self._extended = False
        self.deadline = now + self.settings.ping_timeout
        self.outbox.push_text("2")

    def on_overflow(self) -> None:
        """Close the connection of a client that does not read; called by its outbox."""
        self.owner.slow(self, 0)
        self._end("forced close", "slow client", discard=True)

    def on_drop(self, dropped: int) -> None:
        """Learn that packets for a client that does not read were dropped; called by its outbox, once a tick."""
        self.owner.slow(self, dropped)

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

    def notify(self, event: str, *args: Any) -> None:
        """Call the listeners of an event of this connection."""
        for listener in self._take(event):
            self.owner.call(listener, args)

    def _alive(self, now: float) -> None:
        """Count any packet but a pong as a sign of life, once per ping.

        Source:
            engine.io 6.6.11, ``Socket.onPacket``.
        """
        if self._waiting and not self._extended:
            self._extended = True
            self.deadline = now + self.settings.ping_timeout

    def _deliver(self, data: str | bytes) -> None:
        assert self._receiver is not None
        self._receiver.on_message(data)

    def _restart(self, now: float) -> None:
        self._waiting = False
        self.deadline = now + self.settings.ping_interval
        self.owner.schedule(self)

    def _end(self, reason: str, details: str | None, *, discard: bool) -> None:
        if self.state is ConnectionState.CLOSED:
            return
        self.state = ConnectionState.CLOSED
        self.close_reason = reason
        self.deadline = inf
        self.owner.forget(self)
        self.outbox.close()
        receiver, self._receiver = self._receiver, None
        try:
            if receiver is not None:
                receiver.on_close(reason, details)
            self.notify("close", reason, details)
        finally:
            self.transport.close(discard=discard)

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        self.owner.call(listener, (event, subject))

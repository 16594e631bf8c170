"""What the transports of a client have in common."""

from typing import ClassVar, Final, NamedTuple, Protocol

from roomcast._core import Outbox, Packet
from roomcast.errors import PacketError

__all__ = ["LINGER", "Details", "Receiver", "Transport"]

LINGER: Final = 5.0
"""Seconds that a closed connection may take to send its last packets and to finish the closing handshake."""


class Details(NamedTuple):
    """What is known about the end of a connection, beside its reason.

    Attributes:
        description: In words, or the exception.
        context: The status of an answer, or a close code; ``None`` where there is none.

    Source:
        engine.io-client, the second argument of ``disconnect``.
    """

    description: str | BaseException
    context: int | None = None


class Receiver(Protocol):
    """Who gets what a transport receives."""

    def receive_packet(self, packet: Packet) -> None:
        """Take a packet of Socket.IO."""

    def receive(self, message: str | bytes) -> None:
        """Take a message that is not read yet."""

    def receive_error(self, error: PacketError) -> None:
        """Learn that a message is no packet."""

    def lost(self, transport: "Transport", reason: str, details: Details) -> None:
        """Learn that a transport has ended."""


class Transport(Protocol):
    """What carries a connection."""

    name: ClassVar[str]

    @property
    def finished(self) -> bool:
        """Whether nothing is left of it."""
        ...

    async def open(self) -> None:
        """Connect; what the server says first goes to the receiver.

        Raises:
            TransportError: If that fails.
        """

    def carry(self, outbox: Outbox) -> None:
        """Send what an outbox holds from now on."""

    def close(self) -> None:
        """Say goodbye, after what the outbox holds."""

    def abort(self) -> None:
        """End at once."""

    async def wait_closed(self) -> None:
        """Wait for the end, `LINGER` seconds at most."""

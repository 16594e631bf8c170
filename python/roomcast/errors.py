"""The exceptions of roomcast, in one tree.

The type says whose fault it is: `PacketError` is the peer's (it sent something that no packet may look like), so is
`ValidationError` (it sent something else than its handler takes), and everything that derives from `UsageError` is the caller's and is raised at the call that caused it.
"""

from enum import StrEnum
from typing import Any

__all__ = [
    "AckTimeoutError",
    "BrokerError",
    "ConnectError",
    "DisconnectedError",
    "EncodeError",
    "EventsLostError",
    "HandlerError",
    "MissingDependencyError",
    "PacketError",
    "PacketErrorKind",
    "ReservedEventError",
    "RoomcastError",
    "SendBufferError",
    "TransportError",
    "UsageError",
    "ValidationError",
]


class RoomcastError(Exception):
    """Base of every exception that roomcast raises on purpose."""


class PacketErrorKind(StrEnum):
    """What is wrong with the bytes of a peer."""

    UNKNOWN_PACKET_TYPE = "unknown packet type"
    ILLEGAL_ATTACHMENTS = "illegal attachments"
    TOO_MANY_ATTACHMENTS = "too many attachments"
    NAMESPACE_TOO_LONG = "namespace too long"
    ID_TOO_LARGE = "ack id too large"
    MISSING_EVENT_NAME = "missing event name"
    INVALID_PAYLOAD = "invalid payload"
    RESERVED_EVENT = "reserved event name"
    INVALID_JSON = "invalid JSON"
    INVALID_MSGPACK = "invalid MessagePack"
    INVALID_NAMESPACE = "invalid namespace"
    INVALID_ID = "invalid packet id"
    TOO_DEEP = "nested too deep"
    TOO_MANY_VALUES = "too many values"
    INTEGER_TOO_LONG = "integer too long"
    ILLEGAL_PLACEHOLDER = "illegal placeholder"
    UNEXPECTED_TEXT = "text while attachments are missing"
    UNEXPECTED_BINARY = "attachment without a header"
    PACKET_TOO_LARGE = "packet too large"
    PACKET_TOO_SLOW = "packet took too long"
    DECODER_CLOSED = "decoder closed by an earlier error"


class PacketError(RoomcastError, ValueError):
    """A peer sent bytes that are not a Socket.IO packet, or one beyond a limit.

    Attributes:
        kind: What is wrong.
        offset: Where, in bytes of the UTF-8 text of the packet (0 for an attachment).
    """

    kind: PacketErrorKind
    offset: int

    def __init__(self, kind: str, offset: int) -> None:
        """Take what is wrong and where."""
        self.kind = PacketErrorKind(kind)
        self.offset = offset
        super().__init__(kind, offset)

    def __str__(self) -> str:
        return f"{self.kind} at byte {self.offset}"


class ValidationError(RoomcastError, ValueError):
    """The arguments of a peer's event do not fit the handler that it is for.

    A handler may raise it as well: the event is answered in the same way.

    Attributes:
        message: What is wrong; the client is told, where it asked for an acknowledgement.
        path: Where, as in ``args[0].user.age``; ``args`` for all of them. The client is told this too.
        event: The event's name; empty if a handler has raised it without.
    """

    message: str
    path: str
    event: str

    def __init__(self, message: str, path: str = "args", event: str = "") -> None:
        """Take what is wrong, where, and in which event."""
        self.message = message
        self.path = path
        self.event = event
        super().__init__(message, path, event)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class UsageError(RoomcastError):
    """The calling program asked for something that cannot be done."""


class EncodeError(UsageError, ValueError):
    """A value cannot become a packet.

    Attributes:
        path: Where in the packet the value stands, as in ``data[1].user.avatar``.
        reason: What is wrong with it.
    """

    path: str
    reason: str

    def __init__(self, reason: str, path: str = "data") -> None:
        """Take what is wrong and where."""
        self.reason = reason
        self.path = path
        super().__init__(reason, path)

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class ReservedEventError(UsageError, ValueError):
    """The event belongs to the library; a program must not emit it.

    Attributes:
        event: The reserved name.
    """

    event: str

    def __init__(self, event: str) -> None:
        """Take the reserved name."""
        self.event = event
        super().__init__(event)

    def __str__(self) -> str:
        return f'"{self.event}" is a reserved event name'


class HandlerError(UsageError, TypeError):
    """A handler cannot be validated: its annotations mean nothing, or no client can send what they say."""


class MissingDependencyError(UsageError, ImportError):
    """A call needs a library that is not installed; the message names the command that installs it."""


class AckTimeoutError(RoomcastError, TimeoutError):
    """An acknowledgement did not arrive in time.

    Attributes:
        responses: The answers of those who did answer, in order of arrival. Empty for a single recipient.
    """

    responses: list[Any]

    def __init__(self, responses: list[Any] | None = None) -> None:
        """Take the answers that did arrive."""
        self.responses = [] if responses is None else responses
        super().__init__("operation has timed out")


class DisconnectedError(RoomcastError, ConnectionError):
    """The socket disconnected before its acknowledgement arrived."""

    def __init__(self, message: str = "socket has been disconnected") -> None:
        """Take the message."""
        super().__init__(message)


class SendBufferError(UsageError):
    """A client keeps as much as it may of what it cannot send now; the event was not sent."""


class EventsLostError(RoomcastError):
    """Whoever iterates over a client's events was so slow that some were forgotten; it goes on with the oldest that is left.

    Attributes:
        count: How many.
    """

    count: int

    def __init__(self, count: int) -> None:
        """Take how many."""
        self.count = count
        super().__init__(f"{count} events came faster than they were read, and are lost")


class BrokerError(RoomcastError, ConnectionError):
    """The broker of a cluster cannot be reached, has refused a connection or a message, or does not answer."""


class ConnectError(RoomcastError):
    """Raised by a middleware to refuse a client: the client gets exactly this in its CONNECT_ERROR packet, and raises it.

    Attributes:
        message: Text for the client.
        data: Details for the client, anything that JSON knows; ``None`` sends none.
    """

    message: str
    data: Any

    def __init__(self, message: str, data: Any = None) -> None:
        """Take what the client may know."""
        self.message = message
        self.data = data
        super().__init__(message)


class TransportError(ConnectError):
    """A client could not connect, or its connection broke: refused, no answer, no WebSocket, another status than 200.

    Attributes:
        description: The status of the answer, or the exception; ``None`` without either.
        context: The body of the answer, as far as it was read.

    Source:
        engine.io-client, ``TransportError``; its messages.
    """

    description: int | BaseException | None
    context: str

    def __init__(
        self, message: str, description: int | BaseException | None = None, context: str = ""
    ) -> None:
        """Take what the official client says, and what has come instead."""
        super().__init__(message)
        self.description = description
        self.context = context

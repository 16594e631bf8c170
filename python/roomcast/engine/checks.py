"""The checks that a request must pass before it touches anything.

Pure. Every entry (WebSocket, polling, upgrade) runs the same ones in the same order, so that no entry is softer than another.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from roomcast.engine.origins import Cors, is_allowed, is_legal_origin
from roomcast.engine.requests import Request
from roomcast.types import Limits

__all__ = [
    "ORIGIN_REFUSED",
    "PROTOCOL",
    "ConnectionRefusal",
    "Refusal",
    "forbidden",
    "head_limit",
    "id_generation_error",
    "malformed_extensions",
    "middleware_failure",
    "refusal",
    "unknown_sid",
]

PROTOCOL: Final = "4"
"""The revision of Engine.IO spoken here, compared as this exact string."""

ORIGIN_REFUSED: Final = "origin not allowed"
"""What pages of other origins are told."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused, in the words of the reference.

    Attributes:
        code: 0 to 5.
        message: The standard text.
        context: More about it.
        text: What the client is told.
    """

    code: int
    message: str
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])
    text: str = ""

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return 403 if self.code == FORBIDDEN else 400

    @property
    def body(self) -> str:
        """What the client is told."""
        return self.text or self.message


@dataclass(frozen=True, slots=True)
class ConnectionRefusal:
    """What the listeners of ``connection_error`` get.

    Attributes:
        request: The request that was refused.
        code: 0 to 5.
        message: The standard text of the code.
        context: More about it: ``transport``, ``sid``, ``method``, ``name``, ``protocol`` or ``message``.

    Source:
        engine.io, event ``connection_error``; there the request is called ``req``.
    """

    request: Request
    code: int
    message: str
    context: Mapping[str, Any]


FORBIDDEN: Final = 4


def transport_unknown(transport: str) -> Refusal:
    """The transport is none, or not enabled."""
    return Refusal(0, "Transport unknown", {"transport": transport})


def unknown_sid(sid: str) -> Refusal:
    """There is no such connection."""
    return Refusal(1, "Session ID unknown", {"sid": sid})


def bad_handshake_method(method: str) -> Refusal:
    """A connection begins with a GET."""
    return Refusal(2, "Bad handshake method", {"method": method})


def bad_request(name: str, **context: Any) -> Refusal:
    """What is asked for does not fit together."""
    return Refusal(3, "Bad request", {"name": name, **context})


def middleware_failure() -> Refusal:
    """A middleware raised."""
    return bad_request("MIDDLEWARE_FAILURE")


def id_generation_error() -> Refusal:
    """The function that makes ids failed."""
    return bad_request("ID_GENERATION_ERROR")


def malformed_extensions() -> Refusal:
    """What a WebSocket offers is no list of extensions.

    Source:
        ws, ``abortHandshake``: 400, and the engine does not hear of it.
    """
    return bad_request("INVALID_EXTENSIONS")


def forbidden(text: str = "") -> Refusal:
    """Somebody said no; with a text of theirs."""
    message = "Forbidden"
    return Refusal(FORBIDDEN, message, {"message": text or message}, text)


def unsupported_protocol(protocol: str) -> Refusal:
    """It is another revision of Engine.IO."""
    return Refusal(5, "Unsupported protocol version", {"protocol": protocol})


class Carried(Protocol):
    """A connection, as far as the checks look at it."""

    @property
    def transport(self) -> "Named":
        """What carries it."""
        ...


class Named(Protocol):
    """A transport, as far as the checks look at it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


def head_limit(request: Request, limits: Limits) -> tuple[int, str] | None:
    """Return the status for a request whose head passes a limit, and the limit's name; ``None`` if it passes none."""
    if request.url_size > limits.max_url_size:
        return 414, "max_url_size"
    count, size = request.head_size
    if count > limits.max_headers:
        return 431, "max_headers"
    if size > limits.max_head_size:
        return 431, "max_head_size"
    return None


def refusal(
    request: Request,
    query: Mapping[str, str],
    *,
    websocket: bool,
    transports: Container[str],
    upgrades: bool,
    cors: Cors | None,
    find: Callable[[str], Carried | None],
) -> Refusal | None:
    """Say why a request must be refused, or ``None`` if it may go on.

    Args:
        request: The request.
        query: Its query.
        websocket: Whether it asks for a WebSocket.
        transports: The transports that are enabled.
        upgrades: Whether a connection may move from polling to a WebSocket.
        cors: Who may come from another origin.
        find: Returns the connection of an id, if there is one.

    Source:
        engine.io, ``Server.verify``; the order of the checks is the reference's. Differs from it: a foreign origin is refused
        unless it was allowed (there only the answer's headers are missing, and WebSockets are open to every page), JSONP is
        not offered, and an unsupported revision is refused before the 101.
    """
    transport = query.get("transport", "")
    if transport not in transports:
        return transport_unknown(transport)
    origin = request.header(b"origin")
    if origin is not None and not is_legal_origin(origin):
        return bad_request("INVALID_ORIGIN")
    if not is_allowed(origin, host=request.host, cors=cors):
        return forbidden(ORIGIN_REFUSED)
    if "j" in query:
        return bad_request("JSONP_NOT_SUPPORTED")
    sid = query.get("sid", "")
    if sid:
        connection = find(sid)
        if connection is None:
            return unknown_sid(sid)
        return _mismatch(query, connection.transport.name, websocket=websocket, upgrades=upgrades)
    if request.method != "GET":
        return bad_handshake_method(request.method)
    if websocket != (transport == "websocket"):
        return bad_request("TRANSPORT_HANDSHAKE_ERROR")
    if query.get("EIO") != PROTOCOL:
        return unsupported_protocol(query.get("EIO", ""))
    return None


def _mismatch(
    query: Mapping[str, str], current: str, *, websocket: bool, upgrades: bool
) -> Refusal | None:
    """Say what does not fit between a request and the connection that it names."""
    transport = query["transport"]
    if websocket and transport != "websocket":
        return bad_request("TRANSPORT_HANDSHAKE_ERROR")
    if not websocket and (transport != current or transport == "websocket"):
        return bad_request("TRANSPORT_MISMATCH", transport=transport, previousTransport=current)
    if websocket and not upgrades:
        return bad_request("TRANSPORT_MISMATCH", transport=transport, previousTransport=current)
    if query.get("EIO") != PROTOCOL:
        return bad_request(
            "PROTOCOL_MISMATCH", protocol=query.get("EIO", ""), previousProtocol=PROTOCOL
        )
    return None

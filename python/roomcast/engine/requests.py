"""The HTTP request that opens a connection, and the checks that it must pass.

Pure. Every entry (WebSocket, polling, upgrade) runs `refusal` before anything else, so that no entry is softer than another.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

__all__ = ["PROTOCOL", "Refusal", "Request", "refusal"]

PROTOCOL: Final = "4"
"""The revision of Engine.IO spoken here, compared as this exact string."""

KNOWN_TRANSPORTS: Final = frozenset({"polling", "websocket"})


class Request:
    """What the first request of a connection said; kept raw, read on demand.

    Most connections are never asked for their headers, so the parsed forms are made when somebody looks.
    """

    __slots__ = ("_headers", "_query_string", "address", "method", "path", "secure")

    def __init__(
        self,
        *,
        method: str,
        path: str,
        query_string: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        address: str,
        secure: bool,
    ) -> None:
        """Take the parts of a request as ASGI has them."""
        self.method = method
        self.path = path
        self.address = address
        self.secure = secure
        self._query_string = query_string
        self._headers = tuple(headers)

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any]) -> "Request":
        """Read a request from an ASGI scope of type ``http`` or ``websocket``."""
        client = scope.get("client")
        raw_path: bytes | None = scope.get("raw_path")
        return cls(
            method=scope.get("method", "GET"),
            path=scope["path"] if raw_path is None else raw_path.decode("latin-1"),
            query_string=scope.get("query_string", b""),
            headers=[(bytes(name), bytes(value)) for name, value in scope.get("headers", ())],
            address=client[0] if client else "",
            secure=scope.get("scheme") in ("https", "wss"),
        )

    @property
    def url(self) -> str:
        """Path and query as they stood in the request line."""
        if not self._query_string:
            return self.path
        return f"{self.path}?{self._query_string.decode('latin-1')}"

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of a repeated one the last. A new dict."""
        return dict(parse_qsl(self._query_string.decode("latin-1"), keep_blank_values=True))

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case; repeated ones joined as HTTP says. A new dict."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name in headers:
                separator = "; " if name == "cookie" else ", "
                value = f"{headers[name]}{separator}{value}"
            headers[name] = value
        return headers


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused, in the words of the reference.

    Attributes:
        code: 0 to 5.
        message: The standard text.
    """

    code: int
    message: str


TRANSPORT_UNKNOWN: Final = Refusal(0, "Transport unknown")
UNKNOWN_SID: Final = Refusal(1, "Session ID unknown")
BAD_HANDSHAKE_METHOD: Final = Refusal(2, "Bad handshake method")
BAD_REQUEST: Final = Refusal(3, "Bad request")
UNSUPPORTED_PROTOCOL: Final = Refusal(5, "Unsupported protocol version")


def refusal(
    request: Request,
    *,
    websocket: bool,
    transports: Container[str],
    sids: Container[str],
) -> Refusal | None:
    """Say why a request must be refused, or ``None`` if it may go on.

    Args:
        request: The request.
        websocket: Whether it asks for a WebSocket.
        transports: The transports that are enabled.
        sids: The ids of the connections that are open.

    Source:
        engine.io, ``Server.verify``; the order of the checks is the reference's.
    """
    query = request.query
    transport = query.get("transport", "")
    if transport not in KNOWN_TRANSPORTS or transport not in transports:
        return TRANSPORT_UNKNOWN
    sid = query.get("sid", "")
    if sid:
        # Every connection is on its only transport already, so whatever else comes for it is a mismatch.
        return BAD_REQUEST if sid in sids else UNKNOWN_SID
    if request.method != "GET":
        return BAD_HANDSHAKE_METHOD
    if websocket != (transport == "websocket"):
        return BAD_REQUEST
    if query.get("EIO") != PROTOCOL:
        return UNSUPPORTED_PROTOCOL
    return None

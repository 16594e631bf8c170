"""The HTTP request that opens a connection, or belongs to one."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from roomcast.engine.proxies import TrustedProxies

__all__ = ["Request"]


class Request:
    """What a request said; kept raw, read on demand.

    Most connections are never asked for their headers, so the parsed forms are made when somebody looks.

    Attributes:
        method: Its method.
        path: Its path as it stood in the request line.
        address: The client's address, behind trusted proxies the one that they report; empty if the server gave none.
        secure: Whether the client's line is encrypted.
    """

    __slots__ = (
        "_headers",
        "_host",
        "_query_string",
        "_state",
        "address",
        "method",
        "path",
        "secure",
    )

    def __init__(
        self,
        *,
        method: str,
        path: str,
        query_string: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        address: str,
        secure: bool,
        host: str | None = None,
    ) -> None:
        """Take the parts of a request as ASGI has them.

        Args:
            method: The method.
            path: The raw path.
            query_string: What stands behind the ``?``.
            headers: The headers, names in lower case.
            address: The client's address.
            secure: Whether the line is encrypted.
            host: What a trusted proxy says that the client asked for, in place of the ``Host`` header.
        """
        self.method = method
        self.path = path
        self.address = address
        self.secure = secure
        self._query_string = query_string
        self._headers: tuple[tuple[bytes, bytes], ...] | bytes = tuple(headers)
        self._host = host
        self._state: dict[str, Any] | None = None

    @classmethod
    def from_scope(
        cls, scope: Mapping[str, Any], proxies: "TrustedProxies | None" = None
    ) -> "Request":
        """Read a request from an ASGI scope of type ``http`` or ``websocket``.

        Args:
            scope: The scope.
            proxies: Who may say on whose behalf it asks.
        """
        client = scope.get("client")
        raw_path: bytes | None = scope.get("raw_path")
        headers = scope.get("headers", ())
        address = client[0] if client else ""
        secure = scope.get("scheme") in ("https", "wss")
        host = None
        if proxies is not None:
            address, secure, host = proxies.resolve(address, headers, secure)
        return cls(
            method=scope.get("method", "GET"),
            path=scope["path"] if raw_path is None else raw_path.decode("latin-1"),
            query_string=scope.get("query_string", b""),
            headers=headers,
            address=address,
            secure=secure,
            host=host,
        )

    @property
    def state(self) -> dict[str, Any]:
        """Room for what middlewares find out; the same dict each time."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def url(self) -> str:
        """Path and query as they stood in the request line."""
        if not self._query_string:
            return self.path
        return f"{self.path}?{self._query_string.decode('latin-1')}"

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of a repeated one the last. A new dict."""
        query = self._query_string.decode("latin-1")
        if "%" in query or "+" in query:
            return dict(parse_qsl(query, keep_blank_values=True))
        # Every poll has one, and nearly all have nothing to decode: this takes a fifth of the time.
        pairs = [pair.partition("=") for pair in query.split("&") if pair]
        return {name: value for name, _, value in pairs}

    @property
    def host(self) -> str | None:
        """The host that the client asked for, perhaps with a port."""
        return self._host if self._host is not None else self.header(b"host")

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case; repeated ones joined as HTTP says. A new dict."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._pairs():
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name in headers:
                separator = "; " if name == "cookie" else ", "
                value = f"{headers[name]}{separator}{value}"
            headers[name] = value
        return headers

    def compact(self) -> None:
        """Keep the headers as one piece of bytes from now on: a connection holds its request for as long as it lives.

        A pair of bytes for each header is a quarter of the memory of an idle connection.
        """
        if isinstance(self._headers, tuple):
            packed = b"\n".join([name + b":" + value for name, value in self._headers])
            if packed.count(b"\n") == max(len(self._headers) - 1, 0):  # HTTP allows none in a value
                self._headers = packed

    def _pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        packed = self._headers
        if isinstance(packed, tuple):
            return packed
        if not packed:
            return ()
        lines = [line.partition(b":") for line in packed.split(b"\n")]
        return tuple([(name, value) for name, _, value in lines])

    @property
    def url_size(self) -> int:
        """Bytes of the URL."""
        return len(self.path) + 1 + len(self._query_string)

    @property
    def head_size(self) -> tuple[int, int]:
        """How many headers there are, and their bytes."""
        pairs = self._pairs()
        return len(pairs), sum([len(name) + len(value) for name, value in pairs])

    def header(self, name: bytes) -> str | None:
        """Return one header, repeated ones joined with commas; ``None`` if it is not there.

        Args:
            name: Its name in lower case.
        """
        values = [value for key, value in self._pairs() if key == name]
        return b", ".join(values).decode("latin-1") if values else None

"""How a client came: what its first request and its CONNECT packet said."""

from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from roomcast.engine.requests import Request

__all__ = ["Handshake"]


class Handshake:
    """The handshake of one socket, read-only.

    Attributes:
        auth: What the client sent with its CONNECT packet; empty if it sent nothing.
        issued: When the socket was made, in milliseconds since 1970. Wall-clock time, for display.

    Source:
        socket.io, ``Handshake``.
    """

    __slots__ = ("_request", "auth", "issued")

    def __init__(self, request: Request, auth: Mapping[str, Any], issued: int) -> None:
        """Take the parts."""
        self._request = request
        self.auth = auth
        self.issued = issued

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, names in lower case. A new dict."""
        return self._request.headers

    @property
    def query(self) -> dict[str, str]:
        """The request's query parameters. A new dict."""
        return self._request.query

    @property
    def url(self) -> str:
        """The request's path and query."""
        return self._request.url

    @property
    def address(self) -> str:
        """The client's address as the HTTP server gave it; empty if it gave none."""
        return self._request.address

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self._request.secure

    @property
    def xdomain(self) -> bool:
        """Whether the request named an origin, as browsers do."""
        return "origin" in self._request.headers

    @property
    def time(self) -> str:
        """When the socket was made, as a date of HTTP."""
        return formatdate(self.issued / 1000, usegmt=True)

"""From the URL of a server to what the load needs of it: an address that answers, and the request for a WebSocket."""

import base64
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from roomcast.cli.errors import CommandError

__all__ = ["PER_SOURCE", "Target", "find_target", "sources"]

PER_SOURCE: Final = 10_000
"""Connections from one address of this machine. Linux has 28 232 ports for all of them, those of earlier runs included."""

QUERY: Final = "%&=+/?:@!$'()*,;~"
"""What may stand in a query as it is. Source: RFC 3986, section 3.4."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server.

    Attributes:
        url: As it was given.
        host: Its name.
        address: An IP address of it, and its port.
        nsp: The namespace that the path of the URL names.
        path: Where the server is.
        request: The HTTP request for a WebSocket.
    """

    url: str
    host: str
    address: tuple[str, int]
    nsp: str
    path: str
    request: bytes

    @property
    def socket_address(self) -> str:
        """The address as one text."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def find_target(url: str, *, path: str, headers: Sequence[str], patience: float) -> Target:
    """Find the server of a URL; like the JavaScript client, take the path of it for the namespace.

    Args:
        url: ``http`` or ``ws``.
        path: Where the server is, such as ``/socket.io/``.
        headers: More headers for the request, as ``Name: value``.
        patience: Seconds to wait for a connection.

    Raises:
        CommandError: If the URL is none, or there is nobody.
    """
    parts, port = _split(url)
    path = f"/{path.removeprefix('/')}"
    host = parts.hostname or ""
    nsp = parts.path or "/"
    if nsp != "/" and nsp.rstrip("/") == path.rstrip("/"):
        raise CommandError(
            f"{nsp} in the URL names a namespace: leave it out, or give --path if that is where the server is"
        )
    return Target(
        url=url,
        host=host,
        address=(_answering(host, port, patience), port),
        nsp=nsp,
        path=path,
        request=_request(parts, port, path, headers),
    )


def sources(address: str, connections: int) -> list[str]:
    """Return addresses to connect from, where one has not enough ports: those of the loopback on Linux.

    Args:
        address: Of the server.
        connections: How many there will be.
    """
    loopback = ipaddress.ip_address(address).is_loopback and ":" not in address
    if not loopback or connections <= PER_SOURCE or sys.platform != "linux":
        return []
    number = -(-connections // PER_SOURCE)
    return [f"127.0.0.{last}" for last in range(1, number + 1)]


def _split(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise CommandError(f"{url} is no URL: {error}") from error
    if parts.scheme in ("https", "wss"):
        raise CommandError(
            f"{url}: the load speaks no TLS; aim it at the server behind the TLS terminator, by http://"
        )
    if parts.scheme not in ("http", "ws") or not parts.hostname:
        raise CommandError(f"{url} is no URL of a server, as in http://127.0.0.1:3000")
    if parts.username is not None:
        raise CommandError('give a password as --header "Authorization: …", not in the URL')
    return parts, 80 if port is None else port


def _answering(host: str, port: int, patience: float) -> str:
    """Return the first address of a host that accepts a connection."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandError(f"unknown host {host}: {reason}") from error
    failure = OSError("no address")
    for *_, (address, *_) in found:
        try:
            socket.create_connection((str(address), port), patience).close()
            return str(address)
        except OSError as error:
            failure = error
    if isinstance(failure, ConnectionRefusedError):
        raise CommandError(f"connection refused: nobody listens on port {port} of {host}")
    words = "no answer" if isinstance(failure, TimeoutError) else failure.strerror
    raise CommandError(f"cannot connect to port {port} of {host}: {words or failure}")


def _request(parts: SplitResult, port: int, path: str, headers: Sequence[str]) -> bytes:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host.encode("idna").decode()
    query = "&".join(filter(None, ("EIO=4", "transport=websocket", parts.query)))
    lines = [
        f"GET {quote(path, safe='/%')}?{quote(query, safe=QUERY)} HTTP/1.1",
        f"Host: {host}" if port == 80 else f"Host: {host}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *map(_header, headers),
    ]
    try:
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")
    except UnicodeEncodeError as error:
        raise CommandError(f"{error.object[error.start]!r} cannot stand in a request") from error


def _header(text: str) -> str:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(character in text for character in "\r\n"):
        raise CommandError(f'"{text}" is no header, as in "Authorization: Bearer …"')
    return f"{name.strip()}: {value.strip()}"

"""The handshake of a WebSocket, as the bytes of its request and of the answer to it.

Source:
    RFC 6455, section 4.2. The head comes from an HTTP server that has checked it and written it anew: names in lower case, a line
    each.
"""

import binascii
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha1
from http import HTTPStatus
from typing import Final

from roomcast.engine.http import Header

__all__ = ["OpeningHandshake", "read_handshake", "response"]

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY_SIZE: Final = 16
VERSION: Final = b"13"


class OpeningHandshake:
    """A request for a WebSocket that may be accepted.

    Attributes:
        path: The path as it stood in the request.
        query: What stands behind the ``?``.
        headers: The headers.
    """

    __slots__ = ("_key", "headers", "path", "query")

    def __init__(self, path: bytes, query: bytes, headers: list[Header], key: bytes) -> None:
        self.path = path
        self.query = query
        self.headers = headers
        self._key = key

    @property
    def is_engineio(self) -> bool:
        """Whether the query names a revision of Engine.IO, as that of every client of it does."""
        return b"EIO=" in self.query

    @property
    def subprotocols(self) -> list[str]:
        """The sub-protocols that are offered."""
        offered: list[str] = []
        for name, value in self.headers:
            if name == b"sec-websocket-protocol":
                offered += [token.strip() for token in value.decode("latin-1").split(",")]
        return offered

    def response(self, headers: Iterable[Header]) -> bytes:
        """Return the 101.

        Args:
            headers: Further headers.
        """
        accept = b64encode(sha1(self._key + GUID, usedforsecurity=False).digest())
        lines = [
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: "
            + accept
        ]
        lines += [name + b": " + value for name, value in headers]
        return b"\r\n".join([*lines, b"", b""])


def read_handshake(head: bytes) -> OpeningHandshake | None:
    """Return the handshake in the head of a request; ``None`` for what is none that may be accepted."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, _, rest = first.partition(b" ")
    target, _, version = rest.partition(b" ")
    if method != b"GET" or version != b"HTTP/1.1":
        return None
    headers: list[Header] = []
    needed: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b": ")
        headers.append((name, value))
        if name in (b"connection", b"sec-websocket-key", b"sec-websocket-version", b"upgrade"):
            # Of those that must be there once, a second one makes a value that is not right.
            needed[name] = needed[name] + b"," + value if name in needed else value
    key = needed.get(b"sec-websocket-key", b"").strip()
    if (
        not _has_token(needed.get(b"connection", b""), b"upgrade")
        or needed.get(b"upgrade", b"").strip().lower() != b"websocket"
        or needed.get(b"sec-websocket-version", b"").strip() != VERSION
        or not _is_key(key)
    ):
        return None
    path, _, query = target.partition(b"?")
    return OpeningHandshake(path, query, headers, key)


def response(status: int, headers: Iterable[Header], body: bytes) -> bytes:
    """Return an HTTP response in place of the 101."""
    given = [*headers]
    names = {name.lower() for name, _ in given}
    if b"content-length" not in names:
        given.append((b"content-length", b"%d" % len(body)))
    if b"connection" not in names:
        given.append((b"connection", b"close"))
    lines = [b"HTTP/1.1 %d %s" % (status, _phrase(status))]
    lines += [name + b": " + value for name, value in given]
    return b"\r\n".join([*lines, b"", body])


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""


def _has_token(value: bytes, token: bytes) -> bool:
    return token in [part.strip() for part in value.lower().split(b",")]


def _is_key(key: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == KEY_SIZE
    except binascii.Error:
        return False

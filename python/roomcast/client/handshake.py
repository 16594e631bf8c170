"""The opening handshake of a WebSocket as bytes: what is asked, and whether the answer is one.

Source:
    RFC 6455, section 4; RFC 9112.
"""

import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha1
from typing import Final

from roomcast.engine.fields import is_token

__all__ = ["MAX_BODY", "MAX_HEAD", "Head", "Opening", "parse_head"]

MAX_HEAD: Final = 16_000
"""Bytes of a response's head. Beyond: the attempt fails. That of requests to servers (`Limits.max_head_size`)."""

MAX_BODY: Final = 4_096
"""Bytes of a refusal's body that are read, for the error."""

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Head:
    """The head of a response.

    Attributes:
        status: The status.
        headers: Name in lower case and value, in their order.
    """

    __slots__ = ("headers", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Take what was read."""
        self.status = status
        self.headers = headers

    def all(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value for found, value in self.headers if found == name]

    def tokens(self, name: str) -> set[str]:
        """Return the members of a header that is a list, in lower case."""
        return {token.strip().lower() for value in self.all(name) for token in value.split(",")}


class Opening:
    """One opening handshake.

    Attributes:
        request: What is to be sent.
    """

    def __init__(
        self,
        authority: str,
        target: str,
        headers: Mapping[str, str],
        extensions: str | None,
        protocols: Sequence[str],
    ) -> None:
        """Draw a key, and write the request.

        Args:
            authority: The ``Host``.
            target: Path and query.
            headers: Further headers.
            extensions: What to offer.
            protocols: Subprotocols to offer.
        """
        self._key = b64encode(os.urandom(16))
        self._offers = extensions is not None
        self._protocols = frozenset(protocols)
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {authority}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self._key.decode()}",
            "Sec-WebSocket-Version: 13",
        ]
        if extensions is not None:
            lines.append(f"Sec-WebSocket-Extensions: {extensions}")
        if protocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(protocols)}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def check(self, head: Head) -> str | None:
        """Check an answer of status 101.

        Returns:
            What it says of extensions, if anything.

        Raises:
            ValueError: If it is not the answer to this request.
        """
        if head.tokens("upgrade") != {"websocket"} or "upgrade" not in head.tokens("connection"):
            raise ValueError("the answer is no upgrade to a WebSocket")
        accept = b64encode(sha1(self._key + GUID, usedforsecurity=False).digest()).decode()
        if head.all("sec-websocket-accept") != [accept]:
            raise ValueError("Sec-WebSocket-Accept is not the answer to our key")
        chosen = head.all("sec-websocket-protocol")
        if len(chosen) > 1 or not self._protocols.issuperset(chosen):
            raise ValueError("the server chose a subprotocol that was not offered")
        extensions = ", ".join(head.all("sec-websocket-extensions"))
        if extensions and not self._offers:
            raise ValueError("the server chose an extension that was not offered")
        return extensions or None


def parse_head(data: bytes | bytearray) -> tuple[Head, bytes] | None:
    """Read the head of a response.

    Args:
        data: What has arrived so far.

    Returns:
        The head and what follows it; ``None`` while it is incomplete.

    Raises:
        ValueError: If it is none, or longer than `MAX_HEAD`.
    """
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end < 0:
        if len(data) >= MAX_HEAD:
            raise ValueError(f"the head of the answer is longer than {MAX_HEAD} bytes")
        if not b"HTTP/1.".startswith(data[:7]):
            raise ValueError("the answer is not HTTP")
        return None
    first, *lines = bytes(data[:end]).decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not (status.isascii() and status.isdigit()):
        raise ValueError("the answer is not HTTP")
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not is_token(name) or "\n" in value or "\r" in value:
            raise ValueError("the answer has a malformed header")
        headers.append((name.lower(), value.strip(" \t")))
    return Head(int(status), headers), bytes(data[end + 4 :])

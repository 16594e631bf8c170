"""One request on one connection, as a load balancer sees clients that come anew each time; every header is what it is told to be."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, cast
from urllib.parse import quote

from roomcast.cli.connecting import Destination
from roomcast.client.handshake import Head, parse_head
from roomcast.client.tls import context_of

__all__ = ["Answer", "NoAnswerError", "ask", "dial", "read_body", "read_head", "target"]

MAX_BODY: Final = 200_000
"""Bytes of an answer that are read."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NoAnswerError(Exception):
    """A server has not answered, or not in HTTP; the cause says more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        head: Status and headers.
        body: As far as it was read.
        seconds: From the beginning of the connection to the end of the answer.
    """

    head: Head
    body: bytes
    seconds: float

    @property
    def status(self) -> int:
        """The status."""
        return self.head.status

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def is_page(self) -> bool:
        """Whether it is a page of HTML."""
        kind = self.header("content-type").lower()
        return "html" in kind or self.text.lstrip()[:9].lower() in ("<!doctype", "<html>")

    def header(self, name: str) -> str:
        """Return a header, all of its values joined by commas."""
        return ", ".join(self.head.all(name))

    def refusal(self) -> int | None:
        """Return the code of a refusal of Engine.IO; ``None`` if it is none."""
        try:
            value: object = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        code = fields.get("code")
        return code if isinstance(code, int) and "message" in fields else None

    def cookies(self) -> str:
        """Return the cookies that it sets, as a client sends them back."""
        found: list[str] = []
        for line in self.head.all("set-cookie"):
            try:
                parsed = SimpleCookie(line)
            except CookieError:
                continue
            found += [f"{name}={morsel.coded_value}" for name, morsel in parsed.items()]
        return "; ".join(found)


def target(
    to: Destination,
    transport: str,
    *,
    sid: str | None = None,
    eio: int = 4,
    path: str | None = None,
) -> str:
    """Return path and query of a request."""
    pairs = [*to.query.items(), ("EIO", str(eio)), ("transport", transport)]
    if transport == "polling":
        pairs.append(("t", f"{time.time_ns():x}"))
    if sid is not None:
        pairs.append(("sid", sid))
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    return f"{quote(path or to.path, safe='/%')}?{query}"


async def ask(
    to: Destination,
    method: str,
    where: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    timeout: float | None = None,  # noqa: ASYNC109  the caller's own
) -> Answer:
    """Send a request on a connection of its own.

    Args:
        to: The server.
        method: The method.
        where: Path and query.
        headers: Headers beside those of the destination.
        body: A body.
        timeout: Seconds, if not those of the destination.

    Raises:
        NoAnswerError: If no answer comes.
    """
    begun = time.monotonic()
    try:
        async with asyncio.timeout(to.timeout if timeout is None else timeout):
            reader, writer = await dial(to)
            try:
                data = b"" if body is None else body.encode()
                fields = {"Connection": "close", "Accept": "*/*", **to.headers, **(headers or {})}
                if body is not None:
                    fields |= {"Content-Type": "text/plain;charset=UTF-8"}
                    fields |= {"Content-Length": str(len(data))}
                writer.write(_head(method, where, to, fields) + data)
                head, rest = await read_head(reader)
                found = await read_body(reader, head, rest)
            finally:
                writer.transport.abort()
    except (OSError, ValueError, EOFError) as error:
        raise NoAnswerError(str(error)) from error
    return Answer(head, found, time.monotonic() - begun)


async def dial(to: Destination) -> Streams:
    """Open a connection.

    Raises:
        OSError: If there is none.
    """
    address = to.address
    context = context_of(to.verified) if address.secure else None
    name = address.host if address.secure else None
    return await asyncio.open_connection(
        address.host, address.port, ssl=context, server_hostname=name
    )


async def read_head(reader: asyncio.StreamReader) -> tuple[Head, bytes]:
    """Read the head of an answer; return it with what has come behind it.

    Raises:
        EOFError: If the connection ends before.
        ValueError: If it is not HTTP.
    """
    received = b""
    while True:
        data = await reader.read(65_536)
        received += data
        parsed = parse_head(received)
        if parsed is not None:
            return parsed
        if not data:
            raise EOFError(
                "the connection was closed without an answer"
                if not received
                else "the connection was closed within an answer"
            )


async def read_body(reader: asyncio.StreamReader, head: Head, rest: bytes) -> bytes:
    """Read the body of an answer, as far as `MAX_BODY`.

    Args:
        reader: Where the head was read from.
        head: The head.
        rest: What has come behind it.

    Raises:
        EOFError: If the connection ends before.
        ValueError: If it is not HTTP.
    """
    if "chunked" in head.tokens("transfer-encoding"):
        return await _read_chunks(reader, rest)
    length = next((int(value) for value in head.all("content-length") if value.isdecimal()), None)
    if head.status in (204, 304):
        length = 0
    most = MAX_BODY if length is None else min(length, MAX_BODY)
    while len(rest) < most:
        data = await reader.read(65_536)
        if not data:
            if length is not None:
                raise EOFError("the connection was closed within an answer")
            break
        rest += data
    return rest[:most]


async def _read_chunks(reader: asyncio.StreamReader, rest: bytes) -> bytes:
    body = b""
    while len(body) < MAX_BODY:
        while b"\r\n" not in rest:
            rest += await _more(reader)
        line, _, rest = rest.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        while len(rest) < size + 2 and len(rest) < MAX_BODY:
            rest += await _more(reader)
        body += rest[:size]
        rest = rest[size + 2 :]
    return body


async def _more(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(65_536)
    if not data:
        raise EOFError("the connection was closed within an answer")
    return data


def _head(method: str, where: str, to: Destination, fields: Mapping[str, str]) -> bytes:
    lines = [f"{method} {where} HTTP/1.1", f"Host: {to.address.authority}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

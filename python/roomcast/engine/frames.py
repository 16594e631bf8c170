"""What workers say to each other: frames, each of which is the scope of a request, a piece of its body, its answer, or a message.

A frame is its size, a byte that says what it is, and that. A scope and an answer begin with lines, whose size stands before them: both are
written and read once a request. The rare messages of a WebSocket, which have little in them, are JSON.
"""

import json
import struct
from collections.abc import Iterable
from enum import IntEnum
from itertools import chain
from typing import Any, Final
from urllib.parse import quote

from roomcast.engine.asgi import Message, Scope
from roomcast.engine.http import Header

__all__ = [
    "LENGTH",
    "Answer",
    "pack_answer",
    "pack_lines",
    "pack_message",
    "pack_scope",
    "unpack_answer",
    "unpack_lines",
    "unpack_message",
    "unpack_scope",
]

LENGTH: Final = struct.Struct(">I")
"""The size of what follows; a frame begins with it."""

START: Final = struct.Struct(">IB")

LINE: Final = b"\n"

REFUSAL: Final = "websocket.http.response"


class Kind(IntEnum):
    """What a frame is.

    Attributes:
        SCOPE: The first one of a request.
        BODY: A piece of the body of a request, with others behind it.
        LAST: The last piece of that.
        ANSWER: The whole answer to a request of HTTP.
        RECEIVED_TEXT: What a client has sent on a WebSocket.
        RECEIVED_BYTES: The same, binary.
        SENT_TEXT: What is sent to it.
        SENT_BYTES: The same, binary.
        OTHER: Any other ASGI message of a WebSocket.
    """

    SCOPE = 0
    BODY = 1
    LAST = 2
    ANSWER = 3
    RECEIVED_TEXT = 4
    RECEIVED_BYTES = 5
    SENT_TEXT = 6
    SENT_BYTES = 7
    OTHER = 8


DATA: Final = {
    Kind.RECEIVED_TEXT: ("websocket.receive", "text"),
    Kind.RECEIVED_BYTES: ("websocket.receive", "bytes"),
    Kind.SENT_TEXT: ("websocket.send", "text"),
    Kind.SENT_BYTES: ("websocket.send", "bytes"),
}

KINDS: Final = {data: kind for kind, data in DATA.items()}

Answer = tuple[int, list[Header], bytes]
"""Status, headers and body."""


def pack_scope(scope: Scope) -> bytes:
    """Return the frame of a scope: what the engine reads of it. What frameworks have put there belongs to the worker that they run in."""
    raw_path: bytes | None = scope.get("raw_path")
    client = scope.get("client")
    lines: list[bytes] = [
        scope["type"].encode(),
        scope.get("method", "GET").encode(),
        scope.get("scheme", "").encode(),
        quote(scope["path"]).encode() if raw_path is None else raw_path,
        scope.get("query_string", b""),
        client[0].encode() if client else b"",
        b"1" if REFUSAL in (scope.get("extensions") or ()) else b"",
        ",".join(scope.get("subprotocols") or ()).encode(),
        *chain.from_iterable(scope["headers"]),
    ]
    return _pack(Kind.SCOPE, pack_lines(lines))


def unpack_scope(frame: bytes) -> Scope:
    """Read the frame of a scope.

    Raises:
        ValueError: If it is none.
    """
    if frame[:1] != b"\x00":
        raise ValueError("no scope")
    lines, _ = unpack_lines(frame, 1)
    type_, method, scheme, path, query, address, refusal, subprotocols, *headers = lines
    return {
        "type": type_.decode("ascii"),
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method.decode(),
        "scheme": scheme.decode(),
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "client": (address.decode(), 0) if address else None,
        "headers": _headers(headers),
        "subprotocols": subprotocols.decode().split(",") if subprotocols else [],
        "extensions": {REFUSAL: {}} if refusal else {},
    }


def pack_answer(status: int, headers: Iterable[Header], body: bytes) -> bytes:
    """Return the frame of an answer."""
    return _pack(Kind.ANSWER, pack_lines([b"%d" % status, *chain.from_iterable(headers)], body))


def unpack_answer(frame: bytes) -> Answer:
    """Read the frame of an answer.

    Raises:
        ValueError: If it is none.
    """
    if frame[:1] != b"\x03":
        raise ValueError("no answer")
    (status, *headers), body = unpack_lines(frame, 1)
    return int(status), _headers(headers), body


def pack_message(message: Message) -> bytes:
    """Return the frame of a message of ASGI that is no answer."""
    type_ = message["type"]
    if type_ == "http.request":
        kind = Kind.BODY if message.get("more_body") else Kind.LAST
        return _pack(kind, message.get("body", b""))
    if type_ in ("websocket.receive", "websocket.send"):
        text = message.get("text")
        if text is None:
            return _pack(KINDS[type_, "bytes"], message.get("bytes") or b"")
        return _pack(KINDS[type_, "text"], text.encode("utf-8", "surrogatepass"))
    given = dict(message)
    if "headers" in given:
        given["headers"] = [[part.decode("latin-1") for part in each] for each in given["headers"]]
    if "body" in given:
        given["body"] = given["body"].decode("latin-1")
    return _pack(Kind.OTHER, json.dumps(given).encode("ascii"))


def unpack_message(frame: bytes) -> Message:
    """Read the frame of a message.

    Raises:
        ValueError: If it is none.
    """
    if not frame:
        raise ValueError("no message")
    kind, data = frame[0], frame[1:]
    if kind in (Kind.BODY, Kind.LAST):
        return {"type": "http.request", "body": data, "more_body": kind == Kind.BODY}
    if kind == Kind.OTHER:
        return _unpack_other(data)
    try:
        type_, name = DATA[Kind(kind)]
    except KeyError as error:
        raise ValueError("no message") from error
    return {
        "type": type_,
        name: data.decode("utf-8", "surrogatepass") if name == "text" else data,
    }


def pack_lines(lines: list[bytes], tail: bytes = b"") -> bytes:
    """Return lines, and any bytes behind them. Of a line that is folded, which HTTP has given up, a space is left."""
    head = LINE.join(lines)
    if head.count(LINE) >= len(lines):
        head = LINE.join([line.replace(LINE, b" ") for line in lines])
    return LENGTH.pack(len(head)) + head + tail


def unpack_lines(data: bytes, start: int = 0) -> tuple[list[bytes], bytes]:
    """Read what `pack_lines` has written, from somewhere to the end.

    Raises:
        ValueError: If it is something else.
    """
    begin = start + LENGTH.size
    if len(data) < begin:
        raise ValueError("no lines")
    end = begin + LENGTH.unpack_from(data, start)[0]
    if end > len(data):
        raise ValueError("lines of a wrong size")
    return data[begin:end].split(LINE), data[end:]


def _pack(kind: Kind, data: bytes) -> bytes:
    return START.pack(len(data) + 1, kind) + data


def _headers(lines: list[bytes]) -> list[Header]:
    return list(zip(lines[::2], lines[1::2], strict=True))


def _unpack_other(data: bytes) -> dict[str, Any]:
    try:
        given = json.loads(data)
        if "headers" in given:
            given["headers"] = [
                (key.encode("latin-1"), value.encode("latin-1")) for key, value in given["headers"]
            ]
        if "body" in given:
            given["body"] = given["body"].encode("latin-1")
        given["type"].encode()
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("no message") from error
    message: dict[str, Any] = given
    return message

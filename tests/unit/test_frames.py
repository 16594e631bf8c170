"""Frames between workers: read as they were written, and bytes that are none."""

import pytest
from hypothesis import given, strategies as st

from roomcast.engine.frames import (
    LENGTH,
    pack_answer,
    pack_lines,
    pack_message,
    pack_scope,
    unpack_answer,
    unpack_lines,
    unpack_message,
    unpack_scope,
)

SCOPE = {
    "type": "http",
    "method": "POST",
    "scheme": "https",
    "path": "/socket.io/",
    "raw_path": b"/socket.io/",
    "query_string": b"EIO=4&transport=polling&sid=a%20b",
    "root_path": "/ignored",
    "client": ("::1", 4711),
    "server": ("127.0.0.1", 80),
    "headers": [(b"host", b"a"), (b"x", b"\xff\x00\x80"), (b"cookie", b"")],
    "extensions": {"websocket.http.response": {}},
    "subprotocols": ["one", "two"],
    "state": object(),
}

MESSAGES = [
    {"type": "http.request", "body": b"\x00\n", "more_body": True},
    {"type": "http.request", "body": b"", "more_body": False},
    {"type": "websocket.connect"},
    {"type": "websocket.receive", "text": "\u00e9\n\ud800"},
    {"type": "websocket.receive", "bytes": b"\x00\xff"},
    {"type": "websocket.send", "text": ""},
    {"type": "websocket.send", "bytes": b""},
    {"type": "websocket.disconnect", "code": 1001, "reason": "\u00e9"},
    {"type": "websocket.accept", "subprotocol": None, "headers": [(b"a", b"\xff")]},
    {"type": "websocket.close", "code": 1000},
    {"type": "websocket.http.response.start", "status": 400, "headers": [(b"a", b"b")]},
    {"type": "websocket.http.response.body", "body": b"\xff"},
]


def content(frame: bytes) -> bytes:
    assert LENGTH.unpack_from(frame)[0] == len(frame) - LENGTH.size
    return frame[LENGTH.size :]


def test_scopes_are_read_as_they_were_written():
    read = unpack_scope(content(pack_scope(SCOPE)))
    for name in ("type", "method", "scheme", "raw_path", "query_string", "headers", "subprotocols"):
        assert read[name] == SCOPE[name]
    assert read["client"][0] == "::1"
    assert read["extensions"] == {"websocket.http.response": {}}


def test_scopes_of_few_words_are_scopes():
    few = {"type": "websocket", "path": "/a b", "client": None, "headers": []}
    read = unpack_scope(content(pack_scope(few)))
    assert (read["type"], read["method"], read["client"]) == ("websocket", "GET", None)
    assert read["raw_path"] == b"/a%20b"
    assert read["headers"] == read["subprotocols"] == []
    assert not read["extensions"]


def test_of_a_folded_line_a_space_is_left():
    folded = SCOPE | {"headers": [(b"a", b"b\nc"), (b"d", b"e")]}
    read = unpack_scope(content(pack_scope(folded)))
    assert read["headers"] == [(b"a", b"b c"), (b"d", b"e")]
    assert read["raw_path"] == SCOPE["raw_path"]


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_are_read_as_they_were_written(message):
    assert unpack_message(content(pack_message(message))) == message


def test_a_message_of_a_websocket_may_name_both_kinds_of_data():
    both = {"type": "websocket.receive", "text": None, "bytes": b"x"}
    assert unpack_message(content(pack_message(both)))["bytes"] == b"x"


@pytest.mark.parametrize("headers", [[], [(b"a", b"b"), (b"c", b"\xff")]])
def test_answers_are_read_as_they_were_written(headers):
    frame = content(pack_answer(200, headers, b"\n\x00"))
    assert unpack_answer(frame) == (200, headers, b"\n\x00")


@given(
    st.lists(st.binary(max_size=5).filter(lambda line: b"\n" not in line), min_size=1), st.binary()
)
def test_lines_are_read_as_they_were_written(lines, tail):
    assert unpack_lines(b"x" + pack_lines(lines, tail), 1) == (lines, tail)


@given(st.integers(0, 9).map(lambda kind: bytes((kind,))), st.binary())
def test_any_bytes_are_a_frame_or_a_value_error(kind, data):
    for unpack in (unpack_scope, unpack_answer, unpack_message, unpack_lines):
        for frame in (b"", data, kind + data, kind + LENGTH.pack(len(data)) + data):
            try:
                unpack(frame)
            except ValueError:
                continue


@pytest.mark.parametrize("text", [b"1", b"[]", b"{}", b"null", b"[" * 100_000, b'{"type": 1}'])
def test_json_that_is_no_message_is_a_value_error(text):
    with pytest.raises(ValueError, match="no message"):
        unpack_message(b"\x08" + text)

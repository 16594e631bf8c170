"""The opening handshake of a WebSocket at the client's end, as bytes."""

import base64
import hashlib

import pytest

from roomcast.client.handshake import GUID, MAX_HEAD, Opening, parse_head


@pytest.fixture
def opening():
    return Opening("h:1", "/socket.io/?EIO=4", {"X-A": "b"}, "permessage-deflate", ("p", "q"))


def answer_to(opening, *lines, accept=None):
    request = dict(
        line.split(": ", 1) for line in opening.request.decode().split("\r\n")[1:] if line
    )
    key = request["Sec-WebSocket-Key"].encode()
    accept = accept or base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    return [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
        *lines,
    ]


def head_of(lines):
    return parse_head(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))[0]


def test_request(opening):
    lines = opening.request.decode().split("\r\n")
    assert lines[0] == "GET /socket.io/?EIO=4 HTTP/1.1"
    assert "Host: h:1" in lines
    assert "X-A: b" in lines
    assert "Sec-WebSocket-Extensions: permessage-deflate" in lines
    assert "Sec-WebSocket-Protocol: p, q" in lines
    assert lines[-2:] == ["", ""]


def test_keys_differ():
    requests = {Opening("h", "/", {}, None, ()).request for _ in range(20)}
    assert len(requests) == 20


def test_answer_is_taken(opening):
    assert opening.check(head_of(answer_to(opening))) is None
    more = ["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: q"]
    assert opening.check(head_of(answer_to(opening, *more))) == "permessage-deflate"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda lines: lines[:3], "Sec-WebSocket-Accept"),
        (lambda lines: [*lines, lines[3]], "Sec-WebSocket-Accept"),
        (lambda lines: [*lines[:1], *lines[2:]], "no upgrade"),
        (lambda lines: [*lines[:2], *lines[3:]], "no upgrade"),
        (lambda lines: [*lines, "Upgrade: h2c"], "no upgrade"),
        (lambda lines: [*lines, "Sec-WebSocket-Protocol: r"], "subprotocol"),
        (lambda lines: [*lines, *["Sec-WebSocket-Protocol: p"] * 2], "subprotocol"),
    ],
    ids=[
        "no accept",
        "accept twice",
        "no upgrade",
        "no connection",
        "two upgrades",
        "foreign subprotocol",
        "two subprotocols",
    ],
)
def test_answer_to_something_else_is_refused(opening, change, why):
    with pytest.raises(ValueError, match=why):
        opening.check(head_of(change(answer_to(opening))))


def test_wrong_accept_is_refused(opening):
    with pytest.raises(ValueError, match="Sec-WebSocket-Accept"):
        opening.check(head_of(answer_to(opening, accept="AAAA")))


def test_extension_that_was_not_offered_is_refused():
    opening = Opening("h", "/", {}, None, ())
    lines = answer_to(opening, "Sec-WebSocket-Extensions: permessage-deflate")
    with pytest.raises(ValueError, match="extension"):
        opening.check(head_of(lines))


def test_head_may_come_byte_by_byte():
    text = b"HTTP/1.1 400 Bad Request\r\nA: b\r\na:  c \r\n\r\nbody"
    end = text.index(b"\r\n\r\n") + 4
    assert all(parse_head(bytearray(text[:cut])) is None for cut in range(end))
    head, rest = parse_head(text)
    assert (head.status, head.all("a"), rest) == (400, ["b", "c"], b"body")


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"SSH-2.0-OpenSSH",
        b"\x16\x03\x01",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 20\xb2 ok\r\n\r\n",
        b"HTTP/1.1 200 ok\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 ok\r\n : empty\r\n\r\n",
        b"HTTP/1.1 200 ok\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 ok\r\nA: b\nC: d\r\n\r\n",
        b"HTTP/1.1 200 ok\r\nA: b\rC\r\n\r\n",
        b"HTTP/1.1 200 ok\r\n" + b"A: b\r\n" * MAX_HEAD,
        b"HTTP/1.1 " + b"2" * MAX_HEAD,
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_head_is_refused(data):
    with pytest.raises(ValueError, match=r"."):
        parse_head(data)


@pytest.mark.parametrize(("size", "fits"), [(-1, True), (0, True), (1, False)])
def test_size_of_a_head(size, fits):
    start = b"HTTP/1.1 200 ok\r\nA: "
    data = start + b"x" * (MAX_HEAD + size - len(start) - 4) + b"\r\n\r\n"
    if fits:
        assert parse_head(data)[0].status == 200
    else:
        with pytest.raises(ValueError, match="longer"):
            parse_head(data)

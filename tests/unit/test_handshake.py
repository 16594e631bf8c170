import pytest

from roomcast.engine.handshake import read_handshake

HEADERS = [
    b"host: x",
    b"upgrade: websocket",
    b"connection: keep-alive, Upgrade",
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-version: 13",
]


def head(headers, line=b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1"):
    return b"\r\n".join([line, *headers, b"", b""])


def test_handshake_is_read():
    handshake = read_handshake(head([*HEADERS, b"cookie: a: b", b"empty: "]))
    assert handshake is not None
    assert handshake.path == b"/socket.io/"
    assert handshake.query == b"EIO=4&transport=websocket"
    assert handshake.is_engineio
    assert handshake.headers[0] == (b"host", b"x")
    assert handshake.headers[-2:] == [(b"cookie", b"a: b"), (b"empty", b"")]
    assert handshake.subprotocols == []


def test_handshake_is_answered():
    # The example of RFC 6455, section 1.3.
    handshake = read_handshake(head(HEADERS))
    assert handshake.response([(b"date", b"today"), (b"a", b"b")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\ndate: today\r\na: b\r\n\r\n"
    )


def test_subprotocols_of_all_headers_are_offered_in_order():
    offers = [b"sec-websocket-protocol: a, b", b"sec-websocket-protocol: c"]
    assert read_handshake(head([*HEADERS, *offers])).subprotocols == ["a", "b", "c"]


def test_request_without_a_query_is_no_engineio():
    handshake = read_handshake(head(HEADERS, b"GET /chat HTTP/1.1"))
    assert (handshake.path, handshake.query, handshake.is_engineio) == (b"/chat", b"", False)


@pytest.mark.parametrize(
    ("index", "header"),
    [
        (1, b"upgrade: websocket2"),
        (1, b"upgrade: h2c"),
        (1, b""),
        (2, b"connection: keep-alive"),
        (2, b"connection: notupgrade"),
        (3, b"sec-websocket-key: "),
        (3, b"sec-websocket-key: c2hvcnQ="),
        (3, b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ"),
        (3, b"sec-websocket-key: not base64 at all!!!"),
        (3, b"x: y"),
        (4, b"sec-websocket-version: 12"),
        (4, b"sec-websocket-version: 13, 14"),
    ],
)
def test_what_is_wrong_is_no_handshake(index, header):
    headers = list(HEADERS)
    headers[index] = header
    assert read_handshake(head(headers)) is None


@pytest.mark.parametrize("index", [1, 3, 4])
def test_what_is_there_twice_is_no_handshake(index):
    assert read_handshake(head([*HEADERS, HEADERS[index]])) is None


@pytest.mark.parametrize(
    "line",
    [b"POST / HTTP/1.1", b"GET / HTTP/1.0", b"GET /", b""],
)
def test_other_requests_are_no_handshake(line):
    assert read_handshake(head(HEADERS, line)) is None

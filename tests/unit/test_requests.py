import pytest

from roomcast.engine.logs import printable
from roomcast.engine.requests import Request, refusal


def request(query=b"EIO=4&transport=websocket", **options):
    values = {"method": "GET", "path": "/socket.io/", "headers": (), "address": "", "secure": False}
    return Request(query_string=query, **(values | options))


def check(query, *, websocket=True, transports=("websocket",), sids=("open",), **options):
    refused = refusal(
        request(query, **options), websocket=websocket, transports=transports, sids=sids
    )
    return None if refused is None else refused.code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"EIO=4&transport=websocket", None),
        (b"EIO=4&transport=websocket&sid=", None),
        (b"EIO=4&transport=polling&transport=websocket", None),
        (b"", 0),
        (b"EIO=4", 0),
        (b"EIO=4&transport=polling", 0),
        (b"EIO=4&transport=polling%00", 0),
        (b"EIO=4&transport=\xff", 0),
        (b"EIO=4&transport=constructor", 0),
        (b"EIO=4&transport=webtransport", 0),
        (b"EIO=4&transport=websocket&sid=unknown", 1),
        (b"EIO=4&transport=websocket&sid=%0d%0a", 1),
        (b"EIO=4&transport=websocket&sid=open", 3),
        (b"transport=websocket", 5),
        (b"EIO=3&transport=websocket", 5),
        (b"EIO=5&transport=websocket", 5),
        (b"EIO=4%20&transport=websocket", 5),
        (b"EIO=4&EIO=3&transport=websocket", 5),
    ],
)
def test_checks_of_a_websocket(query, code):
    assert check(query) == code


def test_checks_of_plain_http():
    assert check(b"EIO=4&transport=websocket", websocket=False) == 3
    assert check(b"EIO=4&transport=websocket", websocket=False, method="POST") == 2
    assert check(b"EIO=4&transport=polling", websocket=False, transports=("polling",)) is None
    assert check(b"EIO=4&transport=polling", transports=("polling",)) == 3


def test_unknown_transport_is_refused_even_if_somebody_enables_it():
    assert check(b"EIO=4&transport=x", transports=("x",)) == 0


def test_request_reads_an_asgi_scope():
    made = Request.from_scope(
        {
            "type": "websocket",
            "scheme": "wss",
            "path": "/é/",
            "raw_path": b"/%C3%A9/",
            "query_string": b"a=%C3%A9&a=%ff&b=",
            "headers": [
                (b"X-One", b"1"),
                (b"x-one", b"2"),
                (b"cookie", b"a=1"),
                (b"Cookie", b"b=\xe9"),
            ],
            "client": ("::1", 1),
        }
    )
    assert made.url == "/%C3%A9/?a=%C3%A9&a=%ff&b="
    assert made.query == {"a": "\ufffd", "b": ""}
    assert made.headers == {"x-one": "1, 2", "cookie": "a=1; b=é"}
    assert made.address == "::1"
    assert made.secure
    assert made.method == "GET"


def test_request_reads_a_scope_without_the_optional_parts():
    made = Request.from_scope({"type": "http", "method": "PUT", "path": "/x"})
    assert (made.url, made.query, made.headers) == ("/x", {}, {})
    assert (made.address, made.secure, made.method) == ("", False, "PUT")


def test_printable_escapes_and_cuts():
    assert printable("plain") == "plain"
    assert printable("\x1b[0m\r\n\0") == "\\x1b[0m\\r\\n\\x00"
    assert printable("é\ud800\U0001f600") == "\\xe9\\ud800\\U0001f600"
    assert len(printable("é" * 1_000_000)) == 32
    assert printable(12) == "12"

import pytest

from roomcast.engine.checks import head_limit, refusal
from roomcast.engine.requests import Request
from roomcast.logs import printable
from roomcast.types import Limits


def request(query=b"EIO=4&transport=websocket", **options):
    values = {"method": "GET", "path": "/socket.io/", "headers": (), "address": "", "secure": False}
    return Request(query_string=query, **(values | options))


class Open:
    def __init__(self, name):
        self.transport = self
        self.name = name


BOTH = ("polling", "websocket")


def refused(query, *, websocket=True, transports=BOTH, upgrades=True, cors=None, **options):
    made = request(query, **options)
    connections = {"open": Open("websocket"), "poll": Open("polling")}
    return refusal(
        made,
        made.query,
        websocket=websocket,
        transports=transports,
        upgrades=upgrades,
        cors=cors,
        find=connections.get,
    )


def check(query, **options):
    found = refused(query, **options)
    return None if found is None else found.code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"EIO=4&transport=websocket", None),
        (b"EIO=4&transport=websocket&sid=", None),
        (b"EIO=4&transport=polling&transport=websocket", None),
        (b"", 0),
        (b"EIO=4", 0),
        (b"EIO=4&transport=polling", 3),
        (b"EIO=4&transport=polling%00", 0),
        (b"EIO=4&transport=\xff", 0),
        (b"EIO=4&transport=constructor", 0),
        (b"EIO=4&transport=webtransport", 0),
        (b"EIO=4&transport=websocket&sid=unknown", 1),
        (b"EIO=4&transport=websocket&sid=%0d%0a", 1),
        (b"EIO=4&transport=websocket&sid=open", None),  # closed behind the 101
        (b"EIO=4&transport=websocket&sid=poll", None),
        (b"EIO=3&transport=websocket&sid=poll", 3),
        (b"EIO=4&transport=polling&sid=poll", 3),
        (b"EIO=4&transport=websocket&j=1", 3),
        (b"transport=websocket", 5),
        (b"EIO=3&transport=websocket", 5),
        (b"EIO=5&transport=websocket", 5),
        (b"EIO=4%20&transport=websocket", 5),
        (b"EIO=4&EIO=3&transport=websocket", 5),
    ],
)
def test_checks_of_a_websocket(query, code):
    assert check(query) == code


@pytest.mark.parametrize(
    ("query", "method", "code"),
    [
        (b"EIO=4&transport=polling", "GET", None),
        (b"EIO=4&transport=polling&sid=", "GET", None),
        (b"EIO=4&transport=polling", "POST", 2),
        (b"EIO=4&transport=polling", "OPTIONS", 2),
        (b"EIO=3&transport=polling", "POST", 2),
        (b"EIO=4&transport=websocket", "GET", 3),
        (b"EIO=4&transport=websocket", "POST", 2),
        (b"EIO=4&transport=polling&sid=poll", "GET", None),
        (b"EIO=4&transport=polling&sid=poll", "PUT", None),
        (b"EIO=4&transport=polling&sid=open", "GET", 3),
        (b"EIO=4&transport=polling&sid=open", "POST", 3),
        (b"EIO=4&transport=websocket&sid=open", "GET", 3),
        (b"EIO=4&transport=websocket&sid=poll", "GET", 3),
        (b"EIO=3&transport=polling&sid=poll", "GET", 3),
        (b"EIO=4&transport=polling&sid=unknown", "POST", 1),
        (b"EIO=4&transport=polling&sid=__proto__", "GET", 1),
        (b"EIO=4&transport=polling&j=0", "GET", 3),
        (b"EIO=4&transport=polling&j=", "GET", 3),
        (b"EIO=3&transport=polling", "GET", 5),
        (b"transport=polling", "GET", 5),
    ],
)
def test_checks_of_plain_http(query, method, code):
    assert check(query, websocket=False, method=method) == code


def test_transports_that_are_not_enabled_are_unknown():
    assert check(b"EIO=4&transport=polling", websocket=False, transports=("websocket",)) == 0
    assert check(b"EIO=4&transport=websocket", transports=("polling",)) == 0


def test_upgrade_may_be_forbidden():
    assert check(b"EIO=4&transport=websocket&sid=poll", upgrades=False) == 3


@pytest.mark.parametrize(
    ("query", "context"),
    [
        (b"transport=x", {"transport": "x"}),
        (b"EIO=4&transport=polling&sid=no", {"sid": "no"}),
        (
            b"EIO=4&transport=polling&sid=open",
            {
                "name": "TRANSPORT_MISMATCH",
                "transport": "polling",
                "previousTransport": "websocket",
            },
        ),
        (
            b"EIO=3&transport=polling&sid=poll",
            {"name": "PROTOCOL_MISMATCH", "protocol": "3", "previousProtocol": "4"},
        ),
        (b"EIO=4&transport=websocket", {"name": "TRANSPORT_HANDSHAKE_ERROR"}),
        (b"EIO=3&transport=polling", {"protocol": "3"}),
    ],
)
def test_refusal_has_the_references_context(query, context):
    assert refused(query, websocket=False).context == context


@pytest.mark.parametrize("websocket", [True, False])
def test_foreign_origin_is_forbidden_on_both_transports(websocket):
    query = b"EIO=4&transport=websocket" if websocket else b"EIO=4&transport=polling"
    headers = [(b"host", b"a.example"), (b"origin", b"https://b.example")]
    found = refused(query, websocket=websocket, headers=headers)
    assert (found.code, found.message, found.status) == (4, "Forbidden", 403)
    headers[1] = (b"origin", b"https://a.example")
    assert refused(query, websocket=websocket, headers=headers) is None
    headers[1] = (b"origin", b"https://a\x00.example")
    assert refused(query, websocket=websocket, headers=headers).context == {
        "name": "INVALID_ORIGIN"
    }


def test_head_has_limits():
    limits = Limits(max_headers=2, max_head_size=10, max_url_size=40)
    assert head_limit(request(), limits) is None
    assert head_limit(request(b"a" * 30), limits) == (414, "max_url_size")
    assert head_limit(request(headers=[(b"a", b"")] * 3), limits) == (431, "max_headers")
    assert head_limit(request(headers=[(b"a", b"1234567890")]), limits) == (431, "max_head_size")


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

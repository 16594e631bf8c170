"""What goes the short way is what the checks would let go on, with the headers that they would give it."""

import re
from collections import UserDict

import pytest
from hypothesis import example, given, strategies as st

from roomcast.engine.checks import head_limit, refusal
from roomcast.engine.options import EngineOptions
from roomcast.engine.origins import cors_headers
from roomcast.engine.requests import Request
from roomcast.engine.visits import MAX_KNOWN, Visits
from roomcast.types import Limits

USUAL = b"EIO=4&transport=polling&t=abc&sid=s"
SMALL = Limits(max_headers=4, max_head_size=100, max_url_size=100, max_http_buffer_size=50)


def visits(**given):
    return Visits(EngineOptions(**EngineOptions.read({"limits": SMALL, **given})))


def scope(query=USUAL, headers=(), **more):
    given = {"method": "POST", "path": "/socket.io/", "raw_path": b"/socket.io/"} | more
    return {"type": "http", "query_string": query, "headers": list(headers)} | given


class Open:
    def __init__(self):
        self.transport = self
        self.name = "polling"


PARAMETERS = rb"EIO=4 EIO=3 EIO transport=polling transport=websocket sid=s sid= sid=%73 j=0 j t=a+b = %73id=s E%49O=3"
parameters = st.one_of(
    st.sampled_from([*PARAMETERS.split(), b"", b"sid=\xe9"]),
    st.binary(max_size=5).filter(lambda text: b"&" not in text),
)
queries = st.one_of(
    st.permutations([b"EIO=4", b"transport=polling", b"sid=s"]).flatmap(
        lambda usual: st.lists(parameters, max_size=2).map(lambda more: [*usual, *more])
    ),
    st.lists(parameters, max_size=6),
).map(b"&".join)
names = st.sampled_from(
    [b"origin", b"host", b"content-length", b"content-type", b"accept", b"Origin", b"x" * 40]
)
VALUES = b"http://a.example https://b.example a.example a.example:80 null 50 51 text/plain application/octet-stream"
values = st.sampled_from([*VALUES.split(), b"", b"5" * 25, b"http://a\xe9", b"http://a\x00"])
headers = st.lists(st.tuples(names, values), max_size=5)
options = st.sampled_from(
    [None, "*", True, "http://a.example", ["https://b.example"], re.compile("https://.*")]
)
BROWSER = [(b"host", b"a.example"), (b"origin", b"http://a.example")]


@given(query=queries, headers=headers, cors=options, proxies=st.booleans())
@example(query=USUAL, headers=BROWSER, cors=None, proxies=False)
@example(query=USUAL, headers=BROWSER, cors="*", proxies=False)
def test_what_goes_the_short_way_passes_the_checks(query, headers, cors, proxies):
    short = visits(cors=cors, trusted_proxies=["127.0.0.1"] if proxies else None)
    made = Request.from_scope(scope(query, headers))
    for _ in range(2):  # the second time it may know the origin
        read = short.read(scope(query, headers))
        if read is None:
            return
        sid, is_get, added = read
        assert not is_get
        assert not proxies
        assert made.query["sid"] == sid
        assert head_limit(made, SMALL) is None
        connections = {sid: Open()}
        config = EngineOptions(**EngineOptions.read({"cors": cors}))
        assert (
            refusal(
                made,
                made.query,
                websocket=False,
                transports=config.transports,
                upgrades=True,
                cors=config.cors,
                find=connections.get,
            )
            is None
        )
        assert list(added) == cors_headers(made.header(b"origin"), config.cors)
        assert made.header(b"content-type") != "application/octet-stream"
        length = made.header(b"content-length") or "0"
        assert not length.isdecimal() or int(length) <= SMALL.max_http_buffer_size


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-length", b"50"), (b"content-type", b"text/plain;charset=UTF-8")],
        BROWSER,
        [(b"host", b"a.example")],
    ],
)
def test_what_clients_send_goes_the_short_way(headers):
    assert visits().read(scope(headers=headers)) == ("s", False, ())
    assert visits().read(scope(headers=headers, method="GET")) == ("s", True, ())


def test_url_has_its_limit_as_it_was_sent():
    fits = b"/" * (100 - 1 - len(USUAL))
    assert visits().read(scope(raw_path=fits)) is not None
    assert visits().read(scope(raw_path=fits + b"/")) is None


@pytest.mark.parametrize(
    "given",
    [None, (), [[b"host", b"h"]], [(b"host", "h")], [(b"host",)], iter([]), "host"],
)
def test_other_shapes_of_headers_are_left_to_the_checks(given):
    assert visits().read(scope() | {"headers": given}) is None


@pytest.mark.parametrize(
    "more",
    [
        {"method": "PUT"},
        {"method": "get"},
        {"method": None},
        {"raw_path": None},
        {"raw_path": "/"},
        {"query_string": USUAL.decode()},
        {"query_string": None},
    ],
)
def test_other_shapes_of_requests_are_left_to_the_checks(more):
    assert visits().read(scope(**more)) is None
    less = scope()
    del less[next(iter(more))]
    assert visits().read(less) is None
    assert visits().read(UserDict(scope())) is None


def test_polling_that_is_not_enabled_is_left_to_the_checks():
    assert visits(transports=["websocket"]).read(scope()) is None


def test_function_of_origins_is_asked_each_time():
    asked = []

    def allow(origin):
        asked.append(origin)
        return len(asked) < 3

    short = visits(cors=allow)
    headers = [(b"origin", b"https://c.example")]
    assert short.read(scope(headers=headers)) is not None  # once to let it in, once for its headers
    assert short.read(scope(headers=headers)) is None


def test_origins_are_not_kept_without_end():
    short = visits(cors="*", limits=Limits())
    for number in range(2 * MAX_KNOWN + 1):
        assert short.read(scope(headers=[(b"origin", b"http://h%d" % number)])) is not None
    assert len(short._known) <= MAX_KNOWN
    known = len(short._known)
    assert short.read(scope(headers=[(b"origin", b"http://" + b"h" * 1000)])) is not None
    assert len(short._known) == known


def test_limits_beyond_what_the_core_counts():
    short = visits(limits=Limits(max_headers=2**80, max_http_buffer_size=2**80))
    assert short.read(scope(headers=[(b"content-length", b"5")])) == ("s", False, ())

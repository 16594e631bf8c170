import re

import pytest

from roomcast.client.options import Options
from roomcast.client.requests import Requests
from roomcast.client.url import Address

ADDRESS = Address(False, "h", 80)


def target(transport="websocket", sid=None, **options):
    return Requests(ADDRESS, Options(**options)).target(transport, sid)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "/socket.io/?EIO=4&transport=websocket"),
        ({"path": "/my/"}, "/my/?EIO=4&transport=websocket"),
        ({"path": "/my"}, "/my/?EIO=4&transport=websocket"),
        ({"path": "/my", "add_trailing_slash": False}, "/my?EIO=4&transport=websocket"),
        ({"query": {"a": 1}}, "/socket.io/?a=1&EIO=4&transport=websocket"),
        ({"query": {"x": [1, 2]}}, "/socket.io/?x=1%2C2&EIO=4&transport=websocket"),
        (
            {"query": {"b": True, "ä": "&=/ "}},
            "/socket.io/?b=true&%C3%A4=%26%3D%2F%20&EIO=4&transport=websocket",
        ),
        (
            {"query": {"EIO": 3, "sid": "x", "b64": 1, "transport": "y"}},
            "/socket.io/?EIO=4&transport=websocket",
        ),
        ({"force_base64": True}, "/socket.io/?EIO=4&transport=websocket&b64=1"),
        ({"sid": "a/b"}, "/socket.io/?EIO=4&transport=websocket&sid=a%2Fb"),
    ],
)
def test_target(options, expected):
    assert target(sid=options.pop("sid", None), **options) == expected


def test_polling_tells_its_requests_apart():
    requests = Requests(ADDRESS, Options())
    targets = [requests.target("polling", "s") for _ in range(100)]
    assert len(set(targets)) == 100
    assert all(
        re.fullmatch(r"/socket\.io/\?EIO=4&transport=polling&t=[0-9a-f.]+&sid=s", each)
        for each in targets
    )


def test_cookies_are_added_unless_the_program_has_its_own():
    requests = Requests(ADDRESS, Options(extra_headers={"X": "y"}))
    requests.cookies.take(["io=1"])
    assert requests.headers("polling") == {"X": "y", "Cookie": "io=1"}
    own = Requests(ADDRESS, Options(extra_headers={"cookie": "mine=1"}))
    own.cookies.take(["io=1"])
    assert own.headers("polling") == {"cookie": "mine=1"}
    assert Requests(ADDRESS, Options(with_credentials=False)).cookies is None

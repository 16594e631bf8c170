import time

import pytest

from roomcast.client.cookies import MAX_COOKIES, MAX_SIZE, CookieJar


def jar(*headers):
    cookies = CookieJar()
    cookies.take(headers)
    return cookies


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("io=abc", "io=abc"),
        ("io=abc; Path=/; HttpOnly; SameSite=Lax", "io=abc"),
        ("io=abc;Secure;Partitioned;Priority=High", "io=abc"),
        (" io = abc ; Path=/", "io=abc"),
        ("io=", "io="),
        ('io="a b"; Path=/', 'io="a b"'),
        ("io=a=b==; Path=/", "io=a=b=="),
        ('io={"json":[1,2]}', 'io={"json":[1,2]}'),
        ("io=abc; Max-Age=60", "io=abc"),
        ("io=abc; max-age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "io=abc"),
        ("io=abc; Expires=Wed, 21 Oct 2099 07:28:00 GMT", "io=abc"),
        ("io=abc; Expires=never", "io=abc"),
        ("io=abc; Max-Age=much", "io=abc"),
        ("io=abc; Max-Age=" + "9" * 1_000, "io=abc"),
        ("io=abc; Max-Age=0", None),
        ("io=abc; Max-Age=-1", None),
        ("io=abc; Expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("io", None),
        ("=abc", None),
        ("", None),
        (";", None),
        ("a b=c", None),
        ("io=a\nX: y", None),
        ("io=a\x00b", None),
        ("io=\xe4", None),
        ("io=" + "x" * MAX_SIZE, None),
    ],
)
def test_cookie_is_kept_or_ignored(header, kept):
    assert jar(header).header() == kept


def test_several_cookies_stand_in_one_header():
    assert jar("a=1", "b=2", "a=3").header() == "b=2; a=3"


def test_cookie_may_be_taken_back():
    cookies = jar("a=1", "b=2")
    cookies.take(["a=; Max-Age=0"])
    assert cookies.header() == "b=2"


def test_cookie_ends(monkeypatch):
    cookies = jar("a=1; Max-Age=60", "b=2")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert cookies.header() == "b=2"


def test_cookies_are_bounded():
    cookies = jar(*[f"c{number}={number}" for number in range(MAX_COOKIES + 10)])
    header = cookies.header()
    assert header.count(";") == MAX_COOKIES - 1
    assert header.startswith("c10=10; ")


def test_nothing_is_no_header():
    assert jar().header() is None

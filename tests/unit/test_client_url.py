import pytest

from roomcast.client.url import Address, parse_url


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "nsp", "query"),
    [
        ("http://example.com", False, "example.com", 80, "/", None),
        ("https://example.com/", True, "example.com", 443, "/", None),
        ("ws://example.com:8080/chat", False, "example.com", 8080, "/chat", None),
        ("wss://example.com/a/b?x=1", True, "example.com", 443, "/a/b", {"x": "1"}),
        ("example.com", False, "example.com", 80, "/", None),
        ("localhost:3000/admin", False, "localhost", 3000, "/admin", None),
        ("//example.com/x", False, "example.com", 80, "/x", None),
        ("http://[::1]:3000/", False, "::1", 3000, "/", None),
        (
            "http://h/?a=1&a=2&b=&c=%20%C3%A4",
            False,
            "h",
            80,
            "/",
            {"a": "2", "b": "", "c": " ä"},
        ),
        ("http://h/n#fragment", False, "h", 80, "/n", None),
        ("HTTP://EXAMPLE.com", False, "example.com", 80, "/", None),
    ],
)
def test_url_is_read(url, secure, host, port, nsp, query):
    assert parse_url(url) == (Address(secure, host, port), nsp, query)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "ftp://example.com",
        "http://:3000",
        "http://h:port",
        "http://h:99999",
        "http://user:password@h",
        "http://[::1",
    ],
)
def test_url_that_names_no_server_is_refused(url):
    with pytest.raises(ValueError, match=r"."):
        parse_url(url)


@pytest.mark.parametrize("url", [None, b"http://h", 3000])
def test_url_is_a_text(url):
    with pytest.raises(TypeError):
        parse_url(url)


@pytest.mark.parametrize(
    ("address", "authority", "origin"),
    [
        (Address(False, "h", 80), "h", "http://h"),
        (Address(True, "h", 443), "h", "https://h"),
        (Address(False, "h", 443), "h:443", "http://h:443"),
        (Address(True, "::1", 3000), "[::1]:3000", "https://[::1]:3000"),
    ],
)
def test_address_as_it_stands_in_requests(address, authority, origin):
    assert (address.authority, address.origin) == (authority, origin)

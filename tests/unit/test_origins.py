import re
from dataclasses import FrozenInstanceError
from functools import partial

import pytest

from roomcast.engine.origins import (
    MAX_AUTHORITY,
    MAX_ORIGIN,
    Cors,
    cors_headers,
    is_allowed,
    is_legal_origin,
    preflight_headers,
    read_cors,
    split_authority,
)

METHODS = (b"access-control-allow-methods", b"GET,HEAD,PUT,PATCH,POST,DELETE")


def allow(origin):
    return (b"access-control-allow-origin", origin)


def vary(names):
    return (b"vary", names)


def same(origin, host, **options):
    return is_allowed(origin, host=host, **({"cors": None} | options))


def allowed(origin, origins):
    return same(origin, "server.example", cors=Cors(origins=origins))


# --- what the option may be


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "HTTPS://Example.COM",
        "https://example.com:443",
        "http://localhost:3000",
        "http://127.0.0.1",
        "http://[::1]:8080",
        "https://xn--exmple-cua.com",
        "chrome-extension://abcdefghijklmnop",
        "capacitor://localhost",
    ],
)
def test_origins_are_taken(origin):
    assert Cors(origins=origin).allows(origin)
    assert Cors(origins=[origin]).allows(origin)


@pytest.mark.parametrize(
    ("origin", "hint"),
    [
        ("example.com", "it has no scheme; write it as scheme://host"),
        ("localhost:3000", "it has no scheme"),
        ("//example.com", "it has no scheme"),
        ("", "it has no scheme"),
        ("https://example.com/", "no path and no slash at its end"),
        ("https://example.com/a", "no path and no slash at its end"),
        ("https://example.com?a", "such as 'https://example.com'"),
        ("https://", "such as 'https://example.com'"),
        ("://example.com", "such as 'https://example.com'"),
        ("1x://example.com", "such as 'https://example.com'"),
        ("ht tp://example.com", "such as 'https://example.com'"),
        ("https://*.example.com", "such as 'https://example.com'"),
        ("https://user@example.com", "such as 'https://example.com'"),
        ("https://example.com:", "such as 'https://example.com'"),
        ("https://example.com:x", "such as 'https://example.com'"),
        ("https://a.example, https://b.example", "an origin has no path"),
        ("https://a.example,b.example", "such as 'https://example.com'"),
        (" https://example.com", "such as 'https://example.com'"),
        ("https://example.com\r\n", "such as 'https://example.com'"),
        ("https://example.com\r\nx: y", "such as 'https://example.com'"),
        ("https://example.com\0", "such as 'https://example.com'"),
        ("https://exämple.com", "'xn--' form"),
        ("null", "every sandboxed page"),
    ],
)
def test_what_is_no_origin_is_refused(origin, hint):
    for origins in (origin, [origin], ["https://example.com", origin]):
        with pytest.raises(ValueError, match=r"^cors: origins: ") as caught:
            Cors(origins=origins)
        assert repr(origin) in str(caught.value)
        assert hint in str(caught.value)


def test_star_cannot_stand_in_a_list():
    with pytest.raises(ValueError, match=re.escape("write origins='*'")):
        Cors(origins=["https://example.com", "*"])


@pytest.mark.parametrize("origins", ["*", True])
def test_everybody_with_credentials_is_refused(origins):
    with pytest.raises(ValueError, match="name the origins"):
        Cors(origins=origins, credentials=True)
    with pytest.raises(ValueError, match="name the origins"):
        read_cors({"origin": origins, "credentials": True})


@pytest.mark.parametrize(
    "origins",
    ["https://a.example", ["https://a.example"], re.compile("x"), lambda _: True, []],
)
def test_credentials_with_named_origins(origins):
    assert Cors(origins=origins, credentials=True).credentials


@pytest.mark.parametrize("origins", [None, False, 1, b"https://a.example", {"a": 1}, {"a"}, 1.5])
def test_origins_of_wrong_types_are_refused(origins):
    with pytest.raises(TypeError, match=f"origins must be .*, not {type(origins).__name__}$"):
        Cors(origins=origins)


@pytest.mark.parametrize(
    "item", [None, True, b"x", 1, re.compile(b"y"), ["https://a.example"], len]
)
def test_items_of_wrong_types_are_refused(item):
    with pytest.raises(TypeError, match="is neither a str nor a pattern of str"):
        Cors(origins=["https://a.example", item])


def test_pattern_of_bytes_is_refused():
    with pytest.raises(TypeError, match="is neither a str nor a pattern of str"):
        Cors(origins=re.compile(b"x"))


async def is_known(origin):
    raise AssertionError(origin)


class Known:
    async def __call__(self, origin):
        raise AssertionError(origin)


@pytest.mark.parametrize("function", [is_known, Known(), partial(is_known)])
def test_async_functions_are_refused(function):
    with pytest.raises(TypeError, match="an async one cannot be awaited"):
        Cors(origins=function)


@pytest.mark.parametrize("option", ["methods", "allowed_headers", "exposed_headers"])
def test_names_are_tokens(option):
    assert getattr(Cors(origins="*", **{option: ["x-one", "*"]}), option) == ("x-one", "*")
    for name in ("", "a b", "a,b", "a:", "a\r\n", "é", "a\0"):
        with pytest.raises(ValueError, match=f"^cors: {option}: .* is no token"):
            Cors(origins="*", **{option: ["x", name]})
    for names in ("GET,POST", b"GET", 1, {"a": 1}, True):
        with pytest.raises(TypeError, match=f"^cors: {option} must be a list of names"):
            Cors(origins="*", **{option: names})
    for name in (b"GET", 1, None):
        with pytest.raises(TypeError, match=f"^cors: {option} must be a list of names"):
            Cors(origins="*", **{option: [name]})


@pytest.mark.parametrize("option", ["methods", "exposed_headers"])
def test_only_allowed_headers_may_be_none(option):
    assert Cors(origins="*", allowed_headers=None).allowed_headers is None
    with pytest.raises(TypeError, match=option):
        Cors(origins="*", **{option: None})


def test_credentials_and_max_age_are_checked():
    with pytest.raises(TypeError, match="credentials must be a bool, not int"):
        Cors(origins="https://a.example", credentials=1)
    with pytest.raises(TypeError, match=r"^cors: max_age must be an int or None, not str"):
        Cors(origins="*", max_age="1")
    with pytest.raises(TypeError, match=r"^cors: max_age must be an int or None, not bool"):
        Cors(origins="*", max_age=True)
    with pytest.raises(ValueError, match=r"^cors: max_age must be from 0"):
        Cors(origins="*", max_age=-1)


def test_cors_never_changes():
    origins, methods = ["https://a.example"], ["GET"]
    cors = Cors(origins=origins, methods=methods)
    origins.append("https://b.example")
    methods.append("POST")
    assert not cors.allows("https://b.example")
    assert cors.methods == ("GET",)
    assert cors == Cors(origins=("https://a.example",), methods=("GET",))
    assert hash(cors) == hash(Cors(origins=["https://a.example"], methods=["GET"]))
    assert "_exact" not in repr(cors)
    with pytest.raises(FrozenInstanceError):
        cors.origins = "*"


def test_read_cors_takes_every_form():
    pattern = re.compile("x")
    cors = Cors(origins="*")
    assert read_cors(None) is None
    assert read_cors(False) is None
    assert read_cors(True) == Cors(origins=True)
    assert read_cors(cors) is cors
    assert read_cors("*") == cors
    assert read_cors("https://a.example") == Cors(origins="https://a.example")
    assert read_cors(["https://a.example", pattern]).origins == ("https://a.example", pattern)
    assert read_cors(pattern) == Cors(origins=pattern)
    assert read_cors(len).origins is len
    assert read_cors({"origins": "*", "max_age": 5}) == Cors(origins="*", max_age=5)
    given = {"origin": "https://a.example", "credentials": True}
    assert read_cors(given) == Cors(origins="https://a.example", credentials=True)
    assert set(given) == {"origin", "credentials"}


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("allowedHeaders", "; did you mean 'allowed_headers'?"),
        ("exposedHeaders", "; did you mean 'exposed_headers'?"),
        ("maxAge", "; did you mean 'max_age'?"),
        ("credential", "; did you mean 'credentials'?"),
        ("method", "; did you mean 'methods'?"),
        ("Origin", "; did you mean 'origins'?"),
        ("headers", ""),
        ("optionsSuccessStatus", ""),
        ("preflightContinue", ""),
    ],
)
def test_unknown_key_names_the_nearest_right_one(key, hint):
    with pytest.raises(TypeError) as caught:
        read_cors({"origins": "*", key: 1})
    assert str(caught.value) == f"cors: unknown key {key!r}{hint}"


@pytest.mark.parametrize("key", ["_exact", "_patterns"])
def test_what_is_private_is_no_key(key):
    with pytest.raises(TypeError, match="unknown key"):
        read_cors({"origins": "*", key: ()})


def test_read_cors_wants_origins_once():
    with pytest.raises(TypeError, match="origins is missing"):
        read_cors({"credentials": True})
    with pytest.raises(TypeError, match="are the same"):
        read_cors({"origins": "*", "origin": "*"})


@pytest.mark.parametrize("value", [1, 1.5, b"*", object()])
def test_read_cors_refuses_other_types(value):
    with pytest.raises(TypeError, match=r"^cors: origins must be"):
        read_cors(value)


# --- the header


def test_legal_characters_are_the_references():
    legal = {9, *range(0x20, 0x7F), *range(0x80, 0x100)}
    for code in range(0x180):
        assert is_legal_origin(f"a{chr(code)}") == (code in legal)
    assert not is_legal_origin("\ud800")


def test_legal_origins_have_a_length():
    assert is_legal_origin("")
    assert is_legal_origin("a" * MAX_ORIGIN)
    assert not is_legal_origin("a" * (MAX_ORIGIN + 1))
    assert not is_legal_origin("a" * 1_000_000)


# --- hosts and ports


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", ("example.com", None)),
        ("Example.COM:8080", ("example.com", 8080)),
        ("example.com.", ("example.com", None)),
        ("example.com.:1", ("example.com", 1)),
        ("a_b-c~d.e", ("a_b-c~d.e", None)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("a:65535", ("a", 65535)),
        ("a:00080", ("a", 80)),
        ("[::1]", ("[::1]", None)),
        ("[0:0:0:0:0:0:0:1]:80", ("[::1]", 80)),
        ("[2001:DB8::0]", ("[2001:db8::]", None)),
        ("a" * (MAX_AUTHORITY - 1) + ".", ("a" * (MAX_AUTHORITY - 1), None)),
    ],
)
def test_authority_is_split(text, expected):
    assert split_authority(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ":80",
        "a:",
        "a:x",
        "a:-1",
        "a:+1",
        "a:1_0",
        "a:65536",
        "a:000080",
        "a:\u0661",
        "a:80:80",
        "::1",
        "[::1",
        "[]",
        "[::1]x",
        "[::1]:",
        "[::1]80",
        "[::1].",
        "[::g]",
        "[1.2.3.4]",
        "[::1%eth0]",
        "[[::1]]",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "u@a",
        "a,b",
        "a%41",
        "*.a",
        "a\n",
        "é",
        "\u212aelvin",
        "a" * (MAX_AUTHORITY + 1),
        "[" * 200,
        "[" + ":" * 200 + "]",
    ],
)
def test_what_is_no_authority_is_none(text):
    assert split_authority(text) is None


# --- who may come


@pytest.mark.parametrize("host", ["a", None])
@pytest.mark.parametrize("cors", [None, Cors(origins=[])])
def test_no_origin_is_no_browser(host, cors):
    assert same(None, host, cors=cors)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "example.com"),
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:443", "example.com"),
        ("http://example.com", "example.com:80"),
        ("http://example.com:80", "example.com"),
        ("http://example.com:3000", "example.com:3000"),
        ("https://EXAMPLE.com", "example.COM"),
        ("https://example.com.", "example.com"),
        ("https://example.com", "example.com."),
        ("https://example.com.:8443", "example.com:8443"),
        ("http://[::1]:3000", "[0:0:0::1]:3000"),
        ("http://[2001:DB8::1]", "[2001:db8:0::1]:80"),
        ("http://127.0.0.1:5", "127.0.0.1:5"),
    ],
)
def test_same_origin_may_come(origin, host):
    assert same(origin, host)
    assert same(origin, host, cors=Cors(origins=[]))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "example.com"),
        ("https://example.com.evil.example", "example.com"),
        ("https://evilexample.com", "example.com"),
        ("https://www.example.com", "example.com"),
        ("https://example.com", "www.example.com"),
        ("https://example.com:8443", "example.com"),
        ("https://example.com", "example.com:8443"),
        # The default port of the origin's scheme only.
        ("https://example.com", "example.com:80"),
        ("http://example.com", "example.com:443"),
        ("http://example.com:443", "example.com"),
        ("https://example.com:80", "example.com"),
        ("null", "null"),
        ("null", "example.com"),
        ("", ""),
        ("", "example.com"),
        ("example.com", "example.com"),
        ("https://", ""),
        ("file://", ""),
        ("https://example.com/", "example.com"),
        ("https://example.com/", "example.com/"),
        ("https://user@example.com", "example.com"),
        ("https://example.com, https://example.com", "example.com"),
        ("https://example.com", "example.com, example.com"),
        ("https://example.com", ""),
        ("https://example.com", None),
        (" https://example.com", "example.com"),
        ("https://example.com\n", "example.com"),
        ("https://example.com\0", "example.com"),
        ("https://\u212a.example", "k.example"),
        ("https://k.example", "\u212a.example"),
        ("http://[::1]", "::1"),
        ("http://[::1]", "[::2]"),
        ("http://::1", "[::1]"),
        # Only web pages have a host that served them.
        ("chrome-extension://example.com", "example.com"),
        ("ws://example.com", "example.com"),
        ("https://" + "a" * MAX_ORIGIN, "a" * MAX_ORIGIN),
    ],
)
def test_foreign_origin_may_not_come(origin, host):
    assert not same(origin, host)
    assert not same(origin, host, cors=Cors(origins=["https://other.example"]))


@pytest.mark.parametrize("origins", ["*", True])
@pytest.mark.parametrize("origin", ["https://a.example", "null", "", "file://", "x y", "é"])
def test_everybody_may_come(origins, origin):
    assert allowed(origin, origins)


@pytest.mark.parametrize(
    "origins",
    ["*", True, re.compile(r"[\s\S]*"), lambda _: True, [re.compile(r"[\s\S]*")]],
)
@pytest.mark.parametrize("origin", ["a\r\nb", "a\0", "\x7f", "\u0100", "a" * (MAX_ORIGIN + 1)])
def test_illegal_origin_may_never_come_nor_is_it_sent_back(origins, origin):
    cors = Cors(origins=origins)
    assert not cors.allows(origin)
    assert not allowed(origin, origins)
    sent = [*cors_headers(origin, cors), *preflight_headers(origin, None, cors)]
    names = {value for name, value in sent if name == b"access-control-allow-origin"}
    assert names == ({b"*"} if origins == "*" else set())


@pytest.mark.parametrize(
    "origins", ["https://a.example", ["https://a.example", "http://b.example:81"]]
)
def test_names_are_matched_exactly(origins):
    for origin in ("https://a.example", "HTTPS://A.Example", "https://a.example:443"):
        assert allowed(origin, origins)
    assert allowed("https://a.example.", origins)
    for origin in (
        "http://a.example",
        "https://a.example:80",
        "https://b.a.example",
        "https://a.example.evil",
        "https://a.example/",
        "null",
        "",
    ):
        assert not allowed(origin, origins)


def test_name_is_brought_into_normal_form():
    assert allowed("https://a.example", "HTTPS://A.EXAMPLE:443")
    assert allowed("http://[::1]:81", ["http://[0::0:1]:81"])


def test_pattern_matches_the_whole():
    pattern = re.compile(r"https://[a-z]+\.example")
    for origins in (pattern, [pattern], ["http://x", pattern]):
        assert allowed("https://a.example", origins)
        assert allowed("https://A.example:443", origins)
        assert not allowed("https://a.example.evil", origins)
        assert not allowed("xhttps://a.example", origins)
        assert not allowed("http://a.example", origins)
        assert not allowed("https://a.example:81", origins)


def test_pattern_sees_what_is_no_origin_as_it_came():
    assert allowed("null", re.compile("null"))
    assert allowed("file://", re.compile("file://"))
    assert not allowed("NULL", re.compile("null"))


def test_function_decides():
    seen = []

    def decide(origin):
        seen.append(origin)
        return origin == "https://a.example"

    assert allowed("https://A.example:443", decide)
    assert not allowed("null", decide)
    assert seen == ["https://a.example", "null"]
    # It is not asked about pages of our own, nor where nobody says where he is from.
    cors = Cors(origins=decide)
    assert same("https://x.example", "x.example", cors=cors)
    assert same(None, "x.example", cors=cors)
    assert len(seen) == 2


@pytest.mark.parametrize("result", [None, 1, "yes", re.match("", "")])
def test_function_that_fails_or_returns_no_bool_allows_nobody(result, caplog):
    def decide(origin):
        if result is None:
            raise RuntimeError(origin)
        return result

    assert not Cors(origins=decide).allows("https://a.example")
    assert "cors: the function of origins" in caplog.text


# --- headers


def test_no_option_no_headers():
    assert cors_headers("https://a.example", None) == []
    assert cors_headers(None, None) == []


def test_star_is_sent_as_it_is():
    for origin in ("https://a.example", None, "null"):
        assert cors_headers(origin, Cors(origins="*")) == [allow(b"*")]


def test_one_origin_is_sent_whoever_asks():
    expected = [allow(b"https://a.example"), vary(b"Origin")]
    for origin in ("https://a.example", "https://evil.example", None, "a\r\nb"):
        assert cors_headers(origin, Cors(origins="https://a.example")) == expected
        assert cors_headers(origin, Cors(origins="HTTPS://A.example:443")) == expected


@pytest.mark.parametrize(
    "origins",
    [
        ["https://a.example"],
        re.compile("https://a.example"),
        [re.compile("https://a.example")],
        lambda origin: origin == "https://a.example",
    ],
)
def test_matching_origin_is_sent_back(origins):
    cors = Cors(origins=origins, credentials=True, exposed_headers=["x-a", "x-b"])
    assert cors_headers("https://a.example", cors) == [
        allow(b"https://a.example"),
        vary(b"Origin"),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"x-a,x-b"),
    ]
    for origin in ("https://evil.example", None, "null"):
        assert cors_headers(origin, cors) == [vary(b"Origin")]


def test_true_sends_back_what_came():
    cors = Cors(origins=True)
    assert cors_headers("https://A.example:443", cors) == [
        allow(b"https://A.example:443"),
        vary(b"Origin"),
    ]
    assert cors_headers("é", cors) == [allow(b"\xe9"), vary(b"Origin")]
    assert cors_headers(None, cors) == [vary(b"Origin")]


def test_star_exposes_headers_as_well():
    assert cors_headers(None, Cors(origins="*", exposed_headers=["x"])) == [
        allow(b"*"),
        (b"access-control-expose-headers", b"x"),
    ]


def test_preflight_in_the_shape_of_the_reference():
    cors = Cors(origins=["https://a.example"], credentials=True)
    assert preflight_headers("https://a.example", "x-a, x-b", cors) == [
        allow(b"https://a.example"),
        vary(b"Origin, Access-Control-Request-Headers"),
        METHODS,
        (b"access-control-allow-headers", b"x-a, x-b"),
        (b"access-control-allow-credentials", b"true"),
    ]


def test_preflight_of_the_star():
    assert preflight_headers("https://a.example", None, Cors(origins="*")) == [
        allow(b"*"),
        vary(b"Access-Control-Request-Headers"),
        METHODS,
    ]


def test_preflight_with_everything_named():
    cors = Cors(
        origins="https://a.example",
        methods=["GET", "POST"],
        allowed_headers=["x-a", "x-b"],
        exposed_headers=["x-c"],
        max_age=600,
    )
    assert preflight_headers("https://evil.example", "x-z", cors) == [
        allow(b"https://a.example"),
        vary(b"Origin"),
        (b"access-control-allow-methods", b"GET,POST"),
        (b"access-control-allow-headers", b"x-a,x-b"),
        (b"access-control-max-age", b"600"),
        (b"access-control-expose-headers", b"x-c"),
    ]


def test_preflight_with_nothing_named():
    cors = Cors(origins="*", methods=[], allowed_headers=[], max_age=0)
    assert preflight_headers("https://a.example", "x-a", cors) == [
        allow(b"*"),
        (b"access-control-max-age", b"0"),
    ]


@pytest.mark.parametrize("origin", ["https://evil.example", None, "null", "a\r\nb"])
def test_preflight_of_a_foreign_origin_allows_nothing(origin):
    cors = Cors(origins=["https://a.example"], credentials=True, max_age=5, exposed_headers=["x"])
    names = b"Origin, Access-Control-Request-Headers"
    assert preflight_headers(origin, "x-a", cors) == [vary(names)]


@pytest.mark.parametrize(
    "requested",
    ["", "x\r\ny: z", "x\0", "é", "\u0100", "x: y", '"x"', "x" * (MAX_ORIGIN + 1), "," * 65_536],
)
def test_preflight_sends_back_names_of_headers_only(requested):
    headers = preflight_headers("https://a.example", requested, Cors(origins="*"))
    assert headers == [allow(b"*"), vary(b"Access-Control-Request-Headers"), METHODS]

from dataclasses import FrozenInstanceError

import pytest

from roomcast.engine.cookies import Cookie, read_cookie
from roomcast.engine.fields import check_keys, check_max_age, is_token

# Whatever could end the header, the attribute or the line.
EVIL = ["\r", "\n", "\r\n", ";", "\0", "\x01", "\x1b", "\x7f", "\x80", "é", "€", "\ud800"]


def test_header_of_the_usual_cookie():
    assert Cookie().header("abc-_1") == "io=abc-_1; Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("options", "header"),
    [
        (
            {"name": "sid", "max_age": 86400, "http_only": False, "same_site": "strict"},
            "sid=x; Max-Age=86400; Path=/; SameSite=Strict",
        ),
        ({"same_site": None}, "io=x; Path=/; HttpOnly"),
        ({"same_site": "none", "secure": True}, "io=x; Path=/; HttpOnly; Secure; SameSite=None"),
        ({"max_age": 0}, "io=x; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"),
        (
            {
                "name": "sid",
                "max_age": 86400,
                "domain": ".a.com",
                "secure": True,
                "same_site": "strict",
            },
            "sid=x; Max-Age=86400; Domain=.a.com; Path=/; HttpOnly; Secure; SameSite=Strict",
        ),
        ({"path": "/a/b%20c=d"}, "io=x; Path=/a/b%20c=d; HttpOnly; SameSite=Lax"),
    ],
)
def test_header_has_the_references_order_and_spelling(options, header):
    assert Cookie(**options).header("x") == header


def test_header_encodes_the_sid_as_the_reference():
    # What npm cookie 0.7.2 writes for this id.
    header = Cookie(path="/x").header("a b/\"é-_.!~*()'=")
    assert header == "io=a%20b%2F%22%C3%A9-_.!~*()'%3D; Path=/x; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize("evil", EVIL[:-1])
def test_header_is_one_attribute_whatever_the_sid(evil):
    header = Cookie(http_only=False, same_site=None).header(f"a{evil}b")
    assert header.isascii()
    assert header.isprintable()
    assert header.count(";") == 1


def test_header_refuses_a_lone_surrogate():
    with pytest.raises(UnicodeEncodeError):
        Cookie().header("\ud800")


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("place", ["{}x", "x{}x", "x{}"])
@pytest.mark.parametrize("field", ["name", "path", "domain", "same_site"])
def test_no_field_takes_what_could_split_the_header(field, place, evil):
    value = place.format(evil)
    if field == "path":
        value = "/" + value
    with pytest.raises(ValueError, match=rf"^cookie: {field} ") as caught:
        Cookie(**{field: value})
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["", " ", "a b", "a=b", 'a"', "a,b", "a/b", "(a)", "[", "{", "@"])
def test_name_is_a_token(name):
    with pytest.raises(ValueError, match="name must be a token"):
        Cookie(name=name)


def test_every_character_of_a_token_may_be_in_a_name():
    name = "!#$%&'*+-.^_`|~09azAZ"
    assert Cookie(name=name).header("x").startswith(f"{name}=x; ")


@pytest.mark.parametrize("path", ["", "x", " /", "/a b", "/\t", "*"])
def test_path_begins_with_a_slash(path):
    with pytest.raises(ValueError, match="path must begin with a slash"):
        Cookie(path=path)


@pytest.mark.parametrize("path", ["/", "/!~", "/:", "/<", "//", "/a,b"])
def test_path_takes_visible_characters(path):
    assert f"; Path={path};" in Cookie(path=path).header("x")


@pytest.mark.parametrize(
    "domain", ["a", "A.com", ".a.com", "a-b.c", "1.2.3.4", "a" * 63, "a." * 126 + "a"]
)
def test_domain_is_a_host_name(domain):
    assert f"; Domain={domain};" in Cookie(domain=domain).header("x")


@pytest.mark.parametrize(
    "domain",
    [
        "",
        ".",
        "a.",
        "a..b",
        "-a",
        "a-",
        "a b",
        "a:80",
        "http://a",
        "a/b",
        "_a",
        "a" * 64,
        "a." * 126 + "aa",
    ],
)
def test_domain_that_is_none_is_refused(domain):
    with pytest.raises(ValueError, match="domain must be a host name"):
        Cookie(domain=domain)


@pytest.mark.parametrize("same_site", ["Lax", "", "NONE", "no"])
def test_same_site_is_one_of_three(same_site):
    with pytest.raises(ValueError, match="same_site must be 'lax', 'strict', 'none' or None"):
        Cookie(same_site=same_site)


def test_same_site_none_needs_secure():
    with pytest.raises(ValueError, match="same_site='none' needs secure=True"):
        Cookie(same_site="none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "__Secure-io"}, "needs secure=True"),
        ({"name": "__Host-io"}, "needs secure=True"),
        ({"name": "__host-io"}, "needs secure=True"),
        ({"name": "__Host-io", "secure": True, "path": "/x"}, "needs path='/' and no domain"),
        ({"name": "__Host-io", "secure": True, "domain": "a"}, "needs path='/' and no domain"),
    ],
)
def test_prefix_of_a_name_keeps_its_promise(options, message):
    with pytest.raises(ValueError, match=message):
        Cookie(**options)


def test_prefix_of_a_name_is_taken_with_what_it_needs():
    assert Cookie(name="__Host-io", secure=True).name == "__Host-io"
    assert Cookie(name="__Secure-io", secure=True, path="/x", domain="a").name == "__Secure-io"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", b"io"),
        ("name", 1),
        ("path", None),
        ("path", b"/"),
        ("http_only", 1),
        ("http_only", None),
        ("secure", "yes"),
        ("same_site", True),
        ("same_site", b"lax"),
        ("domain", 1),
        ("max_age", "1"),
        ("max_age", 1.0),
        ("max_age", True),
    ],
)
def test_wrong_types_are_refused(field, value):
    with pytest.raises(
        TypeError, match=rf"^cookie: {field} must be .*, not {type(value).__name__}$"
    ):
        Cookie(**{field: value})


def test_max_age_has_a_range():
    assert check_max_age(None, "x") is None
    assert check_max_age(0, "x") is None
    assert check_max_age(2**31 - 1, "x") is None
    for value in (-1, 2**31, 10**5_000, -(10**5_000)):
        with pytest.raises(ValueError, match=r"^cookie: max_age must be from 0 to 2147483647"):
            Cookie(max_age=value)


def test_cookie_never_changes():
    cookie = Cookie()
    with pytest.raises(FrozenInstanceError):
        cookie.name = "x"
    assert cookie == Cookie()
    assert hash(cookie) == hash(Cookie())


def test_read_cookie_takes_every_form():
    cookie = Cookie(name="x")
    assert read_cookie(None) is None
    assert read_cookie(False) is None
    assert read_cookie(True) == Cookie()
    assert read_cookie("sid") == Cookie(name="sid")
    assert read_cookie({}) == Cookie()
    assert read_cookie({"name": "x", "max_age": 5}) == Cookie(name="x", max_age=5)
    assert read_cookie(cookie) is cookie


@pytest.mark.parametrize("value", [1, 0, 1.5, b"io", ["io"], Cookie])
def test_read_cookie_refuses_other_types(value):
    with pytest.raises(
        TypeError, match=r"^cookie must be a bool, a name, a mapping or a Cookie, not "
    ):
        read_cookie(value)


@pytest.mark.parametrize("value", ["", "a;b", "a\r\n", {"name": "a b"}])
def test_read_cookie_checks_what_it_reads(value):
    with pytest.raises(ValueError, match=r"^cookie: name"):
        read_cookie(value)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("httpOnly", "http_only"),
        ("HttpOnly", "http_only"),
        ("httponly", "http_only"),
        ("sameSite", "same_site"),
        ("samesite", "same_site"),
        ("maxAge", "max_age"),
        ("Max-Age", "max_age"),
        ("Path", "path"),
        ("domian", "domain"),
    ],
)
def test_unknown_key_names_the_nearest_right_one(key, meant):
    with pytest.raises(TypeError) as caught:
        read_cookie({key: 1})
    assert str(caught.value) == f"cookie: unknown key {key!r}; did you mean {meant!r}?"


@pytest.mark.parametrize("key", ["partitioned", "zzz", 1, None])
def test_unknown_key_without_a_neighbour(key):
    with pytest.raises(TypeError) as caught:
        read_cookie({key: 1})
    assert str(caught.value) == f"cookie: unknown key {key!r}"


def test_check_keys_takes_known_ones():
    assert check_keys({"a": 1}, ["a", "b"], "x") is None


def test_tokens():
    assert is_token("Content-Type")
    assert not is_token("")
    assert not any(map(is_token, ['"', "a b", "a\n", "a:", "a,b", "é", "\x7f"]))

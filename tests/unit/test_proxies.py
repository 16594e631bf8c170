import random
from ipaddress import ip_address, ip_network

import pytest

from roomcast.engine.proxies import MAX_ENTRIES, MAX_ENTRY, Peer, TrustedProxies

TRUSTED = TrustedProxies(["10.0.0.0/8", "192.168.1.1", "2001:db8::/32"])
PROXY = "10.0.0.1"


def resolve(*headers, address=PROXY, secure=False, proxies=TRUSTED):
    """Resolve headers given as ``name: value`` lines."""
    pairs = []
    for line in headers:
        name, _, value = line.partition(":")
        pairs.append((name.encode("latin-1"), value.encode("latin-1")))
    return proxies.resolve(address, pairs, secure)


def client(*headers, **options):
    return resolve(*headers, **options).address


def forwarded_for(value, **options):
    return client(f"x-forwarded-for: {value}", **options)


# --- whom the program trusts


@pytest.mark.parametrize(
    ("proxy", "inside", "outside"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
        ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
        ("::1", "::1", "::2"),
        ("fd00::/8", "fdff::1", "fe80::1"),
        ("0.0.0.0/0", "8.8.8.8", "::1"),
        ("::/0", "2001::1", "8.8.8.8"),
        ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
        ("::ffff:1.2.3.4", "1.2.3.4", "1.2.3.5"),
        ("::1:0:0/96", "::1:0:1", "::2:0:1"),
        ("fe80::/10", "fe80::1%eth0", "fd00::1%eth0"),
        (ip_address("1.2.3.4"), "1.2.3.4", "1.2.3.5"),
        (ip_address("::1"), "::1", "::2"),
        (ip_network("10.0.0.0/8"), "10.1.1.1", "11.1.1.1"),
        (ip_network("fd00::/8"), "fd00::1", "fe00::1"),
    ],
)
def test_addresses_and_networks_are_trusted(proxy, inside, outside):
    proxies = TrustedProxies([proxy])
    assert forwarded_for("9.9.9.9", address=inside, proxies=proxies) == "9.9.9.9"
    assert forwarded_for("9.9.9.9", address=outside, proxies=proxies) == outside


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "localhost",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "1.2.3",
        "01.2.3.4",
        "[::1]",
        "1.2.3.4:80",
        "a\n",
        "UNIX",
    ],
)
def test_what_is_no_address_is_refused(proxy):
    with pytest.raises(
        ValueError, match=r"^trusted proxies: .* is no address and no network: "
    ) as caught:
        TrustedProxies(["127.0.0.1", proxy])
    assert repr(proxy) in str(caught.value)


def test_star_is_refused_with_what_to_write():
    with pytest.raises(ValueError, match=r"choose its own address.*'0\.0\.0\.0/0' and '::/0'"):
        TrustedProxies(["*"])


@pytest.mark.parametrize("proxies", ["127.0.0.1", "*", b"::1", None, 1, True])
def test_proxies_are_a_list(proxies):
    with pytest.raises(TypeError, match="must be a list of addresses"):
        TrustedProxies(proxies)


@pytest.mark.parametrize("proxy", [None, 1, b"\x7f\0\0\x01", True, ["127.0.0.1"]])
def test_items_of_wrong_types_are_refused(proxy):
    with pytest.raises(TypeError, match="is no address and no network"):
        TrustedProxies([proxy])


def test_repr_names_the_proxies():
    proxies = TrustedProxies(["10.0.0.0/8", "unix", "::1"])
    assert repr(proxies) == "TrustedProxies(['10.0.0.0/8', '::1/128', 'unix'])"
    assert repr(TrustedProxies([])) == "TrustedProxies([])"


# --- who is believed

EVERYTHING = (
    "x-forwarded-for: 9.9.9.9",
    "x-forwarded-proto: https",
    "x-forwarded-host: example.com",
    "forwarded: for=8.8.8.8;proto=https;host=example.com",
)


@pytest.mark.parametrize(
    "address",
    ["11.0.0.1", "::2", "", "testclient", "10.0.0.1:80", "10.0.0.1\n", "\ud800", "10.0.0"],
)
@pytest.mark.parametrize("secure", [True, False])
def test_headers_of_strangers_are_ignored(address, secure):
    assert resolve(*EVERYTHING, address=address, secure=secure) == (address, secure, None)


def test_empty_list_trusts_nobody():
    for address in ("127.0.0.1", "::1", ""):
        assert client(*EVERYTHING, address=address, proxies=TrustedProxies([])) == address


def test_unix_socket_is_trusted_by_its_name():
    unix = TrustedProxies(["unix"])
    assert client("x-forwarded-for: 9.9.9.9", address="", proxies=unix) == "9.9.9.9"
    assert client("x-forwarded-for: junk", address="", proxies=unix) == ""
    assert client("x-forwarded-for: 9.9.9.9", address="127.0.0.1", proxies=unix) == "127.0.0.1"
    everybody = TrustedProxies(["0.0.0.0/0", "::/0"])
    assert client("x-forwarded-for: 9.9.9.9", address="", proxies=everybody) == ""


def test_direct_peer_may_be_mapped_into_ipv6():
    assert forwarded_for("9.9.9.9", address="::ffff:10.0.0.1") == "9.9.9.9"


def test_proxy_that_says_nothing():
    assert resolve() == Peer(PROXY, False, None)
    assert resolve("host: example.com", "x-forwarded: for=9.9.9.9", secure=True) == (
        PROXY,
        True,
        None,
    )


# --- X-Forwarded-For


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("9.9.9.9", "9.9.9.9"),
        # From the right: what stands left of the client, it may have written itself.
        ("1.1.1.1, 9.9.9.9", "9.9.9.9"),
        ("10.0.0.9, 9.9.9.9", "9.9.9.9"),
        ("9.9.9.9, 10.0.0.2", "9.9.9.9"),
        ("1.1.1.1, 9.9.9.9, 10.0.0.3, 10.0.0.2", "9.9.9.9"),
        ("9.9.9.9,192.168.1.1,2001:db8::5", "9.9.9.9"),
        # The leftmost, where all are trusted.
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # Garbage ends the walk.
        ("9.9.9.9, junk", PROXY),
        ("9.9.9.9, junk, 10.0.0.2", "10.0.0.2"),
        ("9.9.9.9, , 10.0.0.2", "10.0.0.2"),
        ("9.9.9.9,", PROXY),
        ("", PROXY),
        (",,,", PROXY),
        ("unknown", PROXY),
        ("junk, 9.9.9.9", "9.9.9.9"),
    ],
)
def test_first_untrusted_from_the_right_is_the_client(value, address):
    assert forwarded_for(value) == address


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:5678", "1.2.3.4"),
        (" \t1.2.3.4\t ", "1.2.3.4"),
        ('"1.2.3.4"', "1.2.3.4"),
        ('"1.2.3.4:80"', "1.2.3.4"),
        ("1.2.3.4:", "1.2.3.4"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[::1]:80", "::1"),
        ('"[::1]:80"', "::1"),
        ('" [::1]"', None),
        ("2001:0DB9:0:0::1", "2001:db9::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
        ("::ffff:102:304", "1.2.3.4"),
        ("2001:db9::1:8080", "2001:db9::1:8080"),
        ("1.2.3.4:x", None),
        ("1.2.3.4:-1", None),
        ("1.2.3.4:\xb2", None),
        ("1.2.3.4:80:80", None),
        ("[1.2.3.4]", None),
        ("[1.2.3.4]:80", None),
        ("[::1", None),
        ("[::1]x", None),
        ("[::1]:x", None),
        ("[]", None),
        ("[", None),
        ('"', None),
        ('"1.2.3.4', None),
        ("fe80::1%eth0", None),
        ("[fe80::1%eth0]", None),
        ("1.2.3", None),
        ("1.2.3.256", None),
        ("01.2.3.4", None),
        ("16909060", None),
        ("1.2.3.4/32", None),
        ("1.2.3.4;80", None),
        ("example.com", None),
        ("_hidden", None),
        ("1.2.3.4\n", None),
        ("\xb2.2.3.4", None),
        ("1" * (MAX_ENTRY + 1), None),
        (" " * MAX_ENTRY + "1.2.3.4", None),
        (":" * MAX_ENTRY, None),
    ],
)
def test_one_entry(entry, address):
    assert forwarded_for(entry) == (address or PROXY)
    quoted = entry.strip(" \t").strip('"')
    if address:
        assert client(f'forwarded: for="{quoted}"') == address


def test_lines_are_joined_in_their_order():
    lines = ("X-Forwarded-For: 1.1.1.1", "x-other: 1", "x-forwarded-for: 9.9.9.9, 10.0.0.2")
    assert client(*lines) == "9.9.9.9"
    assert client("x-forwarded-for: 9.9.9.9", "x-forwarded-for: 10.0.0.2") == "9.9.9.9"
    assert client("x-forwarded-for: 9.9.9.9", "X-FORWARDED-FOR: 8.8.8.8") == "8.8.8.8"


def test_mapped_entry_is_compared_as_ipv4():
    assert forwarded_for("9.9.9.9, ::ffff:10.0.0.2") == "9.9.9.9"


def test_only_so_many_entries_are_looked_at():
    chain = [f"10.0.1.{number}" for number in range(MAX_ENTRIES)]
    assert forwarded_for(", ".join(chain)) == "10.0.1.0"
    assert forwarded_for(", ".join(["9.9.9.9", *chain[1:]])) == "9.9.9.9"
    assert forwarded_for(", ".join(["9.9.9.9", *chain])) == "10.0.1.0"
    assert forwarded_for(", ".join(["9.9.9.9"] * 10_000 + chain)) == "10.0.1.0"
    elements = [f"for={address};proto=https" for address in chain]
    assert client("forwarded: " + ", ".join(["for=9.9.9.9", *elements])) == "10.0.1.0"


# --- X-Forwarded-Proto and X-Forwarded-Host


@pytest.mark.parametrize(
    ("value", "secure"),
    [
        ("https", True),
        ("HTTPS", True),
        ("wss", True),
        ("http", False),
        ("ws", False),
        (' "https" ', True),
        # Only the last one is surely the proxy's.
        ("https, http", False),
        ("http, https", True),
        ("http,", None),
        ("", None),
        ("ftp", None),
        ("https\0", None),
        ("on", None),
        ("https" * 10_000, None),
    ],
)
def test_proto(value, secure):
    for before in (True, False):
        expected = before if secure is None else secure
        assert resolve(f"x-forwarded-proto: {value}", secure=before).secure is expected


def test_last_line_counts():
    assert resolve("x-forwarded-proto: https", "x-forwarded-proto: http").secure is False
    host = resolve("x-forwarded-host: a.example", "X-Forwarded-Host: b.example").host
    assert host == "b.example"


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("example.com", "example.com"),
        ("Example.com:8080", "Example.com:8080"),
        ("[::1]:80", "[::1]:80"),
        ('"example.com"', "example.com"),
        ("a.example, b.example", "b.example"),
        ("", None),
        ("a b", None),
        ("a/b", None),
        ("user@a", None),
        ("a\r\nb", None),
        ("é", None),
        ("a:x", None),
        ("a" * 100_000, None),
    ],
)
def test_host(value, host):
    assert resolve(f"x-forwarded-host: {value}").host == host
    assert resolve(f"x-forwarded-host: {value}", address="9.9.9.9").host is None


def test_proto_and_host_count_without_an_address():
    lines = ("x-forwarded-proto: https", "x-forwarded-host: a.example", "x-forwarded-for: junk")
    assert resolve(*lines) == (PROXY, True, "a.example")


# --- Forwarded


@pytest.mark.parametrize(
    ("value", "peer"),
    [
        ("for=9.9.9.9", ("9.9.9.9", False, None)),
        ("For=9.9.9.9;Proto=HTTPS;Host=a.example", ("9.9.9.9", True, "a.example")),
        ('for="[2001:db9::1]:4711";proto=https', ("2001:db9::1", True, None)),
        ("for=9.9.9.9:80", ("9.9.9.9", False, None)),
        ("for=[2001:db9::1]", ("2001:db9::1", False, None)),
        (" by=10.0.0.1 ; for=9.9.9.9 ;; secret=_x;", ("9.9.9.9", False, None)),
        ('for=9.9.9.9;host="a.example:8080"', ("9.9.9.9", False, "a.example:8080")),
        ("for=9.9.9.9;host=a/b;proto=ftp", ("9.9.9.9", False, None)),
        ('for="9.9.9.9";by="";x=', ("9.9.9.9", False, None)),
        # From the right, as far as trusted proxies reach.
        ("for=1.1.1.1, for=9.9.9.9", ("9.9.9.9", False, None)),
        ("for=1.1.1.1;proto=https;host=x, for=9.9.9.9", ("9.9.9.9", False, None)),
        ("for=9.9.9.9, for=10.0.0.2", ("9.9.9.9", False, None)),
        # The words of the proxy that the client was connected to win over those between proxies,
        ("for=9.9.9.9;proto=https;host=a, for=10.0.0.2;proto=http;host=b", ("9.9.9.9", True, "a")),
        # and where it says nothing, theirs count.
        ("for=9.9.9.9, for=10.0.0.2;proto=https;host=b", ("9.9.9.9", True, "b")),
        ("for=9.9.9.9;host=a b, for=10.0.0.2;host=b", ("9.9.9.9", False, "b")),
        ("for=10.0.0.3, for=10.0.0.2", ("10.0.0.3", False, None)),
        # An obfuscated or missing address ends the walk; the rest of the entry still is a proxy's.
        ("for=9.9.9.9, for=unknown;proto=https", (PROXY, True, None)),
        ("for=_hidden;host=a", (PROXY, False, "a")),
        ("proto=https", (PROXY, True, None)),
        ("for=9.9.9.9, , for=10.0.0.2", ("10.0.0.2", False, None)),
        ("", (PROXY, False, None)),
        # Malformed: nothing of the entry counts.
        ("for=9.9.9.9;proto", (PROXY, False, None)),
        ("for=9.9.9.9;=x", (PROXY, False, None)),
        ("for =9.9.9.9", (PROXY, False, None)),
        ("for=9.9.9.9;for=8.8.8.8", (PROXY, False, None)),
        ("proto=https;for=9.9.9.9;PROTO=http", (PROXY, False, None)),
        ('for="9.9.9.9', (PROXY, False, None)),
        ('for=9.9.9.9"', (PROXY, False, None)),
        ('for=""9.9.9.9""', (PROXY, False, None)),
        ('for="9.9.9.9\\""', (PROXY, False, None)),
        ("for=9.9.9.9;x=\\", (PROXY, False, None)),
        ("proto=https;for=9.9.9.9;x=" + "y" * MAX_ENTRY, (PROXY, False, None)),
        # A quote that the client leaves open does not reach over what the proxy adds.
        ('for=", for=9.9.9.9', ("9.9.9.9", False, None)),
        ('x="y, for=9.9.9.9;proto=https', ("9.9.9.9", True, None)),
        # A host with a comma in quotes cannot add an entry.
        ('for=9.9.9.9;host="x,for=1.1.1.1"', (PROXY, False, None)),
        ('for=9.9.9.9;host="x,for=1.1.1.1;a"', (PROXY, False, None)),
        ('for=9.9.9.9;host="x,for=1.1.1.1;a=\\""', (PROXY, False, None)),
    ],
)
def test_forwarded(value, peer):
    assert resolve(f"forwarded: {value}") == peer


def test_forwarded_lines_are_joined():
    assert client("forwarded: for=9.9.9.9", "Forwarded: for=10.0.0.2") == "9.9.9.9"


def test_forwarded_counts_only_where_there_is_no_other():
    lines = ("x-forwarded-proto: https", "x-forwarded-host: a")
    assert resolve(*lines, "forwarded: for=8.8.8.8") == ("8.8.8.8", False, None)


# --- anything at all


def test_any_bytes_give_a_peer():
    rng = random.Random(3)
    pieces = [
        b"for=",
        b"9.9.9.9",
        b"10.0.0.2",
        b",",
        b";",
        b'"',
        b"\\",
        b"[",
        b"]",
        b":",
        b"%",
        b"=",
        b"::1",
    ]
    pieces += [b"proto", b"https", b"host", b" ", b"\t", b"\0", b"\xff", b"\r\n", b"unknown", b"1"]
    names = [b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"\xff"]
    for _ in range(5_000):
        headers = [
            (rng.choice(names), b"".join(rng.choices(pieces, k=rng.randrange(12))))
            for _ in range(rng.randrange(4))
        ]
        peer = TRUSTED.resolve(PROXY, headers, False)
        assert ip_address(peer.address)
        assert isinstance(peer.secure, bool)
        assert peer.host is None or peer.host.isascii()


@pytest.mark.parametrize(
    "junk", [b",", b" ", b'"', b";", b"=", b":", b"[", b"\\", b"for=", b"10.0.0.2,", b"\xff"]
)
@pytest.mark.parametrize(
    "name", [b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"]
)
def test_long_headers_are_read_to_their_end_once(name, junk):
    peer = TRUSTED.resolve(PROXY, [(name, junk * 65_536)] * 4, False)
    assert peer.address in (PROXY, "10.0.0.2")

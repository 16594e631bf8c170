import gzip
import zlib

import pytest

from roomcast.engine.compression import MAX_HEADER, compress, negotiate


# Every row was decided by npm accepts 1.3.8, but for those of `test_weight_that_is_no_number_excludes`.
@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip", "deflate"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("br", None),
        ("identity", None),
        ("x-gzip", None),
        ("gzip deflate", None),
        ("GZip", "gzip"),
        ("\t gzip \t", "gzip"),
        # The highest weight first.
        ("gzip;q=0.5, deflate", "deflate"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0.5, deflate;q=0.5", "gzip"),
        ("deflate;q=0.5, gzip;q=0.5", "deflate"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=.5, deflate;q=0.4", "gzip"),
        ("gzip;q=1., deflate;q=0.4", "gzip"),
        ("gzip, deflate;q=2", "deflate"),
        # Spaces and other parameters.
        ("gzip ; q=0.1 , deflate ; q=0.2", "deflate"),
        ("gzip;q= 0.1, deflate;q=0.2", "deflate"),
        ("gzip;a=b;q=0.1, deflate;q=0.2", "deflate"),
        ("gzip;q=0.3;q=0.1, deflate;q=0.2", "gzip"),
        ("gzip;, deflate", "gzip"),
        ("gzip;q =0, deflate;q=0.9", "gzip"),
        # Excluded.
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip;q=0, deflate;q=0", None),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip;q=, deflate;q=0.1", "deflate"),
        ("gzip;q, deflate;q=0.1", "deflate"),
        ("gzip;q=., deflate;q=0.1", "deflate"),
        ("gzip;q=-1", None),
        ("gzip;q=x", None),
        # The star.
        ("*", "gzip"),
        ("*;q=0", None),
        ("*;q=0, gzip", "gzip"),
        ("*, gzip;q=0", "deflate"),
        ("*, gzip;q=0.5", "deflate"),
        ("*;q=0.5, gzip", "gzip"),
        ("*, deflate", "deflate"),
        ("*, gzip", "gzip"),
        ("gzip, *;q=0", "gzip"),
        # Nothing that is said of identity matters while one of ours is acceptable.
        ("identity, gzip;q=0.1", "gzip"),
        ("identity;q=0, gzip", "gzip"),
        ("identity;q=0", None),
        # Twice: the higher weight, and of equals the later place.
        ("gzip;q=0.1, deflate;q=0.5, gzip", "gzip"),
        ("gzip, deflate;q=0.5, gzip;q=0.1", "gzip"),
        ("gzip, deflate, gzip", "deflate"),
        ("*;q=0.1, *, deflate;q=0.5", "gzip"),
        # Empty entries.
        (",,gzip,,", "gzip"),
        (";q=1", None),
        (",", None),
    ],
)
def test_negotiate_decides_as_the_reference(header, encoding):
    assert negotiate(header) == encoding


@pytest.mark.parametrize(
    "weight",
    ["1e3", "+1", "1x", "Infinity", "inf", "nan", "1_0", "1.2.3", "0x1", "..", "\u0661", "1 1"],
)
def test_weight_that_is_no_number_excludes(weight):
    assert negotiate(f"gzip;q={weight}, deflate;q=0.1") == "deflate"
    assert negotiate(f"gzip;q={weight}") is None


def test_weight_may_be_a_capital_letter():
    assert negotiate("gzip;Q=0") is None
    assert negotiate("gzip;Q=0.1, deflate;Q=0.2") == "deflate"


def test_unreadable_weight_yields_to_a_readable_one():
    assert negotiate("gzip;q=0.5, gzip;q=x") == "gzip"


def test_negotiate_looks_at_the_beginning_only():
    assert negotiate("," * 65_536) is None
    assert negotiate("," * 65_536 + "gzip") is None
    assert negotiate("gzip" + "," * 65_536) == "gzip"
    assert negotiate(" " * 65_536) is None
    assert negotiate("gzip" + ";" * 65_536) is None
    assert negotiate("gzip;q=" + "9" * 65_536) is None


def test_entry_at_the_cut_is_ignored():
    filler = "," * (MAX_HEADER - len("gzip;q=0"))
    assert negotiate(filler + "gzip;q=0") is None
    # What is cut off could be the digits behind the point, or a whole weight.
    assert negotiate(filler + "gzip;q=0.9") is None
    filler = "," * (MAX_HEADER - len("gzip"))
    assert negotiate(filler + "gzip") == "gzip"
    assert negotiate(filler + "gzip;q=0") is None


def test_huge_weight_is_a_number():
    assert negotiate("deflate, gzip;q=" + "9" * 900) == "gzip"


@pytest.mark.parametrize("data", [b"", b"x", "é€".encode() * 1_000, bytes(range(256)) * 64])
def test_compress_can_be_read_by_others(data):
    assert gzip.decompress(compress(data, "gzip")) == data
    assert zlib.decompress(compress(data, "deflate")) == data


def test_gzip_has_no_time_in_it():
    body = compress(b"hello" * 100, "gzip")
    assert body[:3] == b"\x1f\x8b\x08"
    assert body[4:8] == bytes(4)
    assert compress(b"hello" * 100, "gzip") == body
    assert len(body) < 100


def test_deflate_is_the_zlib_format():
    assert compress(b"hello", "deflate")[:1] == b"\x78"

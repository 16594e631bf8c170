"""Where our decoder differs from socket.io-parser on purpose, each with a predicate that recognises it.

The differential test takes a difference only if a row of `DEVIATIONS` explains it: the row's predicate holds for the
refused message, and the kind of our error is one of the row's. A row that never applies is as wrong as a missing one.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from roomcast.codec import PacketErrorKind as Kind
from support.generate import join_surrogates
from support.reference import UNDEFINED

__all__ = ["DEVIATIONS", "Deviation", "Header", "explain", "read_header", "same_value"]

# What Number(c) takes for a blank: ECMAScript's WhiteSpace and LineTerminator.
BLANKS: Final = frozenset(
    "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"
    + "".join(map(chr, range(0x2000, 0x200B)))
)
DIGITS: Final = frozenset("0123456789")
SURROGATES: Final = re.compile("[\ud800-\udfff]")


class Header(NamedTuple):
    """The fields of a packet where socket.io-parser sees them, before any of them is judged."""

    type: str
    attachments: str | None
    nsp: str
    id: str
    payload: str


def read_header(text: str) -> Header:
    """Split a text exactly as ``Decoder.decodeString`` does, coercions included."""
    type_ = text[:1]
    at = 1
    attachments = None
    if type_ in {"5", "6"}:
        end = text.find("-", 1)
        end = len(text) if end < 0 else end
        attachments = text[1:end]
        at = end + 1
    nsp = "/"
    if text[at : at + 1] == "/":
        end = text.find(",", at)
        end = len(text) if end < 0 else end
        nsp = text[at:end]
        at = end + 1
    start = at
    while text[at : at + 1] in DIGITS or text[at : at + 1] in BLANKS:
        at += 1
    return Header(type_, attachments, nsp, text[start:at], text[at:])


def outside_strings(payload: str) -> str:
    """Return the payload with its strings emptied, closed or not."""
    return re.sub(r'"(?:[^"\\]|\\.)*(?:"|$)', '""', payload, flags=re.DOTALL)


def depth(payload: str) -> int:
    deepest = level = 0
    for character in outside_strings(payload):
        if character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest


def too_large(id_: str) -> bool:
    """Tell whether the digits at the start of an id are beyond 2^53 - 1; they may be more than `int` takes."""
    digits = re.split(r"\D", id_)[0].lstrip("0")
    return (len(digits), digits) > (16, "9007199254740991")


class Spelled(str):
    """A number as it is written."""

    __slots__ = ()


def illegal_placeholder(header: Header) -> bool:
    """Tell whether some placeholder has a number that we refuse.

    Every object counts: also one inside another placeholder, or under a key that comes again.
    """
    placeholders: list[Any] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        item = dict(pairs)
        if item.get("_placeholder") is True:
            placeholders.append(item.get("num"))

    digits = header.attachments or ""
    count = int(digits) if digits.isdecimal() and len(digits) < 10 else 0
    try:
        json.loads(
            header.payload,
            parse_int=Spelled,
            parse_float=Spelled,
            parse_constant=Spelled,
            object_pairs_hook=note,
        )
    except (ValueError, RecursionError):
        pass  # told when the object ends, before what is wrong behind it
    return any(
        not isinstance(num, Spelled)
        or re.fullmatch(r"-0|\d+", num) is None
        or not 0 <= int(num[:10]) < count
        for num in placeholders
    )


class Deviation(NamedTuple):
    """One deliberate difference.

    Attributes:
        name: What it is about.
        reason: Why we do not do what the reference does.
        kinds: What our decoder says.
        applies: Tells from the fields of the refused text whether this is the case.
    """

    name: str
    reason: str
    kinds: frozenset[Kind]
    applies: Callable[[Header], bool]


DEVIATIONS: Final = (
    Deviation(
        "type coerced",
        "an empty text and a leading blank are CONNECT by Number(''): no encoder writes them",
        frozenset({Kind.UNKNOWN_PACKET_TYPE}),
        lambda header: header.type == "" or header.type in BLANKS,
    ),
    Deviation(
        "attachments coerced",
        "1e0, 0x1, ' 1', +1 and 1.0 are numbers to JavaScript; the grammar says digits",
        frozenset({Kind.ILLEGAL_ATTACHMENTS}),
        lambda header: header.attachments is not None and not set(header.attachments) <= DIGITS,
    ),
    Deviation(
        "id coerced",
        "blanks count as digits in JavaScript (Number(' ') == ' '): `2 [..]` has id 0, `20 0[..]` id NaN",
        frozenset({Kind.INVALID_PAYLOAD, Kind.INVALID_JSON, Kind.MISSING_EVENT_NAME}),
        lambda header: not set(header.id) <= DIGITS,
    ),
    Deviation(
        "nameless event",
        "an EVENT without a payload has no name to dispatch",
        frozenset({Kind.MISSING_EVENT_NAME}),
        lambda header: header.type in {"2", "5"} and header.payload == "",
    ),
    Deviation(
        "id too large",
        "beyond 2^53 - 1 the reference rounds, and would answer another id than it was asked",
        frozenset({Kind.ID_TOO_LARGE}),
        lambda header: too_large(header.id),
    ),
    Deviation(
        "namespace too long",
        "names are kept per connection; 256 bytes are enough",
        frozenset({Kind.NAMESPACE_TOO_LONG}),
        lambda header: len(header.nsp.encode("utf-8", "surrogatepass")) > 256,
    ),
    Deviation(
        "too deep",
        "walkers recurse; V8 goes on until its stack ends",
        frozenset({Kind.TOO_DEEP}),
        lambda header: depth(header.payload) > 200,
    ),
    Deviation(
        "too many values",
        "1 MB of text must not become 20 MB of objects",
        frozenset({Kind.TOO_MANY_VALUES}),
        lambda header: len(re.findall(r"[\[{,]", outside_strings(header.payload))) >= 250_000,
    ),
    Deviation(
        "integer too long",
        "the reference rounds to Infinity; CPython refuses more than 4 300 digits",
        frozenset({Kind.INTEGER_TOO_LONG}),
        lambda header: (
            re.search(r"(?<![\d.eE+])\d{4301,}(?![\d.eE])", outside_strings(header.payload))
            is not None
        ),
    ),
    Deviation(
        "placeholder number",
        "num is an index, an integer in range, told at the header and wherever the object stands; the reference tells "
        "at the last attachment, takes 0.5 and 1.0, and does not look into what is replaced",
        frozenset({Kind.ILLEGAL_PLACEHOLDER}),
        illegal_placeholder,
    ),
)


def explain(text: str, kind: str) -> Deviation | None:
    """Return the row that makes it right to refuse this text with this kind."""
    header = read_header(text)
    for deviation in DEVIATIONS:
        if kind in deviation.kinds and deviation.applies(header):
            return deviation
    return None


def readable(text: str) -> str:
    """Return a text as our decoder gives it: a lone surrogate becomes U+FFFD."""
    return SURROGATES.sub("\ufffd", join_surrogates(text))


def same_value(theirs: Any, ours: Any) -> bool:
    """Tell whether a value decoded by JavaScript and one decoded by us are the same.

    Numbers are equal if they are the same double; our integers are exact, theirs are rounded. Where two of their keys differ
    in a lone surrogate only, they are one key to us, and either value will do.
    """
    if theirs is UNDEFINED or theirs is None or ours is None:
        return theirs is None and ours is None
    if isinstance(theirs, bool) or isinstance(ours, bool):
        return theirs is ours
    if isinstance(theirs, int | float) and isinstance(ours, int | float):
        return double(theirs) == double(ours)
    if isinstance(theirs, str) and isinstance(ours, str):
        return readable(theirs) == ours
    if isinstance(theirs, bytes) and isinstance(ours, bytes):
        return theirs == ours
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(theirs) == len(ours) and all(map(same_value, theirs, ours))
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return {readable(key) for key in theirs} == set(ours) and all(
            any(same_value(item, ours[key]) for item in items)
            for key, items in grouped(theirs).items()
        )
    return False


def grouped(theirs: dict[str, Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for key, item in theirs.items():
        groups.setdefault(readable(key), []).append(item)
    return groups


def double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf

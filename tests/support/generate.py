"""Random packets, and texts that almost are packets, from a seeded generator of numbers.

A plain `random.Random` rather than hypothesis: the differential tests ask another process in big batches.
"""

import math
from random import Random
from typing import Any, Final

from roomcast.codec import Packet, PacketType

__all__ = ["join_surrogates", "mutate", "packet"]

PIECES: Final = (
    "",
    "a",
    "message",
    "chat message",
    "_placeholder",
    "num",
    "__proto__",
    "constructor",
    "toString",
    "0",
    "12",
    '"',
    "\\",
    "/",
    "\b\t\n\f\r",
    "\x00\x1f\x7f",
    "é",
    "ß€",
    "漢字",
    "\u2028\u2029",
    "\ufeff",
    "😀",
    "\U0010ffff",
    "\ud800",
    "\udfff",
    "x" * 63,
    "clean run of ASCII " * 5,
)
NAMESPACES: Final = ("/", "/", "/", "/admin", "/a/b?token=1", "/ä", "/" + "n" * 255, "/1", '/"[')
EVENTS: Final = ("message", "a", "error", "connection", "reconnect", "", "__init__", "ping", "日本")
IDS: Final = (0, 1, 7, 12, 13, 999, 2**31, 2**53 - 1)
SPECIALS: Final = (
    *'0123456789-,/[]{}":\\ \t\n.+eE',
    "5-",
    "51-",
    "510-",
    "511-",
    "50-",
    "501-",
    "51e0-",
    "50x1-",
    "51.0-",
    "599999999999-",
    "/nsp,",
    "/" + "n" * 256 + ",",
    "9007199254740991",
    "9007199254740992",
    "1" * 100,
    "007",
    '["connect"]',
    '["disconnecting",1]',
    '["newListener"]',
    '{"_placeholder":true,"num":0}',
    '{"_placeholder":true,"num":1}',
    '{"num":0,"_placeholder":true,"more":[1]}',
    '{"_placeholder":true,"num":-1}',
    '{"_placeholder":true,"num":0.5}',
    '{"_placeholder":true,"num":1.0}',
    '{"_placeholder":true,"num":1e0}',
    '{"_placeholder":true,"num":-0}',
    '{"_placeholder":true,"num":1e400}',
    '{"_placeholder":true,"num":"0"}',
    '{"_placeholder":true,"num":null}',
    '{"_placeholder":true}',
    '{"_placeholder":1,"num":0}',
    '{"_placeholder":"true","num":0}',
    '{"_placeholder":true,"num":9,"num":0}',
    '{"_placeholder":true,"_placeholder":false,"num":9}',
    '{"_placeholder":true,"num":0,"in":{"_placeholder":true,"num":9}}',
    '{"_placeholder":false,"num":0,"in":{"_placeholder":true,"num":0}}',
    "null",
    "true",
    "false",
    "nul",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "1e400",
    "-1e400",
    "1e-400",
    "-0",
    "-",
    "01",
    "1.",
    ".5",
    "1.5e+3",
    "0e1",
    "12345678901234567890",
    "123456789012345678901234567890",
    "0.1234567890123456789",
    '"\\ud83d"',
    '"\\ude00"',
    '"\\ud83d\\ude00"',
    '"\\ud83d\\ud83d\\ude00"',
    '"\\uD800\\u0041"',
    '{"\\ud800":1}',
    '"\\u00e9"',
    '"\\u00G0"',
    '"\\u12"',
    '"\\x41"',
    '"\\/"',
    '"\t"',
    '"\x00"',
    "\ud800",
    "\udc00",
    "\u00a0",
    "\ufeff",
    "\u2028",
    "'a'",
    "[1,]",
    '{"a":1,}',
    '{"a":1,"a":2}',
    '{"__proto__":1}',
    "[" * 150 + "]" * 150,
    "[" * 198 + "]" * 198,
    "[" * 199 + "]" * 199,
    "[" * 200 + "]" * 200,
    "[" * 201 + "]" * 201,
    "[" * 3000,
    '{"a":' * 199 + "1" + "}" * 199,
    '{"a":' * 200 + "1" + "}" * 200,
    "1" * 4299,
    "1" * 4300,
    "1" * 4301,
    "-" + "1" * 4300,
    "1" * 4301 + ".5",
    "/*",
    "//",
    "\x1e",
)


def join_surrogates(text: str) -> str:
    """Return the text as JavaScript would hold it: a leading surrogate before a trailing one is one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def string(random: Random) -> str:
    return join_surrogates("".join(random.choices(PIECES, k=random.choice((0, 1, 1, 1, 2, 3)))))


def number(random: Random) -> int | float:
    match random.randrange(8):
        case 0:
            return random.randint(-9, 200)
        case 1:
            return random.choice((-1, 1)) * ((1 << random.randrange(54)) - random.randrange(2))
        case 2:
            return random.choice((0.0, -0.0, 1.0, 1e21, 1e-7, 0.1, 1.5, 5e-324, math.inf, math.nan))
        case 3:
            return random.uniform(-1000, 1000)
        case 4:
            return random.uniform(-1, 1) * 10.0 ** random.randrange(-310, 308)
        case 5:
            return round(random.uniform(-1000, 1000), random.randrange(4))
        case 6:
            return random.randrange(1 << 31)
        case _:
            return random.choice((0, 1, -1, 9, 10, 99, 100, 2**53, -(2**53)))


def binary(random: Random) -> bytes | bytearray | memoryview:
    data = random.randbytes(random.choice((0, 1, 3, 17)))
    return random.choice((bytes, bytes, bytearray, memoryview))(data)


def value(random: Random, depth: int, attachments: list[int]) -> Any:
    kind = random.randrange(12 if depth else 9)
    if kind < 3:
        return string(random)
    if kind < 6:
        return number(random)
    if kind == 6:
        return random.choice((None, True, False))
    if kind == 7 or (kind == 8 and not attachments[0]):
        return random.choice(("", [], {}, (), 0, "0"))
    if kind == 8:
        attachments[0] -= 1
        return binary(random)
    items = [value(random, depth - 1, attachments) for _ in range(random.randrange(5))]
    if kind == 9:
        return items
    if kind == 10:
        return tuple(items)
    entries = {string(random): item for item in items}
    # Beside binary the encoder refuses what a receiver would take for a placeholder; `test_encode` has those.
    return {key: key != "_placeholder" and item for key, item in entries.items()}


def packet(random: Random) -> Packet:
    """Return a packet that every parser can carry: at most ten attachments, integers up to 2^53."""
    type_ = random.choice((0, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 4))
    nsp = random.choice(NAMESPACES)
    id_ = None
    data: Any = None
    attachments = [random.choice((0, 0, 1, 2, 10)) if type_ in {2, 3} else 0]
    items = [value(random, 3, attachments) for _ in range(random.randrange(4))]
    match type_:
        case 0:
            data = random.choice((None, {string(random): item for item in items}))
        case 2:
            data = [random.choice((random.choice(EVENTS), random.choice(EVENTS), number(random)))]
            if isinstance(data[0], float) and not math.isfinite(data[0]):
                data[0] = "message"
            data += items
            id_ = random.choice((None, None, random.choice(IDS)))
        case 3:
            data = items
            id_ = random.choice(IDS)
        case 4:
            data = random.choice(({"message": string(random)}, string(random)))
        case _:
            pass
    if isinstance(data, list) and random.random() < 0.2:
        data = tuple(data)
    return Packet(PacketType(type_), data, nsp, id_)


def mutate(random: Random, text: str) -> str:
    """Return a text that differs from a packet in a few places, or is made up of pieces of the grammar."""
    if random.random() < 0.05:
        return join_surrogates("".join(random.choices(SPECIALS, k=random.randrange(6))))
    if random.random() < 0.1:  # a sound packet around them, so that a value is reached
        header = random.choice(("2", "2/nsp,", "27", "51-", "52-", "52-/nsp,3"))
        values = ",".join(random.choices(SPECIALS, k=random.choice((1, 1, 1, 2, 3))))
        return join_surrogates(f'{header}["a",{values}]')
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        start = random.randrange(len(text) + 1)
        if random.random() < 0.3:  # headers are short beside payloads, and are where the rules are
            start = min(start, random.randrange(8))
        end = min(len(text), start + random.choice((0, 1, 1, 2, 5, 20)))
        match random.randrange(7):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:end] + text[start:]
            case 2:
                text = text[:start]
            case 3 if start < len(text):
                flipped = chr(ord(text[start]) ^ (1 << random.randrange(8)))
                text = text[:start] + flipped + text[start + 1 :]
            case 4:
                text = text[:start] + random.choice(SPECIALS) + text[end:]
            case 5:
                text = (
                    text[:start] + chr(random.choice((0x20, 0x7F, 0xD800, 0xFFFF))) + text[start:]
                )
            case _:
                text = text[:start] + random.choice(SPECIALS) + text[start:]
    return join_surrogates(text)

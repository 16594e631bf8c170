"""What a WebSocket server must do, as cases: which frames it gets, cut how, what it answers, and how it closes.

The server sends every message back. Each case has the number that the same case has in Autobahn's test suite, so that results can
be compared; its groups 1 to 7 and 10 are here, all 247 cases. The tables are written anew, from RFC 6455 and the one-line
descriptions in the suite's reports.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, product
from typing import Final

from support.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

__all__ = ["CASES", "Case"]

NORMAL, PROTOCOL_ERROR, INVALID_UTF8 = 1000, 1002, 1007
"""Codes of a close frame."""

MASK: Final = b"\x37\xfa\x21\x3d"
"""That of the examples in RFC 6455."""

MORE: Final = 0
"""FIN is not set: another fragment follows."""

Answer = tuple[int, bytes]
"""An opcode and what the frame carries."""


@dataclass(frozen=True)
class Case:
    """What is sent to a server that echoes, and what it must do.

    Attributes:
        name: Its number in Autobahn's test suite.
        pieces: What is sent, one write each.
        answers: The frames that come back before the close, in order.
        code: That of the server's close frame; ``None`` for one without.
        fails: Whether it is the server that closes. Otherwise the client does, by a frame in `pieces` or, where there is none,
            behind the last answer.
        closes: Whether the client's close is in `pieces`.
        fault: How many pieces it takes until the fault has been sent; what comes then, a strict server needs not see.
    """

    name: str
    pieces: tuple[bytes, ...]
    answers: tuple[Answer, ...] = ()
    code: int | None = NORMAL
    fails: bool = False
    closes: bool = False
    fault: int | None = None


def sent(opcode: int, data: bytes | str = b"", first: int = 0x80) -> bytes:
    """Return a frame as a client sends it."""
    return frame(opcode, data, first=first, mask=MASK)


def pieces_of(data: bytes, size: int) -> tuple[bytes, ...]:
    """Cut bytes into pieces of one size."""
    return tuple(data[start : start + size] for start in range(0, len(data), size))


def chopped(frames: Iterable[bytes], size: int) -> tuple[bytes, ...]:
    """Cut frames into pieces of one size, wherever that is."""
    return pieces_of(b"".join(frames), size)


def cuts(frames: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Send frames in the three ways of the suite: all at once, one by one, byte by byte."""
    frames = tuple(frames)
    yield (b"".join(frames),)
    yield frames
    yield chopped(frames, 1)


def fragments(*parts: bytes | str, opcode: int = TEXT) -> Iterator[bytes]:
    """Send a message as so many frames."""
    for number, part in enumerate(parts, 1):
        yield sent(opcode, part, 0x80 if number == len(parts) else MORE)
        opcode = CONTINUATION


def numbered(group: str, cases: Iterable[Case]) -> Iterator[Case]:
    """Give the cases of a group their numbers."""
    for number, case in enumerate(cases, 1):
        yield Case(**{**vars(case), "name": f"{group}.{number}"})


def echoed(pieces: Iterable[bytes], *answers: Answer) -> Case:
    return Case("", tuple(pieces), answers)


def refused(
    pieces: Iterable[bytes],
    *answers: Answer,
    code: int = PROTOCOL_ERROR,
    fault: int | None = None,
) -> Case:
    return Case("", tuple(pieces), answers, code, fails=True, fault=fault)


def closed(*frames: bytes, code: int | None = NORMAL) -> Case:
    return Case("", (b"".join(frames),), code=code, closes=True)


# 1: messages of each size of the length, and what is next to it.


def sizes(opcode: int, fill: bytes) -> Iterator[Case]:
    for size in (0, 125, 126, 127, 128, 65_535, 65_536):
        yield echoed([sent(opcode, fill * size)], (opcode, fill * size))
    message = fill * 65_536
    yield echoed(chopped([sent(opcode, message)], 997), (opcode, message))


# 2: pings and pongs. An answer to every ping is more than is asked for (RFC 6455 section 5.5.3).


def pings() -> Iterator[Case]:
    most, unsolicited = b"\xfe" * 125, sent(PONG, "unsolicited")
    for data in (b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", most):
        yield echoed([sent(PING, data)], (PONG, data))
    yield refused([sent(PING, b"\xfe" * 126)])
    yield echoed(chopped([sent(PING, most)], 1), (PONG, most))
    yield echoed([sent(PONG)])
    yield echoed([unsolicited])
    yield echoed([unsolicited, sent(PING, "asked")], (PONG, b"asked"))
    ten = [b"number %d" % number for number in range(10)]
    frames = [sent(PING, data) for data in ten]
    answers = [(PONG, data) for data in ten]
    yield echoed([b"".join(frames)], *answers)
    yield echoed(chopped(frames, 1), *answers)


# 3, 4: what no extension has given a meaning, alone or between a message and a ping.

HELLO: Final = sent(TEXT, "Hello")
HELLO_BACK: Final = (TEXT, b"Hello")


def reserved_bits() -> Iterator[Case]:
    def bits(number: int, opcode: int, data: bytes = b"Hello") -> bytes:
        return sent(opcode, data, 0x80 | number << 4)

    yield refused([bits(1, TEXT)])
    odd = (bits(number, TEXT) for number in (2, 3, 4))
    for way, frame_with_bits in enumerate(odd):
        pieces = tuple(cuts([HELLO, frame_with_bits, sent(PING)]))[way]
        yield refused(pieces, HELLO_BACK)
    yield refused([bits(5, BINARY, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")])
    yield refused([bits(6, PING)])
    yield refused([bits(7, CLOSE, b"")])


def reserved_opcodes(first: int) -> Iterator[Case]:
    for number in range(5):
        odd = sent(first + number, b"" if number in (0, 2) else b"payload")
        if number < 2:
            yield refused([odd])
        elif number < 4:
            yield refused([HELLO + odd + sent(PING)], HELLO_BACK)
        else:
            yield refused(chopped([HELLO, odd, sent(PING)], 1), HELLO_BACK)


# 5: fragments.


def fragmented() -> Iterator[Case]:
    one, two = fragments("one", "two")
    whole = (TEXT, b"onetwo")
    for opcode in (PING, PONG):
        yield refused([b"".join(fragments("one", "two", opcode=opcode))])
    for pieces in cuts([one, two]):
        yield echoed(pieces, whole)
    for pieces in cuts([one, sent(PING, "between"), two]):
        yield echoed(pieces, (PONG, b"between"), whole)
    for first in (0x80, MORE):
        for pieces in cuts([sent(CONTINUATION, "nothing before", first), HELLO]):
            yield refused(pieces)
    yield refused([one + two + sent(CONTINUATION, "three", MORE) + HELLO], whole)
    for first in (MORE, 0x80):
        frames = (sent(CONTINUATION, "nothing before", first), one, two)
        yield refused(frames * 2)
    yield refused([one + sent(TEXT, "two")])
    a, b, c, d, e = fragments("a", "b", "c", "d", "e")
    frames = (a, b, sent(PING, "first"), c, d, sent(PING, "second"), e)
    answers = ((PONG, b"first"), (PONG, b"second"), (TEXT, b"abcde"))
    yield echoed([b"".join(frames[:3]), b"".join(frames[3:])], *answers)
    yield echoed(frames, *answers)


# 6: UTF-8.

GREEK: Final = "κ\u1f79\u03c3με".encode()
"""Of characters of two and three bytes."""

MIXED: Final = "Hello-µ@ßöäüàá-UTF-8!!".encode()

HALF: Final = b"\xed\xa0\x80"
"""The first half of a surrogate pair, as CESU-8 would write it."""

TOO_HIGH: Final = b"\xf4\x90\x80\x80"
"""One beyond the last code point."""


def spelled(number: int, size: int) -> bytes:
    """Write a number as UTF-8 would in so many bytes, whether it may or not.

    Source:
        RFC 2279, the UTF-8 of six bytes; RFC 3629 has made it shorter.
    """
    if size == 1:
        return bytes((number,))
    tail = [0x80 | number >> 6 * place & 0x3F for place in reversed(range(size - 1))]
    lead = 0xFF << (8 - size) & 0xFF
    return bytes((lead | number >> 6 * (size - 1), *tail))


LAST: Final = {1: 0x7F, 2: 0x7FF, 3: 0xFFFF, 4: 0x1F_FFFF, 5: 0x3FF_FFFF, 6: 0x7FFF_FFFF}
"""The highest number that so many bytes have room for."""


def texts() -> Iterator[Iterable[bytes]]:
    """The texts that are sent in one frame, 6.5 to 6.23.

    Source:
        Markus Kuhn, UTF-8 decoder capability and stress test; RFC 3629 section 3.
    """
    halves = [spelled(number, 3) for number in (0xD800, 0xDB7F, 0xDB80, 0xDBFF)]
    others = [spelled(number, 3) for number in (0xDC00, 0xDFFF)]
    every = bytes(range(0x80, 0xC0))
    beginnings = [range(0xC0, 0xE0), range(0xE0, 0xF0), range(0xF0, 0xF8)]
    beginnings += [range(0xF8, 0xFC), range(0xFC, 0xFE)]
    incomplete = [spelled(0, size)[:-1] for size in range(2, 7)]
    incomplete += [spelled(LAST[size], size)[:-1] for size in range(2, 7)]
    # 5: some text; 6: cut at each byte.
    yield [f"hello{character}world".encode() for character in "$¢€\U00024b62"] + [GREEK]
    yield [GREEK[:end] for end in range(1, 1 + len(GREEK))]
    # 7, 8: the first of each size. 9, 10: the last.
    yield [spelled(0, 1), spelled(0x80, 2), spelled(0x800, 3), spelled(0x1_0000, 4)]
    yield [spelled(0x20_0000, 5), spelled(0x400_0000, 6)]
    yield [*(spelled(LAST[size], size) for size in (1, 2, 3)), spelled(0x10_FFFF, 4)]
    yield [spelled(LAST[size], size) for size in (4, 5, 6)]
    # 11: around what there is not.
    yield [
        spelled(number, size)
        for number, size in ((0xD7FF, 3), (0xE000, 3), (0xFFFD, 3), (0x10_FFFF, 4), (0x11_0000, 4))
    ]
    # 12: characters without a beginning. 13: beginnings of characters. 14, 15: characters without their end.
    yield [b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:size] for size in range(2, 7)), every]
    yield [b"".join(b"%c " % byte for byte in some) for some in beginnings]
    yield incomplete
    yield [b"".join(incomplete)]
    # 16: bytes that never occur.
    yield [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]
    # 17 to 19: in more bytes than needed.
    yield [spelled(ord("/"), size) for size in range(2, 7)]
    yield [spelled(LAST[size - 1], size) for size in range(2, 7)]
    yield [spelled(0, size) for size in range(2, 7)]
    # 20, 21: surrogates, alone and in pairs.
    yield [*halves, others[0], spelled(0xDF80, 3), others[1]]
    yield [first + second for first, second in product(halves, others)]
    # 22, 23: characters that are none, but may be written; and their neighbours.
    yield [
        spelled(plane << 16 | last, 4 if plane else 3)
        for plane, last in product(range(17), (0xFFFE, 0xFFFF))
    ]
    yield [spelled(number, 3) for number in range(0xFFF9, 0x1_0000)]


def is_utf8(data: bytes) -> bool:
    """Say what Python thinks of it."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def in_one_frame(data: bytes) -> Case:
    if is_utf8(data):
        return echoed([sent(TEXT, data)], (TEXT, data))
    return refused([sent(TEXT, data)], code=INVALID_UTF8)


def byte_by_byte(text: bytes) -> list[bytes]:
    """Send a text in fragments of one byte."""
    return list(fragments(*pieces_of(text, 1)))


def utf8() -> Iterator[Case]:
    empty = [b""] * 3
    yield from numbered(
        "6.1",
        [
            echoed([sent(TEXT)], (TEXT, b"")),
            echoed(fragments(*empty), (TEXT, b"")),
            echoed(fragments(b"", b"middle", b""), (TEXT, b"middle")),
        ],
    )
    yield from numbered(
        "6.2",
        [
            echoed([sent(TEXT, MIXED)], (TEXT, MIXED)),
            echoed(fragments(MIXED[:15], MIXED[15:]), (TEXT, MIXED)),
            echoed(byte_by_byte(MIXED), (TEXT, MIXED)),
            echoed(byte_by_byte(GREEK), (TEXT, GREEK)),
        ],
    )
    wrong = GREEK + HALF + b"edited"
    yield from numbered(
        "6.3",
        [
            refused([sent(TEXT, wrong)], code=INVALID_UTF8),
            refused(byte_by_byte(wrong), code=INVALID_UTF8),
        ],
    )
    # The fault is in the second part, and found before the third comes: in fragments, then within a frame.
    parts = [
        (GREEK, TOO_HIGH, b"edited"),
        (GREEK + TOO_HIGH[:1], TOO_HIGH[1:2], TOO_HIGH[2:] + b"edited"),
    ]
    whole = []
    for first, second, third in parts:
        data = sent(TEXT, first + second + third)
        start = len(data) - len(second + third)
        whole.append((data[:start], data[start : start + len(second)], data[start + len(second) :]))
    yield from numbered(
        "6.4",
        [
            refused(pieces, code=INVALID_UTF8, fault=2)
            for pieces in chain((fragments(*three) for three in parts), whole)
        ],
    )
    for group, some in enumerate(texts(), 5):
        yield from numbered(f"6.{group}", map(in_one_frame, some))


# 7: the closing handshake.


def close(code: int, reason: bytes = b"") -> bytes:
    return sent(CLOSE, code.to_bytes(2) + reason)


def closing() -> Iterator[Case]:
    one, two = fragments("one", "two")
    normal = close(NORMAL)
    long = b"b" * 262_144
    yield from numbered(
        "7.1",
        [
            echoed([HELLO], HELLO_BACK),
            closed(normal, sent(CLOSE)),
            closed(normal, sent(PING)),
            closed(normal, HELLO),
            closed(one, normal, two),
            echoed([sent(TEXT, long), HELLO], (TEXT, long), HELLO_BACK),
        ],
    )
    yield from numbered(
        "7.3",
        [
            closed(sent(CLOSE), code=None),
            refused([sent(CLOSE, b"\x03")]),
            closed(normal),
            closed(close(NORMAL, b"a reason")),
            closed(close(NORMAL, b"*" * 123)),
            refused([close(NORMAL, b"*" * 124)]),
        ],
    )
    yield from numbered("7.5", [refused([close(NORMAL, GREEK + HALF)], code=INVALID_UTF8)])
    valid = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    yield from numbered("7.7", [closed(close(code), code=code) for code in valid])
    invalid = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
    yield from numbered("7.9", [refused([close(code)]) for code in invalid])
    yield from numbered("7.13", [refused([close(code)]) for code in (5000, 65_535)])


# 10: a message in many fragments.


def many_fragments() -> Iterator[Case]:
    message = b"*" * 65_536
    yield echoed(fragments(*pieces_of(message, 1_300)), (TEXT, message))


CASES: Final = tuple(
    chain(
        numbered("1.1", sizes(TEXT, b"*")),
        numbered("1.2", sizes(BINARY, b"\xfe")),
        numbered("2", pings()),
        numbered("3", reserved_bits()),
        numbered("4.1", reserved_opcodes(3)),
        numbered("4.2", reserved_opcodes(11)),
        numbered("5", fragmented()),
        utf8(),
        closing(),
        numbered("10.1", many_fragments()),
    )
)
"""All of them, in the order of their numbers."""

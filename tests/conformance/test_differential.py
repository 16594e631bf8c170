"""Our codec against socket.io-parser 4.2.7 itself.

``ROOMCAST_DIFFERENTIAL`` is the number of cases of each kind, ``ROOMCAST_SEED`` repeats a run; a failure prints its seed.
"""

import math
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random, SystemRandom
from typing import Any, Final

import pytest

from roomcast.codec import Decoder, PacketError, PacketType, encode
from support.deviations import DEVIATIONS, explain, same_value
from support.generate import mutate, packet
from support.reference import Message, Outcome, Reference, missing_reference

CASES: Final = int(os.environ.get("ROOMCAST_DIFFERENTIAL", "20000"))
SEED: Final = int(os.environ.get("ROOMCAST_SEED") or SystemRandom().getrandbits(32))
BATCH: Final = 2_000
HALF_ESCAPED: Final = re.compile(r"[\ud800-\udfff](?=\\u)|(?<=\\u[dD]...)[\ud800-\udfff]")

pytestmark = [
    pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference())),
    pytest.mark.timeout(20 + CASES // 200),
]


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)  # 200 levels, and a few frames for each
    with Reference() as process:
        yield process
    sys.setrecursionlimit(before)


def generator(kind: str, index: int) -> Random:
    """Return the source of one case, so that a case can be repeated alone."""
    return Random(f"{SEED} {kind} {index}")


def batches() -> Iterator[range]:
    return (range(start, min(start + BATCH, CASES)) for start in range(0, CASES, BATCH))


def decode(messages: list[Message]) -> Outcome:
    decoder = Decoder()
    packets: list[tuple[PacketType, str, Any, Any]] = []
    for index, message in enumerate(messages):
        try:
            result = decoder.feed(message)
        except PacketError as error:
            return Outcome(packets, index, error.kind)
        if result is not None:
            packets.append((result.type, result.nsp, result.id, result.data))
    return Outcome(packets, None)


def same_packets(theirs: Outcome, ours: Outcome) -> bool:
    return len(theirs.packets) == len(ours.packets) and all(
        same_value(list(a), list(b)) for a, b in zip(theirs.packets, ours.packets, strict=True)
    )


def carried(value: Any) -> Any:
    """Return a payload as JSON carries it: no tuples, no NaN, nothing mutable for binary."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, list | tuple):
        return [carried(item) for item in value]
    if isinstance(value, dict):
        return {key: carried(item) for key, item in value.items()}
    return value


def has_binary(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(has_binary, value))
    if isinstance(value, dict):
        return any(map(has_binary, value.values()))
    return isinstance(value, bytes | bytearray | memoryview)


def one_spelling(value: Any, binary: bool) -> bool:
    """Tell whether JavaScript writes a payload the way we do.

    It does not where it has no integral floats and another threshold for exponents, where a key looks like an array index
    (JavaScript moves those to the front), and for a key ``__proto__`` beside binary (the reference loses it).
    """
    if isinstance(value, float) and math.isfinite(value):
        return not value.is_integer() and 1e-4 <= abs(value) < 1e15
    if isinstance(value, list | tuple):
        return all(one_spelling(item, binary) for item in value)
    if isinstance(value, dict):
        return all(
            not key.isdecimal() and one_spelling(item, binary) for key, item in value.items()
        ) and not (binary and "__proto__" in value)
    return True


def has_key(value: Any, wanted: str) -> bool:
    if isinstance(value, list | tuple):
        return any(has_key(item, wanted) for item in value)
    if isinstance(value, dict):
        return wanted in value or any(has_key(item, wanted) for item in value.values())
    return False


def test_packets_cross_in_both_directions(reference: Reference) -> None:
    spelled_alike = lost = 0
    for indices in batches():
        packets = [packet(generator("packet", index)) for index in indices]
        ours = [encode(each) for each in packets]
        theirs = reference.encode(packets)
        decoded_there = reference.decode(ours)
        for index, original, mine, yours, there in zip(
            indices, packets, ours, theirs, decoded_there, strict=True
        ):
            where = (
                f"seed {SEED}, packet {index}: {original!r}\n  ours   {mine!r}\n  theirs {yours!r}"
            )
            expected = Outcome(
                [(original.type, original.nsp, original.id, carried(original.data))], None
            )
            # What JavaScript reads may hold lone surrogates where ours holds U+FFFD: `theirs` comes first.
            assert same_packets(there, decode(mine)), f"{where}\n  read there {there}"
            assert same_packets(expected, decode(mine)), f"{where}\n  read here {decode(mine)}"
            binary = has_binary(original.data)
            if binary and has_key(original.data, "__proto__"):
                lost += 1  # socket.io-parser assigns to the prototype while it takes the attachments out
                continue
            assert same_packets(expected, decode(yours)), f"{where}\n  read here {decode(yours)}"
            # Keys that look like array indices come first there, so their attachments do too.
            assert Counter(mine[1:]) == Counter(yours[1:]), where
            if one_spelling(original.data, binary):
                assert mine == yours, where
                spelled_alike += 1
    print(f"{CASES} packets, {spelled_alike} of them byte for byte, {lost} lose __proto__ there")  # noqa: T201
    assert spelled_alike > CASES // 4
    assert lost < CASES // 20


def session(index: int) -> list[Message]:
    """Return a mutated packet with about as many attachments as it had."""
    random = generator("mutation", index)
    text, *attachments = encode(packet(random))
    assert isinstance(text, str)
    messages: list[Message] = [mutate(random, text), *attachments]
    match random.randrange(12):
        case 0:
            messages.append(b"one more")
        case 1:
            messages = messages[:-1]
        case 2:
            messages.append(mutate(random, text))
        case 3:
            messages.insert(random.randrange(len(messages) + 1), text)
        case _:
            pass
    # A pair of which one half is escaped and the other is not: JavaScript joins it after reading, and no wire carries it.
    return [HALF_ESCAPED.sub("", each) if isinstance(each, str) else each for each in messages]


def test_mutated_packets_are_judged_alike(reference: Reference) -> None:
    seen: Counter[str] = Counter()
    for indices in batches():
        sessions = [session(index) for index in indices]
        for index, messages, theirs in zip(
            indices, sessions, reference.decode(sessions), strict=True
        ):
            ours = decode(messages)
            where = (
                f"seed {SEED}, mutation {index}: {messages!r}\n  ours   {ours}\n  theirs {theirs}"
            )
            if ours.error == theirs.error:
                seen["refused" if ours.error is not None else "accepted"] += 1
                assert same_packets(theirs, ours), where
                continue
            # All deviations are refusals of a text that the reference takes, or refuses later.
            assert ours.error is not None, where
            assert theirs.error is None or theirs.error > ours.error, where
            assert same_packets(
                theirs._replace(packets=theirs.packets[: len(ours.packets)]), ours
            ), where
            text = messages[ours.error]
            assert isinstance(text, str), where
            deviation = explain(text, ours.reason)
            assert deviation is not None, f"{where}\n  {ours.reason} is no deviation"
            seen[deviation.name] += 1
    print(f"{CASES} mutations: {dict(seen.most_common())}")  # noqa: T201
    assert seen["accepted"] > CASES // 20
    assert seen["refused"] > CASES // 20
    if CASES >= 100_000:
        unused = {row.name for row in DEVIATIONS} - set(seen) - {"too many values"}
        assert not unused, f"rows that explain nothing: {unused}"

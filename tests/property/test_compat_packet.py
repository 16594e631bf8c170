"""The packets of `roomcast.compat` beside python-socketio's: the same calls have the same results, attributes and exceptions.

ROOMCAST_EXAMPLES says how many; a short run takes some hundred.
"""

import copy
import json
import math
import os
from enum import IntEnum
from random import Random
from typing import Any, Final

import msgpack
import pytest
from socketio import msgpack_packet, packet as reference

from roomcast.codec import encode
from roomcast.compat import MsgPackPacket, Packet
from roomcast.msgpack import Encoder, Ext
from support import generate

EXAMPLES: Final = int(os.environ.get("ROOMCAST_EXAMPLES", "4000"))
BATCHES: Final = 4


class Number(IntEnum):
    SEVEN = 7


class Words(str):
    __slots__ = ()


class Items(list):
    pass


class Entries(dict):
    pass


class Pair(tuple):
    __slots__ = ()


ODD_LEAVES: Final = (
    math.nan,
    math.inf,
    -math.inf,
    10**99,
    -(10**99),
    10**100,
    10**4299,
    10**4300,
    1e16,
    1e-7,
    1e22,
    -0.0,
    True,
    Number.SEVEN,
    Words("words"),
    "\ud800",
    "\ud83d\ude00",
    b"",
    b"abc",
    bytearray(b"abc"),
    memoryview(b"abc"),
    {1, 2},
    object,
    1j,
    (),
    (b"in a tuple",),
    Pair((1, "a")),
    Items(["a", b"b"]),
    Entries(a=b"b", c=1),
    {1: 2},
    {1.0: 2, 1e22: 3},
    {None: 1, True: 2},
    {b"bytes": 1},
    {(1, 2): 1},
    {Number.SEVEN: 1},
    {Words("key"): 1},
    {math.nan: 1},
    {"1": 1, 1: 2},
    {"_placeholder": True, "num": 0},
    {"_placeholder": 1, "num": -1},
    {"_placeholder": True, "num": "0"},
    {"_placeholder": True, "num": 0.0},
    {"_placeholder": True},
    [[[b"deep"]]],
)


def odd(random: Random) -> Any:
    """Return data of which some is what no client sends."""
    kind = random.randrange(8)
    if kind < 3:
        return generate.value(random, 3, [random.randrange(4)])
    if kind < 5:
        return random.choice(ODD_LEAVES)
    items = [odd(random) for _ in range(random.randrange(4))]
    if kind == 5:
        return {generate.string(random): item for item in items}
    return items if kind == 6 else ["event", *items]


def text(random: Random) -> Any:
    """Return what may be decoded: a packet, a packet with something wrong, or no text at all."""
    if random.random() < 0.02:
        return random.choice(
            (0, 7, -1, 2.0, b"2[]", b"21", bytearray(b"2"), True, [1], (), None, "", 0)
        )
    packet = generate.packet(random)
    written = encode(packet)[0]
    assert isinstance(written, str)
    if random.random() < 0.3:  # as peers write it that are Python
        head = written[: len(written) - len(written.lstrip("0123456789-"))]
        written = head + json.dumps(packet.data, default=str)
    if random.random() < 0.1:
        written = "9²٣"[random.randrange(3)] + written
    return generate.mutate(random, written) if random.random() < 0.6 else written


def message(random: Random) -> Any:
    """Return what may be decoded as MessagePack, as `text` does."""
    if random.random() < 0.02:
        return random.choice(
            (0, True, "text", bytearray(b"\x80"), memoryview(b"\x81\xa1a\x01"), [1])
        )
    if random.random() < 0.5:
        packet = generate.packet(random)
        data = packet.data
        if random.random() < 0.2:
            data = [
                data,
                Ext(random.choice((0, 5, -1)), random.randbytes(random.choice((1, 4, 5, 8)))),
            ]
            packet = type(packet)(2, ["x", *data], packet.nsp, packet.id)
        (written,) = Encoder().encode(packet)
    else:
        fields = {"type": random.choice((2, 0, 7, None, "x")), "data": odd(random), "nsp": "/"}
        for name in random.sample((*fields, "id", "options", "more"), random.randrange(2)):
            fields.pop(name, None)
            if random.random() < 0.7:
                fields[name] = odd(random)
        written = msgpack.packb(
            fields, default=lambda value: type(value).__name__, unicode_errors="surrogatepass"
        )
    if random.random() < 0.3:
        changed = bytearray(written)
        changed[random.randrange(len(changed))] = random.randrange(256)
        written = bytes(changed[: random.choice((len(changed), random.randrange(len(changed))))])
    return written


def arguments(random: Random, encoded: Any) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if random.random() < 0.8:
        given["packet_type"] = random.choice(
            (0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 12, "2", None, Number.SEVEN, True)
        )
    if random.random() < 0.9:
        given["data"] = odd(random)
    if random.random() < 0.6:
        given["namespace"] = random.choice(
            (None, "/", "/chat", "chat", "/é", "/a?b", "", "/\ud800", Words("/w"), 7)
        )
    if random.random() < 0.5:
        given["id"] = random.choice(
            (None, 0, 1, 2**62, 2**63, 10**30, -1, "5", True, 1.5, Number.SEVEN)
        )
    if random.random() < 0.2:
        given["binary"] = random.choice((None, True, False, 1, "", [1]))
    if random.random() < 0.1:
        given["encoded_packet"] = encoded(random)
    return given


def outcome(call: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return "returned", call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  whatever it is, it has to be the same
        return "raised", type(error)


def same(ours: Any, theirs: Any) -> bool:
    """Return whether values are the same, also NaN, and of the same types."""
    if isinstance(theirs, float) and isinstance(ours, float):
        return ours == theirs or (math.isnan(ours) and math.isnan(theirs))
    if type(ours) is not type(theirs):
        return False
    if isinstance(theirs, dict):
        return list(map(repr, ours)) == list(map(repr, theirs)) and all(
            map(same, ours.values(), theirs.values())
        )
    if isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def same_text(ours: Any, theirs: Any) -> bool:
    """Return whether texts are the same but for the spelling of characters and exponents."""
    if ours == theirs:
        return True
    if isinstance(theirs, list):
        return (
            isinstance(ours, list) and same_text(ours[0], theirs[0]) and same(ours[1:], theirs[1:])
        )
    if type(ours) is not str or type(theirs) is not str:
        return False
    start = 0
    while start < min(len(ours), len(theirs)) and ours[start] == theirs[start]:
        start += 1
    # The last place up to which both are the same and at which a payload can begin.
    for place in range(start, -1, -1):
        try:
            values = json.loads(ours[place:]), json.loads(theirs[place:])
        except (ValueError, RecursionError):  # within a text that is full of brackets
            continue
        return same(*values) and ours[:place] == theirs[:place]
    return False


ATTRIBUTES: Final = ("packet_type", "data", "namespace", "id", "attachment_count", "attachments")


def check_attributes(ours: Any, theirs: Any, said: Any) -> None:
    for name in ATTRIBUTES:
        one, other = getattr(ours, name), getattr(theirs, name)
        assert same(one, other), (said, name, one, other)


def check(ours: Any, theirs: Any, said: Any, compare: Any = same) -> bool:
    """Compare outcomes; return whether both returned."""
    assert ours[0] == theirs[0], (said, ours, theirs)
    if ours[0] == "raised":
        assert ours[1] is theirs[1], (said, ours, theirs)
        return False
    assert compare(ours[1], theirs[1]), (said, ours, theirs)
    return True


class OtherJson(Packet):
    json = json


class TheirsWithOtherJson(reference.Packet):
    json = json


CLASSES: Final = {
    "json": (Packet, reference.Packet, text, same_text),
    "json=": (OtherJson, TheirsWithOtherJson, text, same),
    "msgpack": (MsgPackPacket, msgpack_packet.MsgPackPacket, message, same),
}


def drive(random: Random, classes: str) -> None:
    """Make one packet of each class and do the same with both."""
    one, other, encoded, same_encoded = CLASSES[classes]
    given = (
        arguments(random, encoded) if random.random() < 0.5 else {"encoded_packet": encoded(random)}
    )
    made = outcome(one, **given), outcome(other, **copy.copy(given))
    if not check(*made, given, compare=lambda *_: True):
        return
    ours, theirs = made[0][1], made[1][1]
    said = [given]
    check_attributes(ours, theirs, said)
    for _ in range(random.randrange(4)):
        call = random.randrange(7)
        if call == 0:
            again = encoded(random)
            said.append(("decode", again))
            check(outcome(ours.decode, again), outcome(theirs.decode, again), said)
        elif call == 1:
            name = random.choice(ATTRIBUTES[:5])
            value = odd(random) if name == "data" else random.choice((0, 1, 2, 3, 5, 6, None, "/x"))
            said.append((name, value))
            setattr(ours, name, value)
            setattr(theirs, name, value)
        elif call == 2:
            data = odd(random)
            said.append(("class methods", data))
            for method in ("data_is_binary", "deconstruct_binary"):
                check(
                    outcome(getattr(ours, method), data),
                    outcome(getattr(theirs, method), data),
                    said,
                )
            attachments = [b"1", b"2"]
            check(
                outcome(ours.reconstruct_binary, data, attachments),
                outcome(theirs.reconstruct_binary, data, attachments),
                said,
            )
        elif call == 3:
            check(outcome(ours._to_dict), outcome(theirs._to_dict), said)
        elif call == 4:
            said.append("encode")
            check(outcome(ours.encode), outcome(theirs.encode), said, same_encoded)
        else:
            attachment = random.choice((b"", b"abc", bytearray(b"x"), "text"))
            said.append(("attachment", attachment))
            check(
                outcome(ours.add_attachment, attachment),
                outcome(theirs.add_attachment, attachment),
                said,
            )
        check_attributes(ours, theirs, said)
    check(outcome(ours.encode), outcome(theirs.encode), said, same_encoded)
    check_attributes(ours, theirs, said)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.parametrize("classes", CLASSES)
def test_random_calls_have_the_same_results(classes, batch):
    for example in range(EXAMPLES // BATCHES):
        drive(Random(f"{batch} {example}"), classes)

"""Reference counts and memory: what the codec takes it gives back, on every path."""

import gc
import os
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roomcast.codec import Decoder, Encoder, Limits, Packet, PacketType, RawJSON, encode

EVENT = PacketType.EVENT
ROUNDS = 100_000


class Leaf:
    """An object that only a hook knows."""


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def quietly(action: Callable[[], Any]) -> Callable[[], Any]:
    """Return the action without its error."""

    def run() -> None:
        try:
            action()
        except ValueError:
            pass

    return run


# Made at run time, so that nobody else holds them.
TEXT = f"leaf text {os.getpid()}"
KEY = f"leaf key {os.getpid()}"
WIDE = f"漢字 {os.getpid()}"
BYTES = bytes(bytearray(b"leaf bytes"))
BUFFER = bytearray(b"leaf buffer")
NUMBER = int("123456789012345678901")
REAL = float("1234.5678")
OBJECT = Leaf()
RAW = RawJSON('{"a":[1]}')
INNER = [TEXT, NUMBER]
LEAVES = [TEXT, KEY, WIDE, BYTES, BUFFER, NUMBER, REAL, OBJECT, RAW, INNER]
DATA = [TEXT, {KEY: [WIDE, BYTES, BUFFER, NUMBER, REAL], "in": (INNER, RAW)}]

ENCODER = Encoder()
HOOKED = Encoder(default=lambda value: [value.__class__.__name__, TEXT, BYTES])
SMALL = Encoder(Limits(max_attachments=1, max_depth=3))


def refuse(value: Any) -> Any:
    raise TypeError(value)


def fail(value: Any) -> Any:
    raise ValueError(value)


def decode(*messages: str | bytes | bytearray | memoryview) -> Packet | None:
    decoder = Decoder()
    result = None
    for message in messages:
        result = decoder.feed(message)
    return result


def abandon() -> None:
    decoder = Decoder()
    decoder.feed('53-["a",{"_placeholder":true,"num":0}]')
    decoder.feed(BYTES)


HEADER = '52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]'
ACTIONS: dict[str, Callable[[], Any]] = {
    "encode": lambda: ENCODER.encode(Packet(EVENT, DATA)),
    "encode_event": lambda: ENCODER.encode_event("/n", TEXT, (DATA[1], BYTES, WIDE), 7).text,
    "encode_packet": lambda: ENCODER.encode_packet(3, "/", [BYTES, BUFFER], 7).attachments,
    "module encode": lambda: encode(Packet(EVENT, DATA)),
    "hook": lambda: HOOKED.encode(Packet(EVENT, [TEXT, OBJECT, {KEY: OBJECT}])),
    "no json form": lambda: ENCODER.encode(Packet(EVENT, [TEXT, BYTES, {KEY: [WIDE, OBJECT]}])),
    "bad key": lambda: ENCODER.encode(Packet(EVENT, [TEXT, {KEY: WIDE, BYTES: 1}])),
    "too many": lambda: SMALL.encode(Packet(EVENT, [TEXT, BYTES, BUFFER])),
    "too deep": lambda: SMALL.encode(Packet(EVENT, [TEXT, [[[[OBJECT, TEXT]]]]])),
    "hook refuses": lambda: encode(Packet(EVENT, [TEXT, OBJECT]), default=refuse),
    "hook fails": lambda: encode(Packet(EVENT, [TEXT, BYTES, OBJECT]), default=fail),
    "reserved": lambda: ENCODER.encode_event("/", "connect", (BYTES, TEXT)),
    "packet": lambda: (Packet(EVENT, DATA) == Packet(EVENT, DATA), repr(Packet(EVENT, [TEXT]))),
    "bad packet": lambda: Packet(99, DATA),
    "decode": lambda: decode('2["a",{"key":["x",1,1.5,null,true,"\\ud800"]},12345678901234567890]'),
    "decode attachments": lambda: decode(HEADER, BYTES, BUFFER),
    "unexpected text": lambda: decode(HEADER, BYTES, TEXT),
    "unexpected binary": lambda: decode(BYTES),
    "abandoned": abandon,
    "bad text": lambda: decode('2["a",[{"k":["long enough to be an object"]},[1,2'),
    "bad placeholder": lambda: decode('51-["a",["x"],{"_placeholder":true,"num":7}]'),
    "bad payload": lambda: decode('2[{"a":["b"]},1]'),
    "bad type": lambda: decode(TEXT),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ACTIONS)
def test_references_are_neutral(name: str) -> None:
    action = quietly(ACTIONS[name])
    rounds = ROUNDS // 10
    for _ in range(100):
        action()
    gc.collect()
    # A hook and an error's traceback hold the leaves for a moment only.
    before = [sys.getrefcount(leaf) for leaf in LEAVES]
    for _ in range(rounds):
        action()
    gc.collect()
    after = [sys.getrefcount(leaf) for leaf in LEAVES]
    assert after == before
    assert sys.getrefcount(None) < sys.maxsize  # not run down by missing increments either


@pytest.mark.timeout(120)
def test_memory_does_not_grow() -> None:
    actions = [quietly(action) for action in ACTIONS.values()]
    for action in actions:
        for _ in range(500):
            action()
    gc.collect()
    before = resident()
    for _ in range(ROUNDS // len(actions)):
        for action in actions:
            action()
    gc.collect()
    assert resident() - before < 2_000_000  # one lost kB per call would be 100 MB


def test_buffers_may_change_while_they_are_read() -> None:
    # Another thread writes and resizes: a value or an error, never a crash.
    buffer = bytearray(b"x" * 10_000)
    data: list[Any] = [TEXT, buffer, [buffer], {KEY: [1, 2, 3]}]
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            try:
                buffer[:] = os.urandom(random.randrange(20_000))
            except BufferError:  # it is being read
                buffer[:5] = b"other"
            data[3:] = [{KEY: [1] * random.randrange(9), str(random.random()): 1}]

    threads = [threading.Thread(target=change) for _ in range(2)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    for thread in threads:
        thread.start()
    try:
        for _ in range(3_000):
            packet = decode(*ENCODER.encode(Packet(EVENT, data)))
            assert packet is not None
            assert packet.data[0] == TEXT
            quietly(lambda: decode(HEADER, buffer, memoryview(buffer)))()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)


def test_large_packets_give_their_memory_back() -> None:
    text = '2["a","' + "x" * 1_000_000 + '"]'
    data = [TEXT, "y" * 1_000_000, b"z" * 1_000_000]
    for _ in range(5):
        decode(text)
        ENCODER.encode_event("/", TEXT, tuple(data))
    before = resident()
    for _ in range(300):
        decode(text)
        decode(HEADER, b"z" * 1_000_000)  # and left unfinished
        assert ENCODER.encode_event("/", TEXT, tuple(data)).text
    gc.collect()
    assert resident() - before < 20_000_000

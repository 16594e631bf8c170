"""Nanoseconds an operation, roomcast beside orjson: python benches/quick.py [CASE | encode | decode]…

For use while optimising: about ten seconds for everything, less with some cases named. What is published comes from
bench_codec.py.
"""

import gc
import sys
from typing import Any

import orjson

from cases import CASES, Case
from roomcast import _core
from timing import Call, interleave, ratios, spread, timers

DEFAULT = ("small", "1k", "100k", "1m", "1att", "10att", "ack")
ROUNDS = 15
MILLISECONDS = 8.0


def encoders(case: Case) -> dict[str, Call]:
    """Return the bare JSON library, the function for users, and the server's path."""
    encode, packet = _core.encode, _core.Packet
    encoder = _core.Encoder()
    kind, nsp, number = case.type, case.nsp, case.id

    def floor(data: Any) -> bytes:
        return orjson.dumps(data)

    def function(data: Any) -> object:
        return encode(packet(kind, data, nsp, number))

    def server_event(data: Any) -> object:
        return encoder.encode_event(nsp, event, data, number)

    def server_packet(data: Any) -> object:
        return encoder.encode_packet(kind, nsp, data, number)

    calls = {"orjson": Call(floor, case.stripped), "encode": Call(function, case.data)}
    if case.type == case.type.EVENT:
        event, *arguments = case.data
        calls["server"] = Call(server_event, tuple(arguments))
    else:
        calls["server"] = Call(server_packet, case.data)
    return calls


def decoders(case: Case) -> dict[str, Call]:
    """Return the bare JSON library and the decoder of a connection."""
    feed = _core.Decoder().feed
    attachments = case.attachments
    raw = case.text.encode()

    def floor(part: bytes) -> Any:
        return orjson.loads(part)

    def text(message: str) -> object:
        return feed(message)

    def binary(message: str) -> object:
        feed(message)
        for attachment in attachments[:-1]:
            feed(attachment)
        return feed(attachments[-1])

    renew = None if case.text.isascii() else raw.decode
    return {
        "orjson": Call(floor, case.json.encode()),
        "feed": Call(binary if attachments else text, case.text, renew),
    }


def main() -> None:
    """Print a line for each case and operation."""
    unknown = set(sys.argv[1:]) - CASES.keys() - {"encode", "decode"}
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(CASES)}")
    names = [name for name in sys.argv[1:] if name in CASES] or DEFAULT
    operations = {name for name in sys.argv[1:] if name not in CASES} or {"encode", "decode"}
    gc.collect()
    gc.freeze()
    for operation, make in (("encode", encoders), ("decode", decoders)):
        if operation not in operations:
            continue
        for name in names:
            samples = interleave(timers(make(CASES[name]), MILLISECONDS), ROUNDS)
            base = samples.pop("orjson")
            line = f"{operation} {name:<9}{'orjson':>9}{spread(base).median:>12,.0f} ns"
            for peer, values in samples.items():
                low, ratio, high = ratios(values, base)
                line += f" │ {peer} {spread(values).median:>12,.0f} ns {ratio:6.2f}x ({low:.2f} to {high:.2f})"
            print(line, flush=True)


main()

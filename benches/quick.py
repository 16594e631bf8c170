"""Nanoseconds an operation, roomcast beside orjson: python benches/quick.py [CASE | encode | decode]…

For use while optimising: about ten seconds for everything, less with some cases named. What is published comes from
bench_codec.py.
"""

import gc
import sys

from cases import CASES
from ours import DECODERS, ENCODERS
from timing import interleave, ratios, spread, timers

DEFAULT = ("small", "1k", "100k", "1m", "1att", "10att", "ack")
ROUNDS = 15
MILLISECONDS = 8.0


def main() -> None:
    """Print a line for each case and operation."""
    unknown = set(sys.argv[1:]) - CASES.keys() - {"encode", "decode"}
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(CASES)}")
    names = [name for name in sys.argv[1:] if name in CASES] or DEFAULT
    operations = {name for name in sys.argv[1:] if name not in CASES} or {"encode", "decode"}
    gc.collect()
    gc.freeze()
    for operation, makers in (("encode", ENCODERS), ("decode", DECODERS)):
        if operation not in operations:
            continue
        for name in names:
            peers = {peer: make(CASES[name]) for peer, make in makers.items()}
            wrong = "".join(f" {peer} IS WRONG" for peer in peers if not peers[peer].correct())
            calls = {peer: peers[peer].call for peer in peers}
            samples = interleave(timers(calls, MILLISECONDS), ROUNDS)
            base = samples.pop("orjson")
            line = f"{operation} {name:<9}orjson{spread(base).median:>11,.0f} ns"
            for peer, values in samples.items():
                low, ratio, high = ratios(values, base)
                line += f" │ {peer}{spread(values).median:>11,.0f} ns {ratio:6.2f}x ({low:.2f} to {high:.2f})"
            print(line + wrong, flush=True)


main()

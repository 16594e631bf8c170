"""The codec beside its peers: python -m pytest benches/bench_codec.py --benchmark-enable.

Without --benchmark-enable nothing is timed; it is only checked that every peer does the same work. With it, every round
takes one sample of every peer, Node.js included; pytest-benchmark runs one benchmark after another, so that its loop cannot
be used. The results have the form of its JSON all the same, for `pytest-benchmark compare`. A run of all cases replaces
results/codec.json; report.py makes the tables.
"""

import gc
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from pytest_benchmark.stats import Stats

from cases import CASES
from machine import Others, commit, machine, versions
from peers import PEERS, Node
from timing import interleave, ratios, spread, timers

RESULTS: Final = Path(__file__).with_name("results") / "codec.json"
ROUNDS: Final = 21
MILLISECONDS: Final = 6.0
NODE: Final = "Node.js socket.io-parser"
PACKAGES: Final = ("python-socketio", "orjson", "msgspec", "msgpack")

pytestmark = pytest.mark.timeout(120)  # against a hang; no measurement may fail by being slow


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    with Node() as child:
        yield child


@pytest.fixture(scope="session")
def results(node: Node) -> Iterator[list[dict[str, Any]]]:
    benchmarks: list[dict[str, Any]] = []
    others = Others(os.getpid(), node.pid)
    gc.collect()
    gc.freeze()  # what is alive now is not our garbage
    yield benchmarks
    gc.unfreeze()
    if len({row["group"] for row in benchmarks}) == len(CASES) * len(PEERS):
        whole = {
            "machine_info": machine()
            | {"versions": versions(PACKAGES) | node.versions, "others": others.cores()},
            "commit_info": commit(),
            "datetime": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": versions(["pytest-benchmark"])["pytest-benchmark"],
            "benchmarks": benchmarks,
        }
        RESULTS.parent.mkdir(exist_ok=True)
        # one benchmark a line
        RESULTS.write_text(json.dumps(whole).replace('{"group"', '\n{"group"') + "\n")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("operation", PEERS)
def test_codec(
    operation: str,
    name: str,
    node: Node,
    results: list[dict[str, Any]],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = CASES[name]
    peers = {peer: make(case) for peer, make in PEERS[operation].items()}
    correct = {peer: peers[peer].correct() for peer in peers}
    correct[NODE] = node.prepare(case, operation, MILLISECONDS)
    if request.config.getoption("benchmark_enable"):
        clocks = timers({peer: peers[peer].call for peer in peers}, MILLISECONDS)
        samples = interleave(clocks | {NODE: node.time}, ROUNDS)
        results.extend(
            _row(operation, name, peer, values, correct[peer]) for peer, values in samples.items()
        )
        with capsys.disabled():
            print(f"\n{operation} {name}")
            for peer, values in samples.items():
                low, ratio, high = ratios(values, samples["roomcast"])
                print(
                    f"  {peer:<26}{spread(values).median:>12,.0f} ns {ratio:8.2f}x"
                    f" ({low:.2f} to {high:.2f})"
                )
    assert all(correct.values()), correct


def _row(
    operation: str, case: str, peer: str, nanoseconds: list[float], correct: bool
) -> dict[str, Any]:
    """Return one benchmark as pytest-benchmark writes it, its samples in the order of the rounds."""
    stats: Any = Stats()  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
    for value in nanoseconds:
        stats.update(_short(value * 1e-9))
    return {
        "group": f"codec/{operation}/{case}",
        "name": f"codec/{operation}/{case}/{peer}",
        "fullname": f"benches/bench_codec.py::codec/{operation}/{case}/{peer}",
        "params": {"operation": operation, "case": case, "peer": peer},
        "param": None,
        "extra_info": {"correct": correct},
        "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": ROUNDS},
        "stats": {name: _short(value) for name, value in stats.as_dict().items()}
        | {"iterations": 1, "data": stats.data},
    }


def _short(value: Any) -> Any:
    """Return a float in the five digits that a measurement has; they make a small file."""
    return float(f"{value:.5g}") if isinstance(value, float) else value

"""Selections beside their peers: python -m pytest benches/bench_rooms.py --benchmark-enable.

Without --benchmark-enable nothing is timed; it is only checked that every peer reaches the same sockets. Every round takes
one sample of every peer, Node.js included, as bench_codec.py does. ROOMS_MAX=1 in the environment adds rooms of a million
members and measures memory with a million pairs; such a run replaces results/rooms.json.
"""

import gc
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from pytest_benchmark.stats import Stats

from machine import commit, machine, versions
from rooms import CASES, MAX_SIZE, SIZES, Case, Population
from rooms_memory import PEERS as MEMORY_PEERS, SHAPES, bytes_a_pair
from rooms_peers import PEERS, Node
from timing import interleave, ratios, spread, timers

RESULTS: Final = Path(__file__).with_name("results") / "rooms.json"
MAX: Final = os.environ.get("ROOMS_MAX", "") not in {"", "0"}
ALL_SIZES: Final = (*SIZES, MAX_SIZE) if MAX else SIZES
PAIRS: Final = 1_000_000 if MAX else 200_000
MILLISECONDS: Final = 6.0
NODE: Final = "socket.io-adapter"

pytestmark = pytest.mark.timeout(600)  # against a hang; no measurement may fail by being slow


def _rounds(size: int) -> int:
    return 21 if size <= 10_000 else 11 if size <= 100_000 else 5


@dataclass
class Results:
    """What a session has measured.

    Attributes:
        benchmarks: As pytest-benchmark writes them.
        memory: Bytes a pair, by shape and peer.
    """

    benchmarks: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, dict[str, float]] = field(default_factory=dict)


@pytest.fixture(scope="session")
def results() -> Iterator[Results]:
    session = Results()
    about = machine()
    with Node() as node:
        about["versions"] = versions(["python-socketio"]) | node.ask("versions")
    yield session
    groups = {row["group"] for row in session.benchmarks}
    if MAX and len(groups) == len(ALL_SIZES) * len(CASES) and len(session.memory) == len(SHAPES):
        whole = {
            "machine_info": about,
            "commit_info": commit(),
            "datetime": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": versions(["pytest-benchmark"])["pytest-benchmark"],
            "benchmarks": session.benchmarks,
            "bytes_a_pair": {"pairs": PAIRS, **session.memory},
        }
        RESULTS.parent.mkdir(exist_ok=True)
        # one benchmark a line
        RESULTS.write_text(json.dumps(whole).replace('{"group"', '\n{"group"') + "\n")


@pytest.mark.parametrize("size", ALL_SIZES)
def test_select(
    size: int,
    results: Results,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    population = Population(size)
    makers = {peer: make(population) for peer, make in PEERS.items()}
    numbers = {id: number for number, id in enumerate(population.ids)}
    gc.collect()
    gc.freeze()  # what is alive now is nobody's garbage
    with Node() as node:
        rooms = {name: [r.start, r.stop, r.step] for name, r in population.rooms.items()}
        node.ask("build", ids=population.ids, rooms=rooms)
        for name, case in CASES.items():
            calls = {peer: make(case) for peer, make in makers.items()}
            expected = population.expected(case)
            correct = {
                peer: _same(call.function(call.argument), numbers, expected)
                for peer, call in calls.items()
            }
            answer = node.ask(
                "prepare",
                to=case.to,
                all_of=case.all_of,
                **{"except": case.except_},
                milliseconds=MILLISECONDS,
            )
            correct[NODE] = answer == [len(expected), sum(expected)]
            if request.config.getoption("benchmark_enable"):
                clocks = timers(calls, MILLISECONDS)
                samples = interleave(clocks | {NODE: lambda: node.ask("time")}, _rounds(size))
                results.benchmarks.extend(
                    _rows(name, case, population, samples, correct, len(expected))
                )
                with capsys.disabled():
                    _print(f"{name} {size}", samples, population.examined(case), len(expected))
            assert all(correct.values()), (name, correct)
    gc.unfreeze()


@pytest.mark.parametrize("shape", SHAPES)
def test_memory(
    shape: str,
    results: Results,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not request.config.getoption("benchmark_enable"):
        pytest.skip("measures, checks nothing")
    measured = {peer: bytes_a_pair(peer, shape, PAIRS) for peer in MEMORY_PEERS}
    results.memory[shape] = {peer: round(value, 2) for peer, value in measured.items()}
    with capsys.disabled():
        print(f"\nbytes a pair, {shape}, {PAIRS} pairs")
        for peer, value in measured.items():
            print(f"  {peer:<20}{value:>10.2f}")


def _same(found: Any, numbers: dict[str, int], expected: set[int]) -> bool:
    reached = [numbers[it if isinstance(it, str) else it.id] for it in found]
    return len(reached) == len(expected) and set(reached) == expected


def _print(title: str, samples: dict[str, list[float]], examined: int, selected: int) -> None:
    print(f"\n{title}: ns a call, a member examined, a socket reached; times roomcast")
    for peer, values in samples.items():
        low, ratio, high = ratios(values, samples["roomcast"])
        median = spread(values).median
        print(
            f"  {peer:<20}{median:>14,.0f}{median / examined:>9.2f}{median / selected:>9.2f}"
            f"{ratio:>8.1f}x ({low:.1f} to {high:.1f})"
        )


def _rows(
    name: str,
    case: Case,
    population: Population,
    samples: dict[str, list[float]],
    correct: dict[str, bool],
    selected: int,
) -> Iterator[dict[str, Any]]:
    """Return the benchmarks of a group as pytest-benchmark writes them, samples in the order of the rounds."""
    group = f"rooms/{name}/{population.size}"
    for peer, nanoseconds in samples.items():
        stats: Any = Stats()  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
        for value in nanoseconds:
            stats.update(float(f"{value * 1e-9:.5g}"))
        rounds = len(nanoseconds)
        yield {
            "group": group,
            "name": f"{group}/{peer}",
            "fullname": f"benches/bench_rooms.py::{group}/{peer}",
            "params": {"peer": peer},
            "param": None,
            "extra_info": {
                "correct": correct[peer],
                "examined": population.examined(case),
                "selected": selected,
            },
            "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": rounds},
            "stats": stats.as_dict() | {"iterations": 1, "data": stats.data},
        }

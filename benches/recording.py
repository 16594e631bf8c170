"""What the benchmarks of codecs have in common: a group of peers timed round by round, and results like pytest-benchmark's.

pytest-benchmark runs one benchmark after another, so that its loop cannot be used. A run of all groups replaces the file of its
results; a run of some only prints.
"""

import gc
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from pytest_benchmark.stats import Stats

from machine import Others, commit, machine, versions
from ours import Peer
from results import FOLDER, OURS
from timing import interleave, ratios, spread, timers

__all__ = ["MILLISECONDS", "ROUNDS", "TIMEOUT", "Recording", "recording"]

ROUNDS: Final = 21
MILLISECONDS: Final = 6.0
TIMEOUT: Final = 120
"""Against a hang; no measurement may fail by being slow."""


class Recording:
    """The groups of a run so far.

    Args:
        suite: The first part of their names, and the name of the results.
    """

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self.rows: list[dict[str, Any]] = []

    def time(
        self,
        group: str,
        peers: Mapping[str, Peer],
        correct: Mapping[str, bool],
        others: Mapping[str, Callable[[], float]] | None = None,
    ) -> None:
        """Time the peers of a group, print what came out, and keep it.

        Args:
            group: The rest of its name.
            peers: By name, what is timed.
            correct: Of each, whether its answer was the right one.
            others: What times itself when called.
        """
        clocks = timers({name: peer.call for name, peer in peers.items()}, MILLISECONDS)
        samples = interleave(clocks | dict(others or {}), ROUNDS)
        print(f"\n{self.suite} {group}")
        for peer, values in samples.items():
            self.rows.append(self._row(group, peer, values, correct[peer]))
            low, ratio, high = ratios(values, samples[OURS])
            print(
                f"  {peer:<36}{spread(values).median:>12,.0f} ns {ratio:8.2f}x"
                f" ({low:.2f} to {high:.2f})"
            )

    def _row(
        self, group: str, peer: str, nanoseconds: list[float], correct: bool
    ) -> dict[str, Any]:
        """Return one benchmark as pytest-benchmark writes it, its samples in the order of the rounds."""
        stats: Any = Stats()  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
        for value in nanoseconds:
            stats.update(_short(value * 1e-9))
        operation, case = group.split("/")
        name = f"{self.suite}/{group}/{peer}"
        return {
            "group": f"{self.suite}/{group}",
            "name": name,
            "fullname": f"benches/bench_{self.suite}.py::{name}",
            "params": {"operation": operation, "case": case, "peer": peer},
            "param": None,
            "extra_info": {"correct": correct},
            "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": ROUNDS},
            "stats": {name: _short(value) for name, value in stats.as_dict().items()}
            | {"iterations": 1, "data": stats.data},
        }


@contextmanager
def recording(
    suite: str,
    groups: int,
    packages: Iterable[str],
    children: Mapping[int, Mapping[str, str]],
) -> Iterator[Recording]:
    """Run benchmarks; write their results if all groups were timed.

    Args:
        suite: What they are called.
        groups: How many there are.
        packages: Whose versions belong to the results.
        children: By process id, the versions of what children of this process time.
    """
    run = Recording(suite)
    others = Others(os.getpid(), *children)
    gc.collect()
    gc.freeze()  # what is alive now is not our garbage
    yield run
    gc.unfreeze()
    if len({row["group"] for row in run.rows}) < groups:
        return
    found = versions(packages)
    for more in children.values():
        found |= more
    whole = {
        "machine_info": machine() | {"versions": found, "others": others.cores()},
        "commit_info": commit(),
        "datetime": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": versions(["pytest-benchmark"])["pytest-benchmark"],
        "benchmarks": run.rows,
    }
    FOLDER.mkdir(exist_ok=True)
    # one benchmark a line
    text = json.dumps(whole).replace('{"group"', '\n{"group"')
    (FOLDER / f"{suite}.json").write_text(text + "\n")


def _short(value: Any) -> Any:
    """Return a float in the five digits that a measurement has; they make a small file."""
    return float(f"{value:.5g}") if isinstance(value, float) else value

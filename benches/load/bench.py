"""What all loads have in common: rounds of runs in a new order, on a core for the server and one for its clients; and the results.

A server is a new process for every run, and in each round every server has one run of each case; only runs of one round are
divided by each other. Fewer than three rounds, and some cases alone, only print.
"""

import argparse
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import sched_setaffinity
from typing import Any, Final

from measured import Run, load, load_average, save
from servers import cores, raise_open_files

from results import FOLDER

__all__ = ["Bench", "main"]

LEAST_ROUNDS: Final = 3
"""Rounds from which on results are worth writing."""

MOST_REPEATS: Final = 2
"""How often a run is repeated at most because somebody else used the machine."""

OTHER_FILES: Final = 200
"""Files that are open besides connections."""


@dataclass(frozen=True)
class Bench:
    """One kind of load.

    Attributes:
        name: Of it, and of its results.
        description: For the command line.
        cases: What is run in each round; their values are columns of the runs.
        measure: Given a case, the core of the server and the options, makes one run.
        line: What is printed of a run.
        page: Makes the page of the results, and pictures.
        settings: What all runs have in common.
        rounds: How many, unless the command line says otherwise.
        seconds: How long a run is measured, likewise.
        files: Open files of the largest run.
    """

    name: str
    description: str
    cases: Sequence[Mapping[str, Any]]
    measure: Callable[[Mapping[str, Any], int, argparse.Namespace], Run]
    line: Callable[[Run], str]
    page: Callable[[dict[str, Any]], str]
    settings: Mapping[str, object]
    rounds: int
    seconds: float
    files: int


def main(benches: Sequence[Bench]) -> None:
    """Run the loads that the command line names."""
    by_name = {bench.name: bench for bench in benches}
    words = "\n".join(f"  {bench.name:11} {bench.description}" for bench in benches)
    parser = argparse.ArgumentParser(
        prog="python benches/load",
        description=f"Put loads on servers beside their peers:\n{words}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="the loads (all)")
    parser.add_argument("--rounds", type=int, help="fewer than three only print")
    parser.add_argument("--seconds", type=float, help="how long each run is measured")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="cases with this in a line of theirs, and only print; may be repeated, then all of them",
    )
    parser.add_argument(
        "--calm",
        type=float,
        default=float("inf"),
        metavar="CORES",
        help=f"repeat a run, at most {MOST_REPEATS} times, while which others kept more cores busy",
    )
    parser.add_argument("--pages", action="store_true", help="only write the pages anew")
    given = parser.parse_args()
    for name in given.names:
        if name not in by_name:
            parser.error(f"{name} is no load: {', '.join(by_name)}")
    for name in given.names or by_name:
        if given.pages:
            write_page(by_name[name])
        else:
            _run(by_name[name], given)


def write_page(bench: Bench) -> None:
    """Write the page of the results that there are."""
    text = bench.page(load(bench.name))
    (FOLDER / f"{bench.name}.md").write_text(text)
    print(text)


def _run(bench: Bench, given: argparse.Namespace) -> None:
    raise_open_files(bench.files + OTHER_FILES)
    given = argparse.Namespace(
        **vars(given)
        | {
            "rounds": given.rounds or bench.rounds,
            "seconds": given.seconds or bench.seconds,
        }
    )
    core, mine = cores()
    sched_setaffinity(0, {mine})
    order = [case for case in bench.cases if all(text in _title(case) for text in given.only)]
    shuffle = random.Random(time.time_ns()).shuffle
    runs: list[Run] = []
    for number in range(given.rounds):
        shuffle(order)
        for case in order:
            run = _calm_run(bench, case, core, given)
            runs.append({"round": number, **run})
            print(
                f"{number} {_title(case)}: {bench.line(run)}, others {run['others_cores']}",
                flush=True,
            )
    if given.rounds < LEAST_ROUNDS or given.only:
        return
    settings = {"rounds": given.rounds, "seconds": given.seconds, **bench.settings}
    save(bench.name, settings, runs)
    write_page(bench)


def _title(case: Mapping[str, Any]) -> str:
    return ", ".join(str(value) for value in case.values())


def _calm_run(bench: Bench, case: Mapping[str, Any], core: int, given: argparse.Namespace) -> Run:
    """Make a run, if need be again; of several the calmest counts."""
    tries: list[Run] = []
    while len(tries) <= MOST_REPEATS:
        average = load_average()
        run = {**case, "load_average": average, **bench.measure(case, core, given)}
        tries.append(run)
        if run["others_cores"] <= given.calm:
            break
    return min(tries, key=lambda run: run["others_cores"])

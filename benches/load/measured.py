"""What a load run is written as: one JSON file for each load, with every run in it, and a page of tables made from it."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from servers import beside_python

from machine import commit, machine, versions
from results import FOLDER
from timing import Spread, spread

__all__ = [
    "OURS",
    "Run",
    "load",
    "load_average",
    "met",
    "origin",
    "quartiles",
    "reached",
    "save",
    "spread_of",
    "table",
    "took",
]

OURS: Final = "roomcast"
PACKAGES: Final = (
    "roomcast",
    "python-socketio",
    "python-engineio",
    "uvicorn",
    "uvloop",
    "httptools",
    "h11",
    "websockets",
)

Run = dict[str, Any]
"""What one run of one server measured, by name; `round` says with which other runs it may be compared."""


def save(name: str, settings: Mapping[str, object], runs: Sequence[Run]) -> None:
    """Write the runs of a load to results/.

    Args:
        name: Of the load.
        settings: What it was made with.
        runs: The runs, in their order.
    """
    whole = {
        "machine_info": machine() | {"versions": versions(PACKAGES) | beside_python()},
        "commit_info": commit(),
        "datetime": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(settings),
        "runs": list(runs),
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")


def load(name: str) -> dict[str, Any]:
    """Return what `save` has written."""
    whole: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return whole


def took(runs: Iterable[Run], name: str, **which: object) -> list[float]:
    """Return one value of the runs of a server, in the order of the rounds."""
    chosen = [run for run in runs if all(run[key] == value for key, value in which.items())]
    return [run[name] for run in sorted(chosen, key=lambda run: run["round"])]


def spread_of(times: Spread) -> str:
    """Return a ratio as a table has it."""
    return f"{_ratio(times.median)} ({_ratio(times.q1)} to {_ratio(times.q3)})"


def quartiles(values: Sequence[float], scale: float = 1.0, unit: str = "") -> str:
    """Return the median and the quartiles as a table has them."""
    of = spread([value * scale for value in values])
    return f"{_number(of.median)}{unit} ({_number(of.q1)} to {_number(of.q3)})"


def met(times: Spread, target: float) -> str:
    """Return the verdict about a ratio that is to be at most ``target``."""
    return "met" if times.median <= target else f"missed by {times.median / target - 1:.1%}"


def reached(times: Spread, target: float) -> str:
    """Return the verdict about a ratio that is to be at least ``target``."""
    return "met" if times.median >= target else f"missed by {1 - times.median / target:.1%}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown; the first column names the row."""
    names = list(head)
    rule = ["---"] + ["--:"] * (len(names) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [names, rule, *rows])


def origin(whole: Mapping[str, Any]) -> str:
    """Return where results come from, and how calm the machine was."""
    info, changed = whole["machine_info"], whole["commit_info"]
    by_name = ", ".join(f"{name} {version}" for name, version in info["versions"].items())
    loads = [run["load_average"] for run in whole["runs"]]
    others = [run["others_cores"] for run in whole["runs"]]
    return (
        f"{info['cpu']}, {info['cores']} cores, {info['system']}; {info['python']}; {by_name}. "
        f"Commit {changed['id'][:10]}{' and changes' if changed['dirty'] else ''}, {whole['datetime']}. "
        f"Load average before the runs {min(loads):.2f} to {max(loads):.2f}, the runs themselves included; while they "
        f"measured, others kept {spread(others).median:.2f} cores busy (median; at most {max(others):.2f})."
    )


def load_average() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def _ratio(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.3g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

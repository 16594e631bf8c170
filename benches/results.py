"""Results of a benchmark run: pytest-benchmark's JSON, one entry for each peer of a group, samples in round order."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from timing import Spread, ratios, spread

__all__ = ["FOLDER", "OURS", "Group", "Results"]

FOLDER: Final = Path(__file__).with_name("results")
OURS: Final = "roomcast"


@dataclass(frozen=True)
class Group:
    """What was timed together, round by round.

    Attributes:
        name: Such as ``codec/encode/small``.
        samples: By peer, seconds a call.
        wrong: Peers whose answer was not the right one.
    """

    name: str
    samples: dict[str, list[float]]
    wrong: frozenset[str]

    def nanoseconds(self, peer: str) -> Spread:
        """Return the quartiles of a peer."""
        return spread([value * 1e9 for value in self.samples[peer]])

    def times(self, peer: str, base: str = OURS) -> Spread:
        """Return how many times as long as ``base`` a peer takes, by round."""
        return ratios(self.samples[peer], self.samples[base])


@dataclass(frozen=True)
class Results:
    """All groups of a run, by name, and what it ran on."""

    groups: dict[str, Group]
    machine: dict[str, Any]
    commit: str
    datetime: str

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the results of a run."""
        whole = json.loads(path.read_text())
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in whole["benchmarks"]:
            rows.setdefault(row["group"], []).append(row)
        groups = {
            name: Group(
                name,
                {row["params"]["peer"]: row["stats"]["data"] for row in members},
                frozenset(
                    row["params"]["peer"] for row in members if not row["extra_info"]["correct"]
                ),
            )
            for name, members in rows.items()
        }
        commit = whole["commit_info"]
        name = commit["id"][:10] + (" and changes" if commit["dirty"] else "")
        return cls(groups, whole["machine_info"], name, whole["datetime"])

    def peers(self) -> list[str]:
        """Return all peers, in the order in which they appear."""
        return list(dict.fromkeys(peer for group in self.groups.values() for peer in group.samples))

"""Tables and pictures of what is in results/: python benches/report.py.

It writes codec.md and codec.svg, and rooms.md and rooms.svg where there is a rooms.json, and prints the tables that hold
the targets.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from cases import CASES
from plot import plot
from results import FOLDER, OURS, Group, Results
from timing import Spread

SOCKETIO: Final = "python-socketio"
FLOOR: Final = "orjson"
NODE: Final = "Node.js socket.io-parser"


class Target(NamedTuple):
    """What a case should reach; `None` where nothing was promised.

    Attributes:
        socketio: How many times as long python-socketio takes, at least.
        floor: How many times as long as orjson alone on the JSON part, at most.
        node: How many times as long socket.io-parser takes, at least.
    """

    socketio: float | None = None
    floor: float | None = None
    node: float = 1.0


# V8 makes objects faster than CPython can: with large JSON not to be far behind is what can be had.
_BEHIND_V8: Final = 1 / 1.25
TARGETS: Final = {
    "encode/small": Target(20, 2.5),
    "encode/1k": Target(30, 1.3),
    "encode/100k": Target(30, 1.3),
    "encode/1m": Target(30, 1.3),
    "encode/1att": Target(30),
    "encode/10att": Target(30),
    "decode/small": Target(10, 1.6),
    "decode/1k": Target(3, 1.2),
    "decode/100k": Target(2.4, 1.2, _BEHIND_V8),
    "decode/1m": Target(2.2, 1.2, _BEHIND_V8),
    "decode/1att": Target(8),
    "decode/10att": Target(8),
}


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    rule = ["---"] + ["--:"] * (len(names) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [names, rule, *rows])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(value: Spread) -> str:
    return f"{_number(value.median)} ({_number(value.q1)} to {_number(value.q3)})"


def verdict(group: Group, target: Target) -> str:
    """Return whether the medians meet the targets, and else by how much which is missed."""
    shortfalls = {NODE: target.node / group.times(NODE).median - 1}
    if target.socketio is not None:
        shortfalls[SOCKETIO] = target.socketio / group.times(SOCKETIO).median - 1
    if target.floor is not None:
        shortfalls[FLOOR] = group.times(OURS, FLOOR).median / target.floor - 1
    missed = [
        f"{peer.split()[0]} by {shortfall:.1%}"
        for peer, shortfall in shortfalls.items()
        if shortfall > 0
    ]
    return "missed: " + ", ".join(missed) if missed else "met"


def targets_table(results: Results, operation: str) -> str:
    """Return the ratios that were promised beside what was measured."""
    rows = []
    for name, case in CASES.items():
        group = results.groups[f"codec/{operation}/{name}"]
        target = TARGETS.get(f"{operation}/{name}", Target())
        rows.append(
            [
                case.title,
                _times(group.times(SOCKETIO)),
                "" if target.socketio is None else f"≥ {target.socketio:g}",
                _times(group.times(OURS, FLOOR)),
                "" if target.floor is None else f"≤ {target.floor:g}",
                _times(group.times(NODE)),
                f"≥ {target.node:g}",
                verdict(group, target),
            ]
        )
    head = (
        operation,
        "python-socketio ÷ roomcast",
        "target",
        "roomcast ÷ orjson",
        "target",
        "Node.js ÷ roomcast",
        "target",
        "verdict",
    )
    return _table(head, rows)


def nanoseconds_table(head: str, groups: dict[str, Group]) -> str:
    """Return the medians of all peers, a line for each group."""
    peers = list(dict.fromkeys(peer for group in groups.values() for peer in group.samples))

    def cell(group: Group, peer: str) -> str:
        if peer not in group.samples:
            return ""
        return _number(group.nanoseconds(peer).median) + ("*" if peer in group.wrong else "")

    rows = [[label, *(cell(group, peer) for peer in peers)] for label, group in groups.items()]
    return _table([head, *peers], rows)


def origin(results: Results) -> str:
    """Return where results come from."""
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    others = machine.get("others")  # only from runs that look
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; "
        f"{machine['python']} ({machine['python_compiler']}); {versions}. "
        f"Commit {results.commit}, {results.datetime}"
        + ("." if others is None else f"; others kept {others:g} cores busy.")
    )


def codec(results: Results) -> None:
    """Write the codec's page and picture."""
    panels = {
        operation: {
            case.title: results.groups[f"codec/{operation}/{name}"] for name, case in CASES.items()
        }
        for operation in ("encode", "decode")
    }
    tables = [targets_table(results, operation) for operation in panels]
    page = [
        "# Codec",
        f"Written by report.py. {origin(results)}",
        "Ratios are medians over the rounds of a run, with their quartiles; both sides of a ratio are of one round.",
        *tables,
        "Nanoseconds a call, medians. `*`: the answer was wrong.",
        "orjson and msgspec do only the JSON part; msgpack is another format, which clients do not speak by default.",
        *(nanoseconds_table(operation, groups) for operation, groups in panels.items()),
    ]
    (FOLDER / "codec.md").write_text("\n\n".join(page) + "\n")
    plot(
        FOLDER / "codec.svg",
        panels,
        [FLOOR, SOCKETIO, f"{SOCKETIO}, orjson", NODE],
        {
            FLOOR: "orjson, the JSON part alone",
            f"{SOCKETIO}, orjson": "python-socketio with orjson",
        },
    )
    print("\n\n".join(tables))


def rooms(results: Results) -> None:
    """Write the page and the picture of rooms, a line for each group."""
    groups = {name.removeprefix("rooms/"): group for name, group in results.groups.items()}
    page = [
        "# Rooms",
        f"Written by report.py. {origin(results)}",
        "Nanoseconds, medians. `*`: the answer was wrong.",
        nanoseconds_table("rooms", groups),
    ]
    (FOLDER / "rooms.md").write_text("\n\n".join(page) + "\n")
    plot(FOLDER / "rooms.svg", {"rooms": groups}, [p for p in results.peers() if p != OURS], {})


def main() -> None:
    """Write what there are results for."""
    for name, write in (("codec", codec), ("rooms", rooms)):
        path = FOLDER / f"{name}.json"
        if path.exists():
            write(Results.load(path))


main()

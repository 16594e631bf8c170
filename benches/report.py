"""Tables and pictures of what is in results/: python benches/report.py.

It writes a page and a picture for each suite that has results, and prints the tables that hold the targets.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from cases import CASES
from plot import plot
from results import FOLDER, OURS, Group, Results
from timing import Spread

SOCKETIO: Final = "python-socketio"
FLOOR: Final = "orjson"
NODE: Final = "Node.js socket.io-parser"
SMALL: Final = ("small", "small-id", "ack", "connect")
"""Cases whose time is that of a packet, not of its data."""


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


class Ratio(NamedTuple):
    """A column of ratios, and what is promised of them.

    Attributes:
        peer: Who is divided.
        base: By whom.
        least: What the median should reach, by case; without an entry nothing was promised.
    """

    peer: str
    base: str
    least: Mapping[str, float]


def ratios_table(results: Results, suite: str, operation: str, ratios: Sequence[Ratio]) -> str:
    """Return ratios, a line for each case, with what they should reach and whether they do."""
    rows = []
    for name, case in CASES.items():
        group = results.groups[f"{suite}/{operation}/{name}"]
        row, missed = [case.title], []
        for ratio in ratios:
            times = group.times(ratio.peer, ratio.base)
            least = ratio.least.get(name)
            row += [_times(times), "" if least is None else f"≥ {least:g}"]
            if least is not None and times.median < least:
                shortfall = least / times.median - 1
                missed.append(f"{ratio.peer} ÷ {ratio.base} by {shortfall:.1%}")
        rows.append([*row, "missed: " + ", ".join(missed) if missed else "met"])
    columns = [word for ratio in ratios for word in (f"{ratio.peer} ÷ {ratio.base}", "target")]
    return _table((operation, *columns, "verdict"), rows)


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
    panels = _panels(results, "codec")
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


def _panels(results: Results, suite: str) -> dict[str, dict[str, Group]]:
    return {
        operation: {
            case.title: results.groups[f"{suite}/{operation}/{name}"]
            for name, case in CASES.items()
        }
        for operation in ("encode", "decode")
    }


def compat(results: Results) -> None:
    """Write the page and the picture of the packet for python-socketio."""
    ours, theirs = f"{OURS}, orjson", f"{SOCKETIO}, orjson"
    faster = dict.fromkeys(CASES, 1.0)
    ratios = (
        Ratio(SOCKETIO, OURS, faster | dict.fromkeys(SMALL, 5.0)),
        Ratio(theirs, OURS, {}),
        Ratio(theirs, ours, {}),
    )
    panels = _panels(results, "compat")
    tables = [ratios_table(results, "compat", operation, ratios) for operation in panels]
    how = (
        "`roomcast.compat.Packet` beside `socketio.packet.Packet`, called alike: `Packet(type, data=…, namespace=…, id=…).encode()`; and "
        '`Packet(encoded_packet=…)`, `add_attachment` for each attachment, type, namespace, id and data read. "orjson": with orjson as '
        "the option `json=`, which roomcast's packet honours: then it writes and reads the payload. Ratios are medians over the rounds of a "
        "run, with their quartiles; both sides of a ratio are of one round."
    )
    page = [
        "# Packets for python-socketio",
        f"Written by report.py. {origin(results)}",
        how,
        *tables,
        "Nanoseconds a call, medians. `*`: the answer was wrong. orjson alone does only the JSON part.",
        *(nanoseconds_table(operation, groups) for operation, groups in panels.items()),
    ]
    (FOLDER / "compat.md").write_text("\n\n".join(page) + "\n")
    plot(
        FOLDER / "compat.svg",
        panels,
        [FLOOR, SOCKETIO, theirs, ours],
        {
            FLOOR: "orjson, the JSON part alone",
            theirs: "python-socketio with orjson",
            ours: "roomcast with orjson",
        },
    )
    print("\n\n".join(tables))


def msgpack(results: Results) -> None:
    """Write the page and the picture of packets in MessagePack."""
    theirs, node, floor = "roomcast.compat", "Node.js socket.io-msgpack-parser", "ormsgpack"
    twice, faster = dict.fromkeys(CASES, 2.0), dict.fromkeys(CASES, 1.0)
    ratios = (
        Ratio(SOCKETIO, OURS, twice),
        Ratio(SOCKETIO, theirs, twice),
        Ratio(node, OURS, faster),
        Ratio(node, theirs, faster),
        Ratio(SOCKETIO, floor, {}),
    )
    panels = _panels(results, "msgpack")
    tables = [ratios_table(results, "msgpack", operation, ratios) for operation in panels]
    how = (
        'roomcast: `roomcast.msgpack`, the parser of a server or client, `encode(Packet(…))` and `feed`; "roomcast server" is the call of an '
        "emit. roomcast.compat: `roomcast.compat.MsgPackPacket` in the place of python-socketio's, which has the C extension of `msgpack`; both are "
        "called as an application of python-socketio calls them, their attributes read. The libraries alone write and read the map that a "
        "packet is: no packet, no checks. Ratios are medians over the rounds of a run, with their quartiles; both sides of a ratio are of one "
        "round. The last ratio is what would be gained by a packet that costs nothing, around the fastest library that makes what Python has."
    )
    page = [
        "# Packets in MessagePack",
        f"Written by report.py. {origin(results)}",
        how,
        *tables,
        "Nanoseconds a call, medians. `*`: the answer was wrong.",
        *(nanoseconds_table(operation, groups) for operation, groups in panels.items()),
    ]
    (FOLDER / "msgpack.md").write_text("\n\n".join(page) + "\n")
    plot(
        FOLDER / "msgpack.svg",
        panels,
        [floor, SOCKETIO, node, theirs],
        {floor: "ormsgpack, the library alone", theirs: "roomcast.compat.MsgPackPacket"},
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
    suites: dict[str, Callable[[Results], None]] = {
        "codec": codec,
        "compat": compat,
        "msgpack": msgpack,
        "rooms": rooms,
    }
    for name, write in suites.items():
        path = FOLDER / f"{name}.json"
        if path.exists():
            write(Results.load(path))


main()

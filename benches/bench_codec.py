"""The codec beside its peers: python -m pytest benches/bench_codec.py --benchmark-enable.

Without --benchmark-enable nothing is timed; it is only checked that every peer does the same work. With it, every round
takes one sample of every peer, Node.js included. A run of all cases replaces results/codec.json; report.py makes the tables.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from cases import CASES, Case
from ours import decoded, encoded
from peers import PEERS, Node
from recording import MILLISECONDS, TIMEOUT, Recording, recording

PARSER: Final = "socket.io-parser"
NODE: Final = f"Node.js {PARSER}"
PACKAGES: Final = ("python-socketio", "orjson", "msgspec", "msgpack")

pytestmark = pytest.mark.timeout(TIMEOUT)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node(PARSER) as child:
        yield child


@pytest.fixture(scope="module")
def results(node: Node) -> Iterator[Recording]:
    groups = len(CASES) * len(PEERS)
    with recording("codec", groups, PACKAGES, {node.pid: node.versions}) as run:
        yield run


def _is_right(case: Case, operation: str, answer: Any) -> bool:
    if operation == "encode":
        return encoded(answer[0], answer[1:]) == encoded(case.text, case.attachments)
    return decoded(*answer) == decoded(case.type, case.nsp, case.id, case.data)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("operation", PEERS)
def test_codec(
    operation: str,
    name: str,
    node: Node,
    results: Recording,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = CASES[name]
    peers = {peer: make(case) for peer, make in PEERS[operation].items()}
    correct = {peer: peers[peer].correct() for peer in peers}
    answer = node.prepare(case, operation, [case.text, *case.attachments], MILLISECONDS)
    correct[NODE] = _is_right(case, operation, answer)
    if request.config.getoption("benchmark_enable"):
        with capsys.disabled():
            results.time(f"{operation}/{name}", peers, correct, {NODE: node.time})
    assert all(correct.values()), correct

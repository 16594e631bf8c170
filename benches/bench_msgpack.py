"""Packets in MessagePack beside their peers: python -m pytest benches/bench_msgpack.py --benchmark-enable.

How it is run and what it writes is as for bench_codec.py. Everybody decodes the same bytes.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from cases import CASES
from msgpack_peers import PEERS, unpacked
from ours import decoded
from peers import Node
from recording import MILLISECONDS, TIMEOUT, Recording, recording

PARSER: Final = "socket.io-msgpack-parser"
NODE: Final = f"Node.js {PARSER}"
PACKAGES: Final = ("python-socketio", "msgpack", "ormsgpack", "msgspec")

pytestmark = pytest.mark.timeout(TIMEOUT)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node(PARSER) as child:
        yield child


@pytest.fixture(scope="module")
def results(node: Node) -> Iterator[Recording]:
    groups = len(CASES) * len(PEERS)
    with recording("msgpack", groups, PACKAGES, {node.pid: node.versions}) as run:
        yield run


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("operation", PEERS)
def test_msgpack(
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
    answer = node.prepare(case, operation, [case.packed], MILLISECONDS)
    said = unpacked(answer[0]) if operation == "encode" else decoded(*answer)
    correct[NODE] = said == decoded(case.type, case.nsp, case.id, case.data)
    if request.config.getoption("benchmark_enable"):
        with capsys.disabled():
            results.time(f"{operation}/{name}", peers, correct, {NODE: node.time})
    assert all(correct.values()), correct

"""The packet of python-socketio with roomcast inside: python -m pytest benches/bench_compat.py --benchmark-enable.

As an application of python-socketio calls it: a packet is made and encoded, or made of a text and its attachments, and its
attributes are read. How it is run and what it writes is as for bench_codec.py.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from cases import CASES
from compat_peers import PEERS
from recording import TIMEOUT, Recording, recording

PACKAGES: Final = ("python-socketio", "orjson")

pytestmark = pytest.mark.timeout(TIMEOUT)


@pytest.fixture(scope="module")
def results() -> Iterator[Recording]:
    with recording("compat", len(CASES) * len(PEERS), PACKAGES, {}) as run:
        yield run


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("operation", PEERS)
def test_compat(
    operation: str,
    name: str,
    results: Recording,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    peers = {peer: make(CASES[name]) for peer, make in PEERS[operation].items()}
    correct = {peer: peers[peer].correct() for peer in peers}
    if request.config.getoption("benchmark_enable"):
        with capsys.disabled():
            results.time(f"{operation}/{name}", peers, correct)
    assert all(correct.values()), correct

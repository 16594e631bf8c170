"""Tests of python-socketio that run on our packets, and ours that run beside its older versions.

The archives of its versions bring both, the tests and the package; `make test` fetches and unpacks them.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SUITES: Final = ROOT / ".venv" / "suites"

pytestmark = [
    pytest.mark.skipif(
        not SUITES.is_dir(), reason="the archives of python-socketio are not there: make test"
    ),
    pytest.mark.timeout(300),
]

VERSIONS: Final = sorted(path.name for path in SUITES.glob("*")) or ["none"]

LEFT_OUT: Final = ("tests/common/test_admin.py", "tests/async/test_admin.py")
"""They listen on a port that other processes may have."""


def run(version: str, *options: str, directory: Path) -> dict[str, int]:
    """Run tests beside a version of python-socketio; return how many ended how."""
    source = SUITES / version / "src"
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (source, ROOT / "tests"))),
        "PYTEST_ADDOPTS": "",
    }
    asked = (sys.executable, "-c", "import socketio; print(socketio.__file__)")
    assert Path(subprocess.check_output(asked, env=environ, text=True)).is_relative_to(source)
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=60", *options),
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1]
    ended = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|error)", last)}
    assert done.returncode == 0, done.stdout
    return ended


@pytest.mark.parametrize("version", VERSIONS)
def test_their_tests_pass_with_our_packets(version: str) -> None:
    left_out = [f"--ignore={path}" for path in LEFT_OUT]
    ended = run(
        version,
        *("-p", "support.installed", *left_out, "tests/common", "tests/async"),
        directory=SUITES / version,
    )
    assert ended.keys() == {"passed"}
    assert ended["passed"] > 600


@pytest.mark.parametrize("version", VERSIONS[:-1])  # the newest is what all other tests run beside
def test_our_packets_are_those_of_older_versions(version: str) -> None:
    ended = run(version, "tests/property/test_compat_packet.py", directory=ROOT)
    assert ended.keys() == {"passed"}
    assert ended["passed"] > 10

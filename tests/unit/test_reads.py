import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, socket
from roomcast import Server
Server()
held = [bytes(100_000) for _ in range(200)]  # leaves no hole that a read would fit into
a, b = socket.socketpair()
for number in range(1100):
    if number == 100:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    a.send(b"x")
    b.recv(262_144)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other ways")
def test_large_reads_map_no_pages_once_there_is_a_server():
    """Counted are page faults: a read into memory of its own has one at least."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 100

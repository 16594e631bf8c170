"""Where results come from: the machine, the versions and the commit."""

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

__all__ = ["Others", "commit", "machine", "versions"]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        return platform.processor()
    return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))


def machine() -> dict[str, object]:
    """Return what runs: processor, system, Python."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_compiler": platform.python_compiler(),
    }


class Others:
    """How much of the machine somebody else uses, from now on. Linux only.

    Args:
        pids: Processes that are ours.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._start = time.monotonic(), self._ticks()

    def _ticks(self) -> int:
        user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
        # behind the name, which may hold anything: utime and stime are fields 14 and 15 of the line
        ours = [
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids
        ]
        return user + nice + system - sum(int(fields[11]) + int(fields[12]) for fields in ours)

    def cores(self) -> float:
        """Return how many processors others kept busy on average."""
        seconds = time.monotonic() - self._start[0]
        ticks = self._ticks() - self._start[1]
        return round(max(0.0, ticks / os.sysconf("SC_CLK_TCK") / seconds), 2)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of packages."""
    return {package: version(package) for package in packages}


def commit() -> dict[str, object]:
    """Return the commit that is checked out, and whether files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "../rust", "../python", "*.py", "*.js")
    return {"id": git("rev-parse", "HEAD"), "dirty": bool(changed)}

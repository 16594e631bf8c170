"""Where results come from: the machine, the versions and the commit."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

__all__ = ["commit", "machine", "versions"]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        return platform.processor()
    return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))


def machine() -> dict[str, object]:
    """Return what runs: processor, system, Python, and how busy it was before."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_compiler": platform.python_compiler(),
        "load": round(os.getloadavg()[0], 2),
    }


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

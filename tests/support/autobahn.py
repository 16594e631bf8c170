"""Autobahn's own test suite for WebSockets, where it is installed; it needs Python 2.7."""

import asyncio
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["WSTEST", "Result", "run_autobahn"]

WSTEST: Final = os.environ.get("ROOMCAST_AUTOBAHN") or shutil.which("wstest")
"""Its command."""


class Result(NamedTuple):
    """What became of a case.

    Attributes:
        behavior: ``OK``, ``NON-STRICT``, ``INFORMATIONAL``, ``UNIMPLEMENTED`` or ``FAILED``.
        close: The same of the close; also ``WRONG CODE``, ``UNCLEAN`` or ``FAILED BY CLIENT``.
    """

    behavior: str
    close: str


async def run_autobahn(
    port: int, target: str, cases: Sequence[str], out: Path
) -> dict[str, Result]:
    """Let the suite try a server that echoes; return what became of each case.

    Args:
        port: Where the server listens, on this machine.
        target: Path and query of the WebSocket.
        cases: Patterns of their numbers.
        out: A folder for its reports.
    """
    assert WSTEST is not None
    spec: dict[str, Any] = {
        "outdir": str(out),
        "servers": [{"agent": "roomcast", "url": f"ws://127.0.0.1:{port}{target}"}],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path = out / "spec.json"
    path.write_text(json.dumps(spec))
    process = await asyncio.create_subprocess_exec(
        *(WSTEST, "--mode", "fuzzingclient", "--spec", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
    results = json.loads((out / "index.json").read_text())["roomcast"]
    return {
        name: Result(result["behavior"], result["behaviorClose"])
        for name, result in results.items()
    }

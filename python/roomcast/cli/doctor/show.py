"""How it is shown: a check a line as it is done, then what to change; or one object of JSON."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from textwrap import fill
from typing import Any, Final

from roomcast.cli.connecting import Destination
from roomcast.cli.doctor.report import Check, Report
from roomcast.cli.text import json_line

__all__ = ["as_json", "changes", "print_check", "print_title"]

WIDTH: Final = 100

MARKS: Final = {"ok": "ok", "note": "--", "warn": "WARN", "fail": "FAIL"}
STYLES: Final = {"ok": "green", "note": "dim", "warn": "yellow", "fail": "bold red"}

NAMES: Final = 13
"""Characters of the longest name of a check."""


def print_title(to: Destination) -> None:
    """Say what is looked at."""
    print(f"{to.address.origin}, path {to.path}, namespace {to.nsp}", flush=True)


def print_check(check: Check) -> None:
    """Print a check; in colour on a terminal, where rich is there."""
    mark = f"{MARKS[check.mark]:4}"
    rest = f"  {check.name:{NAMES}}  {check.found}"
    _write()(mark, STYLES[check.mark], rest)


def changes(checks: Sequence[Check]) -> str:
    """Return what to change, the worst first; empty where nothing is."""
    found = sorted((check for check in checks if check.change), key=lambda check: check.mark)
    if not found:
        return ""
    parts = ["", "What to change"]
    for number, check in enumerate(found, 1):
        words, _, config = check.change.partition("\n")
        first = f"{number:2}. "
        text = fill(
            f"{check.name}: {words}",
            WIDTH,
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_long_words=False,
            break_on_hyphens=False,
        )
        parts.append(text)
        parts += [f"      {line}" for line in config.splitlines()]
    return "\n".join(parts)


def as_json(to: Destination, report: Report) -> str:
    """Return all of it as one object."""
    fields: dict[str, Any] = {
        "url": to.address.origin,
        "path": to.path,
        "namespace": to.nsp,
        "ok": not report.failed,
        "checks": [asdict(check) for check in report.checks],
    }
    return json_line(fields)


def _write() -> Callable[[str, str, str], None]:
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console  # noqa: PLC0415  an optional dependency
            from rich.text import Text  # noqa: PLC0415  as above

            return lambda mark, style, rest: Console().print(
                Text.assemble((mark, style), rest), soft_wrap=True
            )
    return lambda mark, _, rest: print(mark + rest, flush=True)

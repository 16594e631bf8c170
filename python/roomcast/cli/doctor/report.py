"""What was found: a check a line, and what to change."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Check", "Mark", "Report"]

Mark = Literal["ok", "note", "warn", "fail"]
"""``note`` is for what is as somebody may have wanted it; ``warn`` for what works, and not for everybody or not for long."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        mark: How it is.
        found: What was found, in words.
        change: What to change; empty where nothing is.
    """

    name: str
    mark: Mark
    found: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was looked at.

    Attributes:
        tell: Called with each check as soon as it is done.
        checks: In their order.
    """

    tell: Callable[[Check], None]
    checks: list[Check] = field(default_factory=list[Check])

    @property
    def failed(self) -> bool:
        """Whether something fails."""
        return any(check.mark == "fail" for check in self.checks)

    def ok(self, name: str, found: str) -> None:
        """Say that something is well."""
        self._add(Check(name, "ok", found))

    def note(self, name: str, found: str) -> None:
        """Say something that is neither good nor bad."""
        self._add(Check(name, "note", found))

    def warn(self, name: str, found: str, change: str) -> None:
        """Say that something works, and not for everybody or not for long."""
        self._add(Check(name, "warn", found, change))

    def fail(self, name: str, found: str, change: str) -> None:
        """Say that something does not work."""
        self._add(Check(name, "fail", found, change))

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        self.tell(check)

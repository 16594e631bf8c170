"""What a peer sent, made fit for a log, and how often it may be there."""

from typing import Final

__all__ = ["Once", "printable"]

MAX_LENGTH: Final = 32
"""Characters of a peer's text in a log line or an error message."""


def printable(text: object, length: int = MAX_LENGTH) -> str:
    """Return a peer's text cut to so many characters, with everything but printable ASCII escaped.

    Source:
        roomcast; escape sequences and line breaks in logs are PYSEC-2020-150 and -151.
    """
    escaped = str(text)[:length].encode("unicode_escape").decode("ascii")
    return escaped[:length]


MAX_REMEMBERED: Final = 4_096
"""Pairs of peer and cause. At the limit all are forgotten, so that a crowd of peers costs lines, but no memory."""


class Once:
    """Says whether a line is the first of its peer and cause; the others are counted only.

    Source:
        roomcast; who is refused may repeat it as fast as the line carries.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def is_first(self, peer: str, cause: str) -> bool:
        """Say whether a peer is the first time the cause of a line."""
        if (peer, cause) in self._seen:
            return False
        if len(self._seen) >= MAX_REMEMBERED:
            self._seen.clear()
        self._seen.add((peer, cause))
        return True

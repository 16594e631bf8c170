"""What a peer sent, made fit for a log."""

from typing import Final

__all__ = ["printable"]

MAX_LENGTH: Final = 32
"""Characters of a peer's text in a log line or an error message."""


def printable(text: object) -> str:
    """Return a peer's text cut to 32 characters, with everything but printable ASCII escaped.

    Source:
        roomcast; escape sequences and line breaks in logs are PYSEC-2020-150 and -151.
    """
    escaped = str(text)[:MAX_LENGTH].encode("unicode_escape").decode("ascii")
    return escaped[:MAX_LENGTH]

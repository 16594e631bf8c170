"""Text for a terminal: JSON on one line, and what a server has said, without anything that a terminal would obey."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any, Final

__all__ = ["LONGEST", "as_base64", "clean", "json_line"]

LONGEST: Final = 200
"""Characters of a server's own words that are repeated."""

_OBEYED: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of a line, and halves of characters, which no output takes."""


def as_base64(data: bytes) -> dict[str, Any]:
    """Return what stands for bytes in JSON."""
    return {"base64": base64.b64encode(data).decode()}


def json_line(value: object, for_bytes: Callable[[bytes], object] = as_base64) -> str:
    """Write what a server has sent as JSON on one line.

    Args:
        value: JSON with bytes in it.
        for_bytes: Returns what stands for bytes.
    """
    text = json.dumps(value, ensure_ascii=False, default=for_bytes)
    # Outside of its strings, JSON of json.dumps has none of these.
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def clean(text: object, most: int = LONGEST) -> str:
    """Write what a server has said: cut, and with escapes for what a terminal would obey."""
    words = " ".join(str(text).split())
    words = _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", words)
    return words if len(words) <= most else f"{words[:most]}…"

"""What python-socketio calls its JSON module, for packets that nobody has given another one.

A packet whose ``json`` is this module, or the one of python-engineio that it stands for, is written and read by roomcast's core. What
the core leaves to Python's own ``json``, and what pub/sub managers write for their queues, comes here.
"""

import json
import sys
from typing import Any, Final

__all__ = ["MAX_INT_LENGTH", "THEIRS", "dumps", "is_default", "loads"]

THEIRS: Final = "engineio.json"
"""The name of python-socketio's. Programs compare with it, and set it again where another one was set for a while."""

MAX_INT_LENGTH: Final = 100
"""Characters that an integer may have, its sign included; a `ValueError` beyond. The limit of python-engineio."""


def dumps(value: Any, **options: Any) -> str:
    """Return a value as JSON, as `json.dumps` does."""
    return json.dumps(value, **options)


def loads(text: str | bytes | bytearray, **options: Any) -> Any:
    """Return the value of a JSON text, as `json.loads` does.

    Raises:
        ValueError: If it is no JSON, or an integer in it is too long.
    """
    options.setdefault("parse_int", _parse_int)
    return json.loads(text, **options)


def is_default(module: object) -> bool:
    """Return whether it is what packets have whom nobody has given another one, here or in python-socketio."""
    return module is sys.modules[__name__] or (
        module is not None and module is sys.modules.get(THEIRS)
    )


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_INT_LENGTH:
        raise ValueError(f"an integer of more than {MAX_INT_LENGTH} characters")
    return int(digits)

"""Checks that several options share, and what to say where a name is wrong."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final

__all__ = ["check_keys", "check_max_age", "did_you_mean", "is_token", "snake_case"]

MAX_AGE: Final = 2**31 - 1
"""Seconds, 68 years. Beyond: ``ValueError``. The largest that every client can count; browsers cap cookies at 400 days."""

_TOKEN: Final = frozenset(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)


def snake_case(name: str) -> str:
    """Return a name of JavaScript in Python's spelling."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def did_you_mean(name: str, names: Collection[str]) -> str:
    """Return the end of a message that names the nearest right name; camelCase is what people bring from JavaScript."""
    # Nearer than difflib's 0.6, at which npm's "headers" would be told "exposed_headers".
    nearest = get_close_matches(snake_case(name), names, n=1, cutoff=0.7)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def is_token(text: str) -> bool:
    """Say whether a text is a token of HTTP: the name of a method, of a header, of a cookie.

    Source:
        RFC 9110, section 5.6.2.
    """
    return text != "" and _TOKEN.issuperset(text)


def check_max_age(value: object, option: str) -> None:
    """Check an age in seconds, or ``None``.

    Args:
        value: What the program gave.
        option: The option that it is part of, for the message.

    Raises:
        TypeError: If it is neither an ``int`` nor ``None``.
        ValueError: If it is negative or above 2^31 - 1.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{option}: max_age must be an int or None, not {type(value).__name__}")
    if not 0 <= value <= MAX_AGE:
        raise ValueError(f"{option}: max_age must be from 0 to {MAX_AGE} seconds")


def check_keys(given: Mapping[Any, Any], names: Collection[str], option: str) -> None:
    """Check the keys of an option that is a mapping.

    Args:
        given: The mapping.
        names: The keys that it may have.
        option: The option, for the message.

    Raises:
        TypeError: If a key is unknown; the message names the nearest right one in its Python spelling.
    """
    for key in given:
        if key in names:
            continue
        raise TypeError(f"{option}: unknown key {key!r}{did_you_mean(str(key), names)}")

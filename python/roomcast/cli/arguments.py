"""Types of arguments that commands share: text in, value out, or the reason that argparse shows."""

import argparse
import json
from collections.abc import Callable
from typing import Any, cast

from roomcast.engine.fields import is_token

__all__ = ["header", "json_object", "number_of", "port", "seconds"]


def port(text: str) -> int:
    """Read the number of a port; 0 asks for a free one."""
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def number_of(least: int, most: int) -> Callable[[str], int]:
    """Return what reads a whole number within bounds.

    Args:
        least: The smallest one.
        most: The largest one.
    """

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
        return int(text)

    return read


def seconds(text: str) -> float:
    """Read a time in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no time in seconds")
    return value


def json_object(text: str) -> dict[str, Any]:
    """Read an object of JSON."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('no object, as in {"token": "…"}')
    return cast("dict[str, Any]", value)


def header(text: str) -> tuple[str, str]:
    """Read a header of HTTP."""
    name, colon, value = text.partition(":")
    if not colon or not is_token(name.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no header, as in 'Authorization: Bearer …'")
    if not value.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} has what cannot stand in a header")
    return name.strip(), value.strip()

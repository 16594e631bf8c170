"""Types of arguments that commands share: text in, value out, or the reason that argparse shows."""

import argparse
from collections.abc import Callable

__all__ = ["number_of", "port", "seconds"]


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

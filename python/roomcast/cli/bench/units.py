"""Numbers for people."""

__all__ = ["bytes_", "count", "plural", "seconds"]


def count(number: float) -> str:
    """Write a number with its thousands apart: at least three digits of it are there."""
    if 0 < number < 100:
        return f"{number:.3g}"
    return f"{number:,.0f}".replace(",", " ")


def plural(number: int, one: str, many: str) -> str:
    """Write how many there are of something."""
    return f"{count(number)} {one if number == 1 else many}"


def seconds(time: float) -> str:
    """Write a time in the unit that suits it."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if time * factor >= 1:
            return f"{time * factor:.3g} {unit}" if time * factor < 1000 else f"{time:.0f} s"
    return f"{time * 1e6:.3g} µs"


def bytes_(number: float) -> str:
    """Write a number of bytes in the unit that suits it, each a thousand of the one before."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(number) >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number:.3g} B"

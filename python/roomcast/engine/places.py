"""How many connections there may be, on the whole and from one address.

A connection has its place from the moment its first request is looked at until it has ended. So those on their way count like
those that are open, and no crowd of handshakes that wait for the same slow middleware gets past a limit together.
"""

from collections import Counter
from types import TracebackType
from typing import Self

from roomcast.types import Limits

__all__ = ["Place", "Places"]


class Places:
    """The places of one server."""

    __slots__ = ("_addresses", "_limits", "handshakes", "taken")

    def __init__(self, limits: Limits) -> None:
        """Take the limits.

        Attributes:
            handshakes: The places of connections that are on their way.
            taken: All places that are taken.
        """
        self._limits = limits
        self._addresses: Counter[str] = Counter()
        self.handshakes = 0
        self.taken = 0

    def full(self, address: str) -> str | None:
        """Return the name of the limit that leaves no place for an address, or ``None``."""
        limits = self._limits
        for count, limit, name in (
            (self.handshakes, limits.max_handshakes, "max_handshakes"),
            (self.taken, limits.max_connections, "max_connections"),
            (
                self._addresses[address],
                limits.max_connections_per_address,
                "max_connections_per_address",
            ),
        ):
            if limit is not None and count >= limit:
                return name
        return None

    def take(self, address: str) -> None:
        """Take a place."""
        self.taken += 1
        self._addresses[address] += 1

    def leave(self, address: str) -> None:
        """Give a place back."""
        self.taken -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]


class Place:
    """The place of a handshake, for the length of a ``with``; given back at its end unless a connection keeps it."""

    __slots__ = ("_address", "_kept", "_places")

    def __init__(self, places: Places, address: str) -> None:
        """Take a place that is free."""
        self._places = places
        self._address = address
        self._kept = False

    def keep(self) -> None:
        """Let the place be that of a connection, which gives it back by `Places.leave`."""
        self._kept = True

    def __enter__(self) -> Self:
        self._places.take(self._address)
        self._places.handshakes += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._places.handshakes -= 1
        if not self._kept:
            self._places.leave(self._address)

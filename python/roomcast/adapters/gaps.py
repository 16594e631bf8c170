"""Sequence numbers: what a node has published, and what another one has missed of it.

Redis says nothing of messages that never arrived, as those while a connection was broken. So everything that a roomcast node
publishes in a namespace has a number, one more than the last, in a place where other nodes do not look: behind the three items of a
broadcast, and under ``seq`` in a request. Now and then each node says which number it has reached, so that a gap is found also if
nothing follows it.

Numbers are believed as far as they make sense: a leap that no node can make is the message of somebody else.
"""

from typing import Final

__all__ = ["Gaps"]

MAX_SENDERS: Final = 4_096
"""Nodes whose numbers are remembered. Beyond, the one that was heard of first is forgotten; its next gap is not noticed."""

MAX_LEAP: Final = 2**31
"""Messages that can be missing at once: at 10 000 a second, two and a half days."""

REPEATED: Final = -1
NONSENSE: Final = -2


class Gaps:
    """What was heard of each node, by its id."""

    __slots__ = ("_positions",)

    def __init__(self) -> None:
        self._positions: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._positions)

    def forget(self, sender: bytes) -> None:
        """Forget what was heard of a node: its numbers begin anew."""
        self._positions.pop(sender, None)

    def heard(self, sender: bytes, position: int) -> int:
        """Take the number of a message; return how many are missing before it, or `REPEATED`, or `NONSENSE`."""
        positions = self._positions
        last = positions.get(sender)
        if last is None:
            if len(positions) >= MAX_SENDERS:
                del positions[next(iter(positions))]
            positions[sender] = position
            return 0
        step = position - last
        if step == 1:
            positions[sender] = position
            return 0
        if step <= 0:
            return REPEATED
        if step > MAX_LEAP:
            return NONSENSE
        positions[sender] = position
        return step - 1

    def reached(self, sender: bytes, position: int) -> int:
        """Take the number that a node says it has reached; return how many are missing up to it."""
        missing = self.heard(sender, position + 1)
        if missing >= 0:
            self._positions[sender] = position
        return max(missing, 0)

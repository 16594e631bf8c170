"""Events of this node that wait for their ids in the stream, so that their clients can come back. Without I/O.

A client comes back with the id of the last entry that it has seen, so a node may send an event only when its id is known, and events only
in the order of their ids. So its own events come to its clients as those of other nodes do: when the stream is read. What else is sent
meanwhile waits behind them.

Who gets an event is decided when it is emitted. While nobody joins, leaves or goes that makes no difference to deciding it when the event
is sent, and nothing is chosen before; the first such change chooses for all that wait.
"""

from collections import deque
from collections.abc import Callable

from roomcast._core import EncodedPacket
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.recoverable import RecoverableSocket

__all__ = ["Held", "Line"]

Recipients = dict[str, RecoverableSocket]


class Held:
    """Something that waits.

    Attributes:
        packet: What is sent, without an offset.
        add_offset: Makes it one with an offset; ``None`` if it is sent without.
        position: The number of its entry, or ``None`` if it only waits behind others.
        options: Whom it is for; ``None`` if it is for one connection.
        recipients: Who gets it, by their ids; ``None`` while the options say that.
        volatile: Whether it may be dropped.
    """

    __slots__ = ("add_offset", "options", "packet", "position", "recipients", "volatile")

    def __init__(
        self,
        packet: EncodedPacket,
        add_offset: Callable[[str], EncodedPacket] | None,
        position: int | None,
        options: BroadcastOptions | None,
        recipients: Recipients | None,
        *,
        volatile: bool = False,
    ) -> None:
        """Take what waits."""
        self.packet = packet
        self.add_offset = add_offset
        self.position = position
        self.options = options
        self.recipients = recipients
        self.volatile = volatile


class Line:
    """What waits, in order."""

    def __init__(self, choose: Callable[[BroadcastOptions], list[RecoverableSocket]]) -> None:
        """Take what chooses recipients."""
        self._choose = choose
        self._held: deque[Held] = deque()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def head(self) -> Held | None:
        """What has waited longest."""
        return self._held[0] if self._held else None

    @property
    def last_position(self) -> int:
        """The last number that is waited for."""
        return max([held.position or 0 for held in self._held], default=0)

    def append(self, held: Held) -> None:
        """Let something wait."""
        self._held.append(held)

    def pop(self) -> Held:
        """Take out what has waited longest."""
        return self._held.popleft()

    def settle(self) -> None:
        """Decide who gets what waits: somebody is about to join, to leave or to go."""
        for held in reversed(self._held):
            if held.recipients is None and held.options is not None:
                held.recipients = {each.id: each for each in self._choose(held.options)}

    def came_back(
        self, socket: RecoverableSocket, is_meant: Callable[[BroadcastOptions], bool]
    ) -> None:
        """Let a socket that has its session back get what was for it; `settle` goes before."""
        for held in self._held:
            if held.options is not None and held.recipients is not None and is_meant(held.options):
                held.recipients[socket.id] = socket

    def let_go(self, socket: RecoverableSocket) -> None:
        """Send a socket at once what waits for it, without offsets."""
        self.settle()
        for held in self._held:
            if held.recipients is not None and held.recipients.get(socket.id) is socket:
                del held.recipients[socket.id]
                socket.send_now(held.packet, held.volatile)

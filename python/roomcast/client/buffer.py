"""What one socket has emitted and cannot send yet."""

from collections import deque
from typing import Final

from roomcast._core import EncodedPacket
from roomcast.client.options import BufferPolicy
from roomcast.errors import SendBufferError

__all__ = ["SendBuffer"]

NO_ROOM: Final = "the send buffer is full"


class SendBuffer:
    """Packets in their order, with the ids of the acknowledgements that they ask for.

    Source:
        socket.io-client, ``Socket.sendBuffer``. Differs from it: that has no bound.
    """

    def __init__(self, packets: int, size: int, policy: BufferPolicy) -> None:
        """Take the bounds.

        Args:
            packets: How many packets it keeps.
            size: How many bytes; one larger packet may enter when it is empty.
            policy: What happens to one for which there is no room.
        """
        self._packets = packets
        self._size = size
        self._policy = policy
        self._waiting: deque[tuple[int | None, EncodedPacket]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many packets wait."""
        return len(self._waiting)

    @property
    def ids(self) -> set[int]:
        """The ids of the acknowledgements that are asked for in it."""
        return {id for id, _ in self._waiting if id is not None}

    def has_room(self, packet: EncodedPacket) -> bool:
        """Say whether a packet fits."""
        if not self._waiting:
            return self._packets > 0
        return len(self._waiting) < self._packets and self._bytes + packet.size <= self._size

    def push(self, id: int | None, packet: EncodedPacket) -> list[int | None]:
        """Keep a packet.

        Returns:
            The ids of those that were dropped, this one perhaps.

        Raises:
            SendBufferError: If there is no room, and so it is to be said.
        """
        dropped: list[int | None] = []
        if not self.has_room(packet):
            if self._policy == "raise":
                raise SendBufferError(
                    f"{NO_ROOM}: {len(self._waiting)} events of {self._bytes} bytes wait for the connection"
                )
            if self._policy == "drop_newest":
                return [id]
            while self._waiting and not self.has_room(packet):
                oldest, gone = self._waiting.popleft()
                self._bytes -= gone.size
                dropped.append(oldest)
            if not self.has_room(packet):
                return [*dropped, id]
        self._waiting.append((id, packet))
        self._bytes += packet.size
        return dropped

    def forget(self, id: int) -> None:
        """Drop the packet that asks for an acknowledgement which nobody waits for any more."""
        for entry in self._waiting:
            if entry[0] == id:
                self._waiting.remove(entry)
                self._bytes -= entry[1].size
                return

    def take_all(self) -> list[EncodedPacket]:
        """Return all packets, and keep none."""
        packets = [packet for _, packet in self._waiting]
        self._waiting.clear()
        self._bytes = 0
        return packets

"""The adapter: who is in which room, and how a broadcast reaches them.

It is the seam for clusters. This one keeps everything in memory, over the room index of the core.
"""

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roomcast._core import EncodedPacket, Rooms
from roomcast.engine.outbox import DONE, Drain
from roomcast.server.acks import BroadcastAck, Done

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace
    from roomcast.server.socket import Socket

__all__ = ["Adapter", "BroadcastOptions"]


@dataclass(frozen=True, slots=True)
class BroadcastOptions:
    """Whom a broadcast is for: (union of ``rooms``) ∩ (each of ``all_of``) - (union of ``except_``).

    Attributes:
        rooms: Rooms or socket ids; empty means everybody.
        all_of: Rooms that a socket must all be in.
        except_: Rooms or socket ids that are left out.
        timeout: Seconds to wait for acknowledgements.
        volatile: Whether a client whose connection is not writable at this instant is passed over.
        compress: Whether transports may compress it.

    Source:
        socket.io-adapter, ``BroadcastOptions``; ``all_of`` is roomcast's own.
    """

    rooms: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    timeout: float | None = None
    volatile: bool = False
    compress: bool = True


class Adapter:
    """The in-memory adapter of one namespace. It belongs to one event loop.

    Source:
        socket.io-adapter, ``Adapter``.
    """

    def __init__(self, nsp: "Namespace") -> None:
        self.nsp = nsp
        self.rooms: Rooms[Socket] = Rooms()

    def add(self, socket: "Socket", rooms: Iterable[str]) -> None:
        """Make a connected socket known, in the rooms that it has joined before."""
        self.rooms.add(socket.id, socket, socket.outbox)
        self.rooms.join(socket.id, rooms)

    def add_all(self, id: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Put a socket into rooms; an unknown id is ignored."""
        self.rooms.join(id, rooms)
        return DONE

    def del_(self, id: str, room: str) -> Awaitable[None]:
        """Take a socket out of a room; an unknown id or room is ignored."""
        self.rooms.leave(id, room)
        return DONE

    def del_all(self, id: str) -> None:
        """Forget a socket."""
        self.rooms.remove(id)

    def socket_rooms(self, id: str) -> set[str]:
        """Return the rooms of a socket, its own included; empty for an unknown id."""
        return self.rooms.rooms_of(id)

    def broadcast(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions
    ) -> Awaitable[None]:
        """Send an event to everybody whom the options name, each once.

        Returns:
            Something to await for back pressure.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.

        Cost:
            One encoding, and one crossing for all recipients.
        """
        packet = self.nsp.server.encoder.encode_event(
            self.nsp.name, event, args, None, options.compress
        )
        return self._push(packet, options)

    def broadcast_with_ack(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions, done: Done
    ) -> Awaitable[None]:
        """Send an event as `broadcast` does, and collect the acknowledgements.

        Args:
            event: The event.
            args: Its arguments.
            options: Whom it is for; the time-out is required.
            done: Called once with the list of the answers, at once if there is nobody to answer.
        """
        assert options.timeout is not None
        id = self.nsp.next_ack_id()
        packet = self.nsp.server.encoder.encode_event(
            self.nsp.name, event, args, id, options.compress
        )
        sockets = self.select(options)
        if not sockets:
            done(None, ([],))
            return DONE
        timers = self.nsp.server.engine.timers
        ack = BroadcastAck(sockets, id, done, options.timeout, timers)
        for socket in sockets:
            socket.expect_ack(id, ack)
        return self._push(packet, options)

    def select(self, options: BroadcastOptions) -> "list[Socket]":
        """Return the sockets that the options name, each once."""
        return self.rooms.select(options.rooms, options.all_of, options.except_)

    def _push(self, packet: EncodedPacket, options: BroadcastOptions) -> Awaitable[None]:
        engine = self.nsp.server.engine
        dropped = self.rooms.push(
            packet, options.rooms, options.all_of, options.except_, options.volatile
        )
        if dropped:
            engine.counters["dropped_volatile"] += dropped
        if not engine.flusher.congested:
            return DONE
        return Drain([socket.outbox for socket in self.select(options)])

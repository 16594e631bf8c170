"""One client in one namespace.

States:

    ============  ===========================================================================================
    PENDING       middlewares decide; nothing is dispatched to it, no broadcast reaches it, rooms it joins are
                  kept for later; what the middlewares emit to it goes out
    CONNECTED     it is in the adapter's rooms
    LEAVING       its ``disconnecting`` handlers run; the rooms are still there
    DISCONNECTED  it is nowhere any more; emits are dropped, joins are no-ops
    ============  ===========================================================================================
"""

import asyncio
import time
import warnings
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping
from enum import Enum
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple, overload

from roomcast._core import EncodedPacket, Packet
from roomcast.engine.connection import Connection
from roomcast.engine.ids import generate_id
from roomcast.engine.outbox import DONE, Drain
from roomcast.engine.requests import Request
from roomcast.errors import DisconnectedError, UsageError
from roomcast.events import Listener
from roomcast.server.acks import Ack, SocketAck
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.broadcast import Broadcaster, BroadcastOperator, room_names
from roomcast.server.catch_all import CatchAll, Extras
from roomcast.server.emitter import SocketEmitter
from roomcast.server.handlers import ErrorHook
from roomcast.server.handshake import Handshake
from roomcast.server.operator import SocketOperator
from roomcast.server.recovery import RecoveryFailure
from roomcast.sockets.acks import Done, checked_timeout, settler
from roomcast.sockets.answers import Answer
from roomcast.sockets.flags import PLAIN, SocketFlags
from roomcast.sockets.handlers import is_contained
from roomcast.sockets.signatures import MANY, accepted, check_takes
from roomcast.typed import Event
from roomcast.types import PacketType

if TYPE_CHECKING:
    from roomcast.server.client import Client
    from roomcast.server.namespace import Namespace

__all__ = ["LIBRARY_EVENTS", "Socket"]

LIBRARY_EVENTS: Final = {"disconnecting": 2, "disconnect": 2}
"""Events of a socket that no client can send, and the arguments that each has at most."""

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class SocketState(Enum):
    """Where a socket is in its life."""

    PENDING = "pending"
    CONNECTED = "connected"
    LEAVING = "leaving"
    DISCONNECTED = "disconnected"


CONNECTED: Final = SocketState.CONNECTED
DISCONNECTED: Final = SocketState.DISCONNECTED
"""By themselves, because CPython 3.11 looks a member of an enumeration up in Python."""


class Socket(SocketEmitter, CatchAll, Broadcaster):
    """A client in a namespace. It belongs to its server's event loop.

    Its own `to`, `in_`, `except_` and `all_of` choose among the *others*: the socket itself is left out.

    Attributes:
        id: Its id, 20 characters, not the one of the connection.
        nsp: Its namespace.
        client: Its connection and the other namespaces on it.
        handshake: How it came.
        outbox: Where its packets wait; shared with the other namespaces of the connection.

    Source:
        socket.io, ``Socket``.
    """

    __slots__ = (
        "__weakref__",
        "_acks",
        "_data",
        "_early_rooms",
        "_extras",
        "_state",
        "client",
        "handshake",
        "id",
        "nsp",
        "outbox",
    )

    def __init__(self, nsp: "Namespace", client: "Client", auth: Mapping[str, Any]) -> None:
        """Make a socket that is pending."""
        super().__init__()
        self.id = generate_id()
        self.nsp = nsp
        self.client = client
        self.outbox = client.conn.outbox
        self.handshake = Handshake(client.conn.request, auth, int(time.time() * 1000))
        self._state = SocketState.PENDING
        self._early_rooms: tuple[str, ...] = ()
        # Made when somebody needs them: most of many connections never do.
        self._acks: dict[int, Ack] | None = None
        self._data: dict[str, Any] | None = None
        self._extras: Extras | None = None

    def __repr__(self) -> str:
        return f"<Socket {self.id} of {self.nsp.name!r}, {self._state.value}>"

    @property
    def connected(self) -> bool:
        """Whether the socket takes part in its namespace."""
        return self._state in (SocketState.CONNECTED, SocketState.LEAVING)

    @property
    def recovered(self) -> bool:
        """Whether the socket goes on where another connection of its client has broken; see ``connection_state_recovery``."""
        return False

    @property
    def recovery_failure(self) -> RecoveryFailure | None:
        """Why it does not, although its client has asked for it; ``None`` if it does, or has not asked."""
        return None

    @property
    def conn(self) -> Connection:
        """The Engine.IO connection underneath."""
        return self.client.conn

    @property
    def request(self) -> Request:
        """The request that opened the connection."""
        return self.client.conn.request

    @property
    def data(self) -> dict[str, Any]:
        """A dict for the application's own use."""
        if self._data is None:
            self._data = {}
        return self._data

    @data.setter
    def data(self, data: dict[str, Any]) -> None:
        self._data = data

    @property
    def rooms(self) -> set[str]:
        """The rooms of the socket; a new set. Its own, its id, is among them while it is connected."""
        if self._state is SocketState.PENDING:
            return set(self._early_rooms)
        return self.nsp.adapter.socket_rooms(self.id)

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everybody in the namespace but this socket."""
        return self._operator()

    def to(self, *rooms: str | Iterable[str]) -> BroadcastOperator:
        """Choose the other sockets of rooms; arguments as for `Namespace.to`."""
        names = room_names(rooms)
        if self.id in names and not self.nsp.server.warned_of_own_room:
            self.nsp.server.warned_of_own_room = True
            warnings.warn(
                "socket.to(socket.id) leaves out the socket itself and so reaches nobody;"
                " use socket.emit()",
                RuntimeWarning,
                stacklevel=2,
            )
        return super().to(names)

    @overload
    def emit(
        self, event: Event[Any, *Ts], *args: *Ts, ack: Listener | None = None
    ) -> Awaitable[None]: ...
    @overload
    def emit(self, event: str, *args: Any, ack: Listener | None = None) -> Awaitable[None]: ...
    def emit(self, event: Any, *args: object, ack: Listener | None = None) -> Awaitable[None]:
        """Send an event to this client; dropped if it has disconnected.

        Args:
            event: The event's name, none of the reserved ones; or its declaration in an event map (`roomcast.typed`).
            args: Anything that JSON knows, and bytes. They are encoded before the call returns.
            ack: Asks the client for an acknowledgement; a function or a coroutine function, called with its arguments.

        Returns:
            Something to await for back pressure, or to ignore.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
        """
        if ack is not None:
            return self.emit_within(PLAIN, event, args, ack)
        nsp = self.nsp
        return self._post(nsp.server.encoder.encode_event(nsp.name, event, args), event, args)

    def send(self, *args: Any) -> Awaitable[None]:
        """Send an event named ``message``; otherwise as `emit`."""
        return self.emit("message", *args)

    @overload
    def emit_with_ack(self, event: Event[R, *Ts], *args: *Ts) -> Awaitable[R]: ...
    @overload
    def emit_with_ack(self, event: str, *args: Any) -> Awaitable[Any]: ...
    def emit_with_ack(self, event: Any, *args: object) -> Awaitable[Any]:
        """Send an event and get the client's answer.

        Returns:
            A future of the answer: one argument → itself, several → a tuple, none → ``None``. It raises
            `DisconnectedError` if the socket disconnects first, and never times out without a `timeout`.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.

        Source:
            socket.io, ``Socket.emitWithAck``. Differs from it: further arguments are not dropped, and a disconnect ends it.
        """
        return self.request_within(PLAIN, event, args)

    @property
    def volatile(self) -> "SocketOperator":
        """This socket, for events that may be dropped; see `Broadcaster.volatile`."""
        return SocketOperator(self, SocketFlags(volatile=True))

    def compress(self, compress: bool) -> "SocketOperator":
        """This socket, for events that may be compressed or not; see `Broadcaster.compress`."""
        return SocketOperator(self, SocketFlags(compress=compress))

    def timeout(self, seconds: float) -> "SocketOperator":
        """Wait for the acknowledgement of what is emitted next this long.

        Raises:
            ValueError: If it is negative or not finite.
        """
        return SocketOperator(self, SocketFlags(timeout=checked_timeout(seconds)))

    def join(self, *rooms: str | Iterable[str]) -> Awaitable[None]:
        """Join rooms; a no-op after the disconnect.

        Raises:
            TypeError: If a name is not a ``str``.
        """
        names = room_names(rooms)
        if self._state is SocketState.PENDING:
            self._early_rooms += names
            return DONE
        return self.nsp.adapter.add_all(self.id, names)

    def leave(self, room: str) -> Awaitable[None]:
        """Leave a room; one that it is not in is ignored."""
        if self._state is SocketState.PENDING:
            self._early_rooms = tuple(name for name in self._early_rooms if name != room)
            return DONE
        return self.nsp.adapter.del_(self.id, room)

    def disconnect(self, close: bool = False) -> Awaitable[None]:
        """Make the client leave this namespace.

        Args:
            close: Make it leave all of its namespaces, and close the connection.
        """
        if self.connected:
            if close:
                self.client.disconnect()
            else:
                self.kick()
        return DONE

    # What follows is for the other parts of the server.

    def accept(self) -> None:
        """Take part in the namespace: all middlewares have said yes."""
        self._state = SocketState.CONNECTED
        self.nsp.adapter.add(self, self._early_rooms)
        self._early_rooms = ()
        self.send_packet(self._packet(PacketType.CONNECT, {"sid": self.id}))

    def kick(self) -> None:
        """Tell the client that it has to leave, and let it go."""
        if self._state is SocketState.CONNECTED:
            self.send_packet(self._packet(PacketType.DISCONNECT))
            self.left("server namespace disconnect", None)

    def left(self, reason: str, details: str | None) -> None:
        """Clean up after the end of the socket, and tell the application; a second end is ignored.

        Source:
            socket.io, ``Socket._onclose``.
        """
        if self._state is SocketState.PENDING:
            self._state = SocketState.DISCONNECTED
            self._early_rooms = ()
            self._fail_acks()
            self._observe_outgoing(False)
            self.nsp.joining_ended()
        if self._state is not SocketState.CONNECTED:
            return
        self._state = SocketState.LEAVING
        try:
            self.fire("disconnecting", (reason, details))
        finally:
            self._depart(reason)
            self._state = SocketState.DISCONNECTED
            self.client.remove(self)
            self._fail_acks()
            self._observe_outgoing(False)
            self.fire("disconnect", (reason, details))
            self.nsp.socket_left()

    def send_packet(self, packet: EncodedPacket, volatile: bool = False) -> None:
        """Queue a packet for the client, unless it is gone."""
        if self._state is DISCONNECTED:
            return
        if not self.outbox.push(packet, volatile):
            self.nsp.server.engine.count("dropped_volatile")

    def answer(self, id: int, args: tuple[Any, ...]) -> None:
        """Send the acknowledgement of an event."""
        self.send_packet(self._packet(PacketType.ACK, args, id))

    def on_event(self, packet: Packet) -> None:
        """Take an event of the client: first the listeners for every event, then the middlewares, then the handlers."""
        extras = self._extras
        if extras is None:
            self._dispatch(packet)
            return
        for listener in extras.incoming:
            args = tuple(packet.data)
            self.nsp.server.handlers.call(listener, args, self, _name(args[0]))
        if extras.middlewares:
            self._queue(extras, packet)
        elif self._state is CONNECTED:  # unless a listener has ended it
            self._dispatch(packet)

    def tell_outgoing(self, event: str, args: tuple[Any, ...]) -> None:
        """Call the listeners for every event that is sent to the client."""
        if self._extras is not None:
            for listener in self._extras.outgoing:
                self.nsp.server.handlers.call(listener, (event, *args), self, event)

    @property
    def error_hooks(self) -> tuple[ErrorHook, ...]:
        """The hooks for exceptions that concern this socket, those of its namespace included."""
        own = () if self._extras is None else self._extras.hooks
        return own + self.nsp.error_hooks

    def on_ack(self, packet: Packet) -> None:
        """Hand on an acknowledgement of the client; one that nobody waits for is ignored."""
        ack = None if packet.id is None else self.forget_ack(packet.id)
        if ack is not None:
            ack.answered(self, tuple(packet.data or ()))

    def fire(self, event: str, args: tuple[Any, ...]) -> None:
        """Call the handlers of one of the library's events; each gets as many arguments as it takes."""
        call = self.nsp.server.handlers.call
        for handler in self._take(event):
            call(handler, accepted(handler, args), socket=self, event=event)
        for handler in self.nsp.handlers_of(event):
            call(handler, accepted(handler, (self, *args)), socket=self, event=event)

    def expect_ack(self, id: int, ack: Ack) -> None:
        """Wait for an acknowledgement of the client."""
        if self._acks is None:
            self._acks = {}
        self._acks[id] = ack

    def forget_ack(self, id: int) -> Ack | None:
        """Stop waiting for an acknowledgement; return what waited for it."""
        return None if self._acks is None else self._acks.pop(id, None)

    def ack_timed_out(self, id: int) -> None:
        """Stop waiting for an acknowledgement that did not come in time."""
        self.forget_ack(id)
        self.nsp.server.engine.count("acks_timed_out")

    @property
    def pending_acks(self) -> int:
        """How many acknowledgements it has not sent yet."""
        return 0 if self._acks is None else len(self._acks)

    def emit_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...], ack: Listener | None
    ) -> Awaitable[None]:
        """Emit, with an acknowledgement for a function."""
        if ack is None:
            encode = self.nsp.server.encoder.encode_event
            packet = encode(self.nsp.name, event, args, None, flags.compress)
            return self._post(packet, event, args, flags.volatile)
        handlers = self.nsp.server.handlers

        def done(error: Exception | None, answer: tuple[Any, ...]) -> None:
            if flags.timeout is not None:
                handlers.call(ack, (error, *answer), socket=self, event=event)
            elif error is None:  # without a time-out it has no argument for an error
                handlers.call(ack, answer, socket=self, event=event)

        self._request(flags, event, args, done)
        return Drain((self.outbox,)) if self.outbox.congested else DONE

    def request_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...]
    ) -> Awaitable[Any]:
        """Emit, with an acknowledgement for one who awaits."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ack = self._request(flags, event, args, settler(future))
        if ack is not None:
            future.add_done_callback(lambda done: ack.forget() if done.cancelled() else None)
        return future

    def _request(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...], done: Done
    ) -> SocketAck | None:
        id = self.nsp.next_ack_id()
        server = self.nsp.server
        packet = server.encoder.encode_event(self.nsp.name, event, args, id, flags.compress)
        if self._state is SocketState.DISCONNECTED:
            done(DisconnectedError(), ())
            return None
        ack = SocketAck(self, id, done, flags.timeout, server.engine.timers)
        self.expect_ack(id, ack)
        self._post(packet, event, args, flags.volatile)
        return ack

    def _post(
        self, packet: EncodedPacket, event: str, args: tuple[Any, ...], volatile: bool = False
    ) -> Awaitable[None]:
        """Queue an event for the client, unless it is gone, and tell who listens."""
        if self._extras is not None and self._state is not DISCONNECTED:
            self.tell_outgoing(event, args)
        self.send_packet(packet, volatile)
        return Drain((self.outbox,)) if self.outbox.congested else DONE

    def _dispatch(self, packet: Packet) -> None:
        nsp, data = self.nsp, packet.data
        event = data[0]
        name = event if type(event) is str else _name(event)
        own = () if self._entries is None else self._take(name)
        shared = nsp.handlers_of(name)
        answer = None
        if packet.id is not None:
            answer = Answer(self, packet.id, len(own) + len(shared))
        call = nsp.server.handlers.call
        for handler in own:
            call(handler, tuple(data[1:]), self, name, answer)
        for handler in shared:
            call(handler, (self, *data[1:]), self, name, answer)

    def _queue(self, extras: Extras, packet: Packet) -> None:
        """Let an event wait until the middlewares have decided about those before it and about itself."""
        if extras.waiting is not None:
            extras.waiting.append(packet)
        else:
            extras.waiting = deque((packet,))
            self.nsp.server.handlers.run(self._ask(extras, extras.waiting))

    async def _ask(self, extras: Extras, waiting: deque[Packet]) -> None:
        """Ask the middlewares about every event that waits."""
        handlers = self.nsp.server.handlers
        while waiting and self._state is CONNECTED:
            packet = waiting[0]
            name = _name(packet.data[0])
            try:
                for middleware in extras.middlewares:
                    result = middleware(packet.data)
                    if isawaitable(result):
                        await result
                if not packet.data:
                    raise UsageError("a middleware has left nothing of the event")
            except BaseException as error:
                waiting.popleft()
                # Who listens knows that events are refused, and is told of each: no news for the log.
                listened = self.has_listeners("error") or self.nsp.handlers_of("error")
                handlers.report(error, self, name, log_it=not listened)
                self.fire("error", (error,))
                if not is_contained(error):
                    extras.waiting = None
                    raise
                continue
            if self._state is CONNECTED:
                waiting.popleft()
                self._dispatch(packet)
        extras.waiting = None

    @property
    def _validates(self) -> bool:
        return self.nsp.server.options.validate

    def _get_extras(self) -> Extras:
        if self._extras is None:
            self._extras = Extras()
        return self._extras

    def _observe_outgoing(self, observed: bool) -> None:
        if observed and self._state is not DISCONNECTED:
            self.nsp.outgoing_observers.add(self)
        else:
            self.nsp.outgoing_observers.discard(self)

    def _depart(self, reason: str) -> None:
        self.nsp.adapter.del_all(self.id)

    def _fail_acks(self) -> None:
        acks, self._acks = self._acks, None
        for ack in (acks or {}).values():
            ack.disconnected(self)

    def _packet(self, type: PacketType, data: Any = None, id: int | None = None) -> EncodedPacket:
        return self.nsp.server.encoder.encode_packet(type, self.nsp.name, data, id)

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self.nsp, BroadcastOptions(except_=(self.id,)))

    def _check_listener(self, event: str, listener: Listener) -> None:
        check_takes(listener, 0, LIBRARY_EVENTS.get(event, MANY), "a listener")

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        handlers = self.nsp.server.handlers
        handlers.call(listener, (event, subject), socket=self, event=event)


def _name(event: Any) -> str:
    """Return the name of an event that is a number, as JavaScript's emitter would spell it."""
    if isinstance(event, float) and event.is_integer():
        return str(int(event))
    return str(event)

"""One namespace of a client.

    ============  ============================================  =========================================================
    state         what happens to emits                         what happens to events that come
    ============  ============================================  =========================================================
    inactive      kept for the next connect; volatile ones are  none come
                  dropped
    active        the same                                      kept until CONNECT is answered: middlewares emit, too
    connected     sent                                          to the listeners for every event, then to those for this
                                                                one, then to whoever waits or iterates
    ============  ============================================  =========================================================

Source:
    socket.io-client, ``lib/socket.ts``.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

from roomcast._core import EncodedPacket, Packet
from roomcast.client.acks import Acks
from roomcast.client.buffer import SendBuffer
from roomcast.client.emitter import ClientEmitter
from roomcast.client.inbox import Event, Inbox
from roomcast.client.offsets import is_offset
from roomcast.client.operator import Emitting
from roomcast.client.options import SocketOptions, check_auth, check_retries
from roomcast.client.retries import RetryQueue
from roomcast.client.transport import Details
from roomcast.engine.outbox import DONE, Drain
from roomcast.errors import ConnectError, DisconnectedError, SendBufferError
from roomcast.events import Listener
from roomcast.sockets.acks import Done, checked_timeout, settler
from roomcast.sockets.answers import Answer
from roomcast.sockets.any_listeners import AnyListeners, AnyState
from roomcast.sockets.flags import SocketFlags
from roomcast.sockets.signatures import accepted, check_takes
from roomcast.types import PacketType

if TYPE_CHECKING:
    from roomcast.client.manager import Manager

__all__ = ["ClientErrorHook", "Socket"]

ClientErrorHook = Callable[[BaseException, "Socket | None", str], Any]
"""Called with the exception, the socket it concerns, and the event; a function or a coroutine function."""

HookT = TypeVar("HookT", bound=ClientErrorHook)

CLIENT_DISCONNECT: Final = "io client disconnect"
SERVER_DISCONNECT: Final = "io server disconnect"

MAX_EARLY: Final = 10_000
"""Events that are kept until CONNECT is answered. Beyond: the connection is lost. Middlewares emit a few, a recovery what was missed."""

ANSWERS: Final = (PacketType.CONNECT, PacketType.CONNECT_ERROR)

EVENT: Final = PacketType.EVENT
ACK: Final = PacketType.ACK

REJOIN_DELAY: Final = 0.05
"""Seconds between a DISCONNECT and the next CONNECT of a namespace. The reference closes a connection on which both come in one piece."""

OLD_SERVER: Final = (
    "It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client, but they are not compatible "
    "(more information here: https://socket.io/docs/v3/migrating-from-2-x-to-3-0/)"
)
"""The reference's words."""


class Socket(ClientEmitter, AnyListeners[AnyState], Emitting):
    """A client in one namespace. It belongs to the event loop in which it connects.

    ``await`` it, or enter it with ``async with``, to connect it; the latter disconnects it at the end. Iterating over it gives each
    event as ``(event, *args)``, across reconnections, until it is disconnected for good.

    The library's own events are ``connect``, ``connect_error`` with the `ConnectError`, and ``disconnect`` with the reason and, where there
    is more to say, `Details`.

    Attributes:
        nsp: Its namespace.
        manager: Its connection, and the other namespaces on it.
        auth: What goes to the server with each CONNECT.
        id: Its id; ``None`` unless it is connected.
        connected: Whether it is.
        active: Whether it is connected, or will be as soon as there is a connection.
        recovered: Whether the last connect has brought the session of the one before back.

    Source:
        socket.io-client, ``Socket``.
    """

    def __init__(self, manager: "Manager", nsp: str, options: SocketOptions) -> None:
        """Make a socket that is not connected; programs call `connect` or `Manager.socket`.

        Raises:
            TypeError: If an option is of the wrong type.
            ValueError: If it is out of range.
        """
        super().__init__()
        ack_timeout, retries = options.get("ack_timeout"), options.get("retries")
        check_retries(retries)
        if not callable(options.get("auth")):
            check_auth(options.get("auth"))
        self.nsp = nsp
        self.manager = manager
        self.auth = options.get("auth")
        self.id: str | None = None
        self.connected = False
        self.active = False
        self.recovered = False
        self.error_hooks: tuple[ClientErrorHook, ...] = ()
        self._ack_timeout = None if ack_timeout is None else checked_timeout(ack_timeout)
        self._retry = options.get("retry", False)
        self._extras: AnyState | None = None
        self._pid: str | None = None
        self._offset: str | None = None
        self._acks = Acks()
        self._inbox = Inbox()
        self._ended = "not connected"
        settings = manager.options
        self._buffer = SendBuffer(
            settings.send_buffer_packets, settings.send_buffer_size, settings.send_buffer_policy
        )
        self._queue = (
            None if retries is None else RetryQueue(retries, lambda: self.connected, self._try)
        )
        self._early: list[Packet] = []
        self._joining = 0
        self._asked = False
        self._unanswered = False
        self._unwanted = False
        self._may_join_at = 0.0
        self._outcome: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = self.id if self.connected else "active" if self.active else "inactive"
        return f"<client.Socket of {self.nsp!r}, {state}>"

    @property
    def transport(self) -> str | None:
        """``"polling"`` or ``"websocket"``; ``None`` while there is no connection."""
        return self.manager.transport

    def connect(self) -> Awaitable[None]:
        """Connect, and go on trying as `Options.reconnection` says; does nothing if it is connected.

        Returns:
            Something to await until it is connected, or to ignore. It raises `ConnectError` when the server refuses and, unless the option
            ``retry`` says otherwise, when an attempt fails; then nothing is tried any more.

        Raises:
            RuntimeError: If no event loop runs.
        """
        asyncio.get_running_loop()
        if not self.connected and not self._asked:
            self.active = True
            self._inbox.begin()
            self.manager.add(self)
        return _Connecting(self)

    open = connect

    def disconnect(self) -> Awaitable[None]:
        """Leave the namespace, and close the connection if no other namespace is on it. It does not come back by itself.

        Returns:
            Something to await until nothing is left of the connection, or to ignore. Handlers that have not ended by then are cancelled.
        """
        was_connected, self.connected = self.connected, False
        self.active = self._asked = False
        self._unwanted = self._unanswered
        self._joining += 1
        if was_connected:
            self._send_disconnect()
        self.manager.close_if_idle()
        if was_connected:
            self._leave(CLIENT_DISCONNECT, None)
        self._settle(DisconnectedError(CLIENT_DISCONNECT))
        self._finish(CLIENT_DISCONNECT)
        return self.manager.ending()

    close = disconnect

    def on_error(self, hook: HookT) -> HookT:
        """Call a hook for every exception of a listener; also a decorator. The exception is logged all the same.

        Args:
            hook: Called with the exception, the socket and the event; a function or a coroutine function.

        Returns:
            The hook.
        """
        check_takes(hook, 3, 3, "an error hook")
        self.error_hooks = (*self.error_hooks, hook)
        return hook

    async def wait_for(self, event: str, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109  the API
        """Return the arguments of the next event of a name.

        An event to which nobody listens is kept for a while (`roomcast.client.inbox.MAX_UNHEARD`), so that one that has come with the
        connection is found.

        Args:
            event: Its name. Of the library's own events ``connect``, at once if the socket is connected, and ``disconnect``, at once if it is not.
            timeout: Seconds to wait; ``None`` waits without end.

        Returns:
            One argument → itself, several → a tuple, none → ``None``.

        Raises:
            TimeoutError: If it does not come in time; the message says what came instead.
            DisconnectedError: If it cannot come any more.
        """
        if event == "connect" and self.connected:
            return None
        if event == "disconnect" and not self.connected:
            return self._ended
        _, *args = await self._inbox.take(lambda found: found[0] == event, repr(event), timeout)
        return args[0] if len(args) == 1 else tuple(args) or None

    def __await__(self) -> Generator[Any, None, Self]:
        """Connect; as `connect`, with the socket itself as the result."""
        yield from self.connect().__await__()
        return self

    async def __aenter__(self) -> Self:
        """Connect; as `connect`."""
        return await self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect, and wait until nothing is left of it."""
        await self.disconnect()

    def __aiter__(self) -> Self:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event; those to which nobody has listened come first.

        Raises:
            EventsLostError: If the events came so much faster than they are read that some were forgotten; reading may go on.
        """
        inbox = self._inbox
        if inbox.ended is not None and not inbox.events:
            raise StopAsyncIteration
        try:
            return await inbox.read()
        except DisconnectedError:
            raise StopAsyncIteration from None

    # What follows is for the other parts of the client.

    def emit_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...], ack: Listener | None
    ) -> Awaitable[None]:
        """Emit with flags, and with an acknowledgement for a function."""
        timeout = self._ack_timeout if flags.timeout is None else flags.timeout
        done: Done | None = None
        if ack is not None:
            handlers = self.manager.handlers

            def call(error: Exception | None, answer: tuple[Any, ...]) -> None:
                if timeout is not None or self._queue is not None:
                    handlers.call(ack, (error, *answer), self, event)
                elif error is None:  # without a time-out it has no argument for an error
                    handlers.call(ack, answer, self, event)

            done = call
        self._emit(flags, event, args, done, timeout)
        outbox = self.manager.outbox
        return Drain((outbox,)) if outbox is not None and outbox.congested else DONE

    def request_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...]
    ) -> Awaitable[Any]:
        """Emit, with an acknowledgement for one who awaits."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        timeout = self._ack_timeout if flags.timeout is None else flags.timeout
        self._emit(flags, event, args, settler(future), timeout)
        return future

    @property
    def is_due(self) -> bool:
        """Whether it is to join, and has not asked to yet."""
        return self.active and not self.connected and not self._asked and not self._unwanted

    @property
    def pause(self) -> float:
        """Seconds until it may join on a connection on which it was in the namespace before."""
        return max(0.0, self._may_join_at - asyncio.get_running_loop().time())

    def on_open(self) -> None:
        """Join the namespace: there is a connection."""
        self._early.clear()
        self._joining += 1
        self._asked = True
        auth = self.auth
        if callable(auth):
            self.manager.handlers.run(self._ask(auth, self._joining))
        else:
            self._join(auth)

    def on_packet(self, packet: Packet) -> None:
        """Take a packet of the server."""
        kind = packet.type
        if kind is EVENT:
            if self.connected:
                self._on_event(packet)
            elif self.active and len(self._early) < MAX_EARLY:
                self._early.append(packet)
            elif self.active:
                self.manager.fail(f"more than {MAX_EARLY} events before the answer to CONNECT")
        elif kind is ACK:
            id = packet.id
            if id is not None and self.connected:
                self._acks.answered(id, tuple(packet.data or ()))
        elif kind in ANSWERS and self._unwanted:
            self._on_unwanted(joined=kind is PacketType.CONNECT)
        elif kind is PacketType.CONNECT:
            self._on_connect(packet.data)
        elif kind is PacketType.DISCONNECT:
            self._on_server_disconnect()
        elif kind is PacketType.CONNECT_ERROR:
            self._on_refusal(packet.data)

    def on_close(self, reason: str, details: Details | None) -> None:
        """Learn that the connection has ended."""
        self._unanswered = self._unwanted = False
        if self.active:
            self._leave(reason, details)
            self._settle_unless_retried(ConnectError(reason))

    def on_failure(self, error: ConnectError) -> None:
        """Learn that an attempt to connect has failed."""
        if self.active and not self.connected:
            self._fire("connect_error", (error,))
            self._settle_unless_retried(error)

    def give_up(self, reason: str) -> None:
        """Learn that no connection is tried any more."""
        if self.active and not self.connected:
            self._settle(ConnectError(reason))
            self._finish(reason)

    def answer(self, id: int, args: tuple[Any, ...]) -> None:
        """Send the acknowledgement of an event."""
        if self.connected:
            manager = self.manager
            manager.answer(manager.encoder.encode_packet(PacketType.ACK, self.nsp, args, id))

    async def wait_connected(self) -> None:
        """Wait until it is connected, or until that has failed."""
        if self.connected:
            return
        if self._outcome is None:
            self._outcome = asyncio.get_running_loop().create_future()
        try:
            await asyncio.shield(self._outcome)
        except BaseException as error:
            # Whoever awaits a connection gets it or an error; nobody is left to use one that comes later, or with a cancellation.
            if isinstance(error, asyncio.CancelledError) or not self.connected:
                await self.disconnect()
            raise

    async def _ask(self, auth: Callable[[], Any], joining: int) -> None:
        """Join with what a function says, unless that comes too late."""
        try:
            data = auth()
            if inspect.isawaitable(data):
                data = await data
        except Exception as error:  # noqa: BLE001  the program's own function
            if joining == self._joining:
                self._on_bad_auth(error)
            return
        if joining == self._joining:
            self._join(data)

    def _join(self, auth: Mapping[str, Any] | None) -> None:
        try:
            check_auth(auth)
            data: dict[str, Any] | None = None if auth is None else dict(auth)
            if self._pid is not None:
                session = {"pid": self._pid}
                if self._offset is not None:
                    session["offset"] = self._offset
                data = {**session, **(data or {})}
            self._send_packet(PacketType.CONNECT, data)
            self._unanswered = True
        except Exception as error:  # noqa: BLE001  whatever the program's mapping and the default= hook raise
            self._on_bad_auth(error)

    def _on_bad_auth(self, error: Exception) -> None:
        failed = ConnectError("auth failed")
        failed.__cause__ = error
        self.active = self._asked = False
        self.manager.handlers.report(error, self, "auth")
        self.manager.close_if_idle()
        self._fire("connect_error", (failed,))
        self._settle(failed)
        self._finish(str(failed))

    def _on_unwanted(self, *, joined: bool) -> None:
        """Take the answer to a CONNECT of before a disconnect: nobody may stay in the namespace, or be asked for twice at once.

        Source:
            roomcast. Differs from socket.io-client, where the server keeps a socket of which the client knows nothing.
        """
        self._unanswered = self._unwanted = False
        if joined:
            self._send_disconnect()
        if self.is_due:
            self.manager.add(self)

    def _on_connect(self, data: Any) -> None:
        self._unanswered = False
        if not self.active or self.connected:
            return
        fields = _fields(data)
        sid, pid = fields.get("sid"), fields.get("pid")
        if not isinstance(sid, str):
            error = ConnectError(OLD_SERVER)
            self._fire("connect_error", (error,))
            self._settle_unless_retried(error)
            return
        self.id = sid
        self.recovered = pid is not None and pid == self._pid
        self._pid = pid if isinstance(pid, str) else None
        self.connected = True
        self._asked = False
        early, self._early = self._early, []
        for packet in early:
            self._on_event(packet)
        if not self.connected:  # a listener has disconnected it
            return
        for encoded in self._buffer.take_all():
            self.manager.send(encoded)
        if self._queue is not None:
            self._queue.drain(again=True)
        self._fire("connect", ())
        self._settle(None)

    def _on_server_disconnect(self) -> None:
        if not self.active:
            return
        self.active = False
        self.manager.close_if_idle()
        self._leave(SERVER_DISCONNECT, None)
        self._settle(ConnectError(SERVER_DISCONNECT))
        self._finish(SERVER_DISCONNECT)

    def _on_refusal(self, data: Any) -> None:
        self._unanswered = False
        if not self.active or self.connected:
            return
        fields = _fields(data)
        message, more = fields.get("message", data), fields.get("data")
        error = ConnectError(message if isinstance(message, str) else "", more)
        if message == "Invalid namespace":
            error.add_note(
                f"the server has no namespace {self.nsp!r}; the path of a URL names one, and path=... says where the server is"
            )
        self.active = self._asked = False
        self.manager.close_if_idle()
        self._fire("connect_error", (error,))
        self._settle(error)
        self._finish(str(error))

    def _leave(self, reason: str, details: Details | None) -> None:
        self.connected = self._asked = False
        self.id = None
        self._joining += 1
        self._ended = reason
        self._acks.disconnected(self._buffer.ids)
        self._fire("disconnect", (reason,) if details is None else (reason, details))

    def _finish(self, reason: str) -> None:
        """Let no events come until the next connect."""
        self._ended = reason
        self._inbox.end(reason)

    def _settle(self, error: Exception | None) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is None or outcome.done():
            return
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)
            outcome.exception()

    def _settle_unless_retried(self, error: ConnectError) -> None:
        if not (self._retry and self.manager.options.reconnection):
            self._settle(error)

    def _on_event(self, packet: Packet) -> None:
        data: list[Any] = packet.data
        id = packet.id
        if self._pid is not None and id is None and len(data) > 1 and isinstance(data[-1], str):
            self._offset = data[-1]
            if is_offset(data[-1]):
                data = data[:-1]
        event = data[0] if isinstance(data[0], str) else str(data[0])
        call = self.manager.handlers.call
        extras = self._extras
        if extras is not None:
            for listener in extras.incoming:
                call(listener, (event, *data[1:]), self, event)
        listeners = self._take(event)
        if listeners:
            args = tuple(data[1:])
            answer = None if id is None else Answer(self, id, len(listeners))
            for listener in listeners:
                call(listener, args, self, event, answer)
        inbox = self._inbox
        if (
            inbox.reading
            or inbox.waiting
            or not (listeners or (extras is not None and extras.incoming))
        ):
            inbox.put((event, *data[1:]))

    def _emit(
        self,
        flags: SocketFlags,
        event: str,
        args: tuple[Any, ...],
        done: Done | None,
        timeout: float | None,
    ) -> None:
        manager, queue = self.manager, None if flags.volatile else self._queue
        id = None if done is None and queue is None else self._acks.next_id()
        packet = manager.encoder.encode_event(self.nsp, event, args, id, flags.compress)
        if queue is not None:
            self._check_room(queue, packet)
        elif self.connected:
            manager.check_room(packet)
        elif flags.volatile:
            if done is not None:
                done(
                    DisconnectedError("a volatile event is dropped while there is no connection"),
                    (),
                )
            return
        if self._extras is not None:
            for listener in self._extras.outgoing:
                manager.handlers.call(listener, (event, *args), self, event)
        if queue is not None:
            assert id is not None
            queue.push(id, packet, done, timeout)
            return
        if not self.connected:
            dropped = self._buffer.push(id, packet)
            if id is not None and done is not None:
                self._acks.expect(id, done, timeout, self._buffer.forget)
            self._drop(dropped)
            return
        if id is not None and done is not None:
            self._acks.expect(id, done, timeout, _ignore)
        manager.send(packet, flags.volatile)

    def _check_room(self, queue: RetryQueue, packet: EncodedPacket) -> None:
        options = self.manager.options
        if len(queue) >= options.send_buffer_packets or (
            len(queue) and queue.size + packet.size > options.send_buffer_size
        ):
            raise SendBufferError(
                f"{len(queue)} events of {queue.size} bytes wait for their acknowledgements"
            )

    def _drop(self, ids: list[int | None]) -> None:
        if not ids:
            return
        self.manager.engine_dropped(len(ids))
        for id in ids:
            done = None if id is None else self._acks.forget(id)
            if done is not None:
                done(DisconnectedError("dropped from the send buffer"), ())

    def _try(self, id: int, packet: EncodedPacket, timeout: float | None, done: Done) -> None:
        """Send an event that is sent again if it is not acknowledged."""
        self._acks.forget(id)
        self._acks.expect(id, done, timeout, _ignore)
        self.manager.send(packet)

    def _send_disconnect(self) -> None:
        self._send_packet(PacketType.DISCONNECT)
        self._may_join_at = asyncio.get_running_loop().time() + REJOIN_DELAY

    def _send_packet(self, type: PacketType, data: Any = None, id: int | None = None) -> None:
        manager = self.manager
        manager.send(manager.encoder.encode_packet(type, self.nsp, data, id))

    def _fire(self, event: str, args: tuple[Any, ...]) -> None:
        for listener in self._take(event):
            self.manager.handlers.call(listener, accepted(listener, args), self, event)
        if self._inbox.waiting:
            self._inbox.tell((event, *args[:1]))

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        self.manager.handlers.call(listener, (event, subject), self, event)

    def _get_extras(self) -> AnyState:
        if self._extras is None:
            self._extras = AnyState()
        return self._extras

    def _observe_outgoing(self, observed: bool) -> None:
        """Do nothing: whoever emits looks by itself."""


class _Connecting:
    """What `Socket.connect` returns."""

    __slots__ = ("_socket",)

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def __await__(self) -> Generator[Any, None, None]:
        return self._socket.wait_connected().__await__()


def _fields(data: object) -> dict[str, Any]:
    """Return what a packet of the server holds, if that is an object."""
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def _ignore(id: int) -> None:
    """Do nothing about a packet that was sent and whose answer is late."""

"""One client in one namespace, as the official client has it.

    ============  ================================================  =====================================================
    state         what happens to emits                             what happens to events that come
    ============  ================================================  =====================================================
    disconnected  kept for the next connect; volatile ones dropped  none come
    connecting    the same                                          kept until CONNECT is answered: middlewares emit, too
    connected     sent                                              to the listeners for every event, to those for this
                                                                    one, then into the inbox, where tests ask for them
    ============  ================================================  =====================================================

Source:
    socket.io-client, ``lib/socket.ts``. Differs from it: it connects again only when it is told to, so that tests say when; and
    what a listener raises is raised in the test, by the next `Socket.wait_for` or at the end.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from roomcast._core import EncodedPacket, Encoder, Packet
from roomcast.client.acks import Acks
from roomcast.client.emitter import ClientEmitter
from roomcast.client.operator import Emitting
from roomcast.engine.outbox import DONE
from roomcast.errors import ConnectError, DisconnectedError
from roomcast.events import Listener
from roomcast.sockets.acks import Done, settler
from roomcast.sockets.answers import Answer
from roomcast.sockets.any_listeners import AnyListeners, AnyState
from roomcast.sockets.flags import SocketFlags
from roomcast.sockets.signatures import accepted
from roomcast.sockets.tasks import start
from roomcast.testing.inbox import PATIENCE, Event, Inbox
from roomcast.testing.line import Line
from roomcast.testing.options import Auth
from roomcast.types import PacketType

if TYPE_CHECKING:
    from roomcast.testing.manager import Manager

__all__ = ["Socket"]

OFFSET: Final = re.compile(r"[0-9A-Za-z_-]{7}(\.[0-9a-f]{1,13})?|[0-9]{13}-[0-9]+")
"""What an offset of the connection state recovery looks like. Differs from socket.io-client, which takes any text for one."""

ENCODER: Final = Encoder()

CLIENT_DISCONNECT: Final = "io client disconnect"
SERVER_DISCONNECT: Final = "io server disconnect"


class Socket(ClientEmitter, AnyListeners[AnyState], Emitting):
    """A client of the test kit. It belongs to the event loop in which it connects.

    ``await`` it, or enter it with ``async with``, to connect it; the latter disconnects it at the end. Iterating over it gives each
    event as ``(event, *args)``, until it is disconnected.

    The library's own events are ``connect``, ``connect_error`` with the `ConnectError`, and ``disconnect`` with the reason.

    Attributes:
        nsp: Its namespace.
        manager: Its connection, and the other namespaces on it.
        auth: What goes to the server with each CONNECT.
        id: Its id; ``None`` unless it is connected.
        connected: Whether it is.
        active: Whether it is connected, or would be if there were a connection.
        recovered: Whether the last connect has brought the session of the one before back.
    """

    def __init__(self, manager: "Manager", nsp: str, auth: Auth | None) -> None:
        """Make a socket that is not connected; programs call `connect` or `Manager.socket`."""
        super().__init__()
        self.nsp = nsp
        self.manager = manager
        self.auth = auth
        self.id: str | None = None
        self.connected = False
        self.active = False
        self.recovered = False
        self._extras: AnyState | None = None
        self._pid: str | None = None
        self._offset: str | None = None
        self._acks = Acks()
        self._inbox = Inbox()
        self._ends = Inbox()
        self._unsent: list[tuple[int | None, EncodedPacket]] = []
        self._early: list[Packet] = []
        self._connecting = asyncio.Lock()
        self._answer: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        state = self.id if self.connected else "disconnected"
        return f"<testing.Socket of {self.nsp!r}, {state}>"

    @property
    def line(self) -> Line:
        """The line to the server, with the switches for its faults; shared by all namespaces of the connection."""
        return self.manager.line

    @property
    def transport(self) -> str | None:
        """``"polling"`` or ``"websocket"``; ``None`` before the first connection."""
        return self.manager.transport

    @property
    def received(self) -> list[Event]:
        """The events that nobody has waited for, each as ``(event, *args)``, in their order; a new list."""
        return list(self._inbox.events)

    async def connect(self) -> Self:
        """Connect; does nothing if it is connected.

        Raises:
            ConnectError: If the server refuses; with the message and the data of its CONNECT_ERROR. If there is no connection,
                the message is that of the official client, and a note says what came instead.
        """
        async with self._connecting:
            if not self.connected:
                await self._connect()
        return self

    async def reconnect(self) -> Self:
        """Connect anew, as the official client does by itself some time after its line has broken.

        A connection that is still open is left behind: the server is not told. All namespaces come back which were active, with
        their sessions where connection state recovery is on.
        """
        await self.manager.reconnect(self)
        return self

    def disconnect(self) -> Awaitable[None]:
        """Leave the namespace, and end the connection if no other namespace is on it.

        Over a line that is cut or stalled nothing can be said; there the connection ends at once, for the server too.

        Returns:
            Something to await until the server has noticed the end of the connection, or to ignore. It raises what a listener
            or the application has raised and nobody has seen yet.
        """
        self.active = False
        if self.connected:
            self._send_packet(PacketType.DISCONNECT)
            self.ended(CLIENT_DISCONNECT)
        self.manager.close_if_idle()
        return _Ending(self)

    async def wait_for(self, event: str, *, timeout: float | None = PATIENCE) -> Any:  # noqa: ASYNC109  the API
        """Return the arguments of an event, as soon as it is there.

        What has come already counts: events stay until somebody waits for them, each is returned once, those of one name in
        their order. Listeners get them all the same.

        Args:
            event: Its name. Of the library's own events ``disconnect``, of which the reason is returned.
            timeout: Seconds to wait; ``None`` waits without end.

        Returns:
            One argument → itself, several → a tuple, none → ``None``.

        Raises:
            TimeoutError: If it does not come in time; the message says what came instead.
            DisconnectedError: If it cannot come any more.
        """
        inbox = self._ends if event == "disconnect" else self._inbox
        _, *args = await inbox.take(lambda found: found[0] == event, repr(event), timeout)
        return args[0] if len(args) == 1 else tuple(args) or None

    def __await__(self) -> Generator[Any, None, Self]:
        """Connect; as `connect`."""
        return self.connect().__await__()

    async def __aenter__(self) -> Self:
        """Connect; as `connect`."""
        return await self.connect()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect, and raise what a listener has raised; beside another exception as a note of that."""
        try:
            await self.disconnect()
        except Exception as another:
            if error is None:
                raise
            error.add_note(f"beside it, {another!r} was raised in a listener or in the application")

    def __aiter__(self) -> Self:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event; those that nobody has waited for come first."""
        inbox = self._inbox
        if inbox.ended is not None and not inbox.events:
            raise StopAsyncIteration
        try:
            return await inbox.take(lambda _: True, "an event", None)
        except DisconnectedError:
            raise StopAsyncIteration from None

    # What follows is for the other parts of the kit.

    def emit_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...], ack: Listener | None
    ) -> Awaitable[None]:
        """Emit with flags, and with an acknowledgement for a callback; as `SocketOperator.emit`."""
        done: Done | None = None
        if ack is not None:

            def call(error: Exception | None, answer: tuple[Any, ...]) -> None:
                if flags.timeout is not None:
                    self._call(ack, (error, *answer), event)
                elif error is None:
                    self._call(ack, answer, event)

            done = call
        self._emit(flags, event, args, done)
        return DONE

    def request_within(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...]
    ) -> Awaitable[Any]:
        """Emit, with an acknowledgement for one who awaits."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._emit(flags, event, args, settler(future))
        return future

    def on_packet(self, packet: Packet) -> None:
        """Take a packet of the server."""
        kind, data = packet.type, packet.data
        if kind == PacketType.EVENT:
            if self.connected:
                self._on_event(packet)
            else:
                self._early.append(packet)
        elif kind == PacketType.ACK:
            if packet.id is not None:
                self._acks.answered(packet.id, tuple(data or ()))
        elif kind == PacketType.CONNECT:
            self._on_connect(data)
        elif kind == PacketType.DISCONNECT:
            self.active = False
            self.ended(SERVER_DISCONNECT)
            self.manager.close_if_idle()
        elif kind == PacketType.CONNECT_ERROR:
            self._refused(data)

    def ended(self, reason: str) -> None:
        """Learn of the end of the connection, or of its own."""
        answer = self._answer
        if answer is not None and not answer.done():
            answer.set_exception(ConnectError(reason))
        if not self.connected:
            return
        self.connected = False
        self.id = None
        self._acks.disconnected({id for id, _ in self._unsent if id is not None})
        self._inbox.end(reason)
        self._ends.put(("disconnect", reason))
        self._ends.end(reason)
        self._fire("disconnect", (reason,))

    def answer(self, id: int, args: tuple[Any, ...]) -> None:
        """Send the acknowledgement of an event."""
        if self.connected:
            self._send_packet(PacketType.ACK, args, id)

    async def finish(self) -> None:
        """Stop what its listeners still do, and raise what nobody has seen."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        failure = self._inbox.take_failure()
        if failure is not None:
            raise failure

    async def _connect(self) -> None:
        self.active = True
        try:
            await self.manager.open()
            async with self.manager.patience(f"the server did not answer CONNECT for {self.nsp}"):
                await self._join()
        except BaseException as error:
            self.active = self.connected
            self.manager.close_if_idle()
            if isinstance(error, ConnectError):
                self._fire("connect_error", (error,))
                await self.manager.wait_closed_if_idle()
            raise

    async def _join(self) -> None:
        auth = self.auth
        given = auth() if callable(auth) else auth
        data: Mapping[str, Any] | None = await given if inspect.isawaitable(given) else given
        if self._pid is not None:
            session = {"pid": self._pid}
            if self._offset is not None:
                session["offset"] = self._offset
            data = {**session, **(data or {})}
        self._early.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._send_packet(PacketType.CONNECT, data)
        try:
            await self._answer
        finally:
            self._answer = None

    def _on_connect(self, data: Any) -> None:
        self.id = data["sid"]
        pid = data.get("pid")
        self.recovered = pid is not None and pid == self._pid
        self._pid = pid
        self.connected = True
        self._inbox.begin()
        self._ends.events.clear()
        self._ends.begin()
        early, self._early = self._early, []
        for packet in early:
            self._on_event(packet)
        unsent, self._unsent = self._unsent, []
        for _, encoded in unsent:
            self.manager.send(encoded)
        self._fire("connect", ())
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    def _refused(self, data: Any) -> None:
        self.active = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectError(data.get("message", ""), data.get("data")))

    def _on_event(self, packet: Packet) -> None:
        event, *args = packet.data
        if self._pid is not None and args and _is_offset(args[-1]):
            self._offset = args.pop()
        for listener in () if self._extras is None else self._extras.incoming:
            self._call(listener, (event, *args), event)
        listeners = self._take(event)
        answer = None if packet.id is None else Answer(self, packet.id, len(listeners))
        for listener in listeners:
            self._call(listener, tuple(args), event, answer)
        self._inbox.put((event, *args))

    def _emit(
        self, flags: SocketFlags, event: str, args: tuple[Any, ...], done: Done | None
    ) -> None:
        id = None if done is None else self._acks.next_id()
        packet = ENCODER.encode_event(self.nsp, event, args, id, flags.compress)
        for listener in () if self._extras is None else self._extras.outgoing:
            self._call(listener, (event, *args), event)
        if id is not None and done is not None:
            self._acks.expect(id, done, flags.timeout, self._late)
        if flags.volatile and not (self.connected and self.manager.writable):
            return
        if self.connected:
            self.manager.send(packet)
        else:
            self._unsent.append((id, packet))

    def _late(self, id: int) -> None:
        self._unsent = [entry for entry in self._unsent if entry[0] != id]

    def _send_packet(self, type: PacketType, data: Any = None, id: int | None = None) -> None:
        self.manager.send(ENCODER.encode_packet(type, self.nsp, data, id))

    def _fire(self, event: str, args: tuple[Any, ...]) -> None:
        for listener in self._take(event):
            self._call(listener, accepted(listener, args), event)

    def _call(
        self, listener: Listener, args: tuple[Any, ...], event: str, answer: Answer | None = None
    ) -> None:
        """Run a listener; a coroutine starts in place and goes on by itself."""
        try:
            result = listener(*args)
            if inspect.isawaitable(result):
                task = start(_finished(result, answer), asyncio.get_running_loop())
                self._tasks.add(task)
                task.add_done_callback(lambda task: self._ended_task(task, event))
            elif answer is not None:
                answer.returned(result)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  pytest.fail raises one that is no Exception
            self._failed(error, event)

    def _ended_task(self, task: asyncio.Task[Any], event: str) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error, event)

    def _failed(self, error: BaseException, event: str) -> None:
        error.add_note(f"in a listener of {event!r} of {self!r}")
        self._inbox.fail(error)

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        self._call(listener, (event, subject), event)

    def _get_extras(self) -> AnyState:
        if self._extras is None:
            self._extras = AnyState()
        return self._extras

    def _observe_outgoing(self, observed: bool) -> None:
        """Do nothing: whoever emits looks by itself."""


class _Ending:
    """What `Socket.disconnect` returns."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        await self._socket.manager.wait_closed_if_idle()
        await self._socket.finish()


async def _finished(result: Awaitable[Any], answer: Answer | None) -> None:
    """Wait for a listener, and answer with what it returns."""
    returned = await result
    if answer is not None:
        answer.returned(returned)


def _is_offset(value: object) -> bool:
    return isinstance(value, str) and OFFSET.fullmatch(value) is not None

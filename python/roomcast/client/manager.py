"""One connection to a server, made anew when it is lost, and the namespaces that share it.

    ==========  ==========================================  ============================================================
    state       what is true                                leaves it
    ==========  ==========================================  ============================================================
    closed      there is no connection; a further attempt   `open`, or the end of a delay: to opening
                may be due
    opening     an engine is connecting                     its open packet: to open; a failure: to closed
    open        sockets join their namespaces               the end of the engine: to closed
    ==========  ==========================================  ============================================================

Source:
    socket.io-client, ``lib/manager.ts``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Final, Literal, Self, Unpack

from roomcast._core import EncodedPacket, Flusher, Outbox, Packet
from roomcast.client.backoff import Backoff
from roomcast.client.engine import Engine
from roomcast.client.options import (
    ConnectOptions,
    ManagerOptions,
    SocketOptions,
    check_socket_options,
    read_options,
    split_options,
)
from roomcast.client.polling import import_aiohttp
from roomcast.client.requests import Requests
from roomcast.client.socket import Socket
from roomcast.client.transport import Details
from roomcast.client.url import parse_url
from roomcast.codec.parser import encoder_of
from roomcast.engine.outbox import SLICE_TIME
from roomcast.errors import SendBufferError, TransportError, UsageError
from roomcast.events import EventEmitter, Listener
from roomcast.sockets.handlers import Handlers
from roomcast.sockets.signatures import accepted

__all__ = ["Manager", "connect"]

log = logging.getLogger("roomcast.client")

ENDLESS: Final = 2**62
"""The size of an outbox that never closes its connection: what does not fit raises at the emit."""

FORCED: Final = "forced close"


class Manager(EventEmitter):
    """A connection, with reconnection. It belongs to the event loop in which it opens.

    ``async with`` closes it, with every namespace on it, at the end.

    Its events are ``open``, ``close`` with the reason and, where there is more to say, `Details`, ``error`` with the `TransportError` of an
    attempt, ``ping``, ``packet`` with each packet, ``upgrade`` with the name of the transport, and of the reconnection
    ``reconnect_attempt`` and ``reconnect`` with the number of the attempt, ``reconnect_error`` with the error, and ``reconnect_failed``.

    Attributes:
        options: How it connects.
        state: ``closed``, ``opening`` or ``open``.
        encoder: Encodes what its sockets emit.
        handlers: Runs the listeners of its sockets.
        dropped: How many events were dropped because there was no room for them.

    Source:
        socket.io-client, ``Manager``.
    """

    def __init__(self, url: str, **options: Unpack[ManagerOptions]) -> None:
        """Make a manager that is not connected.

        Args:
            url: The server, as in ``https://example.com``; it has no path, for that names a namespace. A query takes the place of the
                option of that name.
            options: `ManagerOptions`; their meanings and defaults are those of `Options`.

        Raises:
            MissingDependencyError: If polling is among the transports, and aiohttp is not installed.
            TypeError: If an option is unknown or of the wrong type.
            ValueError: If the URL names no server, or an option is out of range.
        """
        super().__init__()
        address, nsp, query = parse_url(url)
        if nsp != "/":
            raise ValueError(
                f"the URL of a manager has no path; the namespace {nsp} is .socket({nsp!r}), and the server's path the option path="
            )
        self.options = read_options(options if query is None else {**options, "query": query})
        if "polling" in self.options.order:
            import_aiohttp()
        self.state: Literal["closed", "opening", "open"] = "closed"
        self.encoder = encoder_of(self.options.parser, self.options.limits, self.options.default)
        self.handlers: Handlers[Socket] = Handlers(log)
        self.dropped = 0
        settings = self.options
        self._requests = Requests(address, settings)
        self._backoff = Backoff(
            settings.reconnection_delay,
            settings.reconnection_delay_max,
            settings.randomization_factor,
        )
        self._sockets: dict[str, Socket] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flusher: Flusher | None = None
        self._engine: Engine | None = None
        self._past: list[Engine] = []
        self._attempt: asyncio.Task[None] | None = None
        self._cancelled: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._number = 0
        self._wants = False
        self._opened: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Manager of {self._requests.address.origin}, {self.state}>"

    @property
    def transport(self) -> str | None:
        """``"polling"`` or ``"websocket"``; ``None`` while there is no connection."""
        engine = self._engine
        return (
            None
            if engine is None or engine.transport is None or self.state != "open"
            else engine.transport.name
        )

    @property
    def outbox(self) -> Outbox | None:
        """What waits for the line; ``None`` while there is no connection."""
        return None if self._engine is None else self._engine.outbox

    def socket(self, nsp: str = "/", **options: Unpack[SocketOptions]) -> Socket:
        """Return the socket of a namespace; the same one each time. It begins to connect, unless `Options.auto_connect` says otherwise.

        Args:
            nsp: The namespace; a missing leading slash is added.
            options: `SocketOptions`.

        Raises:
            RuntimeError: If it is to begin, and no event loop runs.
            TypeError: If an option is unknown or of the wrong type.
            UsageError: If the socket is there already, and was made with other options.
        """
        socket = self._get_socket(nsp, options)
        if self.options.auto_connect:
            socket.connect()
        return socket

    def _get_socket(self, nsp: str, options: SocketOptions) -> Socket:
        nsp = nsp if nsp.startswith("/") else f"/{nsp}"
        check_socket_options(options)
        socket = self._sockets.get(nsp)
        if socket is None:
            socket = self._sockets[nsp] = Socket(self, nsp, options)
        elif options:
            raise UsageError(
                f"there is a socket of {nsp} already; its options are given at the first call"
            )
        return socket

    def open(self) -> Awaitable[None]:
        """Open the connection, and go on trying as the options say; does nothing if it is open or opening.

        Returns:
            Something to await until it is open, or to ignore. It raises the `TransportError` of an attempt that fails.
        """
        self._wants = True
        if self.state == "closed" and self._attempt is None:
            self._begin(delayed=False)
        return _Waiting(self._wait_open)

    def close(self) -> Awaitable[None]:
        """Disconnect every namespace, close the connection, and try no more.

        Returns:
            Something to await until nothing is left of it, or to ignore. Listeners that have not ended by then are cancelled.
        """
        for socket in list(self._sockets.values()):
            if socket.active:
                socket.disconnect()
        self._stop()
        return self.ending()

    async def __aenter__(self) -> Self:
        """Open the connection, without any namespace."""
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close, and wait until nothing is left."""
        await self.close()

    # What follows is for the sockets.

    def add(self, socket: Socket) -> None:
        """Connect a socket, now or as soon as there is a connection."""
        if self.state == "open":
            # Not in the middle of the caller: its listeners may come after it.
            asyncio.get_running_loop().call_later(socket.pause, self._let_join, socket)
        else:
            self.open()

    def close_if_idle(self) -> None:
        """Close the connection, unless some socket is on it."""
        if not self._is_used():
            self._stop()

    def send(self, packet: EncodedPacket, volatile: bool = False) -> None:
        """Send a packet."""
        if self._engine is not None:
            self._engine.outbox.push(packet, volatile)

    def answer(self, packet: EncodedPacket) -> None:
        """Send an acknowledgement; a server that asks for more of them than it reads loses the connection."""
        engine = self._engine
        if engine is None:
            return
        waiting = engine.outbox.size
        if waiting and waiting + packet.size > self.options.send_buffer_size:
            engine.on_overflow()
        else:
            engine.outbox.push(packet, False)

    def fail(self, why: str) -> None:
        """End the connection because of what the server does; it is made anew as if it had been lost."""
        if self._engine is not None:
            self._engine.fail("transport error", Details(why))

    def check_room(self, packet: EncodedPacket) -> None:
        """Refuse a packet for which there is no room.

        Raises:
            SendBufferError: If there is none, and so it is to be said.
        """
        engine = self._engine
        if engine is None or self.options.send_buffer_policy != "raise":
            return
        waiting = engine.outbox.size
        if waiting and waiting + packet.size > self.options.send_buffer_size:
            raise SendBufferError(f"{waiting} bytes wait for the server to read them")

    def ending(self) -> Awaitable[None]:
        """Return something to await until nothing is left of a connection that has been closed, unless it is in use again."""
        return _Waiting(self._wait_closed)

    # What the engine calls.

    def engine_opened(self) -> None:
        """Let every active socket join."""
        self.state = "open"
        self._backoff.reset()
        self._settle_opening(None)
        self._fire("open")
        if self._number:
            self._fire("reconnect", self._number)
        for socket in list(self._sockets.values()):
            if socket.active and self.state == "open":
                socket.on_open()

    def engine_received(self, packet: Packet) -> None:
        """Hand a packet on."""
        if self.has_listeners("packet"):
            self._fire("packet", packet)
        socket = self._sockets.get(packet.nsp)
        if socket is not None:
            socket.on_packet(packet)

    def engine_pinged(self) -> None:
        """Tell that the server is there."""
        if self.has_listeners("ping"):
            self._fire("ping")

    def engine_upgraded(self) -> None:
        """Tell that the transport is another one."""
        self._fire("upgrade", self.transport)

    def engine_closed(self, engine: Engine, reason: str, details: Details | None) -> None:
        """Tell every socket, and connect again if that is wanted."""
        if engine is not self._engine:
            return
        self._engine = None
        self.state = "closed"
        self._backoff.reset()
        self._fire("close", *((reason,) if details is None else (reason, details)))
        for socket in list(self._sockets.values()):
            socket.on_close(reason, details)
        if self._attempt is not None:
            return  # it was lost within its attempt, which goes on
        if self._wants and self.options.reconnection:
            self._begin(delayed=True)
        else:
            self._give_up(reason)

    def engine_dropped(self, count: int) -> None:
        """Count what found no room."""
        if not self.dropped:
            log.warning(
                "events were dropped, as the send buffer is full (send_buffer_policy); see Manager.dropped"
            )
        self.dropped += count

    def _let_join(self, socket: Socket) -> None:
        if self.state == "open" and socket.is_due:
            socket.on_open()

    def _begin(self, *, delayed: bool) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            settings = self.options
            raises = settings.send_buffer_policy == "raise"
            self._flusher = Flusher(
                loop,
                settings.limits.send_buffer_mark,
                ENDLESS if raises else settings.send_buffer_size,
                "close" if raises else settings.send_buffer_policy,
                SLICE_TIME,
            )
            self._loop = loop
        self._attempt = loop.create_task(self._strive(self._generation, delayed=delayed))

    async def _strive(self, generation: int, *, delayed: bool) -> None:
        """Try to connect until it succeeds, the attempts are used up, or nobody wants it any more.

        Args:
            generation: Which wish it is for.
            delayed: Whether it is a reconnection.
        """
        error: TransportError | None = None
        reason = ""
        number = 0
        while True:
            if delayed:
                used_up = self._backoff.attempts >= self.options.attempts
                if used_up:
                    self._fire("reconnect_failed")
                if error is not None and number:
                    self._fire("reconnect_error", error)
                if used_up or generation != self._generation:
                    break
                await asyncio.sleep(self._backoff.next_delay())
                number = self._backoff.attempts
                self._fire("reconnect_attempt", number)
                if generation != self._generation:
                    return
            error = await self._connect(number)
            if generation != self._generation:
                return
            if self.state == "open":
                self._attempt = None
                return
            reason = "the connection was lost" if error is None else str(error)
            if not self.options.reconnection:
                break
            delayed = True
        if generation == self._generation:
            self._attempt = None
            self._backoff.reset()
            self._give_up(reason)

    async def _connect(self, number: int) -> TransportError | None:
        """Make one attempt; return why it failed.

        Args:
            number: Of the reconnection; 0 for the first attempt.
        """
        assert self._flusher is not None
        self._past = [engine for engine in self._past if not engine.finished]
        self._number = number
        self.state = "opening"
        engine = self._engine = Engine(self._requests, self.options, self._flusher, self)
        self._past.append(engine)
        limit = asyncio.timeout(self.options.timeout)
        try:
            async with limit:
                await engine.open()
        except TransportError as error:
            failed = error
        except TimeoutError as error:
            if not limit.expired():
                raise
            failed = TransportError("timeout", error)
        except Exception as error:
            log.exception("connecting failed in an unexpected way")
            failed = TransportError("connection failed", error)
        except BaseException:
            self._abandon(engine)
            raise
        else:
            return None
        self._abandon(engine)
        self._explain(failed)
        self._settle_opening(failed)
        self._fire("error", failed)
        for socket in list(self._sockets.values()):
            socket.on_failure(failed)
        return failed

    def _explain(self, failed: TransportError) -> None:
        """Add to the official words what has happened, and where; it is the last line of a traceback."""
        reason: object = failed.description
        if isinstance(reason, int):
            reason = f"it answered {reason}; path=... says where the server is"
        elif isinstance(reason, TimeoutError):
            reason = f"no answer within {self.options.timeout:g} s"
        failed.add_note(f"no connection to {self._requests.where}: {reason or failed}")

    def _abandon(self, engine: Engine) -> None:
        engine.close()
        if self._engine is engine:
            self._engine = None
            self.state = "closed"

    def _stop(self) -> None:
        """Close the connection, and try no more."""
        self._wants = False
        self._generation += 1
        attempt, self._attempt = self._attempt, None
        if attempt is not None and attempt is not asyncio.current_task():
            attempt.cancel()
            self._cancelled.add(attempt)
            attempt.add_done_callback(self._cancelled.discard)
        engine = self._engine
        if engine is not None:
            engine.close()
            if self._engine is engine:
                self._engine = None
                self.state = "closed"
        self._backoff.reset()
        self._settle_opening(TransportError(FORCED))

    def _settle_opening(self, error: TransportError | None) -> None:
        opened, self._opened = self._opened, None
        if opened is None or opened.done():
            return
        if error is None:
            opened.set_result(None)
        else:
            opened.set_exception(error)
            opened.exception()

    def _give_up(self, reason: str) -> None:
        for socket in list(self._sockets.values()):
            socket.give_up(reason)

    async def _wait_open(self) -> None:
        if self.state == "open":
            return
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        try:
            await asyncio.shield(self._opened)
        except BaseException:
            if not self._is_used():
                self._stop()
            raise

    async def _wait_closed(self) -> None:
        """Wait for the ends of connections and of listeners, unless there is a connection again."""
        if self._wants:
            return
        if self._cancelled:
            await asyncio.wait(self._cancelled)
        while self._past and not self._wants:
            engine = self._past[-1]
            await engine.wait_closed()
            if engine in self._past:
                self._past.remove(engine)
        if not self._wants:
            await self.handlers.cancel()

    def _is_used(self) -> bool:
        return any(socket.active for socket in self._sockets.values())

    def _fire(self, event: str, *args: Any) -> None:
        for listener in self._take(event):
            self.handlers.call(listener, accepted(listener, args), None, event)

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        self.handlers.call(listener, (event, subject), None, event)


class _Waiting:
    """Something to await, or to ignore."""

    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()


def connect(url: str, **options: Unpack[ConnectOptions]) -> Socket:
    """Return a client of a server, to be awaited or entered with ``async with``.

    Args:
        url: As in ``https://example.com/admin?token=x``; the path is the namespace, a query takes the place of the option of that name.
        options: Those of `Options`, and ``auth``, ``ack_timeout``, ``retries``, ``retry``.

    Returns:
        A socket that is not connected yet: what it is to hear from the start gets its listeners first.

    Raises:
        TypeError: If an option is unknown or of the wrong type.
        ValueError: If the URL names no server, or an option is out of range.

    Source:
        socket.io-client, ``io()``. Differs from it: each call makes a connection of its own; several namespaces share one by `Manager.socket`.
    """
    address, nsp, query = parse_url(url)
    managers, sockets = split_options(options)
    if query is not None:
        managers["query"] = query
    managers["auto_connect"] = False
    return Manager(address.origin, **managers).socket(nsp, **sockets)

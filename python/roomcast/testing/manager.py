"""A connection to a server without a port, and the namespaces that share it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self, Unpack

from roomcast._core import Decoder, EncodedPacket
from roomcast.errors import ConnectError, PacketError, UsageError
from roomcast.server import Server
from roomcast.testing.engine import Engine
from roomcast.testing.line import Line
from roomcast.testing.options import App, Auth, ConnectOptions, ManagerOptions, Options
from roomcast.testing.socket import Socket
from roomcast.testing.websocket import RefusedError

__all__ = ["Manager", "connect"]

NOBODY: Final = (403, 404)
"""How an application refuses what it has no route for, a WebSocket and a request."""

FAILED: Final = {"polling": "xhr poll error", "websocket": "websocket error"}
"""What the official client says about a transport that does not open."""


class Manager:
    """A connection, with reconnection by hand. It belongs to the event loop in which it opens.

    ``async with`` closes it, with every namespace on it, at the end.

    Attributes:
        line: The way to the server and back, with the switches for its faults.
        options: How it connects.

    Source:
        socket.io-client, ``Manager``.
    """

    def __init__(self, app: App, **options: Unpack[ManagerOptions]) -> None:
        """Make a connection that is not open.

        Args:
            app: A `Server`, or an ASGI application with one in it.
            options: `ManagerOptions`; their meanings and defaults are those of `Options`.

        Raises:
            TypeError: If the application is none, or an option is unknown.
            ValueError: If a transport is unknown.
        """
        if isinstance(app, Server):
            options = {"path": app.engine.path, **options}
            app = app.asgi()
        if not callable(app):
            raise TypeError(
                f"a client of the test kit connects to a Server or an ASGI application, not to {app!r}"
            )
        self.options = Options(**options)
        self.line = Line()
        self._app = app
        self._sockets: dict[str, Socket] = {}
        self._engine: Engine | None = None
        self._past: list[Engine] = []
        self._decoder = Decoder()
        self._opening = asyncio.Lock()

    @property
    def transport(self) -> str | None:
        """``"polling"`` or ``"websocket"``; ``None`` before the first connection."""
        return None if self._engine is None else self._engine.transport

    @property
    def writable(self) -> bool:
        """Whether what is sent now leaves at once."""
        return self._engine is not None and self._engine.writable

    def socket(self, nsp: str = "/", *, auth: Auth | None = None) -> Socket:
        """Return the socket of a namespace, not connected at first; the same one each time.

        Args:
            nsp: The namespace; a missing leading slash is added.
            auth: What goes to the server with each CONNECT.

        Raises:
            UsageError: If the socket is there already, and was made with another ``auth``.
        """
        nsp = nsp if nsp.startswith("/") else f"/{nsp}"
        socket = self._sockets.get(nsp)
        if socket is None:
            socket = self._sockets[nsp] = Socket(self, nsp, auth)
        elif auth is not None and auth != socket.auth:
            raise UsageError(f"there is a socket of {nsp} already, with another auth")
        return socket

    async def close(self) -> None:
        """Disconnect every namespace, and wait until the server has noticed.

        Raises:
            Exception: What a listener or the application has raised and nobody has seen.
        """
        endings = [socket.disconnect() for socket in self._sockets.values()]
        self.close_if_idle()
        await self.wait_closed_if_idle()
        for ending in endings:
            await ending

    async def __aenter__(self) -> Self:
        """Open the connection, without any namespace."""
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; beside another exception, what a listener has raised is a note of that."""
        try:
            await self.close()
        except Exception as another:
            if error is None:
                raise
            error.add_note(f"beside it, {another!r} was raised in a listener or in the application")

    # What follows is for the sockets.

    @asynccontextmanager
    async def patience(self, late: str) -> AsyncGenerator[None]:
        """Limit the time that connecting takes.

        Args:
            late: What to say if it takes longer.

        Raises:
            ConnectError: If so; ``timeout`` is the official client's word.
        """
        limit = self.options.timeout
        timeout = asyncio.timeout(limit)
        try:
            async with timeout:
                yield
        except TimeoutError as error:
            if not timeout.expired():
                raise
            failed = ConnectError("timeout")
            failed.add_note(f"{late} within {limit:g} s")
            raise failed from error

    async def open(self) -> None:
        """Open the connection, its upgrade included; does nothing if it is open.

        Raises:
            ConnectError: If it does not open.
        """
        async with self._opening:
            if self._engine is None:
                await self._open()

    async def reconnect(self, first: Socket) -> None:
        """Open a new connection, and connect every socket that was active, and this one."""
        engine = self._engine
        returning = [
            socket for socket in self._sockets.values() if socket.active or socket is first
        ]
        if engine is not None:
            engine.leave_behind()
        await asyncio.gather(*[socket.connect() for socket in returning])

    def send(self, packet: EncodedPacket) -> None:
        """Send a packet."""
        if self._engine is not None:
            self._engine.send(packet.messages)

    def close_if_idle(self) -> None:
        """End the connection, unless some socket is on it."""
        if self._engine is not None and not any(map(_is_active, self._sockets.values())):
            self._engine.close()

    async def wait_closed_if_idle(self) -> None:
        """Wait until the server has noticed the end of every connection, unless one is in use."""
        if self._engine is not None:
            return
        while self._past:
            error = await self._past.pop().wait_closed()
            if error is not None:
                raise error

    async def _open(self) -> None:
        self._decoder = Decoder()
        engine = Engine(
            self._app,
            self.options,
            self.line,
            on_message=self._on_message,
            on_close=self._on_close,
        )
        self._past.append(engine)
        try:
            async with self.patience("there was no connection"):
                await engine.open()
                self._engine = engine
                await engine.wait_upgraded()
        except ConnectError:
            self._engine = None
            engine.give_up()
            raise
        except Exception as error:
            engine.give_up()
            raise self._failed(error) from error
        except BaseException:
            self._engine = None
            engine.give_up()
            raise

    def _failed(self, error: Exception) -> ConnectError:
        message = FAILED[self.options.order[0]]
        if not isinstance(error, RefusedError):
            failed = ConnectError(message)
            failed.add_note(f"the application has raised {error!r}")
            return failed
        failed = ConnectError(message, {"status": error.status, "body": error.body})
        failed.add_note(str(error))
        if error.status in NOBODY and not error.body.startswith("{"):
            path = self.options.path or "/socket.io/"
            failed.add_note(
                f"if that was not the server: it was asked at {path}, and path=... says where it is"
            )
        return failed

    def _on_message(self, message: str | bytes) -> None:
        try:
            packet = self._decoder.feed(message, 1 if isinstance(message, str) else 0)
        except PacketError:
            if self._engine is not None:
                self._engine.fail("parse error")
            return
        if packet is not None and (socket := self._sockets.get(packet.nsp)) is not None:
            socket.on_packet(packet)

    def _on_close(self, reason: str) -> None:
        self._engine = None
        self._decoder.close()
        for socket in list(self._sockets.values()):
            socket.ended(reason)


def connect(app: App, nsp: str = "/", **options: Unpack[ConnectOptions]) -> Socket:
    """Return a client of a server in this process, to be awaited or entered with ``async with``.

    Args:
        app: A `Server`, or an ASGI application with one in it.
        nsp: The namespace; a missing leading slash is added.
        options: ``auth``, and those of `Options`.

    Returns:
        A socket that is not connected yet: what it is to hear from the start gets its listeners first.
    """
    given: dict[str, Any] = dict(options)
    auth = given.pop("auth", None)
    return Manager(app, **given).socket(nsp, auth=auth)


def _is_active(socket: Socket) -> bool:
    return socket.active

"""Namespaces as classes, in python-socketio's way."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from roomcast.compat.rooms import Room, Rooms
from roomcast.compat.routes import CONNECT, DISCONNECT, Handler
from roomcast.sockets.signatures import accepted

if TYPE_CHECKING:
    from roomcast.compat.server import AsyncServer

__all__ = ["AsyncNamespace"]


class AsyncNamespace:
    """The handlers of a namespace as the methods ``on_…`` of a class, functions or coroutine functions.

    The other methods are those of the server, for this namespace where none is named.

    Attributes:
        namespace: Its name.
        server: Its server, once it is registered there.

    Source:
        python-socketio, ``AsyncNamespace``.
    """

    server: "AsyncServer"

    def __init__(self, namespace: str | None = None) -> None:
        """Take the namespace; ``/`` where there is none."""
        self.namespace = namespace or "/"

    def is_asyncio_based(self) -> bool:
        """Return ``True``."""
        return True

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Call the method of an event; a subclass may do otherwise.

        Args:
            event: The event.
            args: The client's id, and what the event has brought.
        """
        handler: Handler | None = getattr(self, f"on_{event}", None)
        if handler is None:
            return None
        if event in (CONNECT, DISCONNECT):
            args = accepted(handler, args)
        result = handler(*args)
        return await result if isawaitable(result) else result

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: Rooms | None = None,
        room: Rooms | None = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Emit an event; as `AsyncServer.emit`."""
        await self.server.emit(
            event,
            data,
            to,
            room,
            skip_sid,
            namespace or self.namespace,
            callback,
            ignore_queue,
        )

    async def send(
        self,
        data: Any,
        to: Rooms | None = None,
        room: Rooms | None = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Emit ``message``; as `AsyncServer.send`."""
        await self.server.send(
            data, to, room, skip_sid, namespace or self.namespace, callback, ignore_queue
        )

    async def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  python-socketio's parameter
        ignore_queue: bool = False,
    ) -> Any:
        """Emit an event and wait for the answer; as `AsyncServer.call`, but without a time-out unless one is named."""
        return await self.server.call(
            event, data, to, sid, namespace or self.namespace, timeout, ignore_queue
        )

    async def enter_room(self, sid: str, room: Room, namespace: str | None = None) -> None:
        """Put a client into a room; as `AsyncServer.enter_room`."""
        await self.server.enter_room(sid, room, namespace or self.namespace)

    async def leave_room(self, sid: str, room: Room, namespace: str | None = None) -> None:
        """Take a client out of a room; as `AsyncServer.leave_room`."""
        await self.server.leave_room(sid, room, namespace or self.namespace)

    async def close_room(self, room: Room, namespace: str | None = None) -> None:
        """Take everybody out of a room; as `AsyncServer.close_room`."""
        await self.server.close_room(room, namespace or self.namespace)

    def rooms(self, sid: str, namespace: str | None = None) -> list[Room]:
        """Return the rooms of a client; as `AsyncServer.rooms`."""
        return self.server.rooms(sid, namespace or self.namespace)

    async def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return the session of a client; as `AsyncServer.get_session`."""
        return await self.server.get_session(sid, namespace or self.namespace)

    async def save_session(
        self, sid: str, session: Mapping[str, Any], namespace: str | None = None
    ) -> None:
        """Keep a session; as `AsyncServer.save_session`."""
        await self.server.save_session(sid, session, namespace or self.namespace)

    def session(
        self, sid: str, namespace: str | None = None
    ) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Return the session of a client in an ``async with``; as `AsyncServer.session`."""
        return self.server.session(sid, namespace or self.namespace)

    async def disconnect(self, sid: str, namespace: str | None = None) -> None:
        """Disconnect a client; as `AsyncServer.disconnect`."""
        await self.server.disconnect(sid, namespace or self.namespace)

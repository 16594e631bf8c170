"""How an `AsyncServer` emits."""

import asyncio
import logging
from typing import Any, Final

from roomcast.compat.exceptions import TimeoutError as CallTimeoutError
from roomcast.compat.life import IO, RoutedNamespace
from roomcast.compat.members import Member, Members
from roomcast.compat.rooms import Rooms, room_names
from roomcast.compat.routes import Handler
from roomcast.engine.outbox import DONE
from roomcast.errors import AckTimeoutError, DisconnectedError
from roomcast.server import BroadcastOperator, Namespace
from roomcast.sockets.acks import settler

__all__ = ["Emitting"]

CALL_TIMEOUT: Final = 60.0
"""Seconds that an answer may take. python-socketio's; also for answers from other servers of a cluster to callbacks."""


class Emitting:
    """What `AsyncServer` emits with."""

    def __init__(
        self, io: IO, members: Members, logger: logging.Logger, async_handlers: bool
    ) -> None:
        self._io = io
        self._members = members
        self._logger = logger
        self._may_call = async_handlers
        self._is_clustered = io.options.adapter is not None

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
        """Emit an event to a client, to rooms, or to everybody.

        Where it is for one client that is behind, it returns once that is not so any more; for several it does not wait.

        Args:
            event: The event.
            data: Its argument; a tuple for several, ``None`` for none.
            to: The id of a client, a room, or a list of those; everybody where there is none.
            room: The same.
            skip_sid: The id of a client that is left out, or a list of them.
            namespace: The namespace, ``/`` where there is none.
            callback: Called with the answer; of several clients with each.
            ignore_queue: Whether only clients of this server are meant.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
            TypeError: If a room is neither a ``str`` nor an ``int``.
        """
        nsp = namespace or "/"
        target: Any = to or room
        self._logger.info('emitting event "%s" to %s [%s]', event, target or "all", nsp)
        args = _arguments(data)
        skipped = _skipped(skip_sid)
        member = self._member(target, nsp) if isinstance(target, str) else None
        if member is not None:
            if target not in skipped:
                wait = member.socket.emit(event, *args, ack=callback)
                if wait is not DONE:
                    await wait
            return
        reached = self._namespace(nsp)
        if reached is None:
            return
        operator = self._operator(reached, target, skipped)
        if ignore_queue:
            operator = operator.local
        if callback is not None:
            self._emit_with_callback(operator, event, args, callback)
            return
        names = room_names(target)
        for each in self._members.pending(nsp):
            if each.is_among(names) and each.socket.id not in skipped:
                each.socket.emit(event, *args)
        if operator.emit(event, *args) is not DONE:
            await asyncio.sleep(0)  # somebody is behind: what is queued leaves before more is

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
        """Emit an event named ``message``; otherwise as `emit`."""
        await self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue)

    async def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = CALL_TIMEOUT,  # noqa: ASYNC109  python-socketio's parameter
        ignore_queue: bool = False,
    ) -> Any:
        """Emit an event to a client and wait for its answer.

        Args:
            event: The event.
            data: Its argument; a tuple for several, ``None`` for none.
            to: The id of the client; of the clients of a room, the first answer counts.
            sid: The same.
            namespace: The namespace, ``/`` where there is none.
            timeout: Seconds to wait; ``None`` for no limit.
            ignore_queue: Whether only clients of this server are meant.

        Returns:
            The answer: one argument → itself, several → a tuple, none → ``None``.

        Raises:
            RuntimeError: If ``async_handlers`` is off.
            TimeoutError: If there is no answer in time, or the client is not here any more. Differs from python-socketio, which waits
                for who cannot answer.
            ValueError: If there is no client.
        """
        target = to or sid
        if target is None:
            raise ValueError("Cannot use call() to broadcast.")
        if not self._may_call:
            raise RuntimeError("Cannot use call() when async_handlers is False.")
        nsp = namespace or "/"
        args = _arguments(data)
        member = self._member(target, nsp)
        reached = self._namespace(nsp)
        try:
            if member is not None:
                socket = member.socket
                asked = socket if timeout is None else socket.timeout(timeout)
                return await asked.emit_with_ack(event, *args)
            if reached is None:
                raise DisconnectedError
            operator = self._operator(reached, target, ())
            if self._is_clustered and not ignore_queue:
                return await _first_of_cluster(operator, event, args, timeout)
            return await _first_of(operator, event, args, timeout)
        except (AckTimeoutError, DisconnectedError) as error:
            raise CallTimeoutError from error

    def _emit_with_callback(
        self, operator: BroadcastOperator, event: str, args: tuple[Any, ...], callback: Handler
    ) -> None:
        if self._is_clustered:

            def answered(error: Exception | None, responses: list[Any]) -> None:
                for response in responses:
                    self._io.handlers.call(callback, (response,), None, event)

            operator.timeout(CALL_TIMEOUT).emit(event, *args, ack=answered)
            return
        for socket in operator.nsp.adapter.select(operator.options):
            socket.emit(event, *args, ack=callback)

    def _member(self, sid: object, nsp: str) -> Member | None:
        return self._members.get(sid, nsp)

    def _namespace(self, nsp: str) -> Namespace | None:
        """Return a namespace, ``None`` if nobody is there."""
        found = self._io.namespace_of(nsp)
        if found is None and self._is_clustered and nsp.startswith("/"):
            return self._reach(nsp)
        return found

    def _reach(self, nsp: str) -> Namespace:
        """Return a namespace by which clients of other servers are reached."""
        return self._io.of(nsp, RoutedNamespace) if nsp != "/" else self._io

    @staticmethod
    def _operator(nsp: Namespace, target: Any, skipped: tuple[str, ...]) -> BroadcastOperator:
        names = room_names(target)
        operator = nsp.to(names or ())
        return operator.except_(skipped) if skipped else operator


def _arguments(data: Any) -> tuple[Any, ...]:
    if isinstance(data, tuple):
        return data  # pyright: ignore[reportUnknownVariableType]
    return () if data is None else (data,)


def _skipped(sids: Any) -> tuple[str, ...]:
    if sids is None:
        return ()
    return (sids,) if isinstance(sids, str) else tuple(sid for sid in sids if sid is not None)


async def _first_of(
    operator: BroadcastOperator, event: str, args: tuple[Any, ...], seconds: float | None
) -> Any:
    """Return the first answer of the clients of this server."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    done = settler(answer)
    sockets = operator.nsp.adapter.select(operator.options)
    if not sockets:
        raise DisconnectedError
    for socket in sockets:
        socket.emit(event, *args, ack=lambda *values: done(None, values))
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise AckTimeoutError from None


async def _first_of_cluster(
    operator: BroadcastOperator, event: str, args: tuple[Any, ...], seconds: float | None
) -> Any:
    """Return the first answer of the clients of all servers."""
    asked = operator.timeout(CALL_TIMEOUT if seconds is None else seconds)
    report = await asked.emit_with_ack_report(event, *args)
    for answer in (*report.answered.values(), *report.others):
        return answer
    raise AckTimeoutError

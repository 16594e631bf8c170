"""A GET that is held until there are packets for it.

One that finds packets is answered at once. One that finds none is held by the server's own task that called the application,
which listens meanwhile whether its line is lost. Its answer comes from elsewhere, mostly from a flush:

    ====================  ==================================  ===========================================================
    a GET                 that any server holds               whose ``send`` may be called from anywhere
    ====================  ==================================  ===========================================================
    is answered           its task is woken, and sends        the answer is sent, and the task sees the end of its
                                                              request, as ASGI has it
    is refused, or its    its task is woken, and says so      its task is interrupted, and says so
    answer needs more
    loses its line        ``polling`` is told                 ``polling`` is told
    ====================  ==================================  ===========================================================
"""

import asyncio
import logging
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, Protocol, TypeAlias

from roomcast.engine.asgi import Receive
from roomcast.engine.polling import Polling
from roomcast.engine.waiting import Either

__all__ = ["Answerer", "HeldPoll", "Payload", "PlainPoll"]

Payload: TypeAlias = tuple[bytes, bool]
"""A payload, and whether it may be compressed."""

Answering: TypeAlias = Callable[[Payload], Coroutine[Any, Any, None] | bool]
"""Answers with a payload, or returns what does so; ``False`` where more has to be known of the request."""

log = logging.getLogger("roomcast.engine")


class Answerer(Protocol):
    """What answers a GET that is held: polling, or another worker."""

    def on_poll(self, poll: "PlainPoll", /) -> None:
        """Learn of the GET."""

    def on_poll_gone(self, poll: "PlainPoll", /) -> None:
        """Learn that its line is lost."""


class HeldPoll(Either):
    """A GET that any server holds."""

    __slots__ = ("_payload",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the loop."""
        super().__init__(loop)
        self._payload: Payload | None = None

    async def hold(self, polling: Polling, receive: Receive) -> Payload | int:
        """Wait until it is answered; return the payload to send, or 400 if it is refused or its line is lost."""
        polling.on_poll(self)
        try:
            while not self.told:
                message = await self.or_(receive())
                if message is not None and message["type"] == "http.disconnect":
                    break
        except Exception as error:  # noqa: BLE001  whatever a server raises here says that the line is lost
            log.debug("receiving failed: %s", error)
        finally:
            if not self.told:
                polling.on_poll_gone(self)
        return 400 if self._payload is None else self._payload

    def answer(self, payload: bytes, *, compress: bool = True) -> None:
        """Answer with a payload, which may be compressed or not."""
        self._payload = payload, compress
        self.tell()

    def refuse(self) -> None:
        """Answer with 400."""
        self.tell()


class PlainPoll:
    """A GET whose ``send`` may be called from anywhere."""

    __slots__ = ("_answering", "_context", "_ended", "_left", "_loop", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop, answering: Answering) -> None:
        """Take the loop, and what answers."""
        self._loop = loop
        self._answering = answering
        self._context = copy_context()  # that of the request, which a log of answers may look into
        self._task: asyncio.Task[Any] | None = None
        self._ended = False
        self._left: Payload | int | Awaitable[None] | None = 400

    async def hold(self, polling: Answerer, receive: Receive) -> Payload | int | None:
        """Wait until it is answered; return as `HeldPoll.hold`, or ``None`` if all is sent."""
        polling.on_poll(self)
        task = self._task = asyncio.current_task(self._loop)
        try:
            while not self._ended and (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            if self._task is not None or task is None or task.uncancel():
                raise  # it is somebody else who wants it to end
        except Exception as error:  # noqa: BLE001  as above
            log.debug("receiving failed: %s", error)
        finally:
            if not self._ended:
                polling.on_poll_gone(self)
        left = self._left
        if isinstance(left, tuple | int | None):
            return left
        await left
        return None

    def answer(self, payload: bytes, *, compress: bool = True) -> None:
        """Answer with a payload, which may be compressed or not."""
        self._ended = True
        self._context.run(self._answer, (payload, compress))

    def refuse(self) -> None:
        """Answer with 400."""
        self._ended = True
        self._interrupt(400)

    def _answer(self, payload: Payload) -> None:
        try:
            answering = self._answering(payload)
            if answering is True:
                self._left = None
            elif answering is False:
                self._interrupt(payload)
            else:
                self._interrupt(_go_on(answering, answering.send(None)))
        except StopIteration:
            self._left = None
        except Exception as error:  # noqa: BLE001  the business of the request, not of who answers it
            self._interrupt(_raise(error))

    def _interrupt(self, left: Payload | int | Awaitable[None]) -> None:
        """Leave something to the task."""
        self._left = left
        task, self._task = self._task, None
        if task is not None:
            task.cancel()


@types.coroutine
def _go_on(begun: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Await a coroutine that waits for something already."""
    yield waits_for
    yield from begun


async def _raise(error: Exception) -> None:
    raise error

"""The acknowledgement that an event of the other side asks for, made of what its handlers return."""

from typing import Any, Protocol

from roomcast.errors import ValidationError

__all__ = ["Answer", "Answering"]


class Answering(Protocol):
    """Who sends an acknowledgement."""

    def answer(self, id: int, args: tuple[Any, ...]) -> None:
        """Send the acknowledgement of an event."""


class Answer:
    """The acknowledgement of one event, made of what its handlers return.

    It is sent once: the first result that is not ``None`` is the answer; if all handlers are done and none gave one, the answer
    is empty. If one of them raised and none gave a result, there is no answer, unless it was a `ValidationError`: then the answer
    is ``{"error": "validation", "path": …, "message": …}``, with what the first one says.
    """

    __slots__ = ("_failed", "_id", "_open", "_refusal", "_socket")

    def __init__(self, socket: Answering, id: int, handlers: int) -> None:
        self._socket: Answering | None = socket
        self._id = id
        self._open = handlers
        self._failed = False
        self._refusal: dict[str, str] | None = None

    def returned(self, result: Any) -> None:
        """Take the result of one handler.

        Raises:
            EncodeError: If it has no JSON form.
        """
        self._open -= 1
        if result is not None:
            args: tuple[Any, ...] = (result,)
            if isinstance(result, tuple):
                args = result  # pyright: ignore[reportUnknownVariableType]
            self._send(args)
        elif not self._open:
            self._end()

    def raised(self, error: BaseException) -> None:
        """Learn that one handler gave no result."""
        self._open -= 1
        self._failed = True
        if isinstance(error, ValidationError) and self._refusal is None:
            self._refusal = {"error": "validation", "path": error.path, "message": error.message}
        if not self._open:
            self._end()

    def _end(self) -> None:
        if self._refusal is not None:
            self._send((self._refusal,))
        elif not self._failed:
            self._send(())

    def _send(self, args: tuple[Any, ...]) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.answer(self._id, args)

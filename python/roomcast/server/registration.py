"""What becomes of a handler when it is registered: where it is to be validated, a function takes its place."""

from typing import Final

from roomcast.errors import UsageError
from roomcast.events import Listener
from roomcast.types import RESERVED_EVENTS
from roomcast.validation import validated

__all__ = ["prepared"]

_NOT_FROM_CLIENTS: Final = RESERVED_EVENTS | {"error"}
"""Events whose arguments are the library's. A client may send ``error`` too."""


def prepared(
    handler: Listener, event: str, validate: bool | None, *, default: bool, with_socket: bool
) -> Listener:
    """Return what is called for an event of a socket.

    Args:
        handler: What the program has registered.
        event: The event's name.
        validate: Whether the event is validated by the handler's annotations; ``None`` for the server's default.
        default: That default.
        with_socket: Whether the handler gets the socket first.

    Returns:
        The handler itself, or a function that stands for it.

    Raises:
        HandlerError: If the handler's annotations cannot be validated.
        MissingDependencyError: If a library is missing that they need.
        UsageError: If an event of the library is to be validated.
    """
    ours = event in _NOT_FROM_CLIENTS
    if validate and ours:
        raise UsageError(f"{event!r} is an event of the library: there is nothing to validate")
    if validate or (validate is None and default and not ours):
        return validated(handler, event, with_socket=with_socket)
    return handler

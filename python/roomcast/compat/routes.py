"""Which handler an event is for, by python-socketio's rules.

In this order: the handler of the event in the namespace, the catch-all of the namespace, the handler of the event for all
namespaces, the catch-all of all; then the class of the namespace, and that of all namespaces. ``connect`` and ``disconnect`` are
never for a catch-all. What a catch-all handler stands for comes first among its arguments: the event, then the namespace.

Source:
    python-socketio, ``BaseServer._get_event_handler`` and ``_get_namespace_handler``.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from roomcast.compat.namespace import AsyncNamespace

__all__ = ["CATCH_ALL", "CONNECT", "DISCONNECT", "Handler", "Routes"]

Handler = Callable[..., Any]
"""A function or a coroutine function."""

CATCH_ALL: Final = "*"
CONNECT: Final = "connect"
DISCONNECT: Final = "disconnect"

_OWN: Final = (CONNECT, DISCONNECT)


class Routes:
    """The handlers of a server.

    Attributes:
        handlers: The functions, by namespace and event.
        namespace_handlers: The objects of class-based namespaces.
    """

    def __init__(self) -> None:
        self.handlers: dict[str, dict[str, Handler]] = {}
        self.namespace_handlers: dict[str, AsyncNamespace] = {}

    def __contains__(self, nsp: object) -> bool:
        """Say whether there is something for a namespace of its own."""
        return nsp in self.handlers or nsp in self.namespace_handlers

    def find(self, event: str, nsp: str) -> Handler | None:
        """Return what is to be called with the client's id and what the event has brought; ``None`` if nobody is."""
        for name in (nsp, CATCH_ALL):
            handlers = self.handlers.get(name)
            if handlers is None:
                continue
            everywhere = () if name == nsp else (nsp,)
            handler = handlers.get(event)
            if handler is not None:
                return partial(handler, *everywhere) if everywhere else handler
            if event not in _OWN and CATCH_ALL in handlers:
                return partial(handlers[CATCH_ALL], event, *everywhere)
        if nsp in self.namespace_handlers:
            return partial(self.namespace_handlers[nsp].trigger_event, event)
        if CATCH_ALL in self.namespace_handlers:
            return partial(self.namespace_handlers[CATCH_ALL].trigger_event, event, nsp)
        return None

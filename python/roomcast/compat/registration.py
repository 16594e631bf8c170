"""How handlers are registered."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

from roomcast.compat.namespace import AsyncNamespace
from roomcast.compat.routes import Handler, Routes

__all__ = ["Registration"]

HandlerT = TypeVar("HandlerT", bound=Handler)


class Registration:
    """What `AsyncServer` takes handlers with."""

    def __init__(self) -> None:
        self._routes = Routes()

    @property
    def handlers(self) -> dict[str, dict[str, Handler]]:
        """The functions, by namespace and event."""
        return self._routes.handlers

    @property
    def namespace_handlers(self) -> dict[str, AsyncNamespace]:
        """The objects of class-based namespaces."""
        return self._routes.namespace_handlers

    @overload
    def on(
        self, event: str, handler: None = None, namespace: str | None = None
    ) -> Callable[[HandlerT], HandlerT]: ...
    @overload
    def on(self, event: str, handler: Handler, namespace: str | None = None) -> None: ...
    def on(
        self, event: str, handler: Handler | None = None, namespace: str | None = None
    ) -> Callable[[HandlerT], HandlerT] | None:
        """Handle an event; without a handler, a decorator. An earlier handler of the same event is no more.

        Args:
            event: The event; ``*`` for all that have no handler of their own, but not for ``connect`` and ``disconnect``.
            handler: A function or a coroutine function. Gets the client's id and what the event brings: ``connect`` the environment
                of the request and what the client sent as ``auth``, ``disconnect`` the reason. Either may be left out of the
                function. A catch-all gets the event before them, and then the namespace. What it returns is the
                acknowledgement, a tuple for several arguments.
            namespace: The namespace, ``/`` where there is none; ``*`` for all that have no handler of their own.
        """

        def add(function: HandlerT) -> HandlerT:
            self._handle(namespace or "/", event, function)
            return function

        if handler is None:
            return add
        self._handle(namespace or "/", event, handler)
        return None

    @overload
    def event(self, handler: HandlerT) -> HandlerT: ...
    @overload
    def event(
        self, handler: None = None, *, namespace: str | None = None
    ) -> Callable[[HandlerT], HandlerT]: ...
    def event(self, handler: Any = None, *, namespace: str | None = None) -> Any:
        """Handle the event that a function is named after: a decorator, bare or with a namespace; otherwise as `on`."""
        if handler is not None:
            self._handle("/", handler.__name__, handler)
            return handler

        def add(function: HandlerT) -> HandlerT:
            self._handle(namespace or "/", function.__name__, function)
            return function

        return add

    def register_namespace(self, namespace_handler: AsyncNamespace) -> None:
        """Let an object handle the events of its namespace.

        Raises:
            ValueError: If it is no `AsyncNamespace` of ``roomcast.compat``.
        """
        if not isinstance(namespace_handler, AsyncNamespace):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
            raise ValueError(  # noqa: TRY004  python-socketio's
                "Not a namespace instance: it must derive from roomcast.compat.AsyncNamespace"
            )
        self._routes.namespace_handlers[namespace_handler.namespace] = namespace_handler
        self._namespace_added(namespace_handler.namespace)

    def _handle(self, nsp: str, event: str, handler: Handler) -> None:
        if not callable(handler):
            raise TypeError(f"a handler must be callable, not {type(handler).__name__}")
        self._routes.handlers.setdefault(nsp, {})[event] = handler
        self._namespace_added(nsp)

    def _namespace_added(self, nsp: str) -> None:
        """Learn that there is a handler for a namespace."""

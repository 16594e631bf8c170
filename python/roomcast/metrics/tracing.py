"""`trace_handlers`: a span of OpenTelemetry for each run of a handler."""

from typing import TYPE_CHECKING, Any, Final

from roomcast.logs import printable
from roomcast.metrics.requiring import require

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from roomcast.server.server import Server

__all__ = ["trace_handlers"]

SCOPE: Final = "roomcast"
"""The instrumentation scope of the spans."""


def trace_handlers(server: "Server", tracer_provider: Any = None) -> None:
    """Make a span for every run of a handler of a server from now on, handlers of connections and disconnects included.

    The span is the current one while the handler runs, in coroutines too, so that what the handler does there (queries, requests)
    becomes its children. Its name is ``process EVENT``, its kind ``CONSUMER``; it has the attributes ``messaging.system``
    (``socket.io``), ``messaging.operation.type``, ``messaging.destination.name`` (the namespace), ``messaging.client.id`` (the
    socket's id) and ``roomcast.event``. An exception is recorded, and makes its status an error.

    Args:
        server: The server.
        tracer_provider: Where the spans go; without it the global provider.

    Raises:
        MissingDependencyError: If ``opentelemetry-api`` is not installed.

    Source:
        OpenTelemetry, semantic conventions for messaging.
    """
    trace = require("opentelemetry.trace", "opentelemetry-api", "tracing")
    tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)

    def begin(event: str, socket: Any) -> _Run:
        name = printable(event)
        attributes = {
            "messaging.system": "socket.io",
            "messaging.operation.type": "process",
            "roomcast.event": name,
        }
        if socket is not None:
            attributes["messaging.destination.name"] = socket.nsp.name
            attributes["messaging.client.id"] = socket.id
        span = tracer.start_span(
            f"process {name}", kind=trace.SpanKind.CONSUMER, attributes=attributes
        )
        return _Run(trace, span)

    server.handlers.observe(begin)


class _Run:
    __slots__ = ("_current", "_span", "_trace")

    def __init__(self, trace: Any, span: Any) -> None:
        self._trace = trace
        self._span = span
        self._current: AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        current = self._trace.use_span(
            self._span, record_exception=False, set_status_on_exception=False
        )
        current.__enter__()
        self._current = current

    def __exit__(self, *_: object) -> None:
        current, self._current = self._current, None
        if current is not None:
            current.__exit__(None, None, None)

    def end(self, error: BaseException | None) -> None:
        if error is not None:
            self._span.record_exception(error)
            self._span.set_status(self._trace.StatusCode.ERROR, type(error).__name__)
        self._span.end()

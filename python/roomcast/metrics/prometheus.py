"""`PrometheusCollector`: the numbers of a server for Prometheus, read when it asks."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from roomcast.engine.histogram import Histogram
from roomcast.metrics.handlers import HandlerTimes
from roomcast.metrics.requiring import require
from roomcast.server.metrics import Metrics

if TYPE_CHECKING:
    from roomcast.server.server import Server

__all__ = ["PrometheusCollector"]


class PrometheusCollector:
    """Gives the numbers of a server to ``prometheus_client``; also measures, from its making on, how long handlers take.

    Registered with ``prometheus_client.REGISTRY.register(PrometheusCollector(io))``, or with a registry of one's own. Two servers of
    one process need two registries, or two prefixes. It may be asked from any thread.
    """

    def __init__(self, server: "Server", *, prefix: str = "roomcast") -> None:
        """Begin to measure the handlers of a server.

        Args:
            server: The server.
            prefix: What the names of all metrics begin with.

        Raises:
            MissingDependencyError: If ``prometheus-client`` is not installed.
        """
        self._core = require("prometheus_client.core", "prometheus-client", "metrics")
        self._server = server
        self._prefix = prefix
        self._times = HandlerTimes()
        server.handlers.observe(self._times)

    def describe(self) -> Iterable[Any]:
        """Return nothing: what there is is known when it is asked for.

        Source:
            prometheus_client, ``Collector.describe``.
        """
        return ()

    def collect(self) -> Iterator[Any]:
        """Yield the metrics as they are now.

        Source:
            prometheus_client, ``Collector.collect``.
        """
        metrics = self._server.metrics
        yield from self._connections(metrics)
        yield from self._traffic(metrics)
        yield from self._adapter(metrics)
        yield self._histogram(
            "event_loop_lag_seconds", "How late the event loop was", (((), metrics.loop_lag),)
        )
        times = [((event,), each.copy()) for event, each in list(self._times.by_event.items())]
        yield self._histogram("handler_seconds", "How long handlers took", times, ("event",))

    def _connections(self, metrics: Metrics) -> Iterator[Any]:
        yield self._gauges("connections", "Open connections", "transport", metrics.connections)
        yield self._counter("connections_opened", "Connections", metrics.connections_opened)
        yield self._counters(
            "connections_closed", "Ended connections", "reason", metrics.connections_closed
        )
        yield self._gauge("namespaces", "Namespaces", metrics.namespaces)
        yield self._gauge("sockets", "Connected sockets of all namespaces", metrics.sockets)
        yield self._gauge("rooms", "Rooms that have a member", metrics.rooms)

    def _traffic(self, metrics: Metrics) -> Iterator[Any]:
        yield self._counter("emits", "Encoded events", metrics.emits)
        yield self._counter("deliveries", "Events queued for a client", metrics.deliveries)
        yield self._counter("sent_bytes", "Bytes queued for clients", metrics.bytes_sent)
        yield self._counter("received_packets", "Packets of clients", metrics.packets_received)
        yield self._counter("received_events", "Events of clients", metrics.events_received)
        yield self._counter("received_bytes", "Bytes of clients", metrics.bytes_received)
        yield self._gauge("queued_bytes", "Bytes that wait in send buffers", metrics.queued_bytes)
        yield self._gauge("congested_connections", "Send buffers above the mark", metrics.congested)
        yield self._gauge("acks_pending", "Awaited acknowledgements", metrics.acks_pending)
        yield self._counter(
            "acks_timed_out", "Acknowledgements that did not come", metrics.acks_timed_out
        )
        yield self._counter("handler_errors", "Reported exceptions", metrics.handler_errors)
        yield self._counters("limits", "Limits hit, drops, refusals", "name", metrics.limits)

    def _adapter(self, metrics: Metrics) -> Iterator[Any]:
        adapter = metrics.adapter
        if adapter is None:
            return
        yield self._gauge("adapter_listening", "Hears the other nodes", int(adapter.listening))
        yield self._gauge("adapter_publishing", "Is heard by them", int(adapter.publishing))
        yield self._gauge("adapter_deaf_seconds", "Time without hearing them", adapter.deaf_for)
        yield self._gauge("adapter_queued_bytes", "Bytes waiting for the broker", adapter.queued)
        yield self._counters(
            "adapter_messages", "Messages of the cluster", "kind", metrics.adapter_messages
        )

    def _gauge(self, name: str, text: str, value: float) -> Any:
        return self._core.GaugeMetricFamily(f"{self._prefix}_{name}", text, value=value)

    def _counter(self, name: str, text: str, value: float) -> Any:
        return self._core.CounterMetricFamily(f"{self._prefix}_{name}", text, value=value)

    def _gauges(self, name: str, text: str, label: str, values: Mapping[str, float]) -> Any:
        family = self._core.GaugeMetricFamily(f"{self._prefix}_{name}", text, labels=[label])
        for key, value in values.items():
            family.add_metric([key], value)
        return family

    def _counters(self, name: str, text: str, label: str, values: Mapping[str, float]) -> Any:
        family = self._core.CounterMetricFamily(f"{self._prefix}_{name}", text, labels=[label])
        for key, value in values.items():
            family.add_metric([key], value)
        return family

    def _histogram(
        self,
        name: str,
        text: str,
        histograms: Iterable[tuple[tuple[str, ...], Histogram]],
        labels: tuple[str, ...] = (),
    ) -> Any:
        family = self._core.HistogramMetricFamily(f"{self._prefix}_{name}", text, labels=labels)
        for values, histogram in histograms:
            family.add_metric(values, _buckets(histogram), histogram.total)
        return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus wants them: each counts what is below its bound, the smaller ones included."""
    bounds = [*map(str, histogram.bounds), "+Inf"]
    count = 0
    buckets: list[tuple[str, float]] = []
    for bound, own in zip(bounds, histogram.counts, strict=True):
        count += own
        buckets.append((bound, count))
    return buckets

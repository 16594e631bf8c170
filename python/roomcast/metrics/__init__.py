"""Numbers of a server, for programs and for Prometheus; and spans of its handlers, for OpenTelemetry.

Counting itself is always on: ``io.metrics`` is all of it, as plain numbers. What is here exports them, and each exporter needs its
library: ``pip install "roomcast[metrics]"`` or ``"roomcast[tracing]"``.
"""

from roomcast.engine.histogram import Histogram
from roomcast.metrics.prometheus import PrometheusCollector
from roomcast.metrics.tracing import trace_handlers
from roomcast.server.metrics import AdapterState, Metrics

__all__ = ["AdapterState", "Histogram", "Metrics", "PrometheusCollector", "trace_handlers"]

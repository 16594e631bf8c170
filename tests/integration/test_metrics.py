"""The numbers of a server, and what exports them: after real traffic on real sockets."""

import asyncio
import contextlib
import json
import sys
import time
import urllib.request

import prometheus_client
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client.parser import text_string_to_metric_families

import roomcast
from roomcast import AckTimeoutError, MissingDependencyError, RedisAdapter, Server, connect, msgpack
from roomcast.metrics import Metrics, PrometheusCollector, trace_handlers
from roomcast.metrics.handlers import MAX_EVENT_NAMES, OTHER_EVENTS, HandlerTimes


class Words:
    """A parser in Python: JSON in one text."""

    class Encoder:
        def encode(self, packet):
            return [json.dumps([int(packet.type), packet.nsp, packet.id, packet.data])]

    class Decoder:
        def feed(self, data):
            kind, nsp, id, payload = json.loads(data)
            return roomcast.codec.Packet(kind, payload, nsp, id)

        def close(self):
            pass


@contextlib.asynccontextmanager
async def serving(**options):
    io = Server(**options)
    io.event("echo")(lambda socket, *args: args)
    listening = await io.listen(0)
    try:
        yield io, f"http://127.0.0.1:{listening.port}"
    finally:
        await io.close()


async def until(done):
    async with asyncio.timeout(5):
        while not done():  # noqa: ASYNC110  what the server has noticed it tells nobody
            await asyncio.sleep(0.005)


def test_a_server_that_has_served_nobody_has_metrics_without_a_loop():
    metrics = Server().metrics
    assert isinstance(metrics, Metrics)
    assert metrics.connections == {"polling": 0, "websocket": 0}
    assert (metrics.emits, metrics.deliveries, metrics.queued_bytes, metrics.congested) == (
        0,
        0,
        0,
        0,
    )
    assert (metrics.namespaces, metrics.adapter, metrics.adapter_messages) == (1, None, {})


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_connections_sockets_and_rooms(transport):
    async with serving() as (io, url):
        io.of("/admin")
        io.on("connection", lambda socket: socket.join("one", "two"))
        async with connect(url, transports=[transport]):
            async with connect(f"{url}/admin", transports=[transport]):
                metrics = io.metrics
                assert metrics.connections[transport] == sum(metrics.connections.values()) == 2
                assert (metrics.namespaces, metrics.sockets, metrics.rooms) == (2, 2, 2)
            await until(lambda: io.metrics.sockets == 1)
        await until(lambda: not io.metrics.sockets)
        metrics = io.metrics
        assert metrics.connections == {"polling": 0, "websocket": 0}
        assert metrics.connections_opened == sum(metrics.connections_closed.values()) == 2
        assert set(metrics.connections_closed) <= {
            "transport close",
            "forced close",
            "client namespace disconnect",
        }
        assert metrics.rooms == 0


@pytest.mark.parametrize("parser", [None, msgpack, Words], ids=["own", "msgpack", "of a program"])
async def test_events_and_bytes(parser):
    async with (
        serving(parser=parser) as (io, url),
        connect(url, parser=parser) as one,
        connect(url, parser=parser),
    ):
        before = io.metrics
        assert await one.emit_with_ack("echo", "x" * 1000) == "x" * 1000
        now = io.metrics
        assert now.events_received - before.events_received == 1
        assert now.packets_received - before.packets_received == 1
        assert 1000 < now.bytes_received - before.bytes_received < 1100
        assert (now.emits, now.deliveries) == (before.emits, before.deliveries)
        assert 1000 < now.bytes_sent - before.bytes_sent < 1100  # the ack
        io.emit("to all", "y" * 100)
        one_more = io.metrics
        assert one_more.emits - now.emits == 1
        assert one_more.deliveries - now.deliveries == 2
        assert 200 < one_more.bytes_sent - now.bytes_sent < 400


async def test_attachments_count():
    async with serving() as (io, url), connect(url) as client:
        before = io.metrics
        assert await client.emit_with_ack("echo", bytes(5000), bytes(700)) == (
            bytes(5000),
            bytes(700),
        )
        now = io.metrics
        assert 5700 < now.bytes_received - before.bytes_received < 5900
        assert 5700 < now.bytes_sent - before.bytes_sent < 5900
        assert now.packets_received - before.packets_received == 1


async def test_acks_that_are_awaited_and_that_do_not_come():
    async with serving() as (io, url), connect(url), connect(url) as second:
        second.on("answered", lambda: None)
        one, _ = io.sockets.values()
        waiting = one.timeout(0.1).emit_with_ack("silence")
        assert io.metrics.acks_pending == 1
        with pytest.raises(AckTimeoutError):
            await waiting
        assert (io.metrics.acks_pending, io.metrics.acks_timed_out) == (0, 1)
        asked = asyncio.ensure_future(io.timeout(0.1).emit_with_ack("silence"))
        await asyncio.sleep(0)
        assert io.metrics.acks_pending == 2
        with pytest.raises(AckTimeoutError):
            await asked
        assert (io.metrics.acks_pending, io.metrics.acks_timed_out) == (0, 3)


async def test_what_is_dropped_and_refused_has_its_name():
    async with serving() as (io, url), connect(url):

        def refused():
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{url}/socket.io/?EIO=4&transport=polling&sid=nobody")

        await asyncio.to_thread(refused)
        (socket,) = io.sockets.values()
        socket.conn.outbox.writable = False
        socket.volatile.emit("x")
        assert io.metrics.limits == {"refused_1": 1, "dropped_volatile": 1}


async def test_exceptions_of_handlers():
    async with serving() as (io, url), connect(url) as client:
        io.event("fail")(lambda socket: 1 / 0)
        client.emit("fail")
        assert await client.emit_with_ack("echo", 1) == 1
        assert io.metrics.handler_errors == 1


async def test_a_loop_that_is_held_up_shows():
    async with serving(ping_interval=0.05) as (io, url), connect(url):
        for _ in range(5):
            await asyncio.sleep(0.02)  # in between, the server waits for nothing but the pong
            time.sleep(0.2)  # noqa: ASYNC251  on purpose
        await asyncio.sleep(0.05)
        lag = io.metrics.loop_lag
    assert sum(lag.counts[lag.bounds.index(0.05) :]) >= 1
    assert lag.total > 0.05


def exposed(registry):
    """Return the samples that Prometheus would read."""
    text = prometheus_client.generate_latest(registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_prometheus_reads_them_from_a_thread():
    async with serving(adapter=RedisAdapter("redis://127.0.0.1:1")) as (io, url):
        registry = prometheus_client.CollectorRegistry()
        registry.register(PrometheusCollector(io))

        @io.event
        async def slow(socket):
            await asyncio.sleep(0.02)
            return 1

        async with connect(url, transports=["websocket"]) as client:
            assert await client.emit_with_ack("slow") == 1
            assert await client.emit_with_ack("echo", 2) == 2
            samples = await asyncio.to_thread(exposed, registry)
        assert samples["roomcast_connections", "websocket"] == 1
        assert samples["roomcast_connections_opened_total",] == 1
        assert samples["roomcast_received_events_total",] == 2
        assert samples["roomcast_sockets",] == 1
        assert samples["roomcast_handler_seconds_count", "slow"] == 1
        assert samples["roomcast_handler_seconds_count", "echo"] == 1
        assert samples["roomcast_handler_seconds_sum", "slow"] > 0.015
        assert samples["roomcast_handler_seconds_bucket", "slow", "0.01"] == 0
        assert samples["roomcast_handler_seconds_bucket", "slow", "+Inf"] == 1
        assert samples["roomcast_event_loop_lag_seconds_count",] >= 0
        assert samples["roomcast_adapter_listening",] == 0
        assert samples["roomcast_adapter_publishing",] == 0
        assert samples["roomcast_adapter_deaf_seconds",] > 0


def test_names_that_clients_choose_do_not_pile_up():
    times = HandlerTimes()
    for number in range(MAX_EVENT_NAMES + 50):
        times(f"event {number}", None).end(None)
    assert len(times.by_event) == MAX_EVENT_NAMES + 1
    assert times.by_event[OTHER_EVENTS].count == 50


async def test_spans_of_handlers_are_current_in_them_and_end_with_them():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    async with serving() as (io, url):
        trace_handlers(io, provider)

        @io.event
        def plain(socket):
            with tracer.start_as_current_span("in plain"):
                return "plain"

        @io.event
        async def waits(socket):
            await asyncio.sleep(0.01)
            with tracer.start_as_current_span("in waits"):
                return "waits"

        @io.event
        async def fails(socket):
            await asyncio.sleep(0)
            raise ValueError("on purpose")

        async with connect(url) as client:
            both = await asyncio.gather(
                client.emit_with_ack("waits"), client.emit_with_ack("plain")
            )
            assert both == ["waits", "plain"]
            client.emit("fails")
            await until(
                lambda: any(span.name == "process fails" for span in exporter.get_finished_spans())
            )
            (socket,) = io.sockets.values()
        assert not trace.get_current_span().is_recording()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    for name in ("plain", "waits"):
        span = spans[f"process {name}"]
        assert spans[f"in {name}"].parent.span_id == span.context.span_id
        assert span.parent is None
        assert span.attributes["messaging.client.id"] == socket.id
        assert span.attributes["messaging.destination.name"] == "/"
        assert span.status.status_code is StatusCode.UNSET
    failed = spans["process fails"]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.events[0].attributes["exception.message"] == "on purpose"


def test_a_missing_library_is_named_with_what_brings_it(monkeypatch):
    for module in ("prometheus_client.core", "opentelemetry.trace"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r'pip install "roomcast\[metrics\]"'):
        PrometheusCollector(Server())
    with pytest.raises(MissingDependencyError, match=r'pip install "roomcast\[tracing\]"'):
        trace_handlers(Server())

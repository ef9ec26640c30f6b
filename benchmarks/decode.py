"""How fast requests become columns, against a plain walk over the stock OTLP classes in the same process.

Items per second of CPU time, median of five runs; only the ratio means anything on a shared machine.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from benchmarks.figures import Figure
from collector_processor.otlp import metrics
from collector_processor.otlp.decode import decode_metrics, decode_traces
from collector_processor.otlp.span_patch import append_span_attributes
from collector_processor.otlp.traces import SCANNER, parsed_arrivals
from tests.otlp.stock import extras_of

START, NOW = 1_700_000_000_000_000_000, 1_700_000_060_000_000_000
RUNS = 5
SIZES = (100, 1_000, 10_000)
PATCH = KeyValue(key="foreband.score", value={"double_value": 1.5}).SerializeToString()  # type: ignore[arg-type]
EXTRA = b"\x4a" + bytes([len(PATCH)]) + PATCH


def measure() -> list[Figure]:
    rows = [
        compare(f"gauge and sum parsed, {n}", metrics.parsed_arrivals, walk_metrics, metrics_body(n), n, must)
        for n, must in zip(SIZES, (3.0, 8.0, 5.0), strict=True)
    ]
    metrics.SCANNER.load()
    rows += [
        compare(f"gauge and sum scanned, {n}", decode_metrics, walk_metrics, metrics_body(n), n, must)
        for n, must in zip(SIZES, (3.0, 12.0, 10.0), strict=True)
    ]
    rows.append(compare("histogram, 1000", decode_metrics, walk_metrics, metrics_body(1_000, buckets=15), 1_000, 2.0))
    rows += [compare(f"spans parsed, {n}", parsed_arrivals, walk_spans, trace_body(n), n, 0.9) for n in SIZES]
    SCANNER.load()
    rows += [compare(f"spans scanned, {n}", decode_traces, walk_spans, trace_body(n), n, 1.5) for n in SIZES]
    rows += [compare(f"spans patched, {n}", patch_ours, patch_stock, trace_body(n), n, 1.4) for n in SIZES]
    return rows


Work = Callable[[bytes], object]


def compare(name: str, ours: Work, stock: Work, body: bytes, items: int, must: float) -> Figure:
    value, peer = rate(lambda: ours(body), items), rate(lambda: stock(body), items)
    unit = "spans/s" if "spans" in name else "points/s"
    return Figure(name, value, unit, must, peer, value / peer)


def rate(work: Callable[[], object], items: int) -> float:
    """Return items per second of CPU time, the median of some runs of at least a fiftieth of a second each."""
    work()
    repeats = max(1, 20_000 // items)
    rates = []
    for _ in range(RUNS):
        begin = time.process_time_ns()
        for _ in range(repeats):
            work()
        rates.append(repeats * items / (time.process_time_ns() - begin) * 1e9)
    return statistics.median(rates)


def walk_metrics(body: bytes) -> dict[object, list[object]]:
    """Do what a textbook receiver does: sort the attributes of every point into a key."""
    series: dict[object, list[object]] = {}
    for rm in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for sm in rm.scope_metrics:
            for metric in sm.metrics:
                data = getattr(metric, metric.WhichOneof("data") or "gauge")
                for point in data.data_points:
                    key = metric.name, tuple(sorted((kv.key, kv.value.string_value) for kv in point.attributes))
                    if metric.HasField("histogram"):
                        value: object = (list(point.bucket_counts), list(point.explicit_bounds), point.count, point.sum)
                    else:
                        value = point.as_double
                    series.setdefault(key, []).append((point.time_unix_nano, value))
    return series


def walk_spans(body: bytes) -> list[tuple[str, int, int, bool]]:
    """Read what rates, errors and durations need."""
    return [
        (span.name, span.kind, span.end_time_unix_nano - span.start_time_unix_nano, span.status.code == 2)
        for rs in ExportTraceServiceRequest.FromString(body).resource_spans
        for ss in rs.scope_spans
        for span in ss.spans
    ]


def patch_ours(body: bytes) -> bytes:
    """Read what rates, errors and durations need, add one attribute to every span and encode."""
    parsed = decode_traces(body)[1]
    return append_span_attributes(parsed, extras_of(EXTRA, parsed.spans))


def patch_stock(body: bytes) -> bytes:
    """Read the same, add one attribute to every span and encode."""
    request = ExportTraceServiceRequest.FromString(body)
    walk_spans(body)
    for rs in request.resource_spans:
        for ss in rs.scope_spans:
            for span in ss.spans:
                span.attributes.add(key="foreband.score").value.double_value = 1.5
    return request.SerializeToString()


def metrics_body(points: int, *, per_metric: int = 25, buckets: int = 0) -> bytes:
    """Build a request of about 250 bytes a point: 7 attributes each, 12 on the resource."""
    request = ExportMetricsServiceRequest()
    rm = request.resource_metrics.add()
    for i in range(12):
        rm.resource.attributes.add(key=f"resource.key{i}").value.string_value = f"value-{i}"
    metrics = rm.scope_metrics.add().metrics
    for m in range(points // per_metric):
        metric = metrics.add(name=f"metric.{m}", unit="By")
        data: Any = metric.histogram if buckets else metric.sum
        data.aggregation_temporality = 2
        for p in range(per_metric):
            point = data.data_points.add(start_time_unix_nano=START, time_unix_nano=NOW)
            if buckets:
                point.bucket_counts.extend(range(buckets))
                point.explicit_bounds.extend(range(1, buckets))
                point.count, point.sum = sum(range(buckets)), 1.5
            else:
                point.as_double = m + p
            for k in range(7):
                point.attributes.add(key=f"attribute.key{k}").value.string_value = f"value-{m}-{p}"
    return request.SerializeToString()


def trace_body(spans: int) -> bytes:
    """Build a request of about 560 bytes a span: 12 attributes, an event on every second one."""
    request = ExportTraceServiceRequest()
    rs = request.resource_spans.add()
    rs.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = rs.scope_spans.add()
    for i in range(spans):
        span: Any = scope.spans.add(
            name=f"GET /item/{i % 50}", kind=2, start_time_unix_nano=START, end_time_unix_nano=START + i
        )
        span.trace_id, span.span_id, span.parent_span_id = bytes(range(16)), bytes(range(8)), bytes(range(8))
        span.status.code = 1 + (i % 20 == 0)
        for k in range(12):
            span.attributes.add(key=f"attribute.key{k}").value.string_value = f"some-value-{i}"
        if i % 2:
            span.events.add(name="event", time_unix_nano=START)
    return request.SerializeToString()

"""The stock OTLP classes as an oracle: a plain walk over every object, and requests to feed it."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any, cast

import numpy as np
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector_processor.otlp.decode import parse_attributes, parse_resource, parse_scope
from collector_processor.otlp.span_patch import SpanExtras
from collector_processor.telemetry.arrival import MetricArrivals

Row = tuple[Any, ...]
SECOND = 1_000_000_000
START, NOW = 1_700_000_000 * SECOND, 1_700_000_060 * SECOND

__all__ = [
    "AnyValue",
    "ExportLogsServiceRequest",
    "ExportMetricsServiceRequest",
    "ExportTraceServiceRequest",
    "HistogramDataPoint",
    "KeyValue",
    "Metric",
    "NumberDataPoint",
    "Span",
]


# What the decoder should find, by the stock classes


def expected_metrics(body: bytes) -> tuple[list[Row], Counter[str]]:
    """Walk a request with the stock classes; return a row per taken data point, and the rejected by reason."""
    rows: list[Row] = []
    rejected: Counter[str] = Counter()
    for rm in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for sm in rm.scope_metrics:
            shared = len(distinct(rm.resource.attributes)) + len(distinct(sm.scope.attributes))
            long = too_long(rm.resource.attributes) or too_long(sm.scope.attributes)
            for metric in sm.metrics:
                metric_rows(
                    metric, (canonical(rm.resource.attributes), scope_row(sm.scope)), shared, long, rows, rejected
                )
    return rows, rejected


def expected_exemplars(body: bytes) -> list[Row]:
    """Walk the exemplars of the data points that are taken; the last four of each, where their ids are some."""
    rows: list[Row] = []
    for rm in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for sm in rm.scope_metrics:
            for metric in sm.metrics:
                choice = metric.WhichOneof("data")
                points = getattr(metric, choice).data_points if choice and choice != "summary" else []
                for point in points:
                    alone = ExportMetricsServiceRequest()
                    alone.resource_metrics.add().resource.CopyFrom(rm.resource)
                    kept = alone.resource_metrics[0].scope_metrics.add()
                    kept.scope.CopyFrom(sm.scope)
                    kept.metrics.append(metric)
                    data = getattr(kept.metrics[0], cast("Any", choice))
                    del data.data_points[:]
                    data.data_points.append(point)
                    if expected_metrics(alone.SerializeToString())[0]:
                        rows.extend(exemplar_row(metric.name, e) for e in point.exemplars[-4:] if is_linked(e))
    return sorted(rows)


def is_linked(exemplar: Exemplar) -> bool:
    trace, span = exemplar.trace_id, exemplar.span_id
    return len(trace) == 16 and any(trace) and (not span or (len(span) == 8 and any(span)))


def exemplar_row(metric: str, exemplar: Exemplar) -> Row:
    value = float(getattr(exemplar, exemplar.WhichOneof("value") or "as_double"))
    return metric, signed(exemplar.time_unix_nano), value.hex(), exemplar.trace_id, exemplar.span_id


def metric_rows(metric: Metric, origin: Row, shared: int, long: bool, rows: list[Row], rejected: Counter[str]) -> None:
    choice = metric.WhichOneof("data")
    if choice is None:
        rejected["no_data"] += 1
        return
    data = getattr(metric, choice)
    kind = kind_of(choice, data)
    reason = name_reason(metric.name) or ("attribute_too_long" if long else None)
    if reason is None and kind not in KINDS:
        reason = kind
    for point in data.data_points:
        found = reason or REASONS.get(choice, number_reason)(point)
        if not found:
            size = len(distinct(point.attributes))
            found = "attribute_too_long" if too_long(point.attributes) else None
            found = found or ("too_many_attributes" if size + shared > 64 else None)
        if found:
            rejected[found] += 1
        else:
            values = VALUES.get(choice, number_values)(point)
            rows.append((*origin, metric.name, metric.unit, kind, canonical(point.attributes), *values))


KINDS = {
    "gauge",
    "counter_cumulative",
    "counter_delta",
    "updown_cumulative",
    "updown_delta",
    "histogram_cumulative",
    "histogram_delta",
    "exponential_cumulative",
    "exponential_delta",
    "summary",
}


def kind_of(choice: str, data: Any) -> str:
    if choice == "gauge":
        return "gauge"
    if choice == "summary":
        return "summary"
    temporality = {1: "delta", 2: "cumulative"}.get(data.aggregation_temporality)
    if temporality is None:
        return "temporality_unspecified"
    if choice == "sum":
        prefix = "counter" if data.is_monotonic else "updown"
    else:
        prefix = {"histogram": "histogram", "exponential_histogram": "exponential"}[choice]
    return f"{prefix}_{temporality}"


def name_reason(name: str) -> str | None:
    if not name:
        return "name_missing"
    return "name_too_long" if len(name) > 1024 else None


def number_reason(point: NumberDataPoint) -> str | None:
    if point.WhichOneof("value") is None and not point.flags & 1:
        return "no_value"
    return "start_after_time" if point.start_time_unix_nano > point.time_unix_nano else None


def histogram_reason(point: HistogramDataPoint) -> str | None:
    counts, bounds = list(point.bucket_counts), list(point.explicit_bounds)
    if not point.flags & 1 and (counts or bounds):
        if len(counts) != len(bounds) + 1 or sum(counts) != point.count:
            return "bad_buckets"
        if not all(map(math.isfinite, bounds)) or any(low >= high for low, high in pairwise(bounds)):
            return "bad_buckets"
    return "start_after_time" if point.start_time_unix_nano > point.time_unix_nano else None


def number_values(point: NumberDataPoint) -> Row:
    gap = bool(point.flags & 1)
    value = math.nan if gap else float(getattr(point, point.WhichOneof("value") or "as_double"))
    return signed(point.start_time_unix_nano), signed(point.time_unix_nano), value.hex(), gap


def histogram_values(point: HistogramDataPoint) -> Row:
    gap = bool(point.flags & 1)
    times = signed(point.start_time_unix_nano), signed(point.time_unix_nano)
    if gap:
        return *times, "nan", "nan", (), ("nan",), True
    total = point.sum if point.HasField("sum") else math.nan
    counts = tuple(float(c).hex() for c in point.bucket_counts) or (float(point.count).hex(),)
    bounds = tuple(b.hex() for b in point.explicit_bounds)
    return *times, float(point.count).hex(), total.hex(), bounds, counts, False


def exponential_reason(point: ExponentialHistogramDataPoint) -> str | None:
    if point.flags & 1:
        return late_start(point)
    if not -10 <= point.scale <= 20:
        return "scale_out_of_range"
    width = Fraction(2) ** -point.scale
    held = [i for side in (point.positive, point.negative) for i, count in indexed(side) if count]
    if any((i + 1) * width <= -1074 or i * width >= 1024 for i in held):
        return "bucket_out_of_range"
    counts = sum(point.positive.bucket_counts) + sum(point.negative.bucket_counts) + point.zero_count
    if not 0.0 <= point.zero_threshold < math.inf or counts != point.count:
        return "bad_buckets"
    return late_start(point)


def exponential_values(point: ExponentialHistogramDataPoint) -> Row:
    times = signed(point.start_time_unix_nano), signed(point.time_unix_nano)
    if point.flags & 1:
        return *times, "nan", "nan", 0, (0.0).hex(), (0.0).hex(), (), True
    total = point.sum if point.HasField("sum") else math.nan
    zeros = float(point.zero_count).hex(), point.zero_threshold.hex()
    buckets = [
        (is_negative, i, float(count).hex())
        for is_negative, side in ((False, point.positive), (True, point.negative))
        for i, count in indexed(side)
        if count
    ]
    return *times, float(point.count).hex(), total.hex(), point.scale, *zeros, tuple(sorted(buckets)), False


def indexed(side: Any) -> list[tuple[int, int]]:
    return list(enumerate(side.bucket_counts, side.offset))


def summary_reason(point: SummaryDataPoint) -> str | None:
    asked = [] if point.flags & 1 else [pair.quantile for pair in point.quantile_values]
    if len(asked) > 32 or len(set(asked)) < len(asked) or not all(0.0 <= q <= 1.0 for q in asked):
        return "bad_quantiles"
    return late_start(point)


def summary_values(point: SummaryDataPoint) -> Row:
    times = signed(point.start_time_unix_nano), signed(point.time_unix_nano)
    if point.flags & 1:
        return *times, "nan", "nan", (), True
    quantiles = tuple((pair.quantile.hex(), pair.value.hex()) for pair in point.quantile_values)
    return *times, float(point.count).hex(), point.sum.hex(), quantiles, False


def late_start(point: Any) -> str | None:
    return "start_after_time" if point.start_time_unix_nano > point.time_unix_nano else None


REASONS: dict[str, Callable[[Any], str | None]] = {
    "histogram": histogram_reason,
    "exponential_histogram": exponential_reason,
    "summary": summary_reason,
}
VALUES: dict[str, Callable[[Any], Row]] = {
    "histogram": histogram_values,
    "exponential_histogram": exponential_values,
    "summary": summary_values,
}


def signed(time: int) -> int:
    return time - 2**64 if time >= 2**63 else time


def distinct(attributes: Any) -> dict[str, Any]:
    return {kv.key: kv.value for kv in attributes}


def too_long(attributes: Any) -> bool:
    return any(len(k.encode()) > 256 or scalar_bytes(v) > 4096 for k, v in distinct(attributes).items())


def scalar_bytes(value: AnyValue) -> int:
    choice = value.WhichOneof("value")
    content = getattr(value, choice) if choice else None
    return len(content.encode() if isinstance(content, str) else content) if isinstance(content, str | bytes) else 8


def canonical(attributes: Any) -> str:
    """Spell attributes so that values of different types differ and NaN equals itself."""
    return repr([(k, spelled(v)) for k, v in sorted(distinct(attributes).items(), key=lambda item: item[0])])


def spelled(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return tuple(spelled(v) for v in value.array_value.values)
        case "kvlist_value":
            return {k: spelled(v) for k, v in distinct(value.kvlist_value.values).items()}
        case None | "string_value_strindex":
            return None
        case choice:
            return getattr(value, choice)


def scope_row(scope: InstrumentationScope) -> Row:
    return scope.name, scope.version, canonical(scope.attributes)


# What the decoder found, in the same form


def found_metrics(arrivals: MetricArrivals) -> list[Row]:
    rows: list[Row] = []
    for n in arrivals.numbers:
        for i, raw in enumerate(n.attributes):
            values = (int(n.start_unix_nano[i]), int(n.time_unix_nano[i]), float(n.value[i]).hex(), bool(n.is_gap[i]))
            rows.append((*source_row(n.source), repr([*parse_attributes(raw)]), *values))
    for h in arrivals.histograms:
        bounds = tuple(float(b).hex() for b in h.bounds)
        for i, raw in enumerate(h.attributes):
            counts = tuple(float(c).hex() for c in h.bucket_counts[i])
            times = int(h.start_unix_nano[i]), int(h.time_unix_nano[i])
            total = float(h.count[i]).hex(), float(h.sum[i]).hex()
            row = (*source_row(h.source), repr([*parse_attributes(raw)]), *times, *total)
            rows.append((*row, bounds, counts, bool(h.is_gap[i])))
    return [*rows, *found_exponentials(arrivals), *found_summaries(arrivals)]


def found_exponentials(arrivals: MetricArrivals) -> list[Row]:
    rows: list[Row] = []
    for e in arrivals.exponentials:
        for i, raw in enumerate(e.attributes):
            at = np.flatnonzero(e.bucket_row == i).tolist()
            buckets = sorted(
                (bool(e.is_negative[b]), int(e.bucket_index[b]), float(e.bucket_count[b]).hex()) for b in at
            )
            values = float(e.count[i]).hex(), float(e.sum[i]).hex(), int(e.scale[i]), float(e.zero_count[i]).hex()
            row = (*source_row(e.source), repr([*parse_attributes(raw)]), *times_of(e, i), *values)
            rows.append((*row, float(e.zero_threshold[i]).hex(), tuple(buckets), bool(e.is_gap[i])))
    return rows


def found_summaries(arrivals: MetricArrivals) -> list[Row]:
    rows: list[Row] = []
    for s in arrivals.summaries:
        for i, raw in enumerate(s.attributes):
            at = np.flatnonzero(s.quantile_row == i).tolist()
            quantiles = tuple(
                (dict(parse_attributes(s.quantile_attributes[q]))["quantile"].hex(), float(s.quantile_value[q]).hex())  # type: ignore[union-attr]
                for q in at
            )
            values = float(s.count[i]).hex(), float(s.sum[i]).hex(), quantiles, bool(s.is_gap[i])
            rows.append((*source_row(s.source), repr([*parse_attributes(raw)]), *times_of(s, i), *values))
    return rows


def times_of(block: Any, i: int) -> tuple[int, int]:
    return int(block.start_unix_nano[i]), int(block.time_unix_nano[i])


def found_exemplars(arrivals: MetricArrivals) -> list[Row]:
    return sorted(
        (block.source.metric, e.time_unix_nano, e.value.hex(), e.trace_id, e.span_id)
        for blocks in (arrivals.numbers, arrivals.histograms, arrivals.exponentials)
        for block in blocks
        for e in block.exemplars
    )


def source_row(source: Any) -> Row:
    scope = parse_scope(source.scope)
    return (
        repr([*parse_resource(source.resource)]),
        (scope.name, scope.version, repr([*scope.attributes])),
        source.metric,
        source.unit,
        str(source.kind),
    )


# Requests


def attribute(key: str, value: Any) -> KeyValue:
    return KeyValue(key=key, value=any_value(value))


def any_value(value: Any) -> AnyValue:
    result = AnyValue()
    match value:
        case bool():
            result.bool_value = value
        case int():
            result.int_value = value
        case float():
            result.double_value = value
        case str():
            result.string_value = value
        case bytes():
            result.bytes_value = value
        case list():
            result.array_value.SetInParent()
            result.array_value.values.extend(map(any_value, value))
        case dict():
            result.kvlist_value.SetInParent()
            result.kvlist_value.values.extend(attribute(k, v) for k, v in value.items())
    return result


def request_with(metric: Metric, **resource: Any) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    rm = request.resource_metrics.add()
    rm.resource.CopyFrom(Resource(attributes=[attribute(k, v) for k, v in resource.items()]))
    rm.scope_metrics.add().metrics.append(metric)
    return request


def gauge(*values: float, name: str = "queue.length", attributes: Mapping[str, Any] | None = None) -> Metric:
    metric = Metric(name=name, unit="1")
    for value in values:
        point = metric.gauge.data_points.add(start_time_unix_nano=START, time_unix_nano=NOW, as_double=value)
        point.attributes.extend(attribute(k, v) for k, v in (attributes or {}).items())
    return metric


def histogram(counts: list[int], bounds: list[float], **fields: Any) -> Metric:
    metric = Metric(name="latency", unit="s")
    metric.histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    fields = {"count": sum(counts), "sum": 1.5, "start_time_unix_nano": START, "time_unix_nano": NOW} | fields
    metric.histogram.data_points.add(bucket_counts=counts, explicit_bounds=bounds, **fields)
    return metric


def spans_request(*names: str, **fields: Any) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    rs = request.resource_spans.add()
    rs.resource.attributes.append(attribute("service.name", "shop"))
    spans = rs.scope_spans.add().spans
    for name in names:
        values = {"kind": 2, "start_time_unix_nano": START, "end_time_unix_nano": NOW} | fields
        spans.add(name=name, trace_id=bytes(range(16)), span_id=bytes(range(8)), **values)
    return request


# Random requests

any_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
).map(any_value)
key_values = st.builds(KeyValue, key=st.sampled_from(["a", "b", "service.name", "ü", ""]), value=any_values)
attribute_lists = st.lists(key_values, max_size=4)
times = st.sampled_from([0, 1, START, NOW, 2**63, 2**64 - 1])
unknown = st.sampled_from(
    [b"", b"", b"\xc2\x3e\x02hi", b"\xc0\x3e\x05", b"\xc1\x3e" + bytes(8), b"\xc5\x3e" + bytes(4)]
)
"""Nothing, or field 1000 of some wire type."""


def with_unknown(built: st.SearchStrategy[Any], make: Callable[[], Any]) -> st.SearchStrategy[Any]:
    def add(message: Any, tail: bytes) -> Any:
        return make().FromString(message.SerializeToString() + tail)

    return st.builds(add, built, unknown)


number_value: st.SearchStrategy[dict[str, float]] = st.one_of(
    st.fixed_dictionaries({"as_double": st.floats()}),
    st.fixed_dictionaries({"as_int": st.integers(-(2**63), 2**63 - 1)}),
    st.just({}),
)
number_points = with_unknown(
    st.builds(
        lambda value, exemplars, **fields: NumberDataPoint(
            **fields, **value, exemplars=[Exemplar(as_int=1)] * exemplars
        ),
        value=number_value,
        exemplars=st.sampled_from([0, 0, 0, 2]),
        attributes=attribute_lists,
        start_time_unix_nano=times,
        time_unix_nano=times,
        flags=st.sampled_from([0, 0, 0, 1, 3]),
    ),
    lambda: NumberDataPoint,
)
histogram_data = st.sampled_from(
    [
        {"bucket_counts": [1, 2, 3], "explicit_bounds": [0.0, 1.5], "count": 6},
        {"bucket_counts": [1, 2, 4], "explicit_bounds": [0.0, 1.5], "count": 7, "sum": 2.0},
        {"bucket_counts": [1, 2], "explicit_bounds": [0.0, 1.5], "count": 3},
        {"bucket_counts": [1, 2, 3], "explicit_bounds": [1.5, 1.5], "count": 6},
        {"bucket_counts": [1, 2, 3], "explicit_bounds": [0.0, math.nan], "count": 6},
        {"bucket_counts": [1, 2, 4], "explicit_bounds": [0.0, 1.5], "count": 7, "sum": 2.0, "min": 0.1, "max": 9.0},
        {"bucket_counts": [1, 2, 4], "explicit_bounds": [0.0, 1.5], "count": 8, "sum": 2.0, "min": 0.1},
        {"bucket_counts": [2**64 - 1, 1], "explicit_bounds": [0.0], "count": 0, "sum": 2.0},
        {"bucket_counts": [5], "count": 5, "sum": -1.0},
        {"count": 2, "sum": 0.0},
        {},
    ]
)
histogram_points = with_unknown(
    st.builds(
        lambda data, **fields: HistogramDataPoint(**data, **fields),
        data=histogram_data,
        attributes=attribute_lists,
        start_time_unix_nano=times,
        time_unix_nano=times,
        flags=st.sampled_from([0, 0, 0, 1]),
    ),
    lambda: HistogramDataPoint,
)


exponential_data = st.sampled_from(
    [
        {"positive": {"offset": -2, "bucket_counts": [1, 0, 300]}, "count": 301, "sum": 2.0, "scale": 3},
        {"negative": {"offset": 5, "bucket_counts": [2]}, "zero_count": 4, "count": 6, "scale": -1},
        {"positive": {"offset": 1, "bucket_counts": [2**64 - 1, 1]}, "count": 0},
        {"positive": {"offset": 1, "bucket_counts": [2**60]}, "count": 2**60, "scale": 20, "zero_threshold": 1e-9},
        {"positive": {"offset": 2**31 - 1, "bucket_counts": [1]}, "count": 1},
        {"positive": {"offset": -(2**31), "bucket_counts": [0, 0]}, "zero_count": 1, "count": 1},
        {"positive": {"bucket_counts": [1]}, "count": 1, "scale": 1000},
        {"positive": {"bucket_counts": [1]}, "count": 2},
        {"zero_count": 1, "count": 1, "zero_threshold": math.nan},
        {},
    ]
)
exponential_points = with_unknown(
    st.builds(
        lambda data, **fields: ExponentialHistogramDataPoint(**data, **fields),
        data=exponential_data,
        attributes=attribute_lists,
        start_time_unix_nano=times,
        time_unix_nano=times,
        flags=st.sampled_from([0, 0, 0, 1]),
    ),
    lambda: ExponentialHistogramDataPoint,
)
quantile_lists = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 0.99, 1.0, 1.5, math.nan]), st.floats()), max_size=3
).map(lambda pairs: [{"quantile": q, "value": v} for q, v in pairs])
summary_points = with_unknown(
    st.builds(
        SummaryDataPoint,
        count=st.integers(0, 2**64 - 1),
        sum=st.floats(),
        quantile_values=quantile_lists,
        attributes=attribute_lists,
        start_time_unix_nano=times,
        time_unix_nano=times,
        flags=st.sampled_from([0, 0, 0, 1]),
    ),
    lambda: SummaryDataPoint,
)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    metric = Metric(name=draw(st.sampled_from(["m", "latency", "", "x" * 1025])), unit=draw(st.sampled_from(["", "s"])))
    choice = draw(st.sampled_from(["gauge", "sum", "sum", "histogram", "exponential_histogram", "summary", ""]))
    if not choice:
        return metric
    data = getattr(metric, choice)
    data.SetInParent()
    if choice in {"sum", "histogram", "exponential_histogram"}:
        data.aggregation_temporality = cast("Any", draw(st.sampled_from([0, 1, 2, 2, 99])))
    if choice == "sum":
        data.is_monotonic = draw(st.booleans())
    if choice in {"gauge", "sum"}:
        data.data_points.extend(draw(st.lists(number_points, max_size=4)))
    elif choice == "histogram":
        data.data_points.extend(draw(st.lists(histogram_points, max_size=4)))
    else:
        points = exponential_points if choice == "exponential_histogram" else summary_points
        data.data_points.extend(draw(st.lists(points, max_size=4)))
    return metric


@st.composite
def metrics_requests(draw: st.DrawFn) -> bytes:
    request = ExportMetricsServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        rm = request.resource_metrics.add()
        rm.resource.attributes.extend(draw(attribute_lists))
        for _ in range(draw(st.integers(0, 2))):
            sm = rm.scope_metrics.add()
            sm.scope.name = draw(st.sampled_from(["", "lib"]))
            sm.scope.attributes.extend(draw(attribute_lists))
            sm.metrics.extend(draw(st.lists(metrics(), max_size=3)))
    return request.SerializeToString() + draw(unknown)


span_messages = with_unknown(
    st.builds(
        Span,
        trace_id=st.just(bytes(16)),
        name=st.text(max_size=6),
        kind=st.sampled_from([0, 2, 5, 77]),
        start_time_unix_nano=times,
        end_time_unix_nano=times,
        attributes=attribute_lists,
        events=st.just([{"name": "e"}]),
        status=st.sampled_from([None, {"code": 2, "message": "no"}, {"code": 1}]),
    ),
    lambda: Span,
)


@st.composite
def trace_requests(draw: st.DrawFn) -> bytes:
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 3))):
        rs = request.resource_spans.add(schema_url="https://example.org")
        rs.resource.attributes.extend(draw(st.sampled_from([[], [attribute("service.name", "a")]])))
        for _ in range(draw(st.integers(0, 2))):
            rs.scope_spans.add(schema_url="x").spans.extend(draw(st.lists(span_messages, max_size=4)))
    return request.SerializeToString() + draw(unknown)


def extras_of(raw: bytes, spans: int) -> SpanExtras:
    """Return the same bytes for every span."""
    return SpanExtras(np.tile(np.frombuffer(raw, np.uint8), (spans, 1)), np.full(spans, len(raw), np.int32))

"""Turn the simulated shop into the SDK's own objects: metric points of every minute, spans of whole minutes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from examples.shop.metrics import METRICS, MetricKind, MetricSpec
from examples.shop.model import MINUTE_UNIX_NANO, SERVICES, VERSION, Operation
from examples.shop.overhead import Overhead
from examples.shop.simulation import SimulatedSpan, simulate_trace
from examples.shop.tally import HistogramTally, Tally
from examples.shop.telemetry import (
    SCOPE,
    AttributeMap,
    client_attributes,
    resource_of,
    response_attributes,
    server_attributes,
)
from examples.shop.traffic import Request, Visit, minute_rng

_TRACES = 4
_SCOPE: Final = InstrumentationScope(SCOPE, VERSION, schema_url="")
_RESOURCES: Final[Mapping[str, Resource]] = {service: resource_of(service) for service in SERVICES}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_OK, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)

_PointsBySpec = dict[MetricSpec, list[NumberDataPoint | HistogramDataPoint]]


def spans_of_minute(
    minute: int, seed: int, requests: Sequence[Request], visits: Sequence[Visit], overhead: Overhead
) -> list[ReadableSpan]:
    """Return all spans of one Unix minute in ascending order of their end.

    Every trace lies within the minute: the few that would run over its end start that much earlier. So the minute's
    counts are complete by start and by end time.
    """
    rng = minute_rng(minute, seed, _TRACES)
    end_of_minute = (minute + 1) * MINUTE_UNIX_NANO - 1
    spans: list[ReadableSpan] = []
    for request, visit in zip(requests, visits, strict=True):
        trace = simulate_trace(visit, overhead, rng)
        start = min(request.time_unix_nano, end_of_minute - trace[-1].end_nano)
        spans += (_readable(span, start) for span in trace)
    spans.sort(key=lambda span: span.end_time or 0)
    return spans


class MetricHistory:
    """Collect the points of a run of minutes and hand them over as one export."""

    def __init__(self, tally: Tally, start_unix_nano: int) -> None:
        self._tally, self._start = tally, start_unix_nano
        self._points: _PointsBySpec = {spec: [] for spec in METRICS}

    def collect(self, time_unix_nano: int) -> int:
        """Add one point per series with its present value; return how many."""
        points = {spec: list(self._points_at(spec, time_unix_nano)) for spec in METRICS}
        for spec, new in points.items():
            self._points[spec] += new
        return sum(map(len, points.values()))

    def take(self) -> MetricsData:
        """Return what was collected since the last call, by service."""
        points, self._points = self._points, {spec: [] for spec in METRICS}
        return MetricsData(
            [_resource_metrics(service, points) for service in SERVICES if any(s.service == service for s in METRICS)]
        )

    def _points_at(self, spec: MetricSpec, time_unix_nano: int) -> Iterator[NumberDataPoint | HistogramDataPoint]:
        start = 0 if spec.kind is MetricKind.GAUGE else self._start
        for label in spec.labels:
            attributes = _series_attributes(spec, label)
            if spec.kind is MetricKind.HISTOGRAM:
                yield _histogram_point(self._tally.histogram, attributes, start, time_unix_nano)
            else:
                value = self._tally.value(spec, label, time_unix_nano)
                yield NumberDataPoint(attributes, start, time_unix_nano, value)


def _readable(span: SimulatedSpan, trace_start_unix_nano: int) -> ReadableSpan:
    parent_is_remote = not span.is_client
    return ReadableSpan(
        name=span.operation.span_name,
        context=SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=_SAMPLED),
        parent=SpanContext(span.trace_id, span.parent_id, parent_is_remote, _SAMPLED) if span.parent_id else None,
        resource=_RESOURCES[span.service],
        attributes=_span_attributes(span.operation, span.is_client, span.status),
        kind=SpanKind.CLIENT if span.is_client else SpanKind.SERVER,
        instrumentation_scope=_SCOPE,
        status=_ERROR if span.status >= 500 else _OK,
        start_time=trace_start_unix_nano + span.start_nano,
        end_time=trace_start_unix_nano + span.end_nano,
    )


@cache
def _span_attributes(operation: Operation, is_client: bool, status: int) -> AttributeMap:
    known = client_attributes(operation) if is_client else server_attributes(operation)
    return known | response_attributes(status)


@cache
def _series_attributes(spec: MetricSpec, label: str) -> dict[str, str]:
    return spec.attributes(label)


def _histogram_point(
    tally: HistogramTally, attributes: dict[str, str], start_unix_nano: int, time_unix_nano: int
) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes,
        start_unix_nano,
        time_unix_nano,
        count=tally.count,
        sum=tally.sum,
        bucket_counts=tuple(tally.bucket_counts),
        explicit_bounds=tally.bounds,
        min=tally.min,
        max=tally.max,
    )


def _resource_metrics(service: str, points: _PointsBySpec) -> ResourceMetrics:
    metrics = [_metric(spec, of_spec) for spec, of_spec in points.items() if spec.service == service]
    return ResourceMetrics(_RESOURCES[service], [ScopeMetrics(_SCOPE, metrics, schema_url="")], schema_url="")


def _metric(spec: MetricSpec, points: Iterable[NumberDataPoint | HistogramDataPoint]) -> Metric:
    numbers = [point for point in points if isinstance(point, NumberDataPoint)]
    data: Sum | Gauge | Histogram
    if spec.kind is MetricKind.HISTOGRAM:
        histograms = [point for point in points if isinstance(point, HistogramDataPoint)]
        data = Histogram(histograms, AggregationTemporality.CUMULATIVE)
    elif spec.kind is MetricKind.GAUGE:
        data = Gauge(numbers)
    else:
        data = Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=spec.kind is MetricKind.COUNTER)
    return Metric(spec.name, spec.description, spec.unit, data)

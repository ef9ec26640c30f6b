"""OTLP export requests to columns.

Everything that identifies a series stays raw bytes here; it is checked when it is first seen, then only looked up. What
nobody reads is not decoded: span attributes, log bodies.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from collector_processor.otlp import schema, wire
from collector_processor.otlp.attributes import (
    MAX_VALUE_BYTES,
    RESOURCE_SIZES,
    TOO_LONG,
    AttributeSizes,
    parse,
    parse_attributes,
    parse_resource,
    parse_scope,
)
from collector_processor.otlp.elements import (
    MAX_ATTRIBUTES,
    MAX_ELEMENTS,
    MAX_POINTS,
    METRICS_SHAPE,
    RECORDS_SHAPE,
    Budget,
    check_elements,
)
from collector_processor.otlp.exemplars import ExemplarTable
from collector_processor.otlp.exponential_points import exponential_points
from collector_processor.otlp.histogram_points import histogram_points
from collector_processor.otlp.number_points import RawPoints, number_points
from collector_processor.otlp.records import Columns, flattened, small_numbers
from collector_processor.otlp.summary_points import summary_points
from collector_processor.otlp.traces import ParsedTraces, decode_traces
from collector_processor.telemetry.arrival import LogArrivals, MetricArrivals, Source
from collector_processor.telemetry.series import Attributes, Kind

__all__ = [
    "ParsedTraces",
    "decode_logs",
    "decode_metrics",
    "decode_traces",
    "parse_attributes",
    "parse_resource",
    "parse_scope",
]

MAX_NAME_LENGTH = 1024
MAX_UNIT_LENGTH = 256

_DELTA, _CUMULATIVE = 1, 2
_SUM_KINDS = {
    (True, _CUMULATIVE): Kind.COUNTER_CUMULATIVE,
    (True, _DELTA): Kind.COUNTER_DELTA,
    (False, _CUMULATIVE): Kind.UPDOWN_CUMULATIVE,
    (False, _DELTA): Kind.UPDOWN_DELTA,
}
_HISTOGRAM_KINDS = {_CUMULATIVE: Kind.HISTOGRAM_CUMULATIVE, _DELTA: Kind.HISTOGRAM_DELTA}
_EXPONENTIAL_KINDS = {_CUMULATIVE: Kind.EXPONENTIAL_CUMULATIVE, _DELTA: Kind.EXPONENTIAL_DELTA}


def _scope_texts(raw: bytes, budget: Budget) -> Attributes:
    """Return the attributes of a scope, and its name and version where these are too long for any attribute."""
    scope = parse_scope(raw, budget)
    names = (("name", scope.name), ("version", scope.version))
    return (*scope.attributes, *(pair for pair in names if len(pair[1].encode()) > MAX_VALUE_BYTES))


_SCOPES = AttributeSizes(_scope_texts, max_bytes=4 << 20)


def decode_metrics(body: bytes) -> MetricArrivals:
    """Decode an ExportMetricsServiceRequest; the attributes of points are framed as `parse_attributes` reads them.

    Times of 2^63 and more are negative in the columns.

    Raises:
        MalformedRequestError: if the bytes are not such a request.
        TooLargeError: if it has too many elements.
    """
    check_elements(body, METRICS_SHAPE)
    walk = _MetricsWalk()
    walk.take_request(parse(schema.MetricsRequest, body, "metrics request"))
    of, rejected, budget = walk.groups, walk.rejected, walk.attributes
    tables = [ExemplarTable() for _ in range(3)]
    return MetricArrivals(
        walk.received,
        number_points(of["number"], rejected, budget, tables[0]),
        histogram_points(of["histogram"], rejected, budget, tables[1]),
        exponential_points(of["exponential_histogram"], rejected, budget, tables[2]),
        summary_points(of["summary"], rejected, budget),
        dict(rejected),
        sum(table.bad for table in tables),
    )


def decode_logs(body: bytes) -> LogArrivals:
    """Decode an ExportLogsServiceRequest; bodies and attributes of log records are not looked into.

    Raises:
        MalformedRequestError: if the bytes are not such a request.
        TooLargeError: if it has too many elements.
    """
    check_elements(body, RECORDS_SHAPE)
    request = parse(schema.LogsRequest, body, "logs request")
    resources, index, (severity, time) = flattened(request.resource_logs, "scope_logs", "log_records", _log_columns)
    return LogArrivals(resources, index, small_numbers(severity, 24), wire.signed_times(time))


@dataclass(slots=True)
class _MetricsWalk:
    """What one walk over the coarse messages of a request collects."""

    groups: dict[str, list[RawPoints]] = field(
        default_factory=lambda: {"number": [], "histogram": [], "exponential_histogram": [], "summary": []}
    )
    rejected: Counter[str] = field(default_factory=Counter)
    received: int = 0
    elements: Budget = field(default_factory=lambda: Budget(MAX_ELEMENTS))
    points: Budget = field(default_factory=lambda: Budget(MAX_POINTS))
    attributes: Budget = field(default_factory=lambda: Budget(MAX_ATTRIBUTES))

    def take_request(self, request: Any) -> None:
        self.elements.spend(len(request.resource_metrics))
        for resource_metrics in request.resource_metrics:
            resource = b"".join(resource_metrics.resource)
            size = RESOURCE_SIZES.measure(resource, self.attributes)
            self.elements.spend(len(resource_metrics.scope_metrics))
            for scope_metrics in resource_metrics.scope_metrics:
                scope = b"".join(scope_metrics.scope)
                shared = _sum_sizes(size, _SCOPES.measure(scope, self.attributes))
                self.elements.spend(len(scope_metrics.metrics))
                for metric in scope_metrics.metrics:
                    self._take_metric(resource, scope, shared, metric)

    def _take_metric(self, resource: bytes, scope: bytes, shared: int, metric: Any) -> None:
        choice = metric.WhichOneof("choice")
        if choice is None:
            self._reject("no_data", 1)
            return
        data = getattr(metric, choice)
        count = len(data.data_points)
        self.elements.spend(count)
        self.points.spend(count)
        kind = _kind(choice, data)
        reason = _name_objection(metric) or ("attribute_too_long" if shared == TOO_LONG else None)
        if reason or not isinstance(kind, Kind):
            self._reject(reason or kind, count)
        elif count:
            self.received += count
            source = Source(resource, scope, metric.name, metric.unit, kind)
            group = self.groups["number" if choice in {"gauge", "sum"} else choice]
            group.append(RawPoints(source, list(data.data_points), shared))

    def _reject(self, reason: str, count: int) -> None:
        if count:
            self.received += count
            self.rejected[reason] += count


def _kind(choice: str, data: Any) -> Kind | str:
    """Return the kind of a metric, or the reason why it has none."""
    match choice:
        case "gauge":
            return Kind.GAUGE
        case "sum":
            return _SUM_KINDS.get((data.is_monotonic, data.aggregation_temporality), "temporality_unspecified")
        case "histogram":
            return _HISTOGRAM_KINDS.get(data.aggregation_temporality, "temporality_unspecified")
        case "exponential_histogram":
            return _EXPONENTIAL_KINDS.get(data.aggregation_temporality, "temporality_unspecified")
        case _:
            return Kind.SUMMARY


def _name_objection(metric: Any) -> str | None:
    if not metric.name:
        return "name_missing"
    if len(metric.unit) > MAX_UNIT_LENGTH:
        return "unit_too_long"
    return "name_too_long" if len(metric.name) > MAX_NAME_LENGTH else None


def _sum_sizes(first: int, second: int) -> int:
    return TOO_LONG if TOO_LONG in {first, second} else first + second


def _log_columns(records: list[Any]) -> Columns:
    return (
        [record.severity_number for record in records],
        [record.time_unix_nano or record.observed_time_unix_nano for record in records],
    )

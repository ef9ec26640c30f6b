"""Metric requests to columns.

Everything that identifies a series stays raw bytes here; it is checked when it is first seen, then only looked up.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collector_processor.otlp import schema
from collector_processor.otlp.attributes import (
    MAX_VALUE_BYTES,
    RESOURCE_SIZES,
    TOO_LONG,
    AttributeSizes,
    parse,
    parse_scope,
)
from collector_processor.otlp.elements import (
    MAX_ATTRIBUTES,
    MAX_ELEMENTS,
    MAX_POINTS,
    METRICS_SHAPE,
    Budget,
    check_elements,
)
from collector_processor.otlp.exemplars import ExemplarTable
from collector_processor.otlp.exponential_points import exponential_points
from collector_processor.otlp.histogram_points import histogram_points
from collector_processor.otlp.number_columns import NumberColumns, parsed_columns, scanned_columns
from collector_processor.otlp.number_points import NumberGroup, number_points
from collector_processor.otlp.point_scan import PointScanner, PointTable
from collector_processor.otlp.raw_points import RawPoints
from collector_processor.otlp.sources import kind_of, scanned_source, source_of
from collector_processor.otlp.summary_points import summary_points
from collector_processor.telemetry.arrival import MetricArrivals, Source
from collector_processor.telemetry.series import Attributes

SCANNER = PointScanner()
"""One for all doors."""


def _scope_texts(raw: bytes, budget: Budget) -> Attributes:
    """Return the attributes of a scope, and its name and version where these are too long for any attribute."""
    scope = parse_scope(raw, budget)
    names = (("name", scope.name), ("version", scope.version))
    return (*scope.attributes, *(pair for pair in names if len(pair[1].encode()) > MAX_VALUE_BYTES))


_REQUEST = "metrics request"
_SCOPES = AttributeSizes(_scope_texts, max_bytes=4 << 20)


def decode_metrics(body: bytes) -> MetricArrivals:
    """Decode an ExportMetricsServiceRequest; the attributes of points are framed as `parse_attributes` reads them.

    Times of 2^63 and more are negative in the columns.

    Raises:
        MalformedRequestError: if the bytes are not such a request.
        TooLargeError: if it has too many elements.
    """
    check_elements(body, METRICS_SHAPE)
    table = SCANNER.scan(body)
    return parsed_arrivals(body) if table is None else scanned_arrivals(table)


def parsed_arrivals(body: bytes) -> MetricArrivals:
    """Return what the parser finds."""
    walk = _MetricsWalk()
    walk.take_request(parse(schema.MetricsRequest, body, _REQUEST))
    exemplars = ExemplarTable()
    return walk.arrivals(parsed_columns(walk.points, walk.attributes, exemplars), exemplars)


def scanned_arrivals(table: PointTable) -> MetricArrivals:
    """Return what the scanner found."""
    walk, exemplars = _MetricsWalk(), ExemplarTable()
    table = walk.take_table(table)
    attributes, size = SCANNER.attributes(table, walk.attributes)
    return walk.arrivals(scanned_columns(table, attributes, size, walk.attributes, exemplars), exemplars)


@dataclass(slots=True)
class _MetricsWalk:
    """What one walk over the coarse messages of a request collects; `points` are those of `numbers`, as bytes."""

    numbers: list[NumberGroup] = field(default_factory=list)
    points: list[bytes] = field(default_factory=list)
    groups: dict[str, list[RawPoints]] = field(
        default_factory=lambda: {"histogram": [], "exponential_histogram": [], "summary": []}
    )
    rejected: Counter[str] = field(default_factory=Counter)
    received: int = 0
    elements: Budget = field(default_factory=lambda: Budget(MAX_ELEMENTS))
    budget: Budget = field(default_factory=lambda: Budget(MAX_POINTS))
    attributes: Budget = field(default_factory=lambda: Budget(MAX_ATTRIBUTES))

    def arrivals(self, columns: NumberColumns, exemplars: ExemplarTable) -> MetricArrivals:
        """Return what was collected, with the columns of all numbers."""
        of, rejected, budget = self.groups, self.rejected, self.attributes
        tables = [exemplars, ExemplarTable(), ExemplarTable()]
        return MetricArrivals(
            self.received,
            number_points(self.numbers, columns, rejected, exemplars),
            histogram_points(of["histogram"], rejected, budget, tables[1]),
            exponential_points(of["exponential_histogram"], rejected, budget, tables[2]),
            summary_points(of["summary"], rejected, budget),
            dict(rejected),
            sum(table.bad for table in tables),
        )

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

    def take_table(self, table: PointTable) -> PointTable:
        """Take what was scanned; return the table without the points of metrics that can't be taken."""
        is_taken: list[bool] = []
        counts: list[int] = []
        self.elements.spend(len(table.resources))
        for resource in table.resources:
            size = RESOURCE_SIZES.measure(resource.raw, self.attributes)
            self.elements.spend(len(resource.scopes))
            for scope in resource.scopes:
                shared = _sum_sizes(size, _SCOPES.measure(scope.raw, self.attributes))
                self.elements.spend(len(scope.metrics))
                for metric in scope.metrics:
                    if metric.header is None:
                        raw = table.piece(*metric.place)
                        self._take_metric(resource.raw, scope.raw, shared, parse(schema.Metric, raw, _REQUEST))
                    else:
                        source = scanned_source(resource.raw, scope.raw, metric.header, shared)
                        is_taken.append(self._take_numbers(source, metric.points, shared))
                        counts.append(metric.points)
        return table if all(is_taken) else table.only(np.repeat(is_taken, counts))

    def _take_numbers(self, source: Source | str, points: int, shared: int) -> bool:
        """Take the points of a scanned gauge or sum, unless `source` says why not."""
        self.elements.spend(points)
        self.budget.spend(points)
        if not isinstance(source, Source):
            self._reject(source, points)
            return False
        if points:
            self.received += points
            self.numbers.append(NumberGroup(source, points, shared))
        return True

    def _take_metric(self, resource: bytes, scope: bytes, shared: int, metric: Any) -> None:
        choice = metric.WhichOneof("choice")
        if choice is None:
            self._reject("no_data", 1)
            return
        data = getattr(metric, choice)
        count = len(data.data_points)
        self.elements.spend(count)
        self.budget.spend(count)
        source = source_of(resource, scope, metric.name, metric.unit, kind_of(choice, data), shared)
        if not isinstance(source, Source):
            self._reject(source, count)
        elif count:
            self.received += count
            if choice in self.groups:
                self.groups[choice].append(RawPoints(source, list(data.data_points), shared))
            else:
                self.numbers.append(NumberGroup(source, count, shared))
                self.points += data.data_points

    def _reject(self, reason: str, count: int) -> None:
        if count:
            self.received += count
            self.rejected[reason] += count


def _sum_sizes(first: int, second: int) -> int:
    return TOO_LONG if TOO_LONG in {first, second} else first + second

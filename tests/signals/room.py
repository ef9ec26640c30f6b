"""The signals room with a store made of dictionaries, and arrivals in a toy encoding: attributes as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.errors import MalformedRequestError
from collector_processor.signals.buckets import BucketSettings
from collector_processor.signals.catalog import Catalog
from collector_processor.signals.events import EventsConsumed
from collector_processor.signals.logs import LogSignals
from collector_processor.signals.metrics import MetricsConsumed, MetricSignals
from collector_processor.signals.outcome import Settlement
from collector_processor.signals.spans import SpanSignals
from collector_processor.telemetry.arrival import (
    ExponentialPoints,
    HistogramPoints,
    LogArrivals,
    MetricArrivals,
    NumberPoints,
    Source,
    SpanArrivals,
    SummaryPoints,
)
from collector_processor.telemetry.points import Bool, EventBatch, Float64, PointBatch
from collector_processor.telemetry.series import Attributes, Kind, Scope, SeriesKey, Statistic

SECOND = NANOS_PER_SECOND
START = 1_800_000_000 // 3600 * 3600 * SECOND
"""A full hour."""

Row = tuple[Any, float | None, float, float | None]
"""Attributes, start and time in seconds after `START` (start None: unknown), value (None: a gap)."""


def raw(attributes: Any) -> bytes:
    return json.dumps(attributes).encode()


def parse_attributes(data: bytes) -> Attributes:
    try:
        return tuple(sorted(json.loads(data).items()))
    except ValueError as error:
        raise MalformedRequestError(f"not JSON: {data!r}") from error


def parse_scope(data: bytes) -> Scope:
    return Scope(data.decode())


def at(seconds: float | None) -> int:
    return 0 if seconds is None else START + round(seconds * SECOND)


class Room:
    """All three signals and what was committed so far."""

    def __init__(
        self,
        *,
        series_limit: int = 100_000,
        names_per_service: int = 200,
        alias_bytes: int = 1 << 20,
        has_templates: bool = True,
        buckets: int = 0,
    ) -> None:
        self._buckets = BucketSettings(buckets)
        self._has_templates = has_templates
        self._limits = {"series_limit": series_limit, "alias_bytes": alias_bytes}
        self._names_per_service = names_per_service
        self.stored: dict[tuple[int, int], float] = {}
        self.events = EventBatch.empty()
        self.held: dict[str, bytes] = {}
        self.keys: list[SeriesKey] = []
        self.restart()

    def restart(self) -> None:
        """Forget everything that wasn't committed."""
        self.catalog = Catalog(parse_attributes, parse_scope, parse_attributes, **self._limits)
        self.catalog.restore(enumerate(self.keys))
        self.metrics = MetricSignals(self.catalog, buckets=self._buckets)
        self.spans = SpanSignals(
            self.catalog,
            parse_attributes,
            names_per_service=self._names_per_service,
            has_templates=self._has_templates,
        )
        self.logs = LogSignals(self.catalog, parse_attributes)
        last = self.last_points()
        self.metrics.restore(last, self.held)
        self.spans.restore(self.events, last)
        self.logs.restore(self.events, last)

    def take_metrics(self, *arrivals: MetricArrivals, now: float = 0.0) -> MetricsConsumed:
        consumed = self.metrics.consume(arrivals, at(now), self.existing)
        assert_balanced([a.received for a in arrivals], consumed.settlements)
        assert len(consumed.request) == len(consumed.points)
        self.spans.note(consumed.points)
        self.held |= self.metrics.take_held()
        self._commit(consumed.points)
        return consumed

    def take_spans(self, *arrivals: SpanArrivals, now: float = 0.0) -> EventsConsumed:
        return self._take_events(self.spans.consume(arrivals, at(now)), arrivals, now)

    def take_logs(self, *arrivals: LogArrivals, now: float = 0.0) -> EventsConsumed:
        return self._take_events(self.logs.consume(arrivals, at(now)), arrivals, now)

    def flush(self, now: float, alive: float | None = None) -> PointBatch:
        heard = 0 if alive is None else at(alive)
        points = PointBatch.concat([self.spans.flush(at(now), heard), self.logs.flush(at(now), heard)])
        self._commit(points)
        oldest = min(self.spans.oldest_open(), self.logs.oldest_open())
        self.events = self.events.take(self.events.time_unix_nano >= oldest)
        return points

    def existing(self, points: PointBatch) -> tuple[Bool, Float64]:
        pairs = list(zip(points.series.tolist(), points.time_unix_nano.tolist(), strict=True))
        found = np.array([p in self.stored for p in pairs], np.bool_)
        return found, np.array([self.stored.get(p, np.nan) for p in pairs], np.float64)

    def last_points(self) -> PointBatch:
        last: dict[int, tuple[int, float]] = {}
        for (series, time), value in sorted(self.stored.items()):
            last[series] = (time, value)
        times, values = zip(*last.values(), strict=True) if last else ((), ())
        return PointBatch(np.array(list(last), np.int32), np.array(times, np.int64), np.array(values, np.float64))

    def read(self, statistic: Statistic, metric: str | None = None, **attributes: Any) -> dict[float, float]:
        """Return value by time, in seconds after `START`, of the only such series."""
        wanted = tuple(sorted((name.replace("__", "."), value) for name, value in attributes.items()))
        series = [
            i
            for i, key in enumerate(self.keys)
            if key.statistic is statistic and metric in {None, key.metric} and (not wanted or key.attributes == wanted)
        ]
        assert len(series) <= 1
        return {(t - START) / SECOND: v for (s, t), v in sorted(self.stored.items()) if [s] == series}

    def named_points(self) -> dict[tuple[bytes, int], float]:
        """Return everything stored by identity and time: equal for equal histories, whatever the ids."""
        return {(self.keys[s].identity, t): v for (s, t), v in self.stored.items()}

    def _take_events(
        self, consumed: EventsConsumed, arrivals: Sequence[SpanArrivals | LogArrivals], now: float
    ) -> EventsConsumed:
        assert_balanced([len(a) for a in arrivals], consumed.settlements)
        assert len(consumed.events) == (consumed.stream >= 0).sum() <= sum(s.stored for s in consumed.settlements)
        self.events = EventBatch.concat([self.events, consumed.events])
        self.flush(now)
        return consumed

    def _commit(self, points: PointBatch) -> None:
        self.keys += [key for _, key in self.catalog.take_new()]
        assert len(self.keys) == len(self.catalog)
        rows = zip(points.series.tolist(), points.time_unix_nano.tolist(), points.value.tolist(), strict=True)
        self.stored |= {(series, time): value for series, time, value in rows}


def assert_balanced(received: Sequence[int], settlements: Sequence[Settlement]) -> None:
    assert [s.stored + sum(s.rejected.values()) for s in settlements] == list(received)
    assert all(s.duplicates + s.conflicts <= s.stored for s in settlements)


def span_metrics(
    service: str, time: float, value: float = 1.0, metric: str = "traces.span.metrics.calls"
) -> MetricArrivals:
    """Build what the Collector's connector says of one operation."""
    attributes = {"span.name": "GET /", "span.kind": "SPAN_KIND_SERVER", "status.code": "STATUS_CODE_UNSET"}
    points = NumberPoints(
        source=source(Kind.COUNTER_CUMULATIVE, metric, {"service.name": service, "host.name": "collector"}),
        attributes=[raw(attributes)],
        start_unix_nano=np.array([at(0)]),
        time_unix_nano=np.array([at(time)]),
        value=np.array([value]),
        is_gap=np.array([False]),
    )
    return MetricArrivals(1, [points])


def source(kind: Kind, metric: str = "m", resource: Any = None) -> Source:
    return Source(raw(resource or {}), b"scope", metric, "1", kind)


def numbers(kind: Kind, rows: Sequence[Row], metric: str = "m") -> MetricArrivals:
    points = NumberPoints(
        source=source(kind, metric),
        attributes=[a if isinstance(a, bytes) else raw(a) for a, *_ in rows],
        start_unix_nano=np.array([at(start) for _, start, _, _ in rows], np.int64),
        time_unix_nano=np.array([at(time) for *_, time, _ in rows], np.int64),
        value=np.array([np.nan if v is None else v for *_, v in rows], np.float64),
        is_gap=np.array([v is None for *_, v in rows], np.bool_),
    )
    return MetricArrivals(len(rows), [points])


def histogram(
    kind: Kind,
    start: float | None,
    time: float,
    counts: Sequence[float],
    total: float = np.nan,
    bounds: Sequence[float] = (1.0, 2.0, 4.0),
    *,
    count: float | None = None,
    is_gap: bool = False,
    metric: str = "m",
) -> MetricArrivals:
    points = HistogramPoints(
        source=source(kind, metric),
        attributes=[b"{}"],
        start_unix_nano=np.array([at(start)]),
        time_unix_nano=np.array([at(time)]),
        count=np.array([sum(counts) if count is None else count], np.float64),
        sum=np.array([total], np.float64),
        bounds=np.array(bounds, np.float64),
        bucket_counts=np.array([counts], np.float64),
        is_gap=np.array([is_gap]),
    )
    return MetricArrivals(1, (), [points])


def exponential(
    kind: Kind,
    start: float | None,
    time: float,
    positive: Mapping[int, float],
    total: float = np.nan,
    *,
    scale: int = 0,
    negative: Mapping[int, float] | None = None,
    zeros: tuple[float, float] = (0.0, 0.0),
    metric: str = "m",
) -> MetricArrivals:
    """Build a point of buckets (index -> count), and zeros (count, threshold)."""
    below = negative or {}
    points = ExponentialPoints(
        source=source(kind, metric),
        attributes=[b"{}"],
        start_unix_nano=np.array([at(start)]),
        time_unix_nano=np.array([at(time)]),
        count=np.array([sum(positive.values()) + sum(below.values()) + zeros[0]], np.float64),
        sum=np.array([total], np.float64),
        scale=np.array([scale]),
        zero_count=np.array([zeros[0]]),
        zero_threshold=np.array([zeros[1]]),
        is_gap=np.array([False]),
        bucket_row=np.zeros(len(positive) + len(below), np.int64),
        bucket_index=np.array([*positive, *below], np.int64),
        bucket_count=np.array([*positive.values(), *below.values()], np.float64),
        is_negative=np.repeat([False, True], [len(positive), len(below)]),
    )
    return MetricArrivals(1, exponentials=[points])


def summary(
    start: float | None, time: float, count: float, total: float, quantiles: Mapping[float, float], metric: str = "m"
) -> MetricArrivals:
    points = SummaryPoints(
        source=source(Kind.SUMMARY, metric),
        attributes=[b"{}"],
        start_unix_nano=np.array([at(start)]),
        time_unix_nano=np.array([at(time)]),
        count=np.array([count], np.float64),
        sum=np.array([total], np.float64),
        is_gap=np.array([False]),
        quantile_row=np.zeros(len(quantiles), np.int64),
        quantile_attributes=[raw({"quantile": q}) for q in quantiles],
        quantile_value=np.array([*quantiles.values()], np.float64),
    )
    return MetricArrivals(1, summaries=[points])


SpanRow = tuple[str, str, float, float, bool]
"""Service, name, end in seconds after `START`, duration in seconds, is it an error."""


def spans(rows: Sequence[SpanRow], kind: int = 2) -> SpanArrivals:
    resources = sorted({service for service, *_ in rows})
    names = sorted({name for _, name, *_ in rows})
    end = np.array([at(end) for _, _, end, _, _ in rows], np.int64)
    return SpanArrivals(
        resources=[raw({"service.name": r, "host.name": "h"}) if r else b"broken" for r in resources],
        resource=np.array([resources.index(service) for service, *_ in rows], np.int32),
        names=names,
        name=np.array([names.index(name) for _, name, *_ in rows], np.int32),
        kind=np.full(len(rows), kind, np.int8),
        start_unix_nano=end - np.array([round(d * SECOND) for *_, d, _ in rows], np.int64),
        end_unix_nano=end,
        is_error=np.array([e for *_, e in rows], np.bool_),
        link=np.zeros(len(rows), np.int64),
    )


def logs(rows: Sequence[tuple[str, int, float]]) -> LogArrivals:
    """Rows are service, severity number, and time in seconds after `START`."""
    resources = sorted({service for service, *_ in rows})
    return LogArrivals(
        resources=[raw({"service.name": r}) for r in resources],
        resource=np.array([resources.index(service) for service, *_ in rows], np.int32),
        severity_number=np.array([n for _, n, _ in rows], np.int8),
        time_unix_nano=np.array([at(t) for *_, t in rows], np.int64),
    )

"""Metric data points to series points: gauges as they are, sums as rates, histograms as rate, mean and quantiles.

The primary series of a point decides its outcome: VALUE, TOTAL, COUNT, or RATE for deltas. It always gets a point;
derived series get one only where there is something to derive it from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.signals.admit import Existing, TimeLimits, admit, check_order, check_times
from collector_processor.signals.catalog import MALFORMED, REFUSED, Catalog
from collector_processor.signals.columns import grown
from collector_processor.signals.counters import Counters
from collector_processor.signals.histogram import QUANTILES, BucketBlock, BucketState, bucket_quantiles
from collector_processor.signals.outcome import Outcome, Settlement, first_of, settle, where
from collector_processor.signals.rows import MetricRows, check_values, gather, resolve
from collector_processor.telemetry.arrival import MetricArrivals
from collector_processor.telemetry.points import Bool, Float64, Int8, Int32, Int64, PointBatch
from collector_processor.telemetry.series import Kind, Statistic

STATISTICS = {
    Kind.GAUGE: (Statistic.VALUE,),
    Kind.COUNTER_CUMULATIVE: (Statistic.TOTAL, Statistic.RATE),
    Kind.COUNTER_DELTA: (Statistic.RATE,),
    Kind.UPDOWN_CUMULATIVE: (Statistic.VALUE,),
    Kind.UPDOWN_DELTA: (Statistic.RATE,),
    Kind.HISTOGRAM_CUMULATIVE: (
        Statistic.COUNT,
        Statistic.SUM,
        Statistic.RATE,
        Statistic.MEAN,
        Statistic.P50,
        Statistic.P95,
        Statistic.P99,
    ),
    Kind.HISTOGRAM_DELTA: (Statistic.RATE, Statistic.MEAN, Statistic.P50, Statistic.P95, Statistic.P99),
}
"""Series of each kind of metric, the primary one first."""

_DELTAS = {Kind.COUNTER_DELTA, Kind.UPDOWN_DELTA, Kind.HISTOGRAM_DELTA}

_Column = tuple[int, Float64]
"""Place of a statistic in its kind's `STATISTICS`, and its values, NaN where there is no point."""


@dataclass(frozen=True, slots=True)
class MetricsConsumed:
    """What requests gave: row i of `points` came with `arrivals[request[i]]`; one settlement per arrivals.

    Points of a series ascend by time. `overlaps` counts points in which a second writer of one counter showed.
    """

    points: PointBatch
    request: Int32
    settlements: tuple[Settlement, ...]
    overlaps: int


class MetricSignals:
    """State of all metric series; one thread. After a failed commit, make a new one and restore it."""

    def __init__(self, catalog: Catalog, limits: TimeLimits | None = None) -> None:
        self._catalog = catalog
        self._limits = limits or TimeLimits()
        self._newest = np.zeros(0, np.int64)  # time of each series' newest stored point, 0: none
        self._counters = Counters()
        self._sum = np.full(0, np.nan)  # by id of the SUM series, at the time beside it
        self._sum_time = np.zeros(0, np.int64)
        self._buckets = BucketState()

    def restore(self, last_points: PointBatch) -> None:
        """Load the newest stored point of each series.

        Rates and means go on with the next point; quantiles of cumulative histograms need one more interval, as
        bucket counts are not stored. A counter whose newest point is a gap starts anew.
        """
        self._grow()
        self._newest[last_points.series] = last_points.time_unix_nano
        statistic = [self._catalog.keys[s].statistic for s in last_points.series.tolist()]
        totals = last_points.take(np.array([s in {Statistic.TOTAL, Statistic.COUNT} for s in statistic], np.bool_))
        self._counters.restore(totals.series, totals.time_unix_nano, totals.value)
        sums = last_points.take(np.array([s == Statistic.SUM for s in statistic], np.bool_))
        self._sum[sums.series] = sums.value
        self._sum_time[sums.series] = sums.time_unix_nano

    def consume(self, arrivals: Sequence[MetricArrivals], now: int, existing: Existing) -> MetricsConsumed:
        """Turn the requests of one micro-batch into points and say what became of each item."""
        rows = gather(arrivals)
        with np.errstate(over="ignore"):  # a rate past the largest double is stored as infinity, and not learned from
            parts = [self._derive(r, now, existing) for r in rows]
        outcome = np.concatenate([np.empty(0, np.int8), *(p.outcome for p in parts)])
        request = np.concatenate([np.empty(0, np.int32), *(r.request for r in rows)])
        return MetricsConsumed(
            points=PointBatch.concat([p.points for p in parts]),
            request=np.concatenate(
                [np.empty(0, np.int32), *(r.request[p.row] for r, p in zip(rows, parts, strict=True))]
            ),
            settlements=settle(outcome, request, [a.rejected for a in arrivals]),
            overlaps=sum(p.overlaps for p in parts),
        )

    def _derive(self, rows: MetricRows, now: int, existing: Existing) -> "_Derived":
        if rows.kind is None:
            return _Derived(np.zeros(len(rows), np.int8), PointBatch.empty(), np.empty(0, np.int64))
        outcome = first_of(check_times(rows.time, now, self._limits), check_values(rows))
        ids = resolve(self._catalog, rows, STATISTICS[rows.kind], outcome == Outcome.STORED)
        self._grow()
        outcome = first_of(outcome, self._check_series(rows, ids[:, 0]))
        ok = np.flatnonzero(outcome == Outcome.STORED)
        primary, unknown = self._primary(rows, ids, ok)
        admission = admit(primary, self._newest[primary.series], existing, unknown)
        outcome[ok] = admission.outcome
        points, row, overlaps = self._points(rows, ids, ok[admission.written], primary.take(admission.written))
        present = points.series >= 0
        points, row = points.take(present), row[present]
        np.maximum.at(self._newest, points.series, points.time_unix_nano)
        return _Derived(outcome, points, row, overlaps)

    def _check_series(self, rows: MetricRows, series: Int32) -> Int8:
        newest = np.zeros(len(rows), np.int64)
        newest[series >= 0] = self._newest[series[series >= 0]]
        return first_of(
            where(series == MALFORMED, Outcome.BAD_ATTRIBUTES),
            where(series == REFUSED, Outcome.SERIES_LIMIT),
            check_order(rows.time, newest, self._limits),
        )

    def _primary(self, rows: MetricRows, ids: Int32, ok: Int64) -> tuple[PointBatch, Bool]:
        """Return the primary point of each row, and where its value can't be computed."""
        series, time, value = ids[ok, 0], rows.time[ok], rows.value[ok]
        if rows.kind not in _DELTAS:
            return PointBatch(series, time, value), np.zeros(ok.size, np.bool_)
        elapsed = _intervals(series, rows.start[ok], time, self._newest[series])
        rate = value / np.where(elapsed > 0, elapsed / NANOS_PER_SECOND, np.nan)
        return PointBatch(series, time, rate), (elapsed <= 0) & ~rows.is_gap[ok]

    def _points(
        self, rows: MetricRows, ids: Int32, written: Int64, primary: PointBatch
    ) -> tuple[PointBatch, Int64, int]:
        """Return primary and derived points, the row each came from, and overlaps; written rows ascend per series."""
        real = ~rows.is_gap[written]
        recorded, overlaps = written[real], 0
        columns: list[_Column] = []
        if rows.kind is Kind.COUNTER_CUMULATIVE:
            columns, overlaps = self._counter_columns(rows, ids, recorded)
        elif rows.kind is Kind.HISTOGRAM_CUMULATIVE:
            columns, overlaps = self._histogram_columns(rows, ids, recorded)
        elif rows.kind is Kind.HISTOGRAM_DELTA:
            columns = _delta_columns(rows, recorded)
        points, row = [primary], [written]
        for column, value in columns:
            have = ~np.isnan(value)
            points.append(PointBatch(ids[recorded[have], column], rows.time[recorded[have]], value[have]))
            row.append(recorded[have])
        return PointBatch.concat(points), np.concatenate(row), overlaps

    def _counter_columns(self, rows: MetricRows, ids: Int32, at: Int64) -> tuple[list[_Column], int]:
        series, value = ids[at, 0], rows.value[at]
        before = self._counters.value[series]
        steps = self._counters.advance(series, rows.start[at], rows.time[at], value)
        return [(1, steps.per_second(steps.increase(value, before)))], steps.overlaps

    def _histogram_columns(self, rows: MetricRows, ids: Int32, at: Int64) -> tuple[list[_Column], int]:
        series, sums, count, total = ids[at, 0], ids[at, 1], rows.value[at], rows.sum[at]
        count_before = self._counters.value[series]
        total_before = np.where(self._sum_time[sums] == self._counters.time[series], self._sum[sums], np.nan)
        steps = self._counters.advance(series, rows.start[at], rows.time[at], count)
        observed = steps.increase(count, count_before)
        mean = steps.increase(total, total_before) / np.where(observed > 0, observed, np.nan)
        self._sum[sums[steps.last]] = total[steps.last]
        self._sum_time[sums[steps.last]] = rows.time[at][steps.last]
        blocks = rows.buckets_at(at)
        increases = self._buckets.advance(series, steps, blocks)
        quantiles = _quantile_columns(blocks, increases, at.size)
        rate = steps.per_second(observed)
        return list(enumerate([total, rate, mean, *quantiles.T], 1)), steps.overlaps

    def _grow(self) -> None:
        size = len(self._catalog)
        self._newest = grown(self._newest, size, 0)
        self._sum = grown(self._sum, size, np.nan)
        self._sum_time = grown(self._sum_time, size, 0)
        self._counters.grow(size)


@dataclass(frozen=True, slots=True)
class _Derived:
    """Outcome per row; points, and the row each came from."""

    outcome: Int8
    points: PointBatch
    row: Int64
    overlaps: int = 0


def _intervals(series: Int32, start: Int64, time: Int64, newest: Int64) -> Int64:
    """Return how long each delta took, ns; 0 where unknown. Without a start it began at the previous point."""
    order = np.lexsort((time, series))
    s, t, newest = series[order], time[order], newest[order]
    previous = np.zeros(s.size, np.int64)
    new_time = np.ones(s.size, np.bool_)
    new_time[1:] = (s[1:] != s[:-1]) | (t[1:] != t[:-1])
    first = np.flatnonzero(new_time)
    earlier = np.zeros(first.size, np.int64)
    earlier[1:] = np.where(s[first[1:]] == s[first[:-1]], t[first[:-1]], 0)
    previous[order] = np.where(newest < t, np.maximum(np.repeat(earlier, np.diff(np.append(first, s.size))), newest), 0)
    since = np.where((start > 0) & (start < time), start, previous)
    return np.where(since > 0, time - since, 0)


def _delta_columns(rows: MetricRows, at: Int64) -> list[_Column]:
    count = np.where(rows.value[at] > 0, rows.value[at], np.nan)
    blocks = rows.buckets_at(at)
    quantiles = _quantile_columns(blocks, [b.counts for b in blocks], at.size)
    return list(enumerate([rows.sum[at] / count, *quantiles.T], 1))


def _quantile_columns(blocks: Sequence[BucketBlock], increases: Sequence[Float64], n: int) -> Float64:
    quantiles = np.full((n, len(QUANTILES)), np.nan)
    for block, increase in zip(blocks, increases, strict=True):
        quantiles[block.rows] = bucket_quantiles(block.bounds, increase)
    return quantiles

"""Metric data points to series points: gauges as they are, sums as rates, distributions as rate, mean and quantiles.

The primary series of a point decides its outcome: VALUE, TOTAL, COUNT, or RATE for deltas. It always gets a point;
derived series get one only where there is something to derive it from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.signals.admit import Existing, TimeLimits, admit, check_order, check_times
from collector_processor.signals.buckets import BucketSeries, BucketSettings
from collector_processor.signals.catalog import MALFORMED, REFUSED, Catalog
from collector_processor.signals.columns import grown
from collector_processor.signals.counters import START_TOLERANCE, Counters, Steps
from collector_processor.signals.exponential import ExponentialState, exponential_quantiles
from collector_processor.signals.histogram import QUANTILES, BucketBlock, BucketState, bucket_quantiles
from collector_processor.signals.links import ArrivedLink, arrived_links
from collector_processor.signals.outcome import Outcome, Settlement, first_of, is_stored, settle, where
from collector_processor.signals.pace import Pace
from collector_processor.signals.rows import DELTAS, OWN_PREFIX, MetricRows, check_values, gather, resolve
from collector_processor.telemetry.arrival import MetricArrivals, SummaryPoints
from collector_processor.telemetry.points import Bool, Float64, Int8, Int32, Int64, PointBatch
from collector_processor.telemetry.series import Kind, Statistic

_DISTRIBUTION = (Statistic.RATE, Statistic.MEAN, Statistic.P50, Statistic.P95, Statistic.P99)

STATISTICS = {
    Kind.GAUGE: (Statistic.VALUE,),
    Kind.COUNTER_CUMULATIVE: (Statistic.TOTAL, Statistic.RATE),
    Kind.COUNTER_DELTA: (Statistic.RATE,),
    Kind.UPDOWN_CUMULATIVE: (Statistic.VALUE,),
    Kind.UPDOWN_DELTA: (Statistic.RATE,),
    Kind.HISTOGRAM_CUMULATIVE: (Statistic.COUNT, Statistic.SUM, *_DISTRIBUTION),
    Kind.HISTOGRAM_DELTA: _DISTRIBUTION,
    Kind.EXPONENTIAL_CUMULATIVE: (Statistic.COUNT, Statistic.SUM, *_DISTRIBUTION),
    Kind.EXPONENTIAL_DELTA: _DISTRIBUTION,
    Kind.SUMMARY: (Statistic.COUNT, Statistic.SUM, Statistic.RATE, Statistic.MEAN),
}
"""Series of each kind of metric, the primary one first; the quantiles of a summary are series of their own."""

_PLAIN = {Kind.GAUGE, Kind.UPDOWN_CUMULATIVE}
"""Kinds of which a point is a value of one series, whatever came before it."""

_Column = tuple[int, Float64]
"""Place of a statistic in its kind's `STATISTICS`, and its values, NaN where there is no point."""


@dataclass(frozen=True, slots=True)
class MetricsConsumed:
    """What requests gave: row i of `points` came with `arrivals[request[i]]`; one settlement per arrivals.

    Points of a series ascend by time. `links` came with points that were written. `overlaps` counts points in which a
    second writer of one counter showed, `bad_exemplars` those that were dropped, `bare` histograms whose
    buckets found no place.
    """

    points: PointBatch
    request: Int32
    settlements: tuple[Settlement, ...]
    overlaps: int
    links: Sequence[ArrivedLink]
    bad_exemplars: int
    bare: int


_NOTHING = MetricsConsumed(PointBatch.empty(), np.empty(0, np.int32), (), 0, (), 0, 0)


class MetricSignals:
    """State of all metric series; one thread. After a failed commit, make a new one and restore it."""

    def __init__(
        self,
        catalog: Catalog,
        limits: TimeLimits | None = None,
        own_prefix: str = OWN_PREFIX,
        buckets: BucketSettings | None = None,
    ) -> None:
        self._catalog = catalog
        self._own_prefix = own_prefix
        self._limits = limits or TimeLimits()
        self._newest = np.zeros(0, np.int64)  # time of each series' newest stored point, 0: none
        self._counters = Counters()
        self._sum = np.full(0, np.nan)  # by id of the SUM series, at the time beside it
        self._sum_time = np.zeros(0, np.int64)
        self._buckets = BucketState()
        self._bucket_series = BucketSeries(catalog, buckets or BucketSettings())
        self._exponentials = ExponentialState()
        self._pace = Pace()

    def restore(self, last_points: PointBatch, held: Mapping[str, bytes] | None = None) -> None:
        """Load the newest stored point of each series, and what `take_held` returned, by name.

        Rates and means go on with the next point; quantiles of cumulative histograms need one more interval, as
        bucket counts are not stored. A counter whose newest point is a gap starts anew.
        """
        self._grow()
        self._pace.restore(held or {})
        self._newest[last_points.series] = last_points.time_unix_nano
        statistic = [self._catalog.keys[s].statistic for s in last_points.series.tolist()]
        totals = last_points.take(np.array([s in {Statistic.TOTAL, Statistic.COUNT} for s in statistic], np.bool_))
        self._counters.restore(totals.series, totals.time_unix_nano, totals.value)
        sums = last_points.take(np.array([s == Statistic.SUM for s in statistic], np.bool_))
        self._sum[sums.series] = sums.value
        self._sum_time[sums.series] = sums.time_unix_nano

    def forget(self, series: Int32) -> None:
        """Let `take_held` return nothing about these; what is in memory stays until all is restored."""
        self._grow()
        self._pace.forget(series)

    def take_held(self) -> dict[str, bytes]:
        """Return what to save, by name, of increases that gave no rate yet, where that changed since the last call."""
        return self._pace.take_unsaved()

    def consume(self, arrivals: Sequence[MetricArrivals], now: int, existing: Existing) -> MetricsConsumed:
        """Turn the requests of one micro-batch into points and say what became of each item."""
        if not arrivals:
            return _NOTHING
        self._bucket_series.give_away(self._newest, now)
        rows = gather(arrivals, self._own_prefix)
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
            links=[link for p in parts for link in p.links],
            bad_exemplars=sum(a.bad_exemplars for a in arrivals),
            bare=sum(p.bare for p in parts),
        )

    def _derive(self, rows: MetricRows, now: int, existing: Existing) -> "_Derived":
        if rows.kind is None:
            return _Derived(np.zeros(len(rows), np.int8), PointBatch.empty(), np.empty(0, np.int64))
        outcome = first_of(check_times(rows.time, now, self._limits), check_values(rows))
        ids = resolve(self._catalog, rows, STATISTICS[rows.kind], is_stored(outcome))
        self._grow()
        if self._is_plain(rows, ids, outcome):
            return self._stored(rows, ids, outcome, now)
        outcome = first_of(outcome, self._check_series(rows, ids[:, 0]))
        ok = np.flatnonzero(is_stored(outcome))
        primary, unknown, overlaps = self._primary(rows, ids, ok)
        admission = admit(primary, self._newest[primary.series], existing, unknown)
        outcome[ok] = admission.outcome
        written = ok[admission.written]
        points, row, more = self._points(rows, ids, written, primary.take(admission.written))
        counted, of, bare = self._counted(rows, ids, written)
        points, row = PointBatch.concat([points, counted]), np.append(row, of)
        present = points.series >= 0
        if not present.all():
            points, row = points.take(present), row[present]
        np.maximum.at(self._newest, points.series, points.time_unix_nano)
        return _Derived(outcome, points, row, overlaps + more, arrived_links(rows, ids, written, now), bare)

    def _is_plain(self, rows: MetricRows, ids: Int32, outcome: Int8) -> bool:
        """Tell whether rows are nothing but a newer point of one series each, all of them taken."""
        if rows.kind not in _PLAIN or outcome.any():
            return False
        series = ids[:, 0]
        return bool(
            (series[1:] > series[:-1]).all()
            and series.size
            and series[0] >= 0
            and (rows.time > self._newest.take(series)).all()
        )

    def _stored(self, rows: MetricRows, ids: Int32, outcome: Int8, now: int) -> "_Derived":
        """Return plain rows as points."""
        points, row = PointBatch(ids[:, 0], rows.time, rows.value), np.arange(len(rows))
        self._newest[points.series] = rows.time
        return _Derived(outcome, points, row, links=arrived_links(rows, ids, row, now))

    def _check_series(self, rows: MetricRows, series: Int32) -> Int8:
        if (series >= 0).all():  # nearly always
            return check_order(rows.time, self._newest[series], self._limits)
        newest = np.zeros(len(rows), np.int64)
        newest[series >= 0] = self._newest[series[series >= 0]]
        return first_of(
            where(series == MALFORMED, Outcome.BAD_ATTRIBUTES),
            where(series == REFUSED, Outcome.SERIES_LIMIT),
            check_order(rows.time, newest, self._limits),
        )

    def _primary(self, rows: MetricRows, ids: Int32, ok: Int64) -> tuple[PointBatch, Bool, int]:
        """Return the primary point of each row, where its value can't be computed, and overlaps."""
        series, time, value = ids[ok, 0], rows.time[ok], rows.value[ok]
        if rows.kind not in DELTAS:
            return PointBatch(series, time, value), np.zeros(ok.size, np.bool_), 0
        order = np.lexsort((time, series))
        series, time, start, value = series[order], time[order], rows.start[ok][order], value[order]
        previous, is_new = _previous(series, time, self._newest[series])
        elapsed = np.where((start > 0) & (start < time), time - start, np.where(previous > 0, time - previous, 0))
        rate = np.empty(ok.size)
        rate[is_new] = self._pace.rates(series[is_new], value[is_new], elapsed[is_new])
        rate[~is_new] = _per_second(value[~is_new], elapsed[~is_new])
        overlaps = is_new & (start > 0) & (start < previous - START_TOLERANCE)
        back = np.argsort(order)
        points = PointBatch(series[back], time[back], rate[back])
        return points, np.isnan(points.value) & ~rows.is_gap[ok], int(overlaps.sum())

    def _points(
        self, rows: MetricRows, ids: Int32, written: Int64, primary: PointBatch
    ) -> tuple[PointBatch, Int64, int]:
        """Return primary and derived points, the row each came from, and overlaps; written rows ascend per series."""
        real = ~rows.is_gap[written]
        recorded, overlaps = written[real], 0
        columns: list[_Column] = []
        points, row = [primary], [written]
        match rows.kind:
            case Kind.COUNTER_CUMULATIVE:
                columns, overlaps = self._counter_columns(rows, ids, recorded)
            case Kind.HISTOGRAM_CUMULATIVE | Kind.EXPONENTIAL_CUMULATIVE | Kind.SUMMARY:
                columns, overlaps = self._distribution_columns(rows, ids, recorded)
            case Kind.HISTOGRAM_DELTA | Kind.EXPONENTIAL_DELTA:
                columns = _delta_columns(rows, recorded, is_rated=~np.isnan(primary.value[real]))
        if rows.kind is Kind.SUMMARY:
            published, of = self._published(rows, recorded)
            points.append(published)
            row.append(of)
        for column, value in columns:
            have = ~np.isnan(value)
            points.append(PointBatch(ids[recorded[have], column], rows.time[recorded[have]], value[have]))
            row.append(recorded[have])
        return PointBatch.concat(points), np.concatenate(row), overlaps

    def _counted(self, rows: MetricRows, ids: Int32, written: Int64) -> tuple[PointBatch, Int64, int]:
        """Return the bucket counts of cumulative histograms, the rows they came with, and how many found no place."""
        if rows.kind is not Kind.HISTOGRAM_CUMULATIVE:
            return PointBatch.empty(), np.empty(0, np.int64), 0
        at = written[~rows.is_gap[written]]
        points, of, bare = self._bucket_series.points(rows.buckets_at(at), ids[at, 0], rows.time[at])
        self._grow()
        return points, at[of], bare

    def _counter_columns(self, rows: MetricRows, ids: Int32, at: Int64) -> tuple[list[_Column], int]:
        series, value, low = ids[at, 0], rows.value[at], rows.low[at]
        before, low_before = self._counters.value[series], self._counters.low[series]
        steps = self._counters.advance(series, rows.start[at], rows.time[at], value, low)
        increase = steps.increase(value, before) + steps.increase(low, low_before)
        return [(1, self._pace.rates(series, increase, steps.elapsed))], steps.overlaps

    def _distribution_columns(self, rows: MetricRows, ids: Int32, at: Int64) -> tuple[list[_Column], int]:
        series, sums, count, total = ids[at, 0], ids[at, 1], rows.value[at], rows.sum[at]
        count_before = self._counters.value[series]
        total_before = np.where(self._sum_time[sums] == self._counters.time[series], self._sum[sums], np.nan)
        steps = self._counters.advance(series, rows.start[at], rows.time[at], count, rows.low[at])
        observed = steps.increase(count, count_before)
        rate = self._pace.rates(series, observed, steps.elapsed)
        mean = steps.increase(total, total_before) / np.where(observed > 0, observed, np.nan)
        self._sum[sums[steps.last]] = total[steps.last]
        self._sum_time[sums[steps.last]] = rows.time[at][steps.last]
        derived = np.column_stack([mean, self._quantiles(rows, series, at, steps)])
        derived[np.isnan(rate)] = np.nan  # of an interval too short for a rate, neither mean nor quantiles
        return list(enumerate([total, rate, *derived.T], 1)), steps.overlaps

    def _quantiles(self, rows: MetricRows, series: Int32, at: Int64, steps: Steps) -> Float64:
        """Return what the buckets say `(m, q)`; a summary has none."""
        if rows.kind is Kind.SUMMARY:
            return np.empty((at.size, 0))
        if rows.sparse is not None:
            return self._exponentials.advance(series, steps, rows.sparse.take(at))
        blocks = rows.buckets_at(at)
        return _quantile_columns(blocks, self._buckets.advance(series, steps, blocks), at.size)

    def _published(self, rows: MetricRows, at: Int64) -> tuple[PointBatch, Int64]:
        """Return the quantiles the senders of summaries computed, and the rows they came with."""
        is_recorded = np.zeros(len(rows), np.bool_)
        is_recorded[at] = True
        points, row = [PointBatch.empty()], [np.empty(0, np.int64)]
        for first, block in rows.sources:
            assert isinstance(block, SummaryPoints)
            of = first + block.quantile_row
            chosen = np.flatnonzero(is_recorded[of])
            raw = [block.quantile_attributes[i] for i in chosen.tolist()]
            ids = self._catalog.resolve(block.source, raw, (Statistic.VALUE,))[:, 0]
            points.append(PointBatch(ids, rows.time[of[chosen]], block.quantile_value[chosen]))
            row.append(of[chosen])
        self._grow()
        return PointBatch.concat(points), np.concatenate(row)

    def _grow(self) -> None:
        size = len(self._catalog)
        self._newest = grown(self._newest, size, 0)
        self._sum = grown(self._sum, size, np.nan)
        self._sum_time = grown(self._sum_time, size, 0)
        self._counters.grow(size)
        self._pace.grow(size)


@dataclass(frozen=True, slots=True)
class _Derived:
    """Outcome per row; points, and the row each came from."""

    outcome: Int8
    points: PointBatch
    row: Int64
    overlaps: int = 0
    links: Sequence[ArrivedLink] = ()
    bare: int = 0


def _previous(series: Int32, time: Int64, newest: Int64) -> tuple[Int64, Bool]:
    """Return for points sorted by (series, time) the time before them, 0 where unknown, and which are news.

    News are newer than what is stored, and the first of their time.
    """
    starts = np.ones(series.size, np.bool_)
    starts[1:] = series[1:] != series[:-1]
    is_first = starts.copy()
    is_first[1:] |= time[1:] != time[:-1]
    first = np.flatnonzero(is_first)
    earlier = np.where(starts[first], 0, time[np.maximum(first - 1, 0)])
    earlier = np.repeat(earlier, np.diff(np.append(first, series.size)))
    return np.where(newest < time, np.maximum(earlier, newest), 0), is_first & (time > newest)


def _per_second(value: Float64, elapsed: Int64) -> Float64:
    return value / np.where(elapsed > 0, elapsed / NANOS_PER_SECOND, np.nan)


def _delta_columns(rows: MetricRows, at: Int64, *, is_rated: Bool) -> list[_Column]:
    count = np.where((rows.value[at] > 0) & is_rated, rows.value[at], np.nan)
    if rows.sparse is not None:
        quantiles = exponential_quantiles(rows.sparse.take(at))
    else:
        blocks = rows.buckets_at(at)
        quantiles = _quantile_columns(blocks, [b.counts for b in blocks], at.size)
    quantiles[~is_rated] = np.nan
    return list(enumerate([rows.sum[at] / count, *quantiles.T], 1))


def _quantile_columns(blocks: Sequence[BucketBlock], increases: Sequence[Float64], n: int) -> Float64:
    quantiles = np.full((n, len(QUANTILES)), np.nan)
    for block, increase in zip(blocks, increases, strict=True):
        quantiles[block.rows] = bucket_quantiles(block.bounds, increase)
    return quantiles

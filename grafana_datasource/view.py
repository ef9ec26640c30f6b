"""Look at series over time: the one place where stored points and evaluated forecasts meet.

Up to the last point of a series everything is read as it was stored: a verdict is never revised. To the right of it
(the future, or a sender that went silent) yhat and the alert band are evaluated from the newest models and band states.
So they are, marked as hindsight and for a person's eyes only, where a point was stored before there was a model.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.store.base import JudgedBatch, SeriesReader
from collector_processor.telemetry.band import Reason
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch
from grafana_datasource import horizon
from grafana_datasource.budget import Budget
from grafana_datasource.horizon import expected
from grafana_datasource.outlook import Outlook
from grafana_datasource.query import TimeRange

STALE_AFTER = 5 * MINUTE
"""A point stands for the times after it until the next one, but no longer than this."""

LIVE_FOR = HOUR
"""A series is live for this long after its last point: it has a state, and an anomaly of 0 once the point is stale.

One that is known to have fallen silent stays live, with an anomaly of -1, until that is over."""

FARTHEST_HORIZON = 14 * DAY
"""Nothing is forecast further than this beyond the last point."""

_CELLS_AT_ONCE = 250_000
_SAMPLES_AHEAD = 20_000
_SERIES_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class View:
    """Columns `(k, n)` for `k` series (ascending) at `n` times (ascending, unique); NaN where there is nothing.

    `anomaly` is +1, 0 or -1. `hindsight` is 1 where yhat and band are today's and no verdict was given. `state` is 0
    warming, 1 active, 2 degraded: that of today, wherever the series was live.
    """

    series: Int32
    time_unix_nano: Int64
    value: Float64
    yhat: Float64
    lower: Float64
    upper: Float64
    score: Float64
    anomaly: Float64
    state: Float64
    hindsight: Float64


def aligned(
    reader: SeriesReader, outlook: Outlook, series: Int32, times: Int64, now: int, budget: Budget, *, ahead: bool = True
) -> Iterator[View]:
    """View `series` (ascending) at ascending times, a bounded number of series at once.

    At each time the newest point not older than `STALE_AFTER` counts. Nothing is evaluated `ahead` of the last points
    where that is not wanted.
    """
    at_once = max(1, min(_CELLS_AT_ONCE // times.size, _SERIES_AT_ONCE))
    start, end = max(0, int(times[0]) - STALE_AFTER), int(times[-1]) + 1
    for first in range(0, series.size, at_once):
        part = series[first : first + at_once]
        judged = reader.read_judged(part, start, end)
        budget.spend(len(judged.points))
        last = _last_times(outlook, part, judged)
        view = _aligned(outlook, part, times, judged, last, now)
        yield _with_expected(outlook, view, times > last) if ahead else view


def sampled(reader: SeriesReader, outlook: Outlook, series: Int32, span: TimeRange, budget: Budget) -> Iterator[View]:
    """View `series` (ascending) one by one at the times of their own points, and on at their usual spacing.

    Verdicts are those that were stored; only what lies after the last point is evaluated now.
    """
    for first in range(0, series.size, _SERIES_AT_ONCE):
        part = series[first : first + _SERIES_AT_ONCE]
        judged = reader.read_judged(part, span.start, span.end)
        budget.spend(len(judged.points))
        bounds = np.searchsorted(judged.points.series, np.append(part, part[-1] + 1))
        for i, one in enumerate(part.tolist()):
            rows = np.arange(bounds[i], bounds[i + 1])
            own = JudgedBatch(judged.points.take(rows), judged.verdicts.take(rows))
            last = max(int(outlook.last_time[one]), int(own.points.time_unix_nano.max(initial=0)))
            spacing = _usual_spacing(own.points.time_unix_nano)
            ahead = _times_ahead(outlook, one, span, spacing, _SAMPLES_AHEAD)
            ahead = ahead[ahead > last]
            times = np.append(own.points.time_unix_nano, ahead)
            budget.spend(ahead.size)
            if times.size:
                yield _with_expected(outlook, _as_stored(outlook, one, own, ahead), (times > last)[np.newaxis])


def timeline(
    reader: SeriesReader, outlook: Outlook, series: int, span: TimeRange, budget: Budget, max_points: int
) -> View:
    """View one series at its own times, then at evenly spaced times to the right of its last point.

    Where a series has more points than wanted, the smallest, the largest and the most anomalous of each stretch of
    time stay, so that a spike is never lost. A row of NaN marks a gap.
    """
    judged = reader.read_judged(np.array([series], np.int32), span.start, span.end)
    budget.spend(len(judged.points))
    spacing = _usual_spacing(judged.points.time_unix_nano)
    stored = _thinned(*_with_gaps(judged, spacing), span, max_points)
    ahead = _times_ahead(outlook, series, span, spacing, max(max_points - len(stored.points), max_points // 4, 1))
    return _stored_and_ahead(outlook, series, stored, ahead)


def calibrated_band(outlook: Outlook, view: View, level: int) -> tuple[Float64, Float64]:
    """Return the calibrated band `(k, n)` around yhat, for one of INTERVAL_WIDTHS.

    Offsets are not kept over time: a past band is drawn with today's offsets, so it shows what is usual now, not
    what was promised then.
    """
    states = outlook.bands[view.series]
    lower = view.yhat + states["offset_lower"][:, level, np.newaxis]
    upper = view.yhat + states["offset_upper"][:, level, np.newaxis]
    return lower, upper


def prophet_band(outlook: Outlook, view: View, interval_width: float) -> tuple[Float64, Float64]:
    """Return Prophet's own interval `(k, n)`, evaluated from today's model also in the past."""
    k, n = view.yhat.shape
    series, times = np.repeat(view.series, n), np.tile(view.time_unix_nano, k)
    lower, upper = horizon.prophet_band(outlook, series, times, interval_width)
    return lower.reshape(k, n), upper.reshape(k, n)


def component(outlook: Outlook, view: View, name: str) -> Float64:
    """Return one component `(k, n)` of Prophet's forecast, evaluated from today's model also in the past."""
    k, n = view.yhat.shape
    series, times = np.repeat(view.series, n), np.tile(view.time_unix_nano, k)
    return horizon.component(outlook, series, times, name).reshape(k, n)


def yhat_after(outlook: Outlook, view: View, ahead: int) -> Float64:
    """Return `(k, n)` what is expected `ahead` nanoseconds later, from the last point of each live series on.

    NaN before that: what was once expected of a time is kept only for the time itself.
    """
    last = outlook.last_time[view.series][:, np.newaxis]
    k, n = np.nonzero(~np.isnan(view.state) & (view.time_unix_nano >= last))
    values = np.full(view.yhat.shape, np.nan)
    values[k, n] = expected(outlook, view.series[k], view.time_unix_nano[n] + ahead).yhat
    return values


def _last_times(outlook: Outlook, series: Int32, judged: JudgedBatch) -> Int64:
    """Return `(k, 1)` when each series had its last point: what was just read may be newer than the outlook."""
    stop = np.searchsorted(judged.points.series, series, "right")
    has_any = stop > np.searchsorted(judged.points.series, series, "left")
    read = np.where(has_any, np.append(judged.points.time_unix_nano, 0)[stop - 1], 0)
    return np.maximum(outlook.last_time[series], read)[:, np.newaxis]


def _aligned(outlook: Outlook, series: Int32, times: Int64, judged: JudgedBatch, last: Int64, now: int) -> View:
    row = _newest_rows(judged, series, times)
    observable = times <= np.maximum(last, now)
    age = times - np.append(judged.points.time_unix_nano, 0)[row]
    fresh = (row >= 0) & (age <= STALE_AFTER) & observable
    live = fresh | ((last > 0) & (times >= last) & (times < last + LIVE_FOR) & observable)
    silent = (outlook.bands["reason"][series] == Reason.SILENT)[:, np.newaxis] & (last > 0)
    silent = silent & (times > last + STALE_AFTER) & observable
    live |= silent
    row = np.where(fresh, row, -1)
    verdicts = judged.verdicts
    anomaly = np.where(silent, -1.0, np.nan_to_num(_at(verdicts.anomaly.astype(np.float64), row)))
    state = np.broadcast_to(outlook.bands["state"][series][:, np.newaxis], row.shape)
    return View(
        series,
        times,
        value=_at(judged.points.value, row),
        yhat=_at(verdicts.yhat, row),
        lower=_at(verdicts.lower, row),
        upper=_at(verdicts.upper, row),
        score=_at(verdicts.score, row),
        anomaly=np.where(live, anomaly, np.nan),
        state=np.where(live, state, np.nan),
        hindsight=np.zeros(row.shape),
    )


def _newest_rows(judged: JudgedBatch, series: Int32, times: Int64) -> Int64:
    """Return the row of the newest point at or before each time `(k, n)`, -1 where there is none."""
    first = np.searchsorted(judged.points.series, series, "left")
    stop = np.searchsorted(judged.points.series, series, "right")
    if times.size == 1 and judged.points.time_unix_nano.max(initial=0) <= times[0]:
        return np.where(stop > first, stop - 1, -1)[:, np.newaxis]
    rows = np.full((series.size, times.size), -1, np.int64)
    for i in np.flatnonzero(stop > first):
        found = np.searchsorted(judged.points.time_unix_nano[first[i] : stop[i]], times, "right") - 1
        rows[i] = np.where(found >= 0, found + first[i], -1)
    return rows


def _at(column: Float64, row: Int64) -> Float64:
    """Pick rows of a column; row -1 gives NaN."""
    picked: Float64 = np.append(column, np.nan)[row]
    return picked


def _with_expected(outlook: Outlook, view: View, wanted: Bool) -> View:
    """Evaluate yhat and the alert band where they are wanted `(k, n)`, not beyond the farthest horizon."""
    last = outlook.last_time[view.series][:, np.newaxis]
    k, n = np.nonzero(wanted & (view.time_unix_nano <= last + FARTHEST_HORIZON) & (last > 0))
    if not k.size:
        return view
    ahead_of = expected(outlook, view.series[k], view.time_unix_nano[n])
    yhat, lower, upper = view.yhat.copy(), view.lower.copy(), view.upper.copy()
    yhat[k, n], lower[k, n], upper[k, n] = ahead_of.yhat, ahead_of.lower, ahead_of.upper
    return replace(view, yhat=yhat, lower=lower, upper=upper)


def _usual_spacing(times: Int64) -> int:
    """Return the median distance of neighbours in nanoseconds, a minute where there are too few."""
    return int(np.median(np.diff(times[-500:]))) if times.size > 2 else MINUTE


def _with_gaps(judged: JudgedBatch, spacing: int) -> tuple[JudgedBatch, Bool]:
    """Insert a row of NaN where points are missing; also tell which rows border such a gap or are one."""
    times = judged.points.time_unix_nano
    before = np.flatnonzero(_is_gap(np.diff(times), spacing))
    gap_times = times[before] + spacing
    order = np.argsort(np.append(times, gap_times), kind="stable")
    points = PointBatch(
        np.append(judged.points.series, judged.points.series[before])[order],
        np.append(times, gap_times)[order],
        np.append(judged.points.value, np.full(before.size, np.nan))[order],
    )
    absent = VerdictBatch.absent(before.size)
    verdicts = VerdictBatch(
        np.append(judged.verdicts.yhat, absent.yhat)[order],
        np.append(judged.verdicts.lower, absent.lower)[order],
        np.append(judged.verdicts.upper, absent.upper)[order],
        np.append(judged.verdicts.score, absent.score)[order],
        np.append(judged.verdicts.anomaly, absent.anomaly)[order],
    )
    gap = order >= times.size
    return JudgedBatch(points, verdicts), gap


def _is_gap(distance: Int64, spacing: int) -> Bool:
    """Tell which distances are far larger than nine of ten: points may come in bursts, or once came more seldom."""
    usual = np.quantile(distance, 0.9, method="lower") if distance.size else 0
    return np.asarray(distance > 3 * max(spacing, int(usual)))


def _thinned(judged: JudgedBatch, gap: Bool, span: TimeRange, max_points: int) -> JudgedBatch:
    """Keep at most about `max_points` rows: per stretch of time the extremes, the largest |score| and one gap."""
    times, value = judged.points.time_unix_nano, judged.points.value
    if times.size <= max_points:
        return judged
    stretches = max(1, max_points // 4)
    stretch = ((times - span.start) // -(-(span.end - span.start) // stretches)).astype(np.int64)
    keep = np.zeros(times.size, np.bool_)
    keep[[0, -1]] = True
    urgency = np.where(np.isnan(judged.verdicts.score), -1.0, np.abs(judged.verdicts.score))
    for rank in (np.where(np.isnan(value), np.inf, value), -np.where(np.isnan(value), -np.inf, value), -urgency, ~gap):
        order = np.lexsort((rank, stretch))
        keep[order[np.unique(stretch[order], return_index=True)[1]]] = True
    return JudgedBatch(judged.points.take(keep), judged.verdicts.take(keep))


def _times_ahead(outlook: Outlook, series: int, span: TimeRange, spacing: int, room: int) -> Int64:
    """Return evenly spaced times in `[max(start, last + spacing), end)`, at most `room` of them."""
    last = int(outlook.last_time[series])
    end = min(span.end, last + FARTHEST_HORIZON)
    start = max(span.start, last + spacing)
    if last == 0 or start >= end:
        return np.empty(0, np.int64)
    return np.arange(start, end, max(spacing, -(-(end - start) // room)), dtype=np.int64)


def _stored_and_ahead(outlook: Outlook, series: int, judged: JudgedBatch, ahead: Int64) -> View:
    view = _as_stored(outlook, series, judged, ahead)
    return _with_expected(outlook, view, np.isnan(view.yhat))


def _as_stored(outlook: Outlook, series: int, judged: JudgedBatch, ahead: Int64) -> View:
    """View stored points with their verdicts, then times ahead without any."""
    points, verdicts = judged.points, judged.verdicts
    missing = np.full(ahead.size, np.nan)

    def row(stored: Float64) -> Float64:
        joined: Float64 = np.append(stored, missing)[np.newaxis, :]
        return joined

    state = np.full(len(points), float(outlook.bands["state"][series]))
    return View(
        np.array([series], np.int32),
        np.append(points.time_unix_nano, ahead),
        value=row(points.value),
        yhat=row(verdicts.yhat),
        lower=row(verdicts.lower),
        upper=row(verdicts.upper),
        score=row(verdicts.score),
        anomaly=row(np.where(np.isnan(points.value), np.nan, verdicts.anomaly)),
        state=row(state),
        hindsight=row(np.isnan(verdicts.yhat).astype(np.float64)),
    )

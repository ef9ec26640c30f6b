"""How far a series usually strays from each of its forecasts: block maxima and the 72-hour rule.

With a = |x - forecast|, M_d the largest a of a complete day (UTC) and Q the 90 % quantile of the last 42 M_d:

    T = max(Q, largest a of the last 72 hours)        tolerance = T + 0.1 std of the series

A value is unusual when it is beyond what the series does on nine of ten of its own days *and* beyond all of the last
three days. Heavy-tailed series get wide tolerances by themselves, and what repeats becomes normal. Until three days are
complete, the 72 hours alone decide.

Per series and forecast this is a ring of 42 daily maxima and one of hourly maxima: constant in size, and a point
touches one cell of it.
"""

import numpy as np

from collector_processor.clock import DAY, HOUR
from collector_processor.detect import record
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Bool, Float32, Float64, Int32, Int64

BLOCKS = 42
HOURS = 73
"""The running hour and 72 complete ones."""

MIN_BLOCKS = 3
QUANTILE = 0.9
STD_SHARE = 0.1
MAX_CREDITED_GAP = 6 * HOUR
"""Silence longer than this is no calibration: the time observed grows by at most this much from point to point."""

NEVER = np.iinfo(np.int32).max
_HOURS_A_DAY = 24
_F = len(FORECASTS)
_LARGEST = float(np.finfo(np.float32).max)

DTYPE = np.dtype(
    [
        ("newest", "<i8"),  # time of the newest point learned, -1: none
        ("std", "<f8"),
        ("observed", "<i8", (_F,)),  # nanoseconds of calibration
        ("reach", "<f4", (_F,)),  # T
        ("usual", "<f4", (_F,)),  # Q, 0 while too few blocks are complete
        ("running", "<f4", (_F,)),  # largest a of the current block, NaN: no data in it
        ("blocks", "<i4", (_F,)),  # complete blocks so far; the ring's next slot is this modulo 42
        ("first_block", "<i4", (_F,)),  # first block seen from its first hour on, NEVER: nothing seen
        ("daily", "<f4", (_F, BLOCKS)),
        ("hourly", "<f4", (_F, HOURS)),
    ]
)
INITIAL = {"newest": -1, "running": np.nan, "first_block": NEVER}


class BlockMaxima:
    """The tolerance state of all series; `series` arguments are dense ids, each at most once per call."""

    def __init__(self) -> None:
        self.records = record.filled(DTYPE, 0, INITIAL)

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self.records = record.grown(self.records, n, INITIAL)

    def newest(self, series: Int32) -> Int64:
        """Return the time of the newest point learned `(n,)`, -1 where there is none."""
        newest: Int64 = self.records["newest"][series]
        return newest

    def reach(self, series: Int32) -> Float64:
        """Return T `(n, F)`, NaN for a forecast that nothing is known about."""
        known = self.records["first_block"][series] != NEVER
        return np.where(known, self.records["reach"][series], np.nan)

    def tolerance(self, series: Int32) -> Float64:
        """Return the tolerance `(n, F)`, NaN where a forecast must not be judged by.

        That is a forecast nothing is known about, or one known for less than a day beside one known for longer.
        """
        tolerance = self.records["reach"][series] + STD_SHARE * self.records["std"][series][:, np.newaxis]
        return np.where(self._usable(series), tolerance, np.nan)

    def complete_days(self, series: Int32) -> Int64:
        """Return whole days of calibration `(n,)`, of the least known among the forecasts that are judged by."""
        days = np.where(self._usable(series), self.records["observed"][series], np.iinfo(np.int64).max).min(axis=1)
        return np.where(days == np.iinfo(np.int64).max, 0, days // DAY)

    def learn(self, series: Int32, time_unix_nano: Int64, distance: Float64) -> None:
        """Take distances `(n, F)` from the forecasts, NaN where a forecast is absent.

        Points not newer than the newest one learned are ignored.
        """
        newest = self.newest(series)
        fresh = time_unix_nano > newest
        if not fresh.all():
            series, time_unix_nano, distance, newest = (
                series[fresh],
                time_unix_nano[fresh],
                distance[fresh],
                newest[fresh],
            )
        hour, old_hour = time_unix_nano // HOUR, newest // HOUR
        moved = np.flatnonzero(hour > old_hour)
        if moved.size:
            self._advance(series[moved], old_hour[moved], hour[moved])
        self._credit(series, hour, np.where(newest < 0, 0, time_unix_nano - newest), ~np.isnan(distance))
        self._raise_maxima(series, hour % HOURS, _as_stored(distance))
        self.records["newest"][series] = time_unix_nano

    def adopt(self, series: int, seed: record.Records, std: float) -> Bool:
        """Take a seed's history where it is clearly longer than the live one; return for which forecasts `(F,)`.

        Clearly longer: twice as long or a day more, so that two histories of about one length do not alternate. What
        was seen live in the last 72 hours and in the running block stays on top. `std` is always taken.
        """
        pair = BlockMaxima()
        pair.records = np.concatenate([self.records[series : series + 1], seed])
        newest = pair.records["newest"].copy()
        end = newest.max()
        pair._advance(np.array([0, 1], np.int32), newest // HOUR, np.full(2, end // HOUR))
        live, theirs = pair.records[0], pair.records[1]
        longer: Bool = theirs["observed"] > live["observed"] + np.minimum(live["observed"], DAY)
        theirs["hourly"] = np.maximum(theirs["hourly"], live["hourly"])
        theirs["running"] = np.fmax(theirs["running"], live["running"])
        theirs["observed"] += np.minimum(live["observed"], end - newest[1])
        for name in ("observed", "usual", "running", "blocks", "first_block", "daily", "hourly"):
            live[name][longer] = theirs[name][longer]
        live["reach"] = np.maximum(live["usual"], live["hourly"].max(axis=1))
        live["newest"], live["std"] = end, std
        self.records[series] = live
        return longer

    def _usable(self, series: Int32) -> Bool:
        observed = self.records["observed"][series]
        mature: Bool = np.greater_equal(observed, DAY)
        any_mature: Bool = np.any(mature, axis=1, keepdims=True)
        known: Bool = np.not_equal(self.records["first_block"][series], NEVER)
        return mature | (known & ~any_mature)

    def _advance(self, series: Int32, old_hour: Int64, hour: Int64) -> None:
        """Turn the rings on to a later hour: clear the hours in between, close the block if it ended."""
        age = (np.arange(HOURS) - old_hour[:, np.newaxis] - 1) % HOURS
        passed = age < (hour - old_hour)[:, np.newaxis]
        window = np.where(passed[:, np.newaxis, :], np.float32(0.0), self.records["hourly"][series])
        self.records["hourly"][series] = window
        old_block, block = old_hour // _HOURS_A_DAY, hour // _HOURS_A_DAY
        ended = np.flatnonzero(block > old_block)
        if ended.size:
            self._close_blocks(series[ended], old_block[ended])
        self.records["reach"][series] = np.maximum(self.records["usual"][series], window.max(axis=2))

    def _close_blocks(self, series: Int32, block: Int64) -> None:
        """Move the running maxima into the rings; a block without data or begun in its middle is left out."""
        running = self.records["running"][series]
        complete = ~np.isnan(running) & (block[:, np.newaxis] >= self.records["first_block"][series])
        row, forecast = np.nonzero(complete)
        s = series[row]
        count = self.records["blocks"][s, forecast]
        self.records["daily"][s, forecast, count % BLOCKS] = running[row, forecast]
        self.records["blocks"][s, forecast] = count + 1
        self.records["usual"][s, forecast] = usual(self.records["daily"][s, forecast], count + 1)
        self.records["running"][series] = np.nan

    def _credit(self, series: Int32, hour: Int64, gap: Int64, present: Bool) -> None:
        first_block = self.records["first_block"][series]
        starting = present & (first_block == NEVER)
        if starting.any():
            block = hour // _HOURS_A_DAY + (hour % _HOURS_A_DAY > 0)
            self.records["first_block"][series] = np.where(starting, block[:, np.newaxis], first_block)
        credit = np.where(present & ~starting, np.minimum(gap, MAX_CREDITED_GAP)[:, np.newaxis], 0)
        self.records["observed"][series] += credit

    def _raise_maxima(self, series: Int32, slot: Int64, distance: Float32) -> None:
        hourly = self.records["hourly"]
        hourly[series, :, slot] = np.fmax(hourly[series, :, slot], distance)
        for name in ("running", "reach"):
            self.records[name][series] = np.fmax(self.records[name][series], distance)


def seeded(time_unix_nano: Int64, distance: Float64) -> record.Records:
    """Return the one record that learning distances `(n, F)` at ascending times point by point would have left."""
    seen = ~np.isnan(distance).all(axis=1)
    time, stored = time_unix_nano[seen], _as_stored(distance[seen])
    records = record.filled(DTYPE, 1, INITIAL)
    if time.size:
        records["newest"] = time[-1]
        for forecast in range(_F):
            _seed_forecast(records[0], forecast, time, stored[:, forecast])
        records["reach"] = np.maximum(records["usual"], records["hourly"].max(axis=2))
    return records


def usual(daily: Float32, count: Int32) -> Float32:
    """Return Q `(m,)` of rings `(m, 42)` into which `count` `(m,)` maxima were written; 0 for fewer than three."""
    held = np.minimum(count, BLOCKS)
    ordered = np.sort(np.where(np.arange(BLOCKS) < held[:, np.newaxis], daily, np.float32(np.inf)), axis=1)
    place = QUANTILE * np.maximum(held - 1, 0)
    below = place.astype(np.int64)
    above = np.minimum(below + 1, np.maximum(held - 1, 0))
    row = np.arange(len(daily))
    low, high = ordered[row, below], ordered[row, above]
    with np.errstate(invalid="ignore"):  # empty rings hold only infinities
        quantile = low + (place - below) * (high - low)
    return np.where(held >= MIN_BLOCKS, quantile, 0.0).astype(np.float32)


def waves(series: Int32, time_unix_nano: Int64) -> list[Int64]:
    """Split rows into index arrays in which each series occurs at most once, in time order for every series."""
    if (series[1:] > series[:-1]).all():
        return [np.arange(series.size)] if series.size else []
    order = np.lexsort((time_unix_nano, series))
    ordered = series[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.append(starts, series.size))
    rank = np.arange(series.size) - np.repeat(starts, lengths)
    by_rank = np.argsort(rank, kind="stable")
    return np.split(order[by_rank], np.cumsum(np.bincount(rank))[:-1])


def _seed_forecast(target: np.void, forecast: int, time: Int64, distance: Float32) -> None:
    """Fill one forecast of one record from all times at which any forecast was seen."""
    rows = np.flatnonzero(~np.isnan(distance))
    if not rows.size:
        return
    gaps = np.minimum(np.diff(time), MAX_CREDITED_GAP)
    target["observed"][forecast] = gaps[rows[1:] - 1].sum()
    hour, last_hour = time[rows] // HOUR, time[-1] // HOUR
    first_block = hour[0] // _HOURS_A_DAY + (hour[0] % _HOURS_A_DAY > 0)
    target["first_block"][forecast] = first_block
    hours, hourly = _maxima(hour, distance[rows])
    recent = hours > last_hour - HOURS
    target["hourly"][forecast, hours[recent] % HOURS] = hourly[recent]
    days, daily = _maxima(hour // _HOURS_A_DAY, distance[rows])
    if days[-1] == last_hour // _HOURS_A_DAY:
        target["running"][forecast] = daily[-1]
        days, daily = days[:-1], daily[:-1]
    _seed_blocks(target, forecast, daily[days >= first_block])


def _seed_blocks(target: np.void, forecast: int, daily: Float32) -> None:
    target["blocks"][forecast] = daily.size
    kept = np.arange(max(0, daily.size - BLOCKS), daily.size)
    target["daily"][forecast, kept % BLOCKS] = daily[kept]
    target["usual"][forecast] = usual(target["daily"][forecast][np.newaxis], np.array([daily.size], np.int32))[0]


def _maxima(bucket: Int64, distance: Float32) -> tuple[Int64, Float32]:
    """Return ascending distinct buckets and the largest distance in each."""
    starts = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
    return bucket[starts], np.maximum.reduceat(distance, starts)


def _as_stored(distance: Float64) -> Float32:
    return np.minimum(distance, _LARGEST).astype(np.float32)

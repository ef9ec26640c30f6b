"""How far a series usually strays from each of its forecasts: block maxima and the 72-hour rule.

With a = |x - forecast|, M_d the largest a of a complete day (UTC) and U what M_d comes to once in eleven days, by the
last 42 of them (`detect/largest.py`):

    T = max(U, largest a of the last 72 hours)
    tolerance = (T + 0.3 std of the series) (1 + 1.5 / d^1.5), d the complete days of calibration

A value is unusual when it is beyond what the series does once in eleven days *and* beyond all of the last three days.
Series that stray far now and then get wide tolerances by themselves, and what repeats becomes normal. Until three days
are complete, the 72 hours alone decide.

Per series and forecast this is a ring of 42 daily maxima and one of hourly maxima: constant in size, and a point
touches one cell of it.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from collector_processor.clock import DAY, HOUR
from collector_processor.detect import record
from collector_processor.detect.largest import BLOCKS, MIN_BLOCKS, usual
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Bool, Float32, Float64, Int32, Int64

HOURS = 72
STD_SHARE = 0.3
COLD_START = 1.5
"""A tolerance is wider by this share over the complete days of calibration behind it, to the power of 1.5."""
MAX_CREDITED_GAP = 6 * HOUR
"""Silence longer than this is no calibration: the time observed grows by at most this much from point to point."""

Number = TypeVar("Number", bound=np.generic)

NEVER = np.iinfo(np.int32).max
HOURS_A_DAY = 24
_F = len(FORECASTS)
LARGEST = float(np.finfo(np.float32).max)
_LONGEST = np.iinfo(np.int64).max

CURRENT = np.dtype(
    [
        ("newest", "<i8"),  # time of the newest point learned, -1: none
        ("std", "<f8"),
        ("observed", "<i8", (_F,)),  # nanoseconds of calibration
        ("reach", "<f4", (_F,)),  # T
        ("usual", "<f4", (_F,)),  # U, 0 while too few blocks are complete
        ("this_hour", "<f4", (_F,)),  # largest a of the running hour, NaN: no data in it
        ("this_block", "<f4", (_F,)),  # largest a of the complete hours of the running block, NaN: no data in them
        ("blocks", "<i4", (_F,)),  # complete blocks so far; the ring's next slot is this modulo 42
        ("first_block", "<i4", (_F,)),  # first block seen from its first hour on, NEVER: nothing seen
    ]
)
RINGS = np.dtype(
    [
        ("daily", "<f4", (_F, BLOCKS)),
        ("hourly", "<f4", (_F, HOURS)),  # complete hours only; hour h is in slot h modulo 72
    ]
)
DTYPE = np.dtype([("current", CURRENT), ("rings", RINGS)])
"""One series' whole state, as seeds carry it and the detector saves it."""

_INITIAL = {"newest": -1, "this_hour": np.nan, "this_block": np.nan, "first_block": NEVER}


@dataclass(frozen=True, slots=True)
class Standing:
    """What verdicts need: tolerances `(n, F)`, NaN where a forecast must not be judged by, and whole days `(n,)`.

    Not to be judged by is a forecast nothing is known about, or one known for less than a day beside one known for
    longer. `complete_days` is the calibration of the least known forecast that is judged by. `newest` is the time of
    the newest point learned, -1 where there is none, and `reach` the largest T of any forecast.
    """

    tolerance: Float64
    complete_days: Int64
    newest: Int64
    reach: Float64

    def take(self, chosen: Bool) -> "Standing":
        """Select rows by mask."""
        return Standing(self.tolerance[chosen], self.complete_days[chosen], self.newest[chosen], self.reach[chosen])


class BlockMaxima:
    """The tolerance state of all series; `series` arguments are dense ids, each at most once per call.

    A point touches only the small `current` record; the rings are turned once an hour.
    """

    def __init__(self) -> None:
        self._current = record.filled(CURRENT, 0, _INITIAL)
        self._rings = record.filled(RINGS, 0, {})
        self._is_turned = np.ones(0, np.bool_)  # since the rings were taken to be saved

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self._current = record.grown(self._current, n, _INITIAL)
        self._rings = record.grown(self._rings, n, {})
        more = self._rings.size - self._is_turned.size
        self._is_turned = np.append(self._is_turned, np.ones(more, np.bool_)) if more else self._is_turned

    @property
    def records(self) -> tuple[record.Records, record.Records, Bool]:
        """Return what changes with every point, the rings, and which of those turned since they were taken."""
        return self._current, self._rings, self._is_turned

    def export(self, start: int, end: int) -> record.Records:
        """Return the whole state of series ids in `[start, end)`."""
        records = np.zeros(end - start, DTYPE)
        records["current"], records["rings"] = self._current[start:end], self._rings[start:end]
        return records

    def restore(self, start: int, records: record.Records) -> None:
        """Put back what `export` gave, from series id `start` on."""
        end = start + records.size
        self._current[start:end], self._rings[start:end] = records["current"], records["rings"]
        self._is_turned[start:end] = True

    def current(self, start: int, end: int) -> record.Records:
        """Return what changes with every point, of series ids in `[start, end)`; not to be changed."""
        return self._current[start:end]

    def take_turned(self, start: int, end: int) -> record.Records | None:
        """Return the rings of series ids in `[start, end)` where any has changed since they were taken, else None."""
        if not self._is_turned[start:end].any():
            return None
        self._is_turned[start:end] = False
        return self._rings[start:end]

    def newest(self, series: Int32) -> Int64:
        """Return the time of the newest point learned `(n,)`, -1 where there is none."""
        newest: Int64 = self._current["newest"][series]
        return newest

    def reach(self, series: Int32) -> Float64:
        """Return T `(n, F)`, 0 for a forecast that nothing is known about."""
        return _columns(self._current.take(series)["reach"]).astype(np.float64).T

    def usual(self, series: Int32) -> Float64:
        """Return U `(n, F)`, T where too few blocks are complete."""
        current = self._current[series]
        return np.where(current["blocks"] >= MIN_BLOCKS, current["usual"], current["reach"]).astype(np.float64)

    def taken(self, series: Int32) -> record.Records:
        """Return copies of the whole state of `series`."""
        records = np.zeros(series.size, DTYPE)
        records["current"], records["rings"] = self._current[series], self._rings[series]
        return records

    def is_unknown(self, series: Int32) -> Bool:
        """Tell which series `(n,)` have no calibration by any forecast."""
        is_unknown: Bool = (_columns(self._current["first_block"][series]) == NEVER).all(axis=0)
        return is_unknown

    def is_mature(self, series: Int32, forecast: int) -> Bool:
        """Tell which series `(n,)` have a whole day of calibration by a forecast."""
        is_mature: Bool = self._current["observed"][series, forecast] >= DAY
        return is_mature

    def standing(self, series: Int32) -> Standing:
        """Return tolerances and the length of calibration."""
        current = self._current.take(series)
        days, reach = _columns(current["observed"]) // DAY, _columns(current["reach"])
        mature = days >= 1
        usable = mature | ((_columns(current["first_block"]) != NEVER) & ~mature.any(axis=0))
        shortest = np.where(usable, days, _LONGEST).min(axis=0)
        credited = np.maximum(days, 1.0)
        tolerance = (reach + STD_SHARE * current["std"]) * (1.0 + COLD_START / (credited * np.sqrt(credited)))
        return Standing(
            np.where(usable, tolerance, np.nan).T,
            np.where(shortest == _LONGEST, 0, shortest),
            current["newest"],
            reach.max(axis=0).astype(np.float64),
        )

    def learn(self, series: Int32, time_unix_nano: Int64, distance: Float64) -> None:
        """Take distances `(n, F)` from the forecasts, NaN where a forecast is absent.

        Points not newer than the newest one learned, or without any forecast, are ignored.
        """
        newest = self.newest(series)
        fresh = (time_unix_nano > newest) & ~np.isnan(distance.T).all(axis=0)
        if not fresh.all():
            series, newest = series[fresh], newest[fresh]
            time_unix_nano, distance = time_unix_nano[fresh], distance[fresh]
        hour, old_hour = time_unix_nano // HOUR, newest // HOUR
        moved = np.flatnonzero(hour > old_hour)
        if moved.size:
            self._advance(series[moved], old_hour[moved], hour[moved])
        gap = np.where(newest < 0, 0, np.minimum(time_unix_nano - newest, MAX_CREDITED_GAP))
        current = self._current.take(series)
        _learn_distances(current, hour, gap, as_stored(distance))
        current["newest"] = time_unix_nano
        self._current.put(series, current)

    def adopt(self, series: Int32, seeds: record.Records, std: Float64) -> Bool:
        """Take seeds' histories `(n,)` where they are clearly longer than the live ones; return where `(n, F)`.

        Clearly longer: twice as long or a day more, so that two histories of about one length do not alternate. What
        was seen live in the last 72 hours and in the running block stays on top. `std` `(n,)` is always taken.
        """
        live = self.taken(series)
        end = np.maximum(live["current"]["newest"], seeds["current"]["newest"])
        live_since = end - seeds["current"]["newest"]
        live, theirs = _turned(live, end), _turned(seeds, end)
        longer = _put_on_top(theirs, live, live_since)
        for part, fields in _PER_FORECAST.items():
            for name in fields:
                live[part][name][longer] = theirs[part][name][longer]
        live["current"]["newest"], live["current"]["std"] = end, std
        live["current"]["reach"] = reach_of(live)
        self._current[series], self._rings[series] = live["current"], live["rings"]
        self._is_turned[series] = True
        return longer

    def scale(self, series: Int32, std: Float64) -> None:
        """Take the series' standard deviations `(n,)`."""
        self._current["std"][series] = std

    def turn_to(self, time_unix_nano: Int64) -> None:
        """Move all series on to the hours of `time_unix_nano` `(S,)`, as points at those times would."""
        old_hour, hour = self._current["newest"] // HOUR, time_unix_nano // HOUR
        moved = np.flatnonzero(old_hour < hour).astype(np.int32)
        if moved.size:
            self._advance(moved, old_hour[moved], hour[moved])

    def _advance(self, series: Int32, old_hour: Int64, hour: Int64) -> None:
        """Turn the rings on to a later hour: file the running hour, clear what passed, close the block if it ended."""
        current, window = self._current[series], self._rings["hourly"][series]
        this_hour = current["this_hour"]
        window[np.arange(series.size), :, old_hour % HOURS] = np.nan_to_num(this_hour)
        age = (np.arange(HOURS) - old_hour[:, np.newaxis] - 1) % HOURS
        passed = age < (hour - old_hour - 1)[:, np.newaxis]
        window[np.broadcast_to(passed[:, np.newaxis, :], window.shape)] = 0.0
        self._rings["hourly"][series], self._is_turned[series] = window, True
        self._current["this_block"][series] = np.fmax(current["this_block"], this_hour)
        self._current["this_hour"][series] = np.nan
        old_block = old_hour // HOURS_A_DAY
        ended = np.flatnonzero(hour // HOURS_A_DAY > old_block)
        if ended.size:
            self._close_blocks(series[ended], old_block[ended])
        self._current["reach"][series] = np.maximum(self._current["usual"][series], window.max(axis=2))

    def _close_blocks(self, series: Int32, block: Int64) -> None:
        """Move the maxima of ended blocks into the ring; one without data or begun in its middle is left out."""
        largest = self._current["this_block"][series]
        complete = ~np.isnan(largest) & (block[:, np.newaxis] >= self._current["first_block"][series])
        row, forecast = np.nonzero(complete)
        s = series[row]
        count = self._current["blocks"][s, forecast]
        self._rings["daily"][s, forecast, count % BLOCKS] = largest[row, forecast]
        self._current["blocks"][s, forecast] = count + 1
        self._current["usual"][s, forecast] = usual(self._rings["daily"][s, forecast], count + 1)
        self._current["this_block"][series] = np.nan


_PER_FORECAST = {
    "current": ("observed", "usual", "this_hour", "this_block", "blocks", "first_block"),
    "rings": ("daily", "hourly"),
}


def _learn_distances(current: record.Records, hour: Int64, gap: Int64, distance: Float32) -> None:
    """Take distances `(n, F)` into the records of their series; NaN where a forecast is absent."""
    present = ~np.isnan(distance)
    starting = present & (current["first_block"] == NEVER)
    credited = np.where(present, gap[:, np.newaxis], 0)
    if starting.any():
        row, column = np.nonzero(starting)
        current["first_block"][row, column] = first_block_of(hour[row])
        credited[starting] = 0
    for forecast in range(_F):  # a forecast at a time: arithmetic over few neighbours is many times slower than over n
        current["observed"][:, forecast] += credited[:, forecast]
        for name in ("this_hour", "reach"):
            largest = current[name][:, forecast]
            np.fmax(largest, distance[:, forecast], out=largest)


def _turned(records: record.Records, time_unix_nano: Int64) -> record.Records:
    """Return a copy of records, each moved on to the hour of its time."""
    maxima = BlockMaxima()
    maxima.grow(records.size)
    maxima.restore(0, records)
    maxima.turn_to(time_unix_nano)
    return maxima.export(0, records.size)


def _put_on_top(theirs: record.Records, live: record.Records, live_since: Int64) -> Bool:
    """Merge what was seen live into seeds' records of the same hours; return where those are longer `(n, F)`."""
    mine, other = live["current"], theirs["current"]
    longer: Bool = other["observed"] > mine["observed"] + np.minimum(mine["observed"], DAY)
    theirs["rings"]["hourly"] = np.maximum(theirs["rings"]["hourly"], live["rings"]["hourly"])
    for name in ("this_hour", "this_block"):
        other[name] = np.fmax(other[name], mine[name])
    other["observed"] += np.minimum(mine["observed"], live_since[:, np.newaxis])
    return longer


def reach_of(records: record.Records) -> Float32:
    """Return T `(n, F)` as the rings and the running hour have it."""
    largest = np.fmax(records["current"]["this_hour"], records["rings"]["hourly"].max(axis=2))
    reach: Float32 = np.maximum(records["current"]["usual"], largest)
    return reach


def first_block_of(hour: Int64) -> Int64:
    """Return the first block that counts for a forecast first seen in `hour`: one begun later is not complete."""
    return np.asarray(hour // HOURS_A_DAY + (hour % HOURS_A_DAY > 0), np.int64)


def _columns(rows: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return `(n, F)` as contiguous `(F, n)`: arithmetic over two neighbours is many times slower than over n."""
    return np.ascontiguousarray(rows.T)


def as_stored(distance: Float64) -> Float32:
    """Return distances as they are kept."""
    return np.minimum(distance, LARGEST).astype(np.float32)

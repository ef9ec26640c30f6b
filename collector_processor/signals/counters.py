"""How much a cumulative counter grew from point to point, whatever its sender does.

The rules follow the OpenTelemetry metrics data model (resets and gaps, unknown start time, overlap). For a point
(start, time, value) that follows the point (start', time', value') of the same series:

1. *Restart*: the start is newer and not before time'. The value itself is the increase, over time - start. (A point
   with start = time marks an unknown start and gives no increase.)
2. *Overlap*: the start is newer but before time'. Two writers share the identity: no increase, and the writer that
   started last is followed from now on. Points of the writer that started earlier give no increase, until the followed
   one has been silent for `SILENCE`.
3. *Drop*: same start (or an unknown one), smaller value. What happened in between can't be known: no increase.
4. *Jump back*: after a drop, a value at or above the one before the drop. That is a second writer with the same start,
   or a counter passing its former height: no increase, because for the former it would be a spike of the whole total.
5. Otherwise the increase is value - value', over time - time'.

So two writers under one identity make no spike out of the difference of their totals. Where both have the same start,
or none, only totals can tell them apart: then the first point of a second writer with a larger total looks like a
burst, and so do totals that keep overtaking each other. Three and more such writers are beyond these rules.

The first point of a series gives no increase. After a restart of this process only time' and value' are known, start'
is not: a known start after time' is a restart of the counter, and any other start counts as the same.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from collector_processor.clock import MINUTE, NANOS_PER_SECOND
from collector_processor.signals.columns import grown
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

SILENCE = 5 * MINUTE
"""After this long without a point of the writer that started last, an earlier one is followed again."""

START_TOLERANCE = NANOS_PER_SECOND // 20
"""Starts closer than this are the same: a sender may compute its start anew for each point, from a drifting clock."""

BEFORE_BATCH = -1  # bases of `Steps` that are not a row
SINCE_START = -2
NO_BASE = -3

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Steps:
    """For each point `(n,)`, what its increase is measured from.

    `base` is the index of an earlier row, `BEFORE_BATCH` for the series' state before the batch, `SINCE_START` for 0,
    or `NO_BASE`. `elapsed` is the time it took in ns (0 without a base). `last` are the rows that are the state of
    their series after the batch.
    """

    base: Int64
    elapsed: Int64
    last: Int64
    overlaps: int

    def increase(self, value: Float64, before: Float64) -> Float64:
        """Return `value - base` along the first axis, NaN without a base; `before` is the state before the batch."""
        column = (-1,) + (1,) * (value.ndim - 1)
        base = self.base.reshape(column)
        earlier = np.where(base >= 0, value[np.maximum(self.base, 0)], np.where(base == BEFORE_BATCH, before, 0.0))
        return np.where(base == NO_BASE, np.nan, value - earlier)


class Counters:
    """The newest followed point of each cumulative series, by dense series id."""

    def __init__(self) -> None:
        self.time = np.zeros(0, np.int64)  # 0: none yet
        self.value = np.zeros(0, np.float64)
        self.low = np.zeros(0, np.float64)  # what `value` lacks of an integer beyond 2^53
        self._start = np.zeros(0, np.int64)  # 0: unknown
        self._height = np.zeros(0, np.float64)  # value before the last drop; inf: no drop to come back from

    def grow(self, size: int) -> None:
        """Make room for series ids below `size`."""
        self.time = grown(self.time, size, 0)
        self.value = grown(self.value, size, np.nan)
        self.low = grown(self.low, size, 0.0)
        self._start = grown(self._start, size, 0)
        self._height = grown(self._height, size, np.inf)

    def restore(self, series: Int32, time: Int64, value: Float64) -> None:
        """Set the newest stored points; NaN values (gaps) leave a series without a point to measure from."""
        known = np.isfinite(value)
        self.time[series[known]] = time[known]
        self.value[series[known]] = value[known]

    def advance(self, series: Int32, start: Int64, time: Int64, value: Float64, low: Float64) -> Steps:
        """Measure finite points, ascending by (series, time) and each pair once, and make them the state.

        `value + low` is the total: `low` is the part of an integer that a double does not hold. Points at or before the
        state's time are out of order: they have no base and change nothing.
        """
        n = series.size
        steps = Steps(np.full(n, NO_BASE, np.int64), np.zeros(n, np.int64), np.empty(0, np.int64), 0)
        in_order = np.flatnonzero(time > self.time[series])
        regular = self._regular(series[in_order], start[in_order], time[in_order], value[in_order], low[in_order])
        self._step_regular(in_order[regular], series, time, steps)
        rest = in_order[~regular]
        last = [_last_of_runs(in_order[regular], series)]
        overlaps = 0
        for run in np.split(rest, np.flatnonzero(np.diff(series[rest])) + 1) if rest.size else []:
            kept, run_overlaps = self._step_through(run, series, start, time, value, low, steps)
            last.append(np.array([kept], np.int64))
            overlaps += run_overlaps
        steps = Steps(steps.base, steps.elapsed, np.concatenate(last), overlaps)
        self._keep(steps.last, series, start, time, value, low)
        return steps

    def _regular(self, series: Int32, start: Int64, time: Int64, value: Float64, low: Float64) -> Bool:
        """Tell for which rows rule 5 holds for *all* rows of their series, so that no row depends on another's fate."""
        first = _first_of_runs(series)
        before_time = np.where(first, self.time[series], _shifted(time))
        before_value = np.where(first, self.value[series], _shifted(value))
        before_low = np.where(first, self.low[series], _shifted(low))
        before_start = np.where(first, self._start[series], _shifted(start))
        known = (start > 0) & (before_start > 0)
        same_start = np.where(known, np.abs(start - before_start) <= START_TOLERANCE, start <= before_time)
        plain = same_start & ((value - before_value) + (low - before_low) >= 0) & (value < self._height[series])
        plain |= first & (before_time == 0)
        if not first.size:
            return plain
        runs = np.flatnonzero(first)
        return np.repeat(np.logical_and.reduceat(plain, runs), np.diff(np.append(runs, first.size)))

    def _step_regular(self, rows: Int64, series: Int32, time: Int64, steps: Steps) -> None:
        first = _first_of_runs(series[rows])
        before = np.where(first, self.time[series[rows]], _shifted(time[rows]))
        base = np.where(first, BEFORE_BATCH, _shifted(rows))
        steps.base[rows] = np.where(before == 0, NO_BASE, base)
        steps.elapsed[rows] = np.where(before == 0, 0, time[rows] - before)

    def _step_through(
        self, run: Int64, series: Int32, start: Int64, time: Int64, value: Float64, low: Float64, steps: Steps
    ) -> tuple[int, int]:
        """Apply the rules row by row to one series; return the last row followed and the number of overlaps."""
        s = int(series[run[0]])
        state = _State(
            int(self.time[s]),
            float(self.value[s]),
            float(self.low[s]),
            int(self._start[s]),
            float(self._height[s]),
            BEFORE_BATCH,
        )
        for i in run.tolist():
            steps.base[i], steps.elapsed[i] = state.follow(
                i, int(start[i]), int(time[i]), float(value[i]), float(low[i])
            )
        self._height[s] = state.height
        return state.row, state.overlaps

    def _keep(self, rows: Int64, series: Int32, start: Int64, time: Int64, value: Float64, low: Float64) -> None:
        rows = rows[rows >= 0]
        self.time[series[rows]] = time[rows]
        self.value[series[rows]] = value[rows]
        self.low[series[rows]] = low[rows]
        self._start[series[rows]] = start[rows]


@dataclass(slots=True)
class _State:
    """One series on its way through the rules; `row` is the row it is at."""

    time: int
    value: float
    low: float
    start: int
    height: float
    row: int
    overlaps: int = 0

    def follow(self, row: int, start: int, time: int, value: float, low: float) -> tuple[int, int]:
        """Return base and elapsed time of the next point."""
        known = start > 0 and self.start > 0
        if self.time and known and start < self.start - START_TOLERANCE and time - self.time <= SILENCE:
            self.overlaps += 1
            return NO_BASE, 0
        base, elapsed, height = self._measure(start, time, value, low)
        self.time, self.value, self.low, self.start, self.height, self.row = time, value, low, start, height, row
        return base, elapsed

    def _measure(self, start: int, time: int, value: float, low: float) -> tuple[int, int, float]:
        if not self.time:
            return NO_BASE, 0, math.inf
        if start > (self.start + START_TOLERANCE if self.start else self.time):
            if self.time <= start < time:
                return SINCE_START, time - start, math.inf
            self.overlaps += start < self.time
            return NO_BASE, 0, math.inf
        if start and self.start and start < self.start - START_TOLERANCE:  # the writer followed so far fell silent
            return NO_BASE, 0, math.inf
        if (value - self.value) + (low - self.low) < 0:
            return NO_BASE, 0, self.value
        if value >= self.height:
            self.overlaps += 1
            return NO_BASE, 0, math.inf
        return self.row, time - self.time, self.height


def _first_of_runs(series: Int32) -> Bool:
    first = np.ones(series.size, np.bool_)
    first[1:] = series[1:] != series[:-1]
    return first


def _last_of_runs(rows: Int64, series: Int32) -> Int64:
    ids = series[rows]
    last = np.ones(rows.size, np.bool_)
    last[:-1] = ids[1:] != ids[:-1]
    return rows[last]


def _shifted(column: npt.NDArray[T]) -> npt.NDArray[T]:
    return np.concatenate([column[:1], column[:-1]])

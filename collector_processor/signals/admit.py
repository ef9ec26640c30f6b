"""Which points are taken: times that make sense, and one point per (series, time).

Outcomes are those of taking the rows one after the other in order of arrival, except that a batch may hold its
points in any order: how far back a point lies is measured from what was known *before* the batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.signals.outcome import Outcome, where
from collector_processor.telemetry.points import Bool, Float64, Int8, Int64, PointBatch

Existing = Callable[[PointBatch], tuple[Bool, Float64]]
"""Tells per row whether a point of that (series, time) is stored, and its value."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How far from now, and from its series' newest point, a point may lie; nanoseconds."""

    future: int = 10 * MINUTE
    retention: int = 15 * DAY
    disorder: int = HOUR


@dataclass(frozen=True, slots=True)
class Admission:
    """`outcome` per row of the batch; `written` are the rows to write, ascending by (series, time), each pair once."""

    outcome: Int8
    written: Int64


def check_times(time: Int64, now: int, limits: TimeLimits) -> Int8:
    """Return the outcome of each time `(n,)` by itself; a time of 2^63 or more arrives as a negative number."""
    earliest, latest = now - limits.retention, now + limits.future
    if time.size and max(earliest, 1) <= time.min() and time.max() <= latest:  # nearly always
        return np.zeros(time.size, np.int8)
    return np.select(
        [time == 0, time < 0, time > latest, time < earliest],
        [Outcome.TIME_MISSING, Outcome.TIME_OUT_OF_RANGE, Outcome.TIME_IN_FUTURE, Outcome.TOO_OLD],
        Outcome.STORED,
    ).astype(np.int8)


def check_starts(start: Int64, time: Int64) -> Int8:
    """Return the outcome of each start time `(n,)`; 0 is an unknown start."""
    return np.select(
        [start < 0, start > time], [Outcome.TIME_OUT_OF_RANGE, Outcome.START_AFTER_TIME], Outcome.STORED
    ).astype(np.int8)


def check_order(time: Int64, newest: Int64, limits: TimeLimits) -> Int8:
    """Return `OUT_OF_ORDER` where a point lies too far behind its series' `newest` time `(n,)`; 0 = none yet."""
    return where((newest > 0) & (time < newest - limits.disorder), Outcome.OUT_OF_ORDER)


def admit(points: PointBatch, newest: Int64, existing: Existing, unknown: Bool | None = None) -> Admission:
    """Find duplicates and conflicts among the points and against what is stored.

    `newest` `(n,)` is the time of each series' newest stored point, 0 where there is none; `existing` is asked only for
    points at or before it. Where `unknown` holds, a value could not be computed: a stored point stands.
    """
    if (points.series[1:] > points.series[:-1]).all() and (points.time_unix_nano > newest).all():
        return Admission(np.zeros(len(points), np.int8), np.arange(len(points)))
    order = np.lexsort((points.time_unix_nano, points.series))
    points, newest = points.take(order), newest[order]
    starts = _run_starts(points)
    differs = np.ones(len(points), np.bool_)  # from what is there when the row's turn comes
    differs[1:] = ~_same(points.value[1:], points.value[:-1])
    differs |= starts
    had = ~starts

    seen = np.flatnonzero(starts & (points.time_unix_nano <= newest))
    if seen.size:
        found, value = existing(points.take(seen))
        stands = unknown[order][seen] if unknown is not None else np.zeros(seen.size, np.bool_)
        had[seen] = found
        differs[seen] = ~(found & (_same(points.value[seen], value) | stands))

    outcome = np.empty(len(points), np.int8)
    outcome[order] = np.select([~differs, had], [Outcome.DUPLICATE, Outcome.CONFLICT], Outcome.STORED)
    return Admission(outcome, order[_last_of_changed_runs(starts, differs)])


def _run_starts(points: PointBatch) -> Bool:
    starts = np.ones(len(points), np.bool_)
    starts[1:] = (points.series[1:] != points.series[:-1]) | (points.time_unix_nano[1:] != points.time_unix_nano[:-1])
    return starts


def _same(a: Float64, b: Float64) -> Bool:
    equal: Bool = (a == b) | (np.isnan(a) & np.isnan(b))
    return equal


def _last_of_changed_runs(starts: Bool, differs: Bool) -> Int64:
    if not starts.size:
        return np.empty(0, np.int64)
    first = np.flatnonzero(starts)
    changed = np.logical_or.reduceat(differs, first)
    last = np.append(first[1:], starts.size) - 1
    return last[changed]

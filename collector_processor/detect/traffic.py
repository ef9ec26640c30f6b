"""How many requests stand behind a point: an error ratio of three requests says nothing.

A rate series counts the requests of its ratio and its quantiles. Each of its points covers the time since the one
before, but at most twice the usual: after a silence nobody knows how long it was counting. Requests behind a point are
those of the rate at the very same time, of this batch or the one before, and, fading over five minutes, those before:
whether something is busy enough to be judged does not hang on how short its windows are.
"""

import numpy as np

from collector_processor.clock import MINUTE, NANOS_PER_SECOND
from collector_processor.detect import record
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch

_LONGEST = 2
_FADING = 5 * MINUTE  # to 1/e

DTYPE = np.dtype(
    [
        ("is_counted", "?"),  # some series is gated by this one
        ("time", "<i8"),  # of its newest point, 0: none yet
        ("gap", "<i8"),  # between its last two, 0: unknown
        ("requests", "<f8"),  # up to its newest point, faded; NaN: unknown
    ]
)
INITIAL = {"requests": np.nan}


class Traffic:
    """The newest request count of every rate series; `series` arguments are dense ids."""

    def __init__(self) -> None:
        self._records = record.filled(DTYPE, 0, INITIAL)
        self.counts_any = False

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self._records = record.grown(self._records, n, INITIAL)

    def count(self, series: Int32) -> None:
        """Follow these rate series from now on."""
        self._records["is_counted"][series] = True
        self.counts_any |= bool(series.size)

    def requests(self, points: PointBatch, companion: Int32) -> Float64:
        """Return how many requests stand behind each point `(n,)`, NaN where nobody knows, and follow the rates.

        `companion` `(n,)` is the rate series of each point's own, negative where there is none.
        """
        found = np.full(len(points), np.nan)
        if not self.counts_any:
            return found
        rates = points.take(self._records["is_counted"][points.series])
        rates = rates.take(np.lexsort((rates.time_unix_nano, rates.series)))
        counts = self._counts(rates)
        asked = np.flatnonzero(companion >= 0)
        series, time = companion[asked], points.time_unix_nano[asked]
        known = self._records[series]
        found[asked] = np.where(known["time"] == time, known["requests"], _looked_up(rates, counts, series, time))
        return found

    def _counts(self, rates: PointBatch) -> Float64:
        """Return the requests of rate points sorted by (series, time), and note the newest of each series."""
        series, time = rates.series, rates.time_unix_nano
        is_first = np.diff(series, prepend=-1) != 0
        rows = self._records[series]
        gap = np.where(is_first, np.where(rows["time"] > 0, time - rows["time"], rows["gap"]), np.diff(time, prepend=0))
        usual = np.where(rows["gap"] > 0, _LONGEST * rows["gap"], gap)
        seconds = np.clip(gap, 0, usual) / NANOS_PER_SECOND
        counts = _faded(np.where(gap > 0, rates.value * seconds, np.nan), gap, rows["requests"], is_first)
        is_newest = np.diff(series, append=-1) != 0
        newest = is_newest & (time > rows["time"])
        at = series[newest]
        self._records["time"][at], self._records["requests"][at] = time[newest], counts[newest]
        self._records["gap"][at] = np.maximum(np.minimum(gap, usual), 0)[newest]
        return counts


def _faded(counts: Float64, gap: Int64, before: Float64, is_first: Bool) -> Float64:
    """Add to the counts of each series' points, sorted by (series, time), the faded sum up to the point before.

    `before` is that of what came before this batch; NaN, unknown, adds nothing.
    """
    kept = np.exp(-np.maximum(gap, 0) / _FADING)
    faded = np.where(is_first, counts + kept * np.nan_to_num(before), counts)
    rank = np.arange(counts.size) - np.maximum.accumulate(np.where(is_first, np.arange(counts.size), 0))
    for later in range(1, int(rank.max(initial=0)) + 1):
        at = np.flatnonzero(rank == later)
        faded[at] += kept[at] * np.nan_to_num(faded[at - 1])
    return faded


def _looked_up(rates: PointBatch, counts: Float64, series: Int32, time: Int64) -> Float64:
    """Return the counts of rate points sorted by (series, time) at these series and times, NaN where there is none."""
    if not len(rates):
        return np.full(series.size, np.nan)
    moments, moment = np.unique(np.concatenate([rates.time_unix_nano, time]), return_inverse=True)
    key = np.concatenate([rates.series, series]).astype(np.int64) * moments.size + moment
    keys, asked = key[: len(rates)], key[len(rates) :]
    at = np.minimum(np.searchsorted(keys, asked), len(rates) - 1)
    hit: Bool = keys[at] == asked
    return np.where(hit, counts[at], np.nan)

"""The forecast that needs no model: what the series was in the last three hours.

The median of its five-minute means, complete ones only, so a burst shorter than half of it does not show, and a level
that stays is followed within an hour and a half. It is known at any time for now only: an hour ahead it is a guess.
"""

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.detect import record
from collector_processor.forecast.resample import means
from collector_processor.telemetry.band import LEVEL_REACH
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

SLOT = 5 * MINUTE
_SLOTS = LEVEL_REACH // SLOT

DTYPE = np.dtype(
    [
        ("slot", "<i8"),  # the running slot, -1: nothing seen
        ("total", "<f8"),  # of its values
        ("count", "<i4"),
        ("level", "<f8"),  # median of the ring; NaN: empty
        ("ring", "<f8", (_SLOTS,)),  # means of complete slots, slot s in place s modulo 36; NaN: no value in it
    ]
)
INITIAL = {"slot": -1, "level": np.nan, "ring": np.nan}


class Levels:
    """The levels of all series; `series` arguments are dense ids, each at most once per call."""

    def __init__(self) -> None:
        self.records = record.filled(DTYPE, 0, INITIAL)

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self.records = record.grown(self.records, n, INITIAL)

    def advance(self, series: Int32, time_unix_nano: Int64) -> None:
        """Complete the slots that ended before times `(n,)`; earlier times change nothing."""
        slot = time_unix_nano // SLOT
        moved = np.flatnonzero(slot > self.records["slot"][series])
        if not moved.size:
            return
        rows, slot = self.records.take(series[moved]), slot[moved]
        mean = np.where(rows["count"] > 0, rows["total"] / np.maximum(rows["count"], 1), np.nan)
        rows["ring"][np.arange(moved.size), rows["slot"] % _SLOTS] = mean
        age = (np.arange(_SLOTS) - rows["slot"][:, np.newaxis] - 1) % _SLOTS
        rows["ring"][age < (slot - rows["slot"] - 1)[:, np.newaxis]] = np.nan
        rows["slot"], rows["total"], rows["count"] = slot, 0.0, 0
        rows["level"] = _median(rows["ring"])
        self.records.put(series[moved], rows)

    def learn(self, series: Int32, value: Float64) -> None:
        """Take finite values `(n,)` of the slots that were advanced to."""
        with np.errstate(over="ignore"):  # a slot of values near the largest double has no mean
            self.records["total"][series] += value
        self.records["count"][series] += 1

    def at(self, series: Int32, time_unix_nano: Int64) -> Float64:
        """Return the level `(n,)` at times in the running slot or soon after it, NaN where it is not known."""
        ahead = time_unix_nano - self.since(series)
        return np.where((ahead >= 0) & (ahead < LEVEL_REACH), self.now(series), np.nan)

    def now(self, series: Int32) -> Float64:
        """Return the level `(n,)` as of the running slot."""
        level: Float64 = self.records["level"][series]
        return level

    def since(self, series: Int32) -> Int64:
        """Return when the running slots `(n,)` began."""
        return np.asarray(self.records["slot"][series] * SLOT, np.int64)


def levels_before(time_unix_nano: Int64, value: Float64) -> Float64:
    """Return the level before each of finite values `(n,)` at ascending times, as `Levels` would have had it."""
    if not time_unix_nano.size:
        return np.empty(0)
    middle, mean = means(time_unix_nano, value, SLOT)
    slot, first = time_unix_nano // SLOT, int(time_unix_nano[0] // SLOT)
    dense = np.full(int(slot[-1]) - first + _SLOTS, np.nan)
    dense[middle // SLOT - first + _SLOTS - 1] = mean
    dense = np.concatenate([[np.nan], dense])
    wanted, row = np.unique(slot - first, return_inverse=True)
    return _median(np.lib.stride_tricks.sliding_window_view(dense, _SLOTS)[wanted])[row]


def _median(rows: Float64) -> Float64:
    """Return the median of the present values of each row, NaN without any."""
    ordered = np.sort(rows, axis=1)  # NaN last
    present: Bool = np.isfinite(ordered)
    count, row = present.sum(axis=1), np.arange(len(rows))
    low, high = ordered[row, np.maximum(count - 1, 0) // 2], ordered[row, count // 2 % rows.shape[1]]
    return np.where(count > 0, 0.5 * low + 0.5 * high, np.nan)

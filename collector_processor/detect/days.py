"""Six weeks of every series as one number a day: the median of its medians of three hours.

Neither a burst nor a nightly job moves it. Days are those of UTC; one of which less than half is known is missing.
"""

import numpy as np

from collector_processor.clock import DAY, HOUR
from collector_processor.detect import record
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

DAYS = 42
WEEK = 7

BLOCK = 3 * HOUR
_BLOCKS = DAY // BLOCK
_LEAST_BLOCKS = 4

DTYPE = np.dtype(
    [
        ("block", "<i8"),  # the running three hours, -1: nothing seen
        ("blocks", "<f8", (_BLOCKS,)),  # medians of the running day, NaN: none
        ("origin", "<f8"),  # the first day; the others are told from it, so that 1e12 +- 1 keeps its 1
        ("days", "<f4", (DAYS,)),  # complete days, day d in place d modulo 42; NaN: missing
    ]
)
INITIAL = {"block": -1, "blocks": np.nan, "origin": np.nan, "days": np.nan}


class Days:
    """The days of all series; `series` arguments are dense ids, each at most once per call."""

    def __init__(self) -> None:
        self.records = record.filled(DTYPE, 0, INITIAL)

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self.records = record.grown(self.records, n, INITIAL)

    def take(self, series: Int32, time_unix_nano: Int64, level: Float64) -> Int64:
        """Take the medians of the three hours before times `(n,)`; return the rows with which a day ended.

        To be called with every point: the first one in three hours counts.
        """
        block = time_unix_nano // BLOCK
        at = np.flatnonzero(block > self.records["block"][series])
        if not at.size:
            return at
        rows, block, level = self.records[series[at]], block[at], level[at]
        day, old_day, level_day = block // _BLOCKS, rows["block"] // _BLOCKS, (block - 1) // _BLOCKS
        _file(rows, level_day == old_day, block - 1, level)
        is_over: Bool = (day > old_day) & (rows["block"] >= 0)
        _close(rows, is_over, day)
        _file(rows, (level_day == day) & (day > old_day), block - 1, level)
        rows["block"] = block
        self.records[series[at]] = rows
        return at[is_over]

    def weekly_changes(self, series: Int32, time_unix_nano: Int64) -> Float64:
        """Return `(n, 35)`: each of the days before times `(n,)` less the same day of the week before, newest last."""
        newest = time_unix_nano // DAY - 1
        place = (newest[:, np.newaxis] - np.arange(DAYS)[::-1]) % DAYS
        days = np.take_along_axis(self.records["days"][series], place, axis=1).astype(np.float64)
        return days[:, WEEK:] - days[:, :-WEEK]

    def newest(self, series: Int32, time_unix_nano: Int64) -> Float64:
        """Return the day before each of times `(n,)`, NaN where it is missing."""
        rows = self.records[series]
        day: Float64 = rows["days"][np.arange(series.size), (time_unix_nano // DAY - 1) % DAYS] + rows["origin"]
        return day


def _file(rows: record.Records, where: Bool, block: Int64, level: Float64) -> None:
    at = np.flatnonzero(where)
    rows["blocks"][at, block[at] % _BLOCKS] = level[at]


def _close(rows: record.Records, where: Bool, day: Int64) -> None:
    """Make days of the blocks of series whose running day is `day` by now; those in between are missing."""
    at = np.flatnonzero(where)
    ordered = np.sort(rows["blocks"][at], axis=1)  # NaN last
    count, row = np.isfinite(ordered).sum(axis=1), np.arange(at.size)
    median = 0.5 * (ordered[row, np.maximum(count - 1, 0) // 2] + ordered[row, count // 2 % _BLOCKS])
    median = np.where(count >= _LEAST_BLOCKS, median, np.nan)
    rows["origin"][at] = np.where(np.isnan(rows["origin"][at]), median, rows["origin"][at])
    closed = rows["block"][at] // _BLOCKS
    age = (np.arange(DAYS) - closed[:, np.newaxis]) % DAYS
    days = np.where((age > 0) & (age < (day[at] - closed)[:, np.newaxis]), np.nan, rows["days"][at])
    days[row, closed % DAYS] = median - rows["origin"][at]
    rows["days"][at] = days
    rows["blocks"][at] = np.nan

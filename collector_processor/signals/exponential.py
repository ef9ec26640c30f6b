"""Quantiles of exponential histograms, and the buckets that cumulative ones are measured from.

Two histograms are compared on the coarser of their scales, where a bucket is the union of 2^n finer ones, and with the
wider of their zero buckets; so a sender may change both from point to point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.signals.counters import BEFORE_BATCH, NO_BASE, Steps
from collector_processor.signals.histogram import QUANTILES
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

_FAR = 1 << 40  # past every index, so that `+-(index + _FAR)` orders buckets as the numbers in them
_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class SparseBuckets:
    """Exponential histograms `(n,)` and, one row each, the buckets `(m,)` of them that hold anything.

    Rows are in any order, and may occur more than once with the same index: counts add up.
    """

    scale: Int64
    zero_count: Float64
    zero_threshold: Float64
    row: Int64
    index: Int64
    count: Float64
    is_negative: Bool

    def __len__(self) -> int:
        return self.scale.size

    def take(self, rows: Int64) -> "SparseBuckets":
        """Select histograms, each at most once."""
        place = np.full(len(self), -1, np.int64)
        place[rows] = np.arange(rows.size)
        chosen = place[self.row] >= 0
        return SparseBuckets(
            self.scale[rows],
            self.zero_count[rows],
            self.zero_threshold[rows],
            place[self.row[chosen]],
            self.index[chosen],
            self.count[chosen],
            self.is_negative[chosen],
        )

    @classmethod
    def concat(cls, parts: "Sequence[SparseBuckets]") -> "SparseBuckets":
        """Join histograms in order."""
        first = np.cumsum([0, *(len(part) for part in parts)])
        return cls(
            np.concatenate([part.scale for part in parts]),
            np.concatenate([part.zero_count for part in parts]),
            np.concatenate([part.zero_threshold for part in parts]),
            np.concatenate([part.row + begin for part, begin in zip(parts, first[:-1], strict=True)]),
            np.concatenate([part.index for part in parts]),
            np.concatenate([part.count for part in parts]),
            np.concatenate([part.is_negative for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class _Spread:
    """What `n` histograms hold, ascending by row and by the numbers in the buckets; `key` 0 is the zero bucket."""

    row: Int64
    key: Int64
    count: Float64
    scale: Int64
    zero_threshold: Float64


def exponential_quantiles(buckets: SparseBuckets, quantiles: Sequence[float] = QUANTILES) -> Float64:
    """Estimate quantiles `(n, q)`, exponentially interpolated in a bucket, NaN for histograms without observations.

    The rule of Prometheus' native histograms. In the zero bucket it is linear, from 0 where nothing is negative and to
    0 where nothing is positive.
    """
    n = len(buckets)
    nothing = np.full(n, -1)
    return _quantiles(_spread(buckets, nothing, buckets.scale, buckets.zero_threshold), n, quantiles)


class ExponentialState:
    """The buckets of each cumulative exponential histogram at its newest followed point, by dense series id."""

    def __init__(self) -> None:
        self._of: dict[int, SparseBuckets] = {}

    def advance(self, series: Int32, steps: Steps, buckets: SparseBuckets) -> Float64:
        """Return the quantiles `(n, q)` of what came since the base of each row, and make the last rows the state.

        NaN where there is no base, nothing came, or a bucket has shrunk.
        """
        base, known = self._base_rows(series, steps)
        table = SparseBuckets.concat([buckets, *known])
        has_base = base != NO_BASE
        before = np.where(base >= 0, base, np.arange(series.size))  # itself where there is none
        scale = np.minimum(buckets.scale, table.scale[before])
        threshold = np.maximum(buckets.zero_threshold, table.zero_threshold[before])
        quantiles = _quantiles(_spread(table, base, scale, threshold), series.size, QUANTILES)
        quantiles[~has_base] = np.nan
        for row in steps.last[steps.last >= 0].tolist():
            self._of[int(series[row])] = buckets.take(np.array([row]))
        return quantiles

    def forget(self, series: int) -> None:
        """Drop what is kept of a series."""
        self._of.pop(series, None)

    def _base_rows(self, series: Int32, steps: Steps) -> tuple[Int64, list[SparseBuckets]]:
        """Return where the base of each row stands in the batch with the known ones behind it, and these."""
        base, known = steps.base.copy(), list[SparseBuckets]()
        for row in np.flatnonzero(base == BEFORE_BATCH).tolist():
            held = self._of.get(int(series[row]))
            base[row] = NO_BASE if held is None else series.size + len(known)
            if held is not None:
                known.append(held)
        return base, known


def _spread(table: SparseBuckets, base: Int64, scale: Int64, threshold: Float64) -> _Spread:
    """Return the first `n` histograms minus their bases (rows of the table, or negative: nothing) on a common scale."""
    n = scale.size
    own = np.arange(n)
    of = np.full(len(table), -1, np.int64)  # the row whose base this is
    of[base[base >= 0]] = np.flatnonzero(base >= 0)
    plus, minus = table.row < n, of[table.row] >= 0
    row = np.concatenate([table.row[plus], of[table.row[minus]]])
    source = np.concatenate([table.row[plus], table.row[minus]])
    index = np.concatenate([table.index[plus], table.index[minus]]) >> (table.scale[source] - scale[row])
    is_negative = np.concatenate([table.is_negative[plus], table.is_negative[minus]])
    with np.errstate(divide="ignore"):
        is_zero = index * _width(scale)[row] < np.log2(threshold)[row]
    key = np.where(is_zero, 0, np.where(is_negative, -1, 1) * (index + _FAR))
    zeros = table.zero_count[:n] - np.where(base >= 0, table.zero_count[np.maximum(base, 0)], 0.0)
    row, key = np.concatenate([row, own]), np.concatenate([key, np.zeros(n, np.int64)])
    count = np.concatenate([table.count[plus], -table.count[minus], zeros])
    order = np.lexsort((key, row))
    row, key, count = row[order], key[order], count[order]
    first = np.flatnonzero(np.concatenate([[True], (np.diff(row) != 0) | (np.diff(key) != 0)])[: row.size])
    count = np.add.reduceat(count, first) if first.size else count
    return _Spread(row[first], key[first], count, scale, threshold)


def _quantiles(spread: _Spread, n: int, quantiles: Sequence[float]) -> Float64:
    result = np.full((n, len(quantiles)), np.nan)
    if not n:
        return result
    shrunk = np.bincount(spread.row, spread.count < 0, n) > 0
    held = np.where(shrunk[spread.row], 0.0, spread.count)
    total = np.bincount(spread.row, held, n)
    (good,) = np.nonzero(total > 0)
    first = np.searchsorted(spread.row, good)
    last = np.searchsorted(spread.row, good, side="right") - 1
    running = np.cumsum(held)
    before = running[first] - held[first]
    for column, quantile in enumerate(quantiles):
        rank = before + quantile * total[good]
        at = np.clip(np.searchsorted(running, rank), first, last)
        share = (rank - (running[at] - held[at])) / np.where(held[at] > 0, held[at], 1.0)
        result[good, column] = _inside(spread, held, at, np.clip(share, 0.0, 1.0), first, last)
    return result


def _inside(spread: _Spread, held: Float64, at: Int64, share: Float64, first: Int64, last: Int64) -> Float64:
    """Return the number that `share` of a bucket's observations lie below."""
    key, row = spread.key[at], spread.row[at]
    width = _width(spread.scale)[row]
    with np.errstate(over="ignore"):
        above = np.minimum(np.exp2((key - _FAR + share) * width), _LARGEST)
        below = -np.minimum(np.exp2((-key - _FAR + 1.0 - share) * width), _LARGEST)
    has_negative = _any_between(held, first, at - 1)
    has_positive = _any_between(held, at + 1, last)
    low = np.where(has_negative, -spread.zero_threshold[row], 0.0)
    high = np.where(has_positive | ~has_negative, spread.zero_threshold[row], 0.0)
    return np.where(key > 0, above, np.where(key < 0, below, low + (high - low) * share))


def _any_between(held: Float64, first: Int64, last: Int64) -> Bool:
    """Tell whether any of the places `first` to `last` (inclusive; none where last < first) holds something."""
    running = np.concatenate([[0.0], np.cumsum(held > 0)])
    some: Bool = running[np.maximum(last + 1, first)] > running[first]
    return some


def _width(scale: Int64) -> Float64:
    """Return the width of a bucket in exponents of 2."""
    width: Float64 = np.exp2(-scale.astype(np.float64))
    return width

"""Quantiles of explicit-bucket histograms, and the bucket counts that cumulative ones are measured from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.signals.columns import grown
from collector_processor.signals.counters import BEFORE_BATCH, NO_BASE, Steps
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class BucketBlock:
    """Rows of a batch with the same bounds: `rows` `(m,)` are places in the batch, `counts` is (m, len(bounds) + 1)."""

    bounds: Float64
    rows: Int64
    counts: Float64


def bucket_quantiles(bounds: Float64, counts: Float64, quantiles: Sequence[float] = QUANTILES) -> Float64:
    """Estimate quantiles `(n, q)` from bucket counts `(n, b)` by linear interpolation in the bucket.

    The rule of Prometheus' `histogram_quantile`: the first bucket starts at 0 unless its bound is not positive, then
    that bound is the answer; in the last bucket the answer is its lower bound. NaN for rows without observations, and
    everywhere if there are no bounds.
    """
    if not bounds.size:
        return np.full((len(counts), len(quantiles)), np.nan)
    cumulative = np.cumsum(counts, axis=1)
    total = cumulative[:, -1:]
    lower = np.concatenate([[min(0.0, bounds[0])], bounds])
    upper = np.concatenate([bounds, bounds[-1:]])
    result = np.empty((len(counts), len(quantiles)))
    for column, quantile in enumerate(quantiles):
        rank = quantile * total
        bucket = np.argmax(cumulative[:, :-1] >= rank, axis=1)
        bucket = np.where(cumulative[:, -2] >= rank[:, 0], bucket, bounds.size)[:, None]
        inside = np.take_along_axis(counts, bucket, axis=1)
        below = np.take_along_axis(cumulative, bucket, axis=1) - inside
        share = (rank - below) / np.where(inside > 0, inside, 1.0)
        result[:, column] = (lower[bucket] + (upper[bucket] - lower[bucket]) * share)[:, 0]
    result[total[:, 0] <= 0] = np.nan
    return result


def is_consistent(block: BucketBlock, count: Float64) -> Bool:
    """Tell for each row whether its buckets add up to `count` `(m,)`, none is negative, and the bounds ascend."""
    if block.counts.shape[1] != block.bounds.size + 1 or not _ascends(block.bounds):
        return np.zeros(len(block.rows), np.bool_)
    with np.errstate(invalid="ignore"):  # Prometheus' staleness marker is a signalling NaN
        adds_up: Bool = np.isclose(block.counts.sum(axis=1), count, rtol=1e-9, atol=0.0)
        return adds_up & (block.counts >= 0).all(axis=1)


class BucketState:
    """The bucket counts of each cumulative histogram at its newest followed point, by dense series id.

    A series whose bounds change is measured anew from its next point.
    """

    def __init__(self) -> None:
        self._layouts: dict[bytes, _Layout] = {}
        self._layout_of: dict[int, bytes] = {}

    def advance(self, series: Int32, steps: Steps, blocks: Sequence[BucketBlock]) -> list[Float64]:
        """Return per block the increase of each bucket (m, b), NaN in rows without one, and make them the state."""
        block_of = np.full(series.size, -1, np.int64)
        place = np.zeros(series.size, np.int64)
        for number, block in enumerate(blocks):
            block_of[block.rows] = number
            place[block.rows] = np.arange(block.rows.size)
        increases = [self._increase(b, number, series, steps, block_of, place) for number, b in enumerate(blocks)]
        for number, block in enumerate(blocks):
            last = steps.last[block_of[steps.last] == number]
            self._keep(block, series[last], block.counts[place[last]])
        return increases

    def _increase(
        self, block: BucketBlock, number: int, series: Int32, steps: Steps, block_of: Int64, place: Int64
    ) -> Float64:
        base = steps.base[block.rows]
        before = np.zeros_like(block.counts)
        earlier_row = base >= 0
        before[earlier_row] = block.counts[place[base[earlier_row]] * (block_of[base[earlier_row]] == number)]
        moved = np.zeros(base.size, np.bool_)
        moved[earlier_row] = block_of[base[earlier_row]] != number
        from_state = base == BEFORE_BATCH
        before[from_state] = self._read(block.bounds, series[block.rows[from_state]])
        increase = block.counts - before
        increase[(base == NO_BASE) | moved | (increase < 0).any(axis=1)] = np.nan
        return increase

    def _read(self, bounds: Float64, series: Int32) -> Float64:
        layout = self._layouts.get(bounds.tobytes())
        return layout.read(series) if layout else np.full((series.size, bounds.size + 1), np.nan)

    def _keep(self, block: BucketBlock, series: Int32, counts: Float64) -> None:
        if not series.size:
            return
        name = block.bounds.tobytes()
        for s in series.tolist():
            old = self._layout_of.get(s)
            if old != name:
                self._layout_of[s] = name
                if old is not None and self._layouts[old].drop(s):
                    del self._layouts[old]
        self._layouts.setdefault(name, _Layout(block.counts.shape[1])).write(series, counts)


class _Layout:
    """Bucket counts of the series that have the same bounds."""

    def __init__(self, buckets: int) -> None:
        self._counts = np.full((0, buckets), np.nan)
        self._rows: dict[int, int] = {}
        self._free: list[int] = []

    def read(self, series: Int32) -> Float64:
        rows = np.array([self._rows.get(s, -1) for s in series.tolist()], np.int64)
        counts = np.full((series.size, self._counts.shape[1]), np.nan)
        counts[rows >= 0] = self._counts[rows[rows >= 0]]
        return counts

    def write(self, series: Int32, counts: Float64) -> None:
        rows = [self._row(s) for s in series.tolist()]
        self._counts = grown(self._counts, len(self._rows) + len(self._free), np.nan, least=1)  # a row may be megabytes
        self._counts[rows] = counts

    def drop(self, series: int) -> bool:
        """Forget a series; return whether none is left."""
        self._free.append(self._rows.pop(series))
        return not self._rows

    def _row(self, series: int) -> int:
        row = self._rows.get(series)
        if row is None:
            row = self._rows[series] = self._free.pop() if self._free else len(self._rows)
        return row


def _ascends(bounds: Float64) -> bool:
    return bool(np.isfinite(bounds).all() and (bounds[1:] > bounds[:-1]).all())

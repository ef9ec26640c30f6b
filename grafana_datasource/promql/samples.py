"""Samples of many series as columns, and the windows of them that lie before each step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collector_processor.telemetry.points import Bool, Float64, Int64
from grafana_datasource.promql.moments import unix_seconds
from grafana_datasource.promql.vector import Labels, Vector

LOOKBACK = 300 * 1_000_000_000
"""A sample stands for the times after it until the next one, but no longer than this."""

_ELEMENTS_AT_ONCE = 2_000_000
_REDUCED_AT_ONCE = 50_000_000
_FEW_TIMES = 8


@dataclass(frozen=True, slots=True)
class Samples:
    """All samples of `k` series, one series after another, each ascending in time.

    Series `i` has the rows `bounds[i]` to `bounds[i + 1]`. `is_stale` marks the end of a series, not a sample.
    """

    labels: Sequence[Labels]
    bounds: Int64
    time: Int64
    value: Float64
    is_stale: Bool

    @classmethod
    def empty(cls) -> "Samples":
        """Return no series."""
        no_rows = np.empty(0, np.int64)
        return cls([], np.zeros(1, np.int64), no_rows, np.empty(0), np.empty(0, np.bool_))

    @classmethod
    def concat(cls, parts: "Sequence[Samples]") -> "Samples":
        """Join the series of all parts."""
        parts = [part for part in parts if part.labels]
        if len(parts) < 2:
            return parts[0] if parts else cls.empty()
        sizes = np.concatenate([np.diff(part.bounds) for part in parts])
        return cls(
            [labels for part in parts for labels in part.labels],
            np.append(0, np.cumsum(sizes)),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.is_stale for part in parts]),
        )

    def lively(self) -> "Samples":
        """Drop the marks of ends."""
        if not self.is_stale.any():
            return self
        kept = np.append(0, np.cumsum(~self.is_stale))
        keep = ~self.is_stale
        return Samples(self.labels, kept[self.bounds], self.time[keep], self.value[keep], self.is_stale[keep])

    def places(self, times: Int64, side: Any) -> Int64:
        """Return `(k, n)` the row of each series before which each time would be put."""
        k = len(self.labels)
        size = int(self.bounds[1]) if k else 0
        if k and (np.diff(self.bounds) == size).all():
            table = self.time.reshape(k, size)
            if (table == table[0]).all():
                return self.bounds[:-1, np.newaxis] + np.searchsorted(table[0], times, side)
        if times.size < _FEW_TIMES and k:
            return self._few_places(times, side)
        found = np.empty((k, times.size), np.int64)
        for row, (first, stop) in enumerate(zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist(), strict=True)):
            found[row] = np.searchsorted(self.time[first:stop], times, side) + first
        return found

    def _few_places(self, times: Int64, side: Any) -> Int64:
        """Find the places of few times in one search: series after series, times go on ascending."""
        if not self.time.size:
            return np.zeros((len(self.labels), times.size), np.int64)
        origin, span = int(self.time.min()) - 1, int(np.ptp(self.time)) + 3
        begin = np.arange(len(self.labels)) * span
        key = np.repeat(begin, np.diff(self.bounds)) + (self.time - origin)
        asked = begin[:, np.newaxis] + np.clip(times - origin, 0, span - 1)
        return np.searchsorted(key, asked.ravel(), side).reshape(asked.shape)


def newest(samples: Samples, times: Int64, lookback: int = LOOKBACK) -> tuple[Int64, Bool]:
    """Return `(k, n)` the row of the newest sample at each time, and whether there is one that is not too old."""
    row = samples.places(times, "right") - 1
    has_row = row >= samples.bounds[:-1, np.newaxis]
    row = np.where(has_row, row, 0)
    if not samples.time.size:
        return row, np.zeros(row.shape, np.bool_)
    return row, has_row & (times - samples.time[row] <= lookback) & ~samples.is_stale[row]


def selected(samples: Samples, times: Int64, lookback: int = LOOKBACK) -> Vector:
    """Return the newest sample of every series at each time."""
    row, present = newest(samples, times, lookback)
    values = samples.value[row] if samples.value.size else np.zeros(row.shape)
    return Vector(samples.labels, values, present).compact()


@dataclass(frozen=True, slots=True)
class Windows:
    """For each of `k` series and `n` steps the samples in the `length` nanoseconds up to `times`, both ends included.

    `steps` are the times of the steps themselves, which an offset or `@` tells from `times`. Cell `(i, j)` holds rows
    `first[i, j]` to `stop[i, j]`. `tick` is called between pieces of work; it raises when the query may not go on.
    """

    samples: Samples
    steps: Int64
    times: Int64
    length: int
    first: Int64
    stop: Int64
    tick: Callable[[], None]

    @classmethod
    def over(cls, samples: Samples, steps: Int64, times: Int64, length: int, tick: Callable[[], None]) -> "Windows":
        """Find the window of every cell."""
        lively = samples.lively()
        first, stop = lively.places(times - length, "left"), lively.places(times, "right")
        return cls(lively, steps, times, length, first, stop, tick)

    @property
    def count(self) -> Int64:
        """Return how many samples each cell holds."""
        return self.stop - self.first

    def cut(self) -> Samples:
        """Return the samples of the windows at the first step."""
        size = self.count[:, 0]
        row = np.arange(int(size.sum())) + np.repeat(self.first[:, 0] - (np.cumsum(size) - size), size)
        bounds = np.append(0, np.cumsum(size))
        samples = self.samples
        return Samples(samples.labels, bounds, samples.time[row], samples.value[row], samples.is_stale[row])

    def value(self, row: Int64) -> Float64:
        """Return values by row; rows of empty windows give anything."""
        return _safe(self.samples.value, row)

    def time(self, row: Int64) -> Int64:
        """Return times by row in nanoseconds; rows of empty windows give anything."""
        time = self.samples.time
        return time[np.clip(row, 0, time.size - 1)] if time.size else np.zeros(row.shape, np.int64)

    def seconds(self, row: Int64) -> Float64:
        """Return times by row in seconds after the first sample of all."""
        return _safe((self.samples.time - self._origin()) / 1e9, row)

    def unix_seconds(self, row: Int64) -> Float64:
        """Return times by row in Unix seconds; rows of empty windows give anything."""
        return _safe(unix_seconds(self.samples.time), row)

    def seconds_of(self, times: Int64) -> Float64:
        """Return any times in the same seconds."""
        return np.asarray((times - self._origin()) / 1e9)

    def reduced(self, operator: np.ufunc, column: Float64, first: Int64 | None = None) -> Float64:
        """Reduce a column of the samples over every window; empty windows give anything."""
        first = np.minimum(self.first if first is None else first, self.stop)
        padded = np.append(column, np.zeros(1, column.dtype))
        total = np.cumsum(self.count.sum(axis=1))
        pieces = np.searchsorted(total, np.arange(_REDUCED_AT_ONCE, total[-1] if total.size else 0, _REDUCED_AT_ONCE))
        found = []
        for rows in np.split(np.arange(len(self.first)), np.unique(pieces)):
            self.tick()
            edges = np.stack([first[rows], self.stop[rows]], axis=-1).ravel()
            found.append(operator.reduceat(padded, edges)[::2] if edges.size else np.empty(0))
        return np.concatenate(found).reshape(self.first.shape)

    def each(self, compute: Callable[["Unrolled"], Float64]) -> Float64:
        """Compute one number per window from all its samples, a bounded number of them at once; NaN for empty ones."""
        answer = np.full(self.first.size, np.nan)
        (cells,) = np.nonzero(self.count.ravel())
        total = np.cumsum(self.count.ravel()[cells])
        pieces = np.searchsorted(total, np.arange(_ELEMENTS_AT_ONCE, total[-1] if total.size else 0, _ELEMENTS_AT_ONCE))
        for part in np.split(cells, np.unique(pieces)):
            if part.size:
                self.tick()
                answer[part] = compute(Unrolled.of(self, part))
        return answer.reshape(self.first.shape)

    def _origin(self) -> int:
        return int(self.samples.time[0]) if self.samples.time.size else 0


@dataclass(frozen=True, slots=True)
class Unrolled:
    """The samples of some windows one window after another: window `i` starts at `start[i]` and has `count[i]`.

    `cell` is the place of each window in the flattened `(k, n)`, `row` the sample of each element.
    """

    windows: Windows
    cell: Int64
    row: Int64
    start: Int64
    count: Int64

    @classmethod
    def of(cls, windows: Windows, cell: Int64) -> "Unrolled":
        """Lay out the windows of some cells, none of them empty."""
        count = windows.count.ravel()[cell]
        start = np.cumsum(count) - count
        row = np.arange(int(count.sum())) + np.repeat(windows.first.ravel()[cell] - start, count)
        return cls(windows, cell, row, start, count)

    @property
    def value(self) -> Float64:
        """Return the value of each element."""
        return self.windows.samples.value[self.row]

    @property
    def step(self) -> Int64:
        """Return which step each window belongs to."""
        return self.cell % self.windows.steps.size

    def sum(self, column: Float64) -> Float64:
        """Add up a column of the elements per window."""
        return np.asarray(np.add.reduceat(column, self.start))

    def spread(self, column: Any) -> Any:
        """Repeat a number per window for each of its elements."""
        return np.repeat(column, self.count)


def _safe(column: Float64, row: Int64) -> Float64:
    if not column.size:
        return np.full(row.shape, np.nan)
    return column[np.clip(row, 0, column.size - 1)]

"""Histories in a real store, compacted into days as they rest there, and read as a fit process reads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.store import compact
from collector_processor.clock import DAY
from collector_processor.forecast.regressors import Grid
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from collector_processor.telemetry.points import Float64, PointBatch
from collector_processor.training.request import Chunk, FitOutcome, FitRequest
from collector_processor.training.task import fit_chunk

_HOURS_AT_ONCE = 4


class Stored:
    """A store with the histories `(B, size)` on a grid; NaN is missing."""

    def __init__(self, directory: Path, grid: Grid, history: Float64) -> None:
        self._directory, self._grid, self._count = directory, grid, len(history)
        self._points = int(np.isfinite(history).sum())
        self._write(history)
        self._reader = open_reader(directory)

    def chunks(self, size: int) -> list[Chunk]:
        """Return requests for all series, so many together, none of them the first of its series."""
        start, end = self._grid.start_unix_nano, int(self._grid.times()[-1]) + 1
        requests = [FitRequest(self._directory, i, start, end, self._grid.step_nano) for i in range(self._count)]
        return [tuple(requests[i : i + size]) for i in range(0, self._count, size)]

    def read(self, chunk: Chunk) -> tuple[Grid, Float64]:
        """Return the means of a chunk on their grid."""
        series = np.array([request.series for request in chunk], np.int32)
        step = self._grid.step_nano
        means = self._reader.read_means(series, chunk[0].start_unix_nano, chunk[0].end_unix_nano, step)
        return Grid(means.first_step * step + step // 2, step, means.mean.shape[1]), means.mean

    def bytes_a_point(self) -> tuple[float, float]:
        """Return what points take at rest, and what their rollups take."""
        sizes = []
        for columns, table in (("value", "chunk"), ("body", "times"), ("levels", "rollup"), ("entries", "rollup")):
            query = f"SELECT sum(length({columns})) FROM {table}"
            ((size,),) = self._reader._connection.execute(query)  # noqa: SLF001 - the store has no reason to tell
            sizes.append(size / self._points)
        return sizes[0] + sizes[1], sizes[2] + sizes[3]

    def refit(self, chunk: Chunk) -> Sequence[FitOutcome]:
        """Do all a fit process does between two backtests: all forecasts, outliers masked, packed."""
        return fit_chunk(chunk)

    def _write(self, history: Float64) -> None:
        store = open_writer(self._directory, StoreSettings(retention_nano=60 * DAY))
        times = self._grid.times()
        at_once = _HOURS_AT_ONCE * 3_600_000_000_000 // self._grid.step_nano
        for first in range(0, self._grid.size, at_once):
            row, column = np.nonzero(np.isfinite(history[:, first : first + at_once]))
            points = PointBatch(row.astype(np.int32), times[first + column], history[row, first + column])
            store.commit(Commit(points=points))
            store.maintain(int(times[min(first + at_once, self._grid.size) - 1]), 10.0)
        compact(store)
        store.close()

"""Prophet for many series at once: their means on one grid, the batched solver, the library where that declines.

A series is left alone where Prophet would run away along its trend: with fewer points than identify one, or before two
days, when by its own rules it knows no time of day yet.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from collector_processor.clock import DAY
from collector_processor.errors import NotEnoughDataError
from collector_processor.forecast import kernel
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.reference import MIN_POINTS, ProphetForecaster
from collector_processor.forecast.regressors import Grid, Regressors, build_regressors
from collector_processor.forecast.resample import means
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import BatchFit, Status, extents, solve
from collector_processor.telemetry.points import Bool, Float64, Int64
from collector_processor.training.request import Solver

PROPHET_HISTORY = 2 * DAY


@dataclass(frozen=True, slots=True)
class History:
    """The finite points of one series: ascending times `(n,)`, at least one, and values `(n,)`."""

    time_unix_nano: Int64
    value: Float64


@dataclass(frozen=True, slots=True)
class ProphetFit:
    """What fitting one history gave: nothing where it is too short, or neither solver could."""

    fitted: FittedProphet | None = None
    solver: Solver = Solver.NONE
    declined: str = ""


class Histories:
    """Series of one chunk as means over `step` on their common grid; all are fitted with the same settings."""

    def __init__(self, histories: Sequence[History], step: int, settings: ProphetSettings | None = None) -> None:
        self._settings = settings or ProphetSettings()
        self._grid, self._means = on_grid(histories, step)

    def fit(self) -> list[ProphetFit]:
        """Fit every series on all it has."""
        return fit_rows(self._grid, self._means, self._settings)

    def fit_before(self, rows: Int64, until: Int64) -> list[ProphetFit]:
        """Fit series `rows` `(m,)` on what they had before `until` `(m,)`.

        A step that `until` divides is left out: its mean knows what came after.
        """
        ends = self._grid.times() + (self._grid.step_nano - self._grid.step_nano // 2)
        past = np.where(ends <= until[:, np.newaxis], self._means[rows], np.nan)
        return fit_rows(self._grid, past, self._settings)


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """Rows of a grid, fitted: those `rows` `(n,)` that the batched solver got, in its terms, and the rest by row."""

    rows: Int64
    batch: BatchFit | None
    others: dict[int, ProphetFit]


def solve_rows(grid: Grid, y: Float64, settings: ProphetSettings) -> Solved:
    """Fit every row of `y (B, size)`, NaN where missing, that is long enough; all rows are in the result."""
    is_enough = _is_enough(y, grid.step_nano)
    others = dict.fromkeys(np.flatnonzero(~is_enough).tolist(), ProphetFit())
    rows = np.flatnonzero(is_enough)
    if settings.declined or not rows.size:
        fits = {i: _fit_by_library(grid, y[i], settings, settings.declined) for i in rows.tolist()}
        return Solved(rows[:0], None, others | fits)
    batch = solve(y if rows.size == len(y) else y[rows], _regressors(grid, settings))
    for at in np.flatnonzero(~batch.is_fitted).tolist():
        i, declined = int(rows[at]), Status(batch.status[at]).name.lower()
        others[i] = _fit_by_library(grid, y[i], settings, declined)
    return Solved(rows, batch, others)


def fit_rows(grid: Grid, y: Float64, settings: ProphetSettings) -> list[ProphetFit]:
    """Fit the same rows, one object each."""
    solved = solve_rows(grid, y, settings)
    fits = solved.others.copy()
    if solved.batch is not None:
        found = zip(solved.rows.tolist(), solved.batch.all_fitted(), strict=True)
        fits |= {i: ProphetFit(fitted, Solver.BATCH) for i, fitted in found if fitted is not None}
    return [fits[i] for i in range(len(y))]


def _fit_by_library(grid: Grid, y: Float64, settings: ProphetSettings, declined: str) -> ProphetFit:
    try:
        fitted = ProphetForecaster(settings).fit(grid.times(), y)
    except NotEnoughDataError as error:
        return ProphetFit(declined=f"{declined}; {error}")
    return ProphetFit(fitted, Solver.LIBRARY, declined)


def on_grid(histories: Sequence[History], step: int) -> tuple[Grid, Float64]:
    """Return the grid that covers all histories, and their means over its steps `(B, size)`, NaN where missing."""
    first = min(int(h.time_unix_nano[0]) for h in histories) // step
    last = max(int(h.time_unix_nano[-1]) for h in histories) // step
    grid = Grid(first * step + step // 2, step, last - first + 1)
    result = np.full((len(histories), grid.size), np.nan)
    for row, history in zip(result, histories, strict=True):
        middle, mean = means(history.time_unix_nano, history.value, step)
        row[(middle - grid.start_unix_nano) // step] = mean
    return grid, result


def keep_machine_code(directory: Path) -> None:
    """Have the solver's machine code kept below a writable directory where it can't be kept beside its source.

    To be called before the first fit; compiling takes some twenty seconds.
    """
    beside = Path(kernel.__file__).parent
    cache = beside / "__pycache__"
    if not os.access(cache if cache.exists() else beside, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(directory / "cache"))


def _is_enough(y: Float64, step: int) -> Bool:
    """Tell which rows have the number of means, and the time between the first and the last, that Prophet takes."""
    first, last, _, observed = extents(y).T
    enough: Bool = ((last - first) * step >= PROPHET_HISTORY) & (observed >= MIN_POINTS)
    return enough


@lru_cache(maxsize=4)
def _regressors(grid: Grid, settings: ProphetSettings) -> Regressors:
    return build_regressors(grid, settings)

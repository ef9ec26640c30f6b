"""What most fits are: a model renewed between two backtests, from the store's means, many series at once.

Medians of the day are then of means over a step instead of points, which is the same where each step holds as many. A
series that has no usual day yet, or no point, is left to those who read points.
"""

from collections.abc import Sequence

import numpy as np

from collector_processor.forecast.columns import columns_of
from collector_processor.forecast.packed import pack_columns
from collector_processor.forecast.regressors import Grid
from collector_processor.forecast.seasonal import SLOT, YOUNG, median_days
from collector_processor.telemetry.means import StepMeans
from collector_processor.telemetry.points import Float64
from collector_processor.training.batch import ProphetFit, Solved, solve_rows
from collector_processor.training.outcome import Fit, keep, outcome_of, provenance_of
from collector_processor.training.request import FitOutcome, FitRequest, Solver

_SOLVED = ProphetFit(solver=Solver.BATCH)


def asks_for_refit(request: FitRequest) -> bool:
    """Tell whether means are all that a request needs."""
    has_points_left_out = bool(request.settings.maintenance.texts)
    return not request.is_first and not request.needs_backtest and not has_points_left_out and SLOT % request.step == 0


def refit(requests: Sequence[FitRequest], means: StepMeans) -> list[FitOutcome]:
    """Fit requests with equal settings that ask for a refit; those of young series are left out."""
    rows = np.flatnonzero(means.last_time - means.first_time >= YOUNG)
    if not rows.size:
        return []
    y, std = (means.mean, means.std) if rows.size == len(means) else (means.mean[rows], means.std[rows])
    step, settings = means.step_nano, requests[0].settings
    grid = Grid(means.first_step * step + step // 2, step, y.shape[1])
    solved, medians = solve_rows(grid, y, settings), median_days(grid.times(), y, settings.time_zone)
    packed = _packed(solved, settings.time_zone, medians, std)
    by_series, provenance = {request.series: request for request in requests}, provenance_of(settings)
    times = (means.series, means.first_time, means.last_time)
    outcomes = []
    for i, (series, first, last) in enumerate(zip(*(column[rows].tolist() for column in times), strict=True)):
        request, other = by_series[series], solved.others.get(i, _SOLVED)
        fit = Fit(packed[i], first, last, keep(request), other.solver, other.declined)
        outcomes.append(outcome_of(request, fit, provenance))
    return outcomes


def _packed(solved: Solved, time_zone: str, medians: Float64, std: Float64) -> dict[int, bytes]:
    """Return the parameters of every row: all of one layout at once, and alone what the solver did not fit."""
    groups = [] if solved.batch is None else [(solved.rows[which], found) for which, found in solved.batch.columns()]
    packed = dict[int, bytes]()
    for rows, found in groups:
        packed.update(zip(rows.tolist(), pack_columns(found, time_zone, medians[rows], std[rows]), strict=True))
    for i, fit in solved.others.items():
        alone = None if fit.fitted is None else columns_of([fit.fitted])
        (packed[i],) = pack_columns(alone, time_zone, medians[i : i + 1], std[i : i + 1])
    return packed

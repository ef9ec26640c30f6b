"""What most fits are: a model renewed between two backtests, from the store's means, many series at once.

Medians of the day are then of means over a step instead of points, which is the same where each step holds as many. A
series that has no usual day yet, or no point, is left to those who read points.
"""

from collections.abc import Sequence

import numpy as np

from collector_processor.forecast.regressors import Grid
from collector_processor.forecast.seasonal import SLOT, YOUNG, SeasonalForecaster
from collector_processor.telemetry.means import StepMeans
from collector_processor.telemetry.points import Float64, Int64
from collector_processor.training.batch import fit_rows
from collector_processor.training.outcome import Fit, Medians, Observed, keep, outcomes_of
from collector_processor.training.request import FitOutcome, FitRequest


def asks_for_refit(request: FitRequest) -> bool:
    """Tell whether means are all that a request needs."""
    has_points_left_out = bool(request.settings.maintenance.texts)
    return not request.is_first and not request.needs_backtest and not has_points_left_out and SLOT % request.step == 0


def refit(requests: Sequence[FitRequest], means: StepMeans) -> list[FitOutcome]:
    """Fit requests with equal settings that ask for a refit; those of young series are left out."""
    rows = np.flatnonzero(means.last_time - means.first_time >= YOUNG)
    if not rows.size:
        return []
    y = means.mean if rows.size == len(means) else means.mean[rows]
    step, settings = means.step_nano, requests[0].settings
    grid = Grid(means.first_step * step + step // 2, step, y.shape[1])
    by_series = {request.series: request for request in requests}
    fits = [
        Fit(by_series[series], prophet, medians, observed, keep(by_series[series]))
        for series, prophet, medians, observed in zip(
            means.series[rows].tolist(),
            fit_rows(grid, y, settings),
            _medians(grid, y, settings.time_zone),
            _observed(means, rows),
            strict=True,
        )
    ]
    return outcomes_of(fits, settings)


def _medians(grid: Grid, y: Float64, time_zone: str) -> list[Medians]:
    forecasters = SeasonalForecaster(time_zone), SeasonalForecaster.recent(time_zone)
    week, recent = (forecaster.fit_rows(grid.times(), y) for forecaster in forecasters)
    return list(zip(week, recent, strict=True))


def _observed(means: StepMeans, rows: Int64) -> list[Observed]:
    columns = (column[rows].tolist() for column in (means.first_time, means.last_time, means.std))
    return [Observed(*row) for row in zip(*columns, strict=True)]

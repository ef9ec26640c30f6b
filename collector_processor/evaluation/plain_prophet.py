"""Prophet as its tutorial has it: fitted once a day on all of the last weeks, and flagging what leaves its 99 % band.

The exact optimum of Prophet's own model, nothing masked; the library itself would take hours to say the same.
"""

import numpy as np

from collector_processor.clock import DAY
from collector_processor.forecast.bands import future_trend, prophet_band
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.reference import MIN_POINTS
from collector_processor.forecast.regressors import Grid, build_regressors
from collector_processor.forecast.resample import means
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import solve
from collector_processor.telemetry.points import Bool, Float64, Int64

SETTINGS = ProphetSettings(mask_passes=0)
_WINDOW = 28
_INTERVAL = 0.99


def outside_prophet(time_unix_nano: Int64, value: Float64, step: int) -> Bool:
    """Return which points `(n,)` at ascending times lie outside the band of the newest daily fit."""
    result = np.zeros(value.size, np.bool_)
    if not value.size:
        return result
    middle, mean = means(time_unix_nano, value, step)
    first_day = int(time_unix_nano[0] // DAY) + 2
    for origin in range(first_day, int(time_unix_nano[-1] // DAY) + 1):
        ahead = (time_unix_nano >= origin * DAY) & (time_unix_nano < (origin + 1) * DAY)
        fitted = _fit(middle, mean, origin * DAY, step) if ahead.any() else None
        if fitted is not None:
            lower, upper = _band(fitted, time_unix_nano[ahead], step)
            result[ahead] = (value[ahead] < lower) | (value[ahead] > upper)
    return result


def _fit(middle: Int64, mean: Float64, until: int, step: int) -> FittedProphet | None:
    known = (middle < until) & (middle >= until - _WINDOW * DAY)
    if np.count_nonzero(known) < MIN_POINTS:
        return None
    start = int(middle[known][0])
    grid = Grid(start, step, int((middle[known][-1] - start) // step) + 1)
    y = np.full((1, grid.size), np.nan)
    y[0, (middle[known] - start) // step] = mean[known]
    return solve(y, build_regressors(grid, SETTINGS)).fitted(0)


def _band(fitted: FittedProphet, time_unix_nano: Int64, step: int) -> tuple[Float64, Float64]:
    trend = fitted.trend_parameters
    ahead = np.maximum((time_unix_nano - fitted.trained_end_unix_nano) / step, 0.0)
    spread = future_trend(ahead, np.array(step / DAY), np.array(trend.changepoint_rate), np.array(trend.mean_delta))
    return prophet_band(fitted.predict(time_unix_nano), np.array(trend.sigma), spread, _INTERVAL)

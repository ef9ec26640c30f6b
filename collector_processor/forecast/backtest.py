"""Forecasts held against what they had not seen: from several origins, each looks one day ahead.

The residuals are at full resolution, as the live ones will be. They are a little larger than those, because a live
model is an hour old, not a day: thresholds seeded from them begin wide rather than narrow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import DAY
from collector_processor.telemetry.band import FORECASTS, LEVEL
from collector_processor.telemetry.forecast import Fitted
from collector_processor.telemetry.points import Float64, Int64

MAX_ORIGINS = 3

Fit = Callable[[int], Sequence[Fitted | None]]
"""Return every forecast, in the order of FORECASTS, fitted on what came before an origin; None where none could be."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """Out-of-sample residuals `(n, F)`, value minus forecast, NaN where there is none, at ascending times `(n,)`."""

    origins: int
    time_unix_nano: Int64
    residual: Float64

    def mean_absolute_error(self) -> Float64:
        """Return the error of each forecast but the level over the points that all of them predicted; NaN without any.

        A level says what the next hours are like, and nothing about a day ahead.
        """
        compared = self.residual[:, :LEVEL]
        common = compared[np.isfinite(compared).all(axis=1)]
        if not len(common):
            return np.full(LEVEL, np.nan)
        scale = float(np.abs(common).max()) or 1.0
        return np.asarray(np.abs(common / scale).mean(axis=0) * scale)


def origins(start: int, end: int, most: int = MAX_ORIGINS) -> list[int]:
    """Return origins one day apart, the last a day before `end`; the first has at least a day of history."""
    count = min(most, (end - start) // DAY - 1)
    return [end - days * DAY for days in range(count, 0, -1)]


def backtest(time_unix_nano: Int64, value: Float64, fit: Fit) -> Backtest:
    """Fit before each origin and look one day ahead; times `(n,)`, at least one, are ascending, values finite."""
    end = int(time_unix_nano[-1]) + 1
    days = origins(int(time_unix_nano[0]), end)
    blocks = [_one_day(time_unix_nano, value, origin, fit) for origin in days]
    ahead = time_unix_nano >= (days[0] if days else end)
    return Backtest(len(days), time_unix_nano[ahead], np.concatenate([np.empty((0, len(FORECASTS))), *blocks]))


def _one_day(time: Int64, value: Float64, origin: int, fit: Fit) -> Float64:
    ahead = (time >= origin) & (time < origin + DAY)
    residual = np.full((int(ahead.sum()), len(FORECASTS)), np.nan)
    if not len(residual):
        return residual  # nothing to hold a fit against
    for column, fitted in enumerate(fit(origin)):
        if fitted is not None:
            residual[:, column] = value[ahead] - fitted.predict(time[ahead])
    residual[~np.isfinite(residual)] = np.nan
    return residual

"""Evaluate the newest models at any times: what is expected where nothing is stored yet."""

from dataclasses import dataclass

import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.forecast import bands
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64, Int32, Int64
from grafana_datasource.outlook import Outlook

_PROPHET = FORECASTS.index("prophet")
_TREND_STEP = 15 * MINUTE
"""Prophet's future trend may bend once per step; a shorter step changes the interval by less than a pixel."""


@dataclass(frozen=True, slots=True)
class Expected:
    """yhat and the alert band at `n` (series, time) pairs; NaN where nothing is forecast."""

    yhat: Float64
    lower: Float64
    upper: Float64


def expected(outlook: Outlook, series: Int32, time_unix_nano: Int64) -> Expected:
    """Return what verdicts at these times would be made of, for `(n,)` series and times."""
    forecasts = outlook.fleet.forecasts(series, time_unix_nano)
    states = outlook.bands[series]
    band = bands.alert_band(forecasts, states["tolerance"], states["threshold"])
    inside = series < len(outlook.fleet)
    winner = np.zeros(series.size, np.uint8)
    winner[inside] = outlook.fleet.winner[series[inside]]
    return Expected(bands.clipped_yhat(forecasts, winner, band), band.lower, band.upper)


def prophet_band(
    outlook: Outlook, series: Int32, time_unix_nano: Int64, interval_width: float
) -> tuple[Float64, Float64]:
    """Return lower and upper edge `(n,)` of Prophet's own interval around Prophet's own forecast.

    NaN before the last changepoint of the newest model: parameters of an older trend are not kept.
    """
    fleet = outlook.fleet
    lower, upper = np.full(series.size, np.nan), np.full(series.size, np.nan)
    known = series < len(fleet)
    rows, times = series[known], time_unix_nano[known]
    ahead = np.maximum((times - fleet.trained_end_unix_nano[rows]) / _TREND_STEP, 0.0)
    trend = bands.future_trend(ahead, np.array(_TREND_STEP / DAY), fleet.changepoint_rate[rows], fleet.mean_delta[rows])
    yhat = fleet.forecasts(rows, times)[:, _PROPHET]
    lower[known], upper[known] = bands.prophet_band(yhat, fleet.sigma[rows], trend, interval_width)
    return lower, upper

"""Evaluate the newest models at any times: what is expected where nothing is stored yet."""

from dataclasses import dataclass

import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.forecast import bands
from collector_processor.forecast.design import Design, Occasion, Part
from collector_processor.forecast.expectation import expectation
from collector_processor.telemetry.band import FORECASTS, LEVEL, LEVEL_REACH
from collector_processor.telemetry.points import Float64, Int32, Int64
from grafana_datasource.outlook import Outlook

_PROPHET = FORECASTS.index("prophet")
_TREND_STEP = 15 * MINUTE
"""Prophet's future trend may bend once per step; a shorter step changes the interval by less than a pixel."""


COMPONENTS = ("trend", "daily", "weekly", "yearly", "occasions", "other")
"""What Prophet's forecast is the sum of."""


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
    ahead = time_unix_nano - states["level_from"]
    forecasts[:, LEVEL] = np.where((ahead >= 0) & (ahead < LEVEL_REACH), states["level"], np.nan)
    winner = outlook.fleet.winners(series)
    found = expectation(forecasts, winner, states["tolerance"], states["threshold"], states["limits"])
    return Expected(found.yhat, found.lower, found.upper)


def prophet_band(
    outlook: Outlook, series: Int32, time_unix_nano: Int64, interval_width: float
) -> tuple[Float64, Float64]:
    """Return lower and upper edge `(n,)` of Prophet's own interval around Prophet's own forecast.

    NaN before the last changepoint of the newest model: parameters of an older trend are not kept.
    """
    fleet = outlook.fleet
    ahead = np.maximum((time_unix_nano - fleet.fact("trained_end_unix_nano", series)) / _TREND_STEP, 0.0)
    rate, mean_delta = (fleet.fact(name, series) for name in ("changepoint_rate", "mean_delta"))
    trend = bands.future_trend(ahead, np.array(_TREND_STEP / DAY), rate, mean_delta)
    yhat = fleet.forecasts(series, time_unix_nano)[:, _PROPHET]
    return bands.prophet_band(yhat, fleet.fact("sigma", series), trend, interval_width)


def component(outlook: Outlook, series: Int32, time_unix_nano: Int64, name: str) -> Float64:
    """Return what one component adds to Prophet's forecast `(n,)`, in the unit of the series.

    `name` is `trend`, a seasonality, `occasions` (all holidays and events together) or `other` (all seasonalities
    without a name in COMPONENTS). NaN where the model has no such component or does not hold.
    """
    fleet = outlook.fleet
    values = np.full(series.size, np.nan)
    for design, rows, theta in fleet.thetas(series):
        values[rows] = _component(design, theta, time_unix_nano[rows], name)
    is_valid = fleet.fact("valid_from_unix_nano", series) <= time_unix_nano
    is_valid &= time_unix_nano < fleet.fact("valid_until_unix_nano", series)
    return np.where(is_valid, values, np.nan)


def _component(design: Design, theta: Float64, time_unix_nano: Int64, name: str) -> Float64:
    moments, moment = np.unique(time_unix_nano, return_inverse=True)
    x = design.evaluate(moments)[moment]
    trend = design.saturated((theta[:, :2] * x[:, :2]).sum(axis=1))
    if name == "trend":
        return trend
    columns = np.zeros(design.size, np.bool_)
    for part in design.parts:
        columns[design.columns(part.name)] = name == _kind(part)
    terms = (theta[:, columns] * x[:, columns]).sum(axis=1)
    in_units = terms if design.mode == "additive" else trend * terms
    return np.where((theta[:, columns] != 0).any(axis=1), in_units, np.nan)


def _kind(part: Part) -> str:
    """Return the component that a part of a design is shown as."""
    if isinstance(part, Occasion):
        return "occasions"
    return part.name if part.name in COMPONENTS else "other"

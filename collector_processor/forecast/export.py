"""Write a fitted series as genuine Prophet JSON.

`prophet.serialize.model_from_json(export_json(fitted))` is a fitted Prophet model: it predicts what we predict, draws
its components and makes future frames. The text is composed here, without importing prophet.
"""

import json

import numpy as np
import pandas as pd

from collector_processor.forecast.design import BASIS
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.telemetry.points import Float64, Int64

PROPHET_VERSION = "1.5.0"

History = tuple[Int64, Float64]
"""Ascending Unix nanoseconds `(n,)` and values `(n,)`."""


def export_json(
    fitted: FittedProphet,
    settings: ProphetSettings | None = None,
    history: History | None = None,
    interval_width: float = 0.80,
) -> str:
    """Return one series as Prophet's JSON; `history` are the points it was fitted on, NaN where missing.

    Without them the model carries two rows, the ends of its window at the fitted values: enough to predict, not to
    plot the points. `ds` is in UTC.
    """
    frame = _history(fitted, history)
    model = _settings(settings or ProphetSettings(), interval_width) | _scales(fitted)
    model |= _seasonalities(fitted, settings or ProphetSettings()) | _changepoints(fitted) | _parameters(fitted)
    model["history"] = frame.to_json(orient="table", index=False, date_unit="ns", double_precision=15)
    model["history_dates"] = _dates(frame["ds"])
    return json.dumps(model)


def _settings(settings: ProphetSettings, interval_width: float) -> dict[str, object]:
    """Give the attributes that describe the model rather than the series."""
    return {
        "__prophet_version": PROPHET_VERSION,
        "growth": "linear",
        "specified_changepoints": False,
        "changepoint_range": settings.changepoint_range,
        "changepoint_prior_scale": settings.changepoint_prior_scale,
        "yearly_seasonality": settings.yearly_seasonality,
        "weekly_seasonality": settings.weekly_seasonality,
        "daily_seasonality": settings.daily_seasonality,
        "seasonality_prior_scale": settings.seasonality_prior_scale,
        "holidays_prior_scale": 10.0,
        "seasonality_mode": "additive",
        "holidays_mode": "additive",
        "holidays": None,
        "country_holidays": None,
        "train_holiday_names": None,
        "extra_regressors": [[], {}],
        "mcmc_samples": 0,
        "interval_width": interval_width,
        "uncertainty_samples": 1000,
        "scaling": settings.scaling,
        "logistic_floor": False,
        "fit_kwargs": {},
    }


def _scales(fitted: FittedProphet) -> dict[str, object]:
    return {
        "start": fitted.start_unix_nano / 1e9,
        "t_scale": fitted.span_nano / 1e9,
        "y_scale": fitted.y_scale,
        "y_min": fitted.y_offset,
    }


def _seasonalities(fitted: FittedProphet, settings: ProphetSettings) -> dict[str, object]:
    """Give the seasonalities this series has and the matrix of components and columns that Prophet checks."""
    names = list(fitted.beta)
    modes = {
        "additive": [*names, "additive_terms", "extra_regressors_additive", "holidays"],
        "multiplicative": ["multiplicative_terms", "extra_regressors_multiplicative"],
    }
    columns = _component_columns(fitted)
    return {
        "seasonalities": [names, {name: _seasonality(name, settings) for name in names}],
        "component_modes": modes,
        "train_component_cols": columns.to_json(orient="table", index=False),
    }


def _seasonality(name: str, settings: ProphetSettings) -> dict[str, object]:
    seasonality = BASIS.seasonality(name)
    return {
        "period": seasonality.period_days,
        "fourier_order": seasonality.order,
        "prior_scale": settings.seasonality_prior_scale,
        "mode": "additive",
        "condition_name": None,
    }


def _component_columns(fitted: FittedProphet) -> pd.DataFrame:
    """Tell which regressor belongs to which component; a model without any has one column of zeros."""
    owner = [name for name, beta in fitted.beta.items() for _ in beta]
    components = sorted({*owner, "additive_terms"})
    frame = pd.DataFrame({c: [int(c in (o, "additive_terms")) for o in owner] or [0] for c in components})
    frame["multiplicative_terms"] = 0
    return frame


def _changepoints(fitted: FittedProphet) -> dict[str, object]:
    """Give the changepoints; a lone one at the start is Prophet's stand-in for none."""
    at = fitted.changepoint[fitted.changepoint > 0.0]
    nano = fitted.start_unix_nano + np.rint(at * fitted.span_nano).astype(np.int64)
    return {
        "n_changepoints": len(at),
        "changepoints": _dates(pd.Series(pd.to_datetime(nano), name="ds")),
        "changepoints_t": at.tolist() or [0],
    }


def _parameters(fitted: FittedProphet) -> dict[str, object]:
    """Give the parameters in the shape of one draw."""
    beta = [float(b) for part in fitted.beta.values() for b in part]
    parameters = {
        "k": [[fitted.k]],
        "m": [[fitted.m]],
        "delta": [fitted.delta.tolist()],
        "sigma_obs": [[fitted.sigma_obs]],
        "beta": [beta or [0.0]],
    }
    return {"params": parameters}


def _history(fitted: FittedProphet, history: History | None) -> pd.DataFrame:
    """Build the frame that Prophet keeps: observed rows only, with scaled times and values."""
    ends = np.array([fitted.start_unix_nano, fitted.trained_end_unix_nano])
    times, values = (ends, fitted.predict(ends)) if history is None else history
    seen = np.isfinite(values)
    times, values = times[seen], values[seen].astype(np.float64)
    t = (times - fitted.start_unix_nano) / fitted.span_nano
    scaled = (values - fitted.y_offset) / fitted.y_scale
    return pd.DataFrame(
        {"ds": pd.to_datetime(times), "y": values, "floor": fitted.y_offset, "t": t, "y_scaled": scaled}
    )


def _dates(dates: "pd.Series[pd.Timestamp]") -> str:
    return str(dates.to_json(orient="split", date_format="iso", date_unit="ns"))

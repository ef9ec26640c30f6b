"""Write a fitted series as genuine Prophet JSON.

`prophet.serialize.model_from_json(export_json(fitted))` is a fitted Prophet model: it predicts what we predict, draws
its components and makes future frames. The text is composed here, without importing prophet.
"""

import json

import numpy as np
import pandas as pd

from collector_processor.forecast.design import Design, Part, Seasonality
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.reference import holiday_frame
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
    plot the points. `ds` is what the clocks of the model's time zone show. Prophet's trend runs by those clocks too, so
    before the last change of the clocks in the history, and after the next one, it is an hour ahead of ours.
    Logistic growth asks for columns `cap`, and `floor` where it is not 0.
    """
    settings = settings or ProphetSettings()
    frame = _history(fitted, history)
    model = _settings(settings, fitted.design, interval_width) | _scales(fitted)
    model |= _components(fitted) | _changepoints(fitted) | _parameters(fitted)
    model |= _holidays(fitted.design)
    model["history"] = frame.to_json(orient="table", index=False, date_unit="ns", double_precision=15)
    model["history_dates"] = _dates(frame["ds"])
    return json.dumps(model)


def _settings(settings: ProphetSettings, design: Design, interval_width: float) -> dict[str, object]:
    """Give the attributes that describe the model rather than the series."""
    return {
        "__prophet_version": PROPHET_VERSION,
        "growth": design.growth,
        "specified_changepoints": False,
        "changepoint_range": settings.changepoint_range,
        "changepoint_prior_scale": settings.changepoint_prior_scale,
        "yearly_seasonality": settings.yearly_seasonality,
        "weekly_seasonality": settings.weekly_seasonality,
        "daily_seasonality": settings.daily_seasonality,
        "seasonality_prior_scale": settings.seasonality_prior_scale,
        "holidays_prior_scale": settings.holidays_prior_scale,
        "seasonality_mode": design.mode,
        "holidays_mode": design.mode,
        "country_holidays": None,
        "extra_regressors": [[], {}],
        "mcmc_samples": 0,
        "interval_width": interval_width,
        "uncertainty_samples": 1000,
        "scaling": settings.scaling,
        "logistic_floor": design.growth == "logistic" and design.floor != 0.0,
        "fit_kwargs": {},
    }


def _holidays(design: Design) -> dict[str, object]:
    """Give holidays and events as rows of days, which Prophet takes without knowing a country."""
    holidays = holiday_frame(design)
    if holidays is None:
        return {"holidays": None, "train_holiday_names": None}
    names = pd.Series([occasion.name for occasion in design.occasions])
    return {
        "holidays": holidays.to_json(orient="table", index=False),
        "train_holiday_names": names.to_json(orient="split", date_format="iso"),
    }


def _scales(fitted: FittedProphet) -> dict[str, object]:
    """Give the origin and the units of scaled time and values."""
    return {
        "start": (fitted.start_unix_nano + _clock_offset(fitted)) / 1e9,
        "t_scale": fitted.span_nano / 1e9,
        "y_scale": fitted.y_scale,
        "y_min": fitted.y_offset,
    }


def _clock_offset(fitted: FittedProphet) -> int:
    """Return how far the clocks of the model's time zone are ahead of UTC at the end of its history."""
    end = np.array([fitted.trained_end_unix_nano])
    return int((fitted.design.wall_clock(end) - end)[0])


def _components(fitted: FittedProphet) -> dict[str, object]:
    """Give the seasonalities this series has and the matrix of components and columns that Prophet checks."""
    mode, other = ("additive", "multiplicative") if fitted.design.mode == "additive" else ("multiplicative", "additive")
    seasonalities = [part for part in _parts(fitted) if isinstance(part, Seasonality)]
    modes = {
        mode: [*fitted.beta, f"{mode}_terms", f"extra_regressors_{mode}", "holidays"],
        other: [f"{other}_terms", f"extra_regressors_{other}"],
    }
    return {
        "seasonalities": [[s.name for s in seasonalities], {s.name: _seasonality(s, mode) for s in seasonalities}],
        "component_modes": {name: modes[name] for name in ("additive", "multiplicative")},
        "train_component_cols": _component_columns(fitted, f"{mode}_terms").to_json(orient="table", index=False),
    }


def _seasonality(seasonality: Seasonality, mode: str) -> dict[str, object]:
    return {
        "period": seasonality.period_days,
        "fourier_order": seasonality.order,
        "prior_scale": seasonality.prior_scale,
        "mode": mode,
        "condition_name": None,
    }


def _parts(fitted: FittedProphet) -> list[Part]:
    return [fitted.design.part(name) for name in fitted.beta]


def _component_columns(fitted: FittedProphet, terms: str) -> pd.DataFrame:
    """Tell which regressor belongs to which component; a model without any has one column of zeros."""
    owner: list[tuple[str, ...]] = []
    for part in _parts(fitted):
        groups = (part.name, terms) if isinstance(part, Seasonality) else (part.name, terms, "holidays")
        owner += [groups] * part.width
    components = sorted(
        {name for groups in owner for name in groups} | ({terms} if terms == "additive_terms" else set())
    )
    frame = pd.DataFrame({c: [int(c in groups) for groups in owner] or [0] for c in components})
    for missing in {"additive_terms", "multiplicative_terms"} - set(components):
        frame[missing] = 0
    return frame


def _changepoints(fitted: FittedProphet) -> dict[str, object]:
    """Give the changepoints; a lone one at the start is Prophet's stand-in for none."""
    at = fitted.changepoint[fitted.changepoint > 0.0]
    nano = fitted.start_unix_nano + _clock_offset(fitted) + np.rint(at * fitted.span_nano).astype(np.int64)
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
    frame = pd.DataFrame(
        {
            "ds": pd.to_datetime(fitted.design.wall_clock(times)),
            "y": values,
            "floor": fitted.y_offset,
            "t": t,
            "y_scaled": scaled,
        }
    )
    if fitted.design.cap is not None:
        frame["cap"] = fitted.design.cap
        frame["cap_scaled"] = (fitted.design.cap - fitted.design.floor) / fitted.y_scale
    return frame


def _dates(dates: "pd.Series[pd.Timestamp]") -> str:
    return str(dates.to_json(orient="split", date_format="iso", date_unit="ns"))

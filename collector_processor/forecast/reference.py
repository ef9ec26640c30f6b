"""Prophet itself as the forecaster: the library fits, `FittedProphet` keeps the parameters.

What the batched solver is held against, and what fits the series it declines. The settings keep telemetry from breaking
it, and what can't be fitted is refused before it reaches the optimiser.
"""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from collector_processor.clock import DAY
from collector_processor.errors import NotEnoughDataError
from collector_processor.forecast.design import DEFAULT_DESIGN, Design
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.regressors import HOURLY, design_for
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.telemetry.points import Bool, Float64, Int64

if TYPE_CHECKING:
    import pandas as pd

MIN_POINTS = 24
"""Fewer distinct points than this identify no trend worth extrapolating."""

_MAX_MASKED = 0.4  # a mask that takes more than this is no longer about outliers
_MAX_RANGE = 1e305  # scaled back, a steeper trend would overflow


class ProphetForecaster:
    """Fit with the prophet library; seasonalities by its own rules (daily from 2 days, weekly from 2 weeks, ...)."""

    def __init__(self, settings: ProphetSettings | None = None) -> None:
        self._settings = settings or ProphetSettings()

    def fit(self, time_unix_nano: Int64, value: Float64) -> FittedProphet:
        """Fit ascending times `(n,)` and values `(n,)`; NaN and infinities are missing. Inputs are not modified.

        Raises:
            NotEnoughDataError: if the series cannot be fitted.
        """
        observed = np.isfinite(value)
        time, observations = time_unix_nano[observed], value[observed]
        _check(time, observations)
        fitted = self._fit_once(time, observations)
        kept_before: Bool | None = None
        for _ in range(self._settings.mask_passes):
            kept = _inliers(observations - fitted.predict(time), self._settings.mask_mads)
            if kept is None or (kept_before is not None and np.array_equal(kept, kept_before)):
                break
            kept_before = kept
            fitted = self._fit_once(time, np.where(kept, observations, np.nan))
        return fitted

    def _fit_once(self, time: Int64, value: Float64) -> FittedProphet:
        design = design_for(self._settings, time)
        model = new_prophet(self._settings, design)
        try:
            model.fit(frame(time, value, design))
        except RuntimeError as error:
            raise NotEnoughDataError(f"Stan found no fit to {time.size} points: {error}") from error
        if model.stan_backend is not None:
            model.stan_backend.cleanup()  # its CSV files would otherwise stay until the process ends
        observed = time[np.isfinite(value)]
        return from_prophet(model, design, (int(observed[0]), int(observed[-1])))


def new_prophet(settings: ProphetSettings, design: Design = DEFAULT_DESIGN) -> Any:
    """Return an unfitted `prophet.Prophet`, with its loggers silenced."""
    for name in ("prophet", "prophet.plot", "prophet.models", "cmdstanpy"):
        logging.getLogger(name).disabled = True  # a line per fit, and errors about plotting that we don't do
    from prophet import Prophet

    model = Prophet(
        growth=settings.growth,
        n_changepoints=settings.n_changepoints,
        changepoint_range=settings.changepoint_range,
        changepoint_prior_scale=settings.changepoint_prior_scale,
        seasonality_prior_scale=settings.seasonality_prior_scale,
        seasonality_mode=settings.seasonality_mode,
        yearly_seasonality=settings.yearly_seasonality,
        weekly_seasonality=settings.weekly_seasonality,
        daily_seasonality=settings.daily_seasonality,
        holidays=holiday_frame(design),
        holidays_prior_scale=settings.holidays_prior_scale,
        scaling=settings.scaling,
        uncertainty_samples=0,
    )
    added = {s.name for s in settings.seasonalities} | {HOURLY.name}
    for seasonality in design.seasonalities:
        if seasonality.name in added:
            model.add_seasonality(seasonality.name, seasonality.period_days, seasonality.order, seasonality.prior_scale)
    return model


def frame(time_unix_nano: Int64, value: Float64, design: Design = DEFAULT_DESIGN) -> "pd.DataFrame":
    """Return Prophet's input: `ds` naive as the clocks of the design show it, `y`, and limits of logistic growth.

    Across a change of the clocks Prophet thus sees an hour twice or not at all; its trend is that much off within.
    """
    import pandas as pd

    rows = pd.DataFrame({"ds": design.wall_clock(time_unix_nano).astype("datetime64[ns]"), "y": value})
    if design.cap is not None:
        rows["cap"] = design.cap
        if design.floor:
            rows["floor"] = design.floor
    return rows


def holiday_frame(design: Design) -> "pd.DataFrame | None":
    """Return the occasions of a design as Prophet's `holidays`, None without any."""
    import pandas as pd

    if not design.occasions:
        return None
    rows = [
        (day * DAY, o.name, o.lower_window, o.upper_window, o.prior_scale) for o in design.occasions for day in o.days
    ]
    holidays = pd.DataFrame(rows, columns=["ds", "holiday", "lower_window", "upper_window", "prior_scale"])
    return holidays.assign(ds=pd.to_datetime(holidays["ds"]))


def from_prophet(model: Any, design: Design = DEFAULT_DESIGN, extent: tuple[int, int] | None = None) -> FittedProphet:
    """Take the parameters out of a fitted `prophet.Prophet` of a design.

    `extent` is the first and last time of its history where that was not in UTC.

    Raises:
        ValueError: if the model has parts that the design has not.
        NotEnoughDataError: if the fit gave no finite parameters.
    """
    _refuse_other_parts(model, design)
    start, end = extent or (model.start.value, model.start.value + model.t_scale.value)
    params = {name: np.asarray(model.params[name], np.float64).reshape(-1) for name in ("k", "m", "delta", "sigma_obs")}
    try:
        fitted = FittedProphet(
            start_unix_nano=start,
            span_nano=end - start,
            k=0.0 if model.growth == "flat" else params["k"].item(),
            m=params["m"].item(),
            delta=np.zeros(1) if model.growth == "flat" else params["delta"],
            changepoint=np.zeros(1) if model.growth == "flat" else np.asarray(model.changepoints_t, np.float64),
            beta=_by_part(model, design),
            y_scale=float(model.y_scale),
            y_offset=design.floor if model.growth == "logistic" else float(model.y_min),
            sigma_obs=params["sigma_obs"].item(),
            design=design,
        )
        fitted.check()
    except ValueError as error:
        raise NotEnoughDataError(f"the fit is unusable: {error}") from error
    return fitted


def _by_part(model: Any, design: Design) -> dict[str, Float64]:
    beta = np.asarray(model.params["beta"], np.float64).reshape(-1)
    names = [*model.seasonalities, *(occasion.name for occasion in design.occasions)]
    ends = np.cumsum([design.part(name).width for name in names], dtype=np.int64)
    return {name: beta[end - design.part(name).width : end] for name, end in zip(names, ends, strict=True)}


def _refuse_other_parts(model: Any, design: Design) -> None:
    known = {s.name: (s.period_days, s.order, design.mode) for s in design.seasonalities}
    found = {name: (p["period"], p["fourier_order"], p["mode"]) for name, p in model.seasonalities.items()}
    holidays = [] if model.train_holiday_names is None else list(model.train_holiday_names)
    if model.growth != design.growth or model.extra_regressors or model.holidays_mode != design.mode:
        raise ValueError(f"a model of {model.growth} growth with extra regressors or other modes is none of the design")
    if not found.items() <= known.items() or set(holidays) != {o.name for o in design.occasions}:
        raise ValueError(f"the parts {[*found, *holidays]} are not those of the design")


def _check(time: Int64, value: Float64) -> None:
    distinct = 1 + int(np.count_nonzero(np.diff(time))) if time.size else 0
    if distinct < MIN_POINTS:
        raise NotEnoughDataError(f"{distinct} points at distinct times, Prophet is given at least {MIN_POINTS}")
    if not value.max() / 2 - value.min() / 2 < _MAX_RANGE / 2:
        raise NotEnoughDataError(f"values from {value.min():g} to {value.max():g} exceed what can be scaled")


def _inliers(residual: Float64, beyond_mad: float) -> Bool | None:
    """Mark points within so many median absolute deviations; None where masking would gain nothing or take too much."""
    distance = np.abs(residual - np.median(residual))
    kept = distance <= beyond_mad * np.median(distance)
    share = 1.0 - np.count_nonzero(kept) / kept.size
    return kept if 0.0 < share <= _MAX_MASKED else None

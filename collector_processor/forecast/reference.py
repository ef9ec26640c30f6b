"""Prophet itself as the forecaster: the library fits, `FittedProphet` keeps the parameters.

What the batched solver is held against, and what fits the series it declines. The settings keep telemetry from breaking
it, and what can't be fitted is refused before it reaches the optimiser.
"""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from collector_processor.errors import NotEnoughDataError
from collector_processor.forecast.fitted import FittedProphet
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
        model = new_prophet(self._settings)
        try:
            model.fit(frame(time, value))
        except RuntimeError as error:
            raise NotEnoughDataError(f"Stan found no fit to {time.size} points: {error}") from error
        if model.stan_backend is not None:
            model.stan_backend.cleanup()  # its CSV files would otherwise stay until the process ends
        return from_prophet(model)


def new_prophet(settings: ProphetSettings) -> Any:
    """Return an unfitted `prophet.Prophet`, with its loggers silenced."""
    for name in ("prophet", "prophet.plot", "prophet.models", "cmdstanpy"):
        logging.getLogger(name).disabled = True  # a line per fit, and errors about plotting that we don't do
    from prophet import Prophet

    return Prophet(
        n_changepoints=settings.n_changepoints,
        changepoint_range=settings.changepoint_range,
        changepoint_prior_scale=settings.changepoint_prior_scale,
        seasonality_prior_scale=settings.seasonality_prior_scale,
        yearly_seasonality=settings.yearly_seasonality,
        weekly_seasonality=settings.weekly_seasonality,
        daily_seasonality=settings.daily_seasonality,
        scaling=settings.scaling,
        uncertainty_samples=0,
    )


def frame(time_unix_nano: Int64, value: Float64) -> "pd.DataFrame":
    """Return Prophet's input: `ds` naive in UTC, `y`."""
    import pandas as pd

    return pd.DataFrame({"ds": time_unix_nano.astype("datetime64[ns]"), "y": value})


def from_prophet(model: Any) -> FittedProphet:
    """Take the parameters out of a fitted `prophet.Prophet` (linear growth, additive built-in seasonalities).

    Raises:
        ValueError: if the model has other parts.
        NotEnoughDataError: if the fit gave no finite parameters.
    """
    _refuse_other_parts(model)
    params = {name: np.asarray(model.params[name], np.float64).reshape(-1) for name in ("k", "m", "delta", "sigma_obs")}
    beta = np.asarray(model.params["beta"], np.float64).reshape(-1)
    try:
        return FittedProphet.from_parameters(
            {
                "start_unix_nano": model.start.value,
                "span_nano": model.t_scale.value,
                "k": params["k"].item(),
                "m": params["m"].item(),
                "delta": params["delta"],
                "changepoint": model.changepoints_t,
                "beta": _by_seasonality(model, beta),
                "y_scale": model.y_scale,
                "y_offset": model.y_min,
                "sigma_obs": params["sigma_obs"].item(),
            }
        )
    except ValueError as error:
        raise NotEnoughDataError(f"the fit is unusable: {error}") from error


def _by_seasonality(model: Any, beta: Float64) -> dict[str, Float64]:
    orders = {name: 2 * props["fourier_order"] for name, props in model.seasonalities.items()}
    ends = np.cumsum(list(orders.values()), dtype=np.int64)
    return {name: beta[end - size : end] for (name, size), end in zip(orders.items(), ends, strict=True)}


def _refuse_other_parts(model: Any) -> None:
    additive = all(props["mode"] == "additive" for props in model.seasonalities.values())
    if model.growth != "linear" or not additive or model.extra_regressors or model.train_holiday_names is not None:
        raise ValueError("only linear growth with additive seasonalities is linear in a shared basis")


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

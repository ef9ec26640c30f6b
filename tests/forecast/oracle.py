"""Prophet itself, seen as a least squares problem with penalties: the measure our fits are held against."""

import logging
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from prophet import Prophet
from prophet.models import ModelInputData

from collector_processor.forecast.regressors import Grid
from collector_processor.forecast.solve import BatchFit
from collector_processor.telemetry.points import Float64, Int64

logging.getLogger("prophet").setLevel(logging.ERROR)
logging.getLogger("cmdstanpy").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Problem:
    """Prophet's own scaled data and regressors, parameters ordered k, m, delta, beta."""

    z: Float64
    regressors: Float64
    ridge: Float64
    is_delta: Float64
    tau: float

    def log_posterior(self, w: Float64, sigma: float) -> float:
        """Return Stan's lp__ of the linear or flat additive model."""
        residual = self.z - self.regressors @ w
        likelihood = -len(self.z) * np.log(sigma) - residual @ residual / (2 * sigma**2)
        return float(likelihood - self.ridge @ w**2 / 2 - self.is_delta @ np.abs(w) / self.tau - 2 * sigma**2)

    def optimality_gap(self, w: Float64, sigma: float) -> float:
        """Return the largest violation of the optimality conditions in w, relative to what balances there."""
        residual = self.z - self.regressors @ w
        pull = self.regressors.T @ residual / sigma**2 - self.ridge * w
        smooth = np.abs(pull - np.sign(w) * self.is_delta / self.tau)
        at_zero = np.maximum(np.abs(pull) - 1 / self.tau, 0.0)
        gap = np.where((self.is_delta > 0) & (w == 0), at_zero, smooth)
        scale = np.linalg.norm(self.regressors, axis=0) * np.linalg.norm(residual) / sigma**2 + 1 / self.tau
        return float((gap / scale).max())


def frame(grid: Grid, y: Float64) -> pd.DataFrame:
    """Return Prophet's input."""
    return pd.DataFrame({"ds": pd.to_datetime(grid.times()), "y": y})


def prepare(model: Prophet, grid: Grid, y: Float64) -> Problem:
    """Let Prophet prepare its data and read the problem off it."""
    return problem_of(model.preprocess(frame(grid, y)))


def problem_of(inputs: ModelInputData) -> Problem:
    """Write Prophet's prepared input as a penalised regression."""
    t, at = np.asarray(inputs.t, dtype=np.float64), np.asarray(inputs.t_change, dtype=np.float64)
    hinges = np.maximum(t[:, None] - at, 0.0)
    seasonal = np.asarray(inputs.X, dtype=np.float64)
    regressors = np.column_stack([t, np.ones_like(t), hinges, seasonal])
    if inputs.trend_indicator == 2:
        regressors[:, 0] = 0.0
        regressors[:, 2 : 2 + len(at)] = 0.0
    precision = np.asarray(inputs.sigmas, dtype=np.float64) ** -2.0
    ridge = np.concatenate([[0.04, 0.04], np.zeros(len(at)), precision])
    is_delta = np.zeros(len(ridge))
    is_delta[2 : 2 + len(at)] = 1.0
    z = np.asarray(inputs.y, dtype=np.float64)
    return Problem(z, regressors, ridge, is_delta, inputs.tau)


def predict(fit: BatchFit, time_unix_nano: Int64) -> Float64:
    """Return yhat of every series `(B, n)`, NaN without a fit."""
    nothing = np.full(time_unix_nano.size, np.nan)
    fitted = [fit.fitted(i) for i in range(len(fit))]
    return np.stack([nothing if one is None else one.predict(time_unix_nano) for one in fitted])


def parameters(fit: BatchFit, series: int) -> Float64:
    """Return our parameters in the order of `Problem`."""
    on = np.repeat(fit.seasonal[series], fit.regressors.widths)
    beta = fit.beta[series, on] if on.any() else np.zeros(1)
    placed = ~np.isnan(fit.changepoint[series])
    return np.concatenate([[fit.k[series], fit.m[series]], fit.delta[series, placed], beta])


def stan_parameters(model: Prophet) -> tuple[Float64, float]:
    """Return a fitted Prophet's parameters in the order of `Problem`, and its sigma."""
    p = model.params
    w = np.concatenate([p["k"].ravel(), p["m"].ravel(), p["delta"].ravel(), p["beta"].ravel()])
    return w, float(p["sigma_obs"].ravel()[0])


@cache
def stan_stride() -> int:
    """Return how many series to step over between fits by Stan: every series with FOREBAND_STAN=all."""
    import os

    return 1 if os.environ.get("FOREBAND_STAN") == "all" else 5

"""When a series will reach a bound, and how likely: from paths that it may take.

    path = yhat(t) + what the trend may still do + how forecasts have missed

yhat is Prophet's, so it has trend and seasons. The trend changes its slope in the future as Prophet lets it: at each
step with probability `changepoint_rate * step`, by a Laplace amount of scale `mean_delta`. Misses are whole days of the
errors of forecasts made before the fact, less their mean, drawn at random and put where they belong in the day, so that
the busy hour errs as it does and a bad day stays one. Of d days the errors are taken sqrt((d + 1) / (d - 1)) times as
large, as the spread of what is next is more than that of what was seen. Steps are means of an hour: one busy minute is
no breach.

Random numbers are the same for every series and every time, so a figure changes only because what it is made of does.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from collector_processor.clock import DAY, HOUR, NANOS_PER_SECOND
from collector_processor.telemetry.points import Bool, Float64, Int64

STEP = HOUR
STEPS_A_DAY = DAY // STEP
PATHS = 400
QUANTILES = (0.1, 0.5, 0.9)
LEAST_DAYS = 2
"""Of errors: from fewer nothing is said."""

_SEED = 20_080_227


@dataclass(frozen=True, slots=True)
class Bound:
    """What a series should not reach: `side` is 1 where that is above, -1 below; looked for within `horizon`."""

    limit: float
    side: int
    horizon: int


@dataclass(frozen=True, slots=True)
class Trend:
    """How Prophet's slope may change: changes a day, and the scale of one in value units a day."""

    changepoint_rate: float
    mean_delta: float


@dataclass(frozen=True, slots=True)
class Breach:
    """How likely the bound is reached within `horizon` nanoseconds, and when.

    `seconds` `(3,)` until 10, 50 and 90 % of all paths have reached it, NaN where so many never do.
    """

    probability: float
    seconds: Float64
    horizon: int


def breach(yhat: Float64, error: Float64, trend: Trend, bound: Bound) -> Breach:
    """Return when steps `(n,)` ahead, expected at `yhat`, reach the bound.

    `error` `(d, 24)` are errors of forecasts by day and hour, NaN where there is none; column 0 is the hour of the day
    of the first step.

    Raises:
        ValueError: if there are no steps, or less than two days of errors.
    """
    if not yhat.size or len(error) < LEAST_DAYS or error.shape[1] != STEPS_A_DAY:
        raise ValueError(f"{yhat.size} steps and errors {error.shape} give no paths")
    beyond: Bool = bound.side * (paths(yhat, error, trend) - bound.limit) >= 0.0
    reaches = beyond.any(axis=1)
    step = np.where(reaches, beyond.argmax(axis=1) + 0.5, np.inf)
    seconds = np.quantile(step, QUANTILES, method="inverted_cdf") * (STEP / NANOS_PER_SECOND)
    horizon = int(yhat.size) * STEP
    return Breach(float(reaches.mean()), np.where(np.isfinite(seconds), seconds, np.nan), horizon)


def paths(yhat: Float64, error: Float64, trend: Trend) -> Float64:
    """Return `(PATHS, n)` courses that a series may take."""
    changes, size, day = _draws(yhat.size)
    days = len(error)
    centred = np.nan_to_num(error - np.nanmean(error)) * np.sqrt((days + 1) / (days - 1))
    missed = centred[(day * days).astype(np.int64)].reshape(PATHS, -1)[:, : yhat.size]
    slope = np.cumsum(np.where(changes < trend.changepoint_rate * STEP / DAY, size, 0.0), axis=1)
    bend = (np.cumsum(slope, axis=1) - 0.5 * slope) * (trend.mean_delta * STEP / DAY)
    return np.asarray(yhat + bend + missed)


def hourly(time_unix_nano: Int64, error: Float64, now: int, days: int) -> Float64:
    """Return the mean errors of `days` days before `now` `(d, 24)`, column 0 the hour that begins as `now` does.

    `error` `(n,)` at times `(n,)`, NaN where there is none. Days without any error are left out.
    """
    known = np.isfinite(error) & (time_unix_nano < now) & (time_unix_nano >= now - days * DAY)
    slot = (time_unix_nano[known] - (now - days * DAY)) // STEP
    size = days * STEPS_A_DAY
    count = np.bincount(slot, minlength=size)
    total = np.bincount(slot, error[known], size)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(days, STEPS_A_DAY)
    return mean[np.isfinite(mean).any(axis=1)]


@lru_cache(maxsize=4)
def _draws(steps: int) -> tuple[Float64, Float64, Float64]:
    """Return what decides on changes of slope, how large they are, and which days are drawn; all read only."""
    random = np.random.default_rng(_SEED)
    shape = PATHS, steps
    drawn = random.random(shape), random.laplace(size=shape), random.random((PATHS, -(-steps // STEPS_A_DAY)))
    for numbers in drawn:
        numbers.flags.writeable = False
    return drawn

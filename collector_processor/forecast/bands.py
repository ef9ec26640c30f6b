"""The three bands around a forecast, as pure functions of arrays: alert, calibrated and Prophet's own.

The alert band is what a verdict is made of and what is drawn, so both sides compute it here: with forecasts `f_i` that
usually miss by at most `w_i` (the tolerance), a value x has the combined score

    z(x) = (mean over the forecasts that exist of ((x - f_i) / w_i)^4)^(1/4)

and the band is `{x : z(x) <= threshold}`. z is convex, so that is one interval, found exactly: no point inside a drawn
band is ever flagged, and none outside is missed.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.forecast.band_table import expected_changes, half_widths
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.points import Bool, Float64

RAISE = 1.1  # forecasts that disagree still leave a band: the threshold is at least this times the smallest z
INNER_MARGIN = 0.05  # yhat keeps this share of the band's width away from its edges
SMALLEST_TOLERANCE = 1e-300  # below: an exact forecast, 1 / w would overflow
STEPS_AT_ONCE = 3
LAST_STEP = 1e-8  # in tolerances: the error left is about its square
MAX_ROUNDS = 20
_BISECTIONS = 48
_LEAST_NOISE = 1e-9  # of the trend's standard deviation


@dataclass(frozen=True, slots=True)
class AlertBand:
    """Edges `(n,)`, NaN where no forecast is present.

    `threshold` is the one used: larger than asked where the forecasts `disagree`, that is where no value at all comes
    clearly below the threshold asked for.
    """

    lower: Float64
    upper: Float64
    disagree: Bool
    threshold: Float64


def combined_z(x: Float64, forecasts: Float64, tolerance: Float64) -> Float64:
    """Return z `(n,)` of values `(n,)` under forecasts and tolerances `(n, F)`.

    A NaN forecast or tolerance is absent; with none present z is NaN. A forecast of tolerance 0 gives 0 for an exact
    hit and infinity for anything else.
    """
    with np.errstate(all="ignore"):
        ratio = np.abs((x[:, np.newaxis] - forecasts) / tolerance)
        ratio[x[:, np.newaxis] == forecasts] = 0.0
        ratio[~_present(forecasts, tolerance)] = np.nan
        largest = np.fmax.reduce(ratio, axis=1, initial=np.nan)
        relative = ratio / np.where(np.isfinite(largest) & (largest > 0.0), largest, 1.0)[:, np.newaxis]
        count = np.count_nonzero(~np.isnan(ratio), axis=1)
        mean = np.nansum(relative**4, axis=1) / count
        z = np.where(np.isinf(largest) | (largest == 0.0), largest, largest * mean**0.25)
    return np.where(count > 0, z, np.nan)


def alert_band(forecasts: Float64, tolerance: Float64, threshold: Float64) -> AlertBand:
    """Return the interval in which `combined_z` is at most `threshold`, for `(n, F)`, `(n, F)` and `(n,)`.

    Where no value reaches clearly below the threshold, it is raised to 1.1 times the smallest z there is, so the
    band never shrinks to nothing. A tolerance of 0 gives a band of one value. Exact forecasts that contradict each
    other are taken as the limit of equal, shrinking tolerances. All work is relative to one of the forecasts, so
    1e12 +- 1 is as good as 0 +- 1.
    """
    with np.errstate(all="ignore"):
        f, w = np.ascontiguousarray(forecasts.T), np.ascontiguousarray(tolerance.T)  # many times faster by columns
        present = _present(f, w)
        origin = _first_present(f, present)
        offset = np.where(present, f - origin, 0.0)
        inverse = np.where(present, 1.0 / np.maximum(w, SMALLEST_TOLERANCE), 0.0)
        count = np.add.reduce(present, axis=0, dtype=np.float64)
        used, disagree = _raised(offset, inverse, count, threshold)
        inverse /= used
        below, above = _edges(offset, inverse, count)
        exact: Bool = np.any(present & (w < SMALLEST_TOLERANCE), axis=0)
        band = AlertBand(origin + below, origin + above, disagree, np.where(count > 0, used, np.nan))
    return _with_exact_rows(band, forecasts, tolerance, threshold, exact) if exact.any() else band


def clipped_yhat(forecasts: Float64, winner: npt.NDArray[np.uint8], band: AlertBand) -> Float64:
    """Return yhat `(n,)`: the forecast that won the backtest, or the first that exists, moved inside the band.

    It keeps 5 % of the band's width away from either edge, else a point beyond that edge would score infinity.
    """
    yhat = forecasts[np.arange(len(forecasts)), winner]
    at = np.flatnonzero(np.isnan(yhat))
    if at.size:
        yhat[at] = _first_present(forecasts[at].T, ~np.isnan(forecasts[at].T))
    with np.errstate(invalid="ignore"):
        margin = INNER_MARGIN * (band.upper - band.lower)
        inside = np.minimum(np.maximum(yhat, band.lower + margin), band.upper - margin)
    # rounding may put the margin of a tiny band outside it
    return np.asarray(np.minimum(np.maximum(inside, band.lower), band.upper), np.float64)


def calibrated_band(yhat: Float64, offset_lower: Float64, offset_upper: Float64) -> tuple[Float64, Float64]:
    """Return lower and upper edges `(n, L)` of the calibrated band, for yhat `(n,)` and offsets `(n, L)`."""
    return yhat[:, np.newaxis] + offset_lower, yhat[:, np.newaxis] + offset_upper


@dataclass(frozen=True, slots=True)
class FutureTrend:
    """How uncertain Prophet's trend is `steps` past the history: its standard deviation and expected changes of slope.

    Arrays of one shape, or shapes that broadcast to that of `sd`.
    """

    sd: Float64
    steps: Float64
    changes: Float64


def future_trend(steps_ahead: Float64, step: Float64, changepoint_rate: Float64, mean_delta: Float64) -> FutureTrend:
    """Return the uncertainty of Prophet's trend, `steps_ahead` (>= 0) steps past the history.

    Prophet lets every future step of length `step` change the slope with probability `p = changepoint_rate * step` by
    a Laplace number of scale `mean_delta` = lambda, so h steps ahead the variance is exactly

        2 p lambda^2 step^2 sum_{j=0}^{h-1} (j + 1/2)^2,    the sum being h (4 h^2 - 1) / 12.

    Arrays broadcast. `step`, `changepoint_rate` (changepoints per time) and `mean_delta` (value per time) share one
    unit of time. Between two whole steps the formula interpolates; below half a step the trend is certain.
    """
    probability = np.minimum(changepoint_rate * step, 1.0)
    sum_of_squares = np.maximum(steps_ahead * (4.0 * steps_ahead**2 - 1.0) / 12.0, 0.0)
    sd = np.asarray(np.sqrt(2.0 * probability * sum_of_squares) * mean_delta * step, np.float64)
    return FutureTrend(sd, steps_ahead, expected_changes(steps_ahead, probability))


def prophet_band(yhat: Float64, sigma: Float64, trend: FutureTrend, interval_width: float) -> tuple[Float64, Float64]:
    """Return lower and upper edges `(n,)` of Prophet's interval; `sigma` is the observation noise, in value units.

    Raises:
        ValueError: if `interval_width` is not within (0, 1).
    """
    together = INTERVAL_WIDTHS if interval_width in INTERVAL_WIDTHS else (interval_width,)
    half = prophet_half_widths(sigma, trend, together)[together.index(interval_width)]
    return yhat - half, yhat + half


def prophet_half_widths(sigma: Float64, trend: FutureTrend, interval_widths: tuple[float, ...]) -> Float64:
    """Return half of each of Prophet's intervals `(L, ...)`, the quantiles of what Prophet samples; see `band_table`.

    Raises:
        ValueError: if an interval width is not within (0, 1).
    """
    noise = np.maximum(sigma, _LEAST_NOISE * trend.sd)
    with np.errstate(all="ignore"):
        ratio = np.nan_to_num(trend.sd / noise, nan=0.0, posinf=0.0)
    half = half_widths(ratio, trend.steps, np.nan_to_num(trend.changes), interval_widths)
    half *= noise
    return half


def _present(forecasts: Float64, tolerance: Float64) -> Bool:
    return np.isfinite(forecasts) & np.isfinite(tolerance)


def _first_present(forecasts: Float64, present: Bool) -> Float64:
    """Return, of `(F, n)`, the first present forecast of each column; NaN where there is none."""
    first = np.full(forecasts.shape[1], np.nan)
    for forecast, here in zip(forecasts[::-1], present[::-1], strict=True):
        np.copyto(first, forecast, where=here)
    return first


def _raised(offset: Float64, inverse: Float64, count: Float64, threshold: Float64) -> tuple[Float64, Bool]:
    """Return the threshold to use and whether it had to be raised.

    One value that is good enough proves that nothing has to be raised; the smallest z is sought only where the mean of
    the forecasts, weighted by 1 / tolerance, is no such value.
    """
    trial = (offset * inverse).sum(axis=0) / inverse.sum(axis=0)
    ratio = ((trial - offset) * inverse) ** 2
    limit = (threshold / RAISE) ** 2
    doubtful = ~((ratio * ratio).sum(axis=0) <= count * limit * limit) & (count > 1)
    used, disagree = threshold.astype(np.float64), np.zeros(threshold.size, np.bool_)
    rows = np.flatnonzero(doubtful)
    if rows.size:
        used[rows] = np.maximum(threshold[rows], RAISE * _smallest_z(offset[:, rows], inverse[:, rows], count[rows]))
        disagree[rows] = used[rows] > threshold[rows]
    return used, disagree


def _smallest_z(offset: Float64, inverse: Float64, count: Float64) -> Float64:
    """Return min z: bisection on the sign of its slope, between the lowest and the highest forecast."""
    steepest = inverse.max(axis=0)
    weight = (inverse / steepest) ** 4
    low = np.where(inverse > 0.0, offset, np.inf).min(axis=0)
    width = np.where(inverse > 0.0, offset, -np.inf).max(axis=0) - low
    place = (offset - low) / width  # 0..1: cannot overflow
    left, right = np.zeros(width.size), np.ones(width.size)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (left + right)
        distance = middle - place
        is_rising = (weight * distance * distance * distance).sum(axis=0) > 0.0
        right = np.where(is_rising, middle, right)
        left = np.where(is_rising, left, middle)
    smallest = (weight * (right - place) ** 4).sum(axis=0) / count
    return np.asarray(width * steepest * smallest**0.25, np.float64)


def _edges(offset: Float64, inverse: Float64, count: Float64) -> tuple[Float64, Float64]:
    """Return both solutions of `sum ((x - offset) * inverse)^4 = count`.

    The lower edge is the upper edge of the mirrored problem; both are solved together. An upper edge is at most where
    a single forecast alone uses up the whole sum, and from there Newton's method descends monotonically. It is taken
    on the fourth root of the sum, a norm, which is a straight line where the forecasts agree.
    """
    both = np.concatenate([offset, -offset], axis=1)
    slope = np.concatenate([inverse, inverse], axis=1)
    total = np.concatenate([count, count])
    start = np.where(slope > 0.0, both + np.sqrt(np.sqrt(total)) / slope, np.inf).min(axis=0)
    root = _descend(start, both, slope, total, MAX_ROUNDS)
    n = count.size
    return -root[n:], root[:n]


def _descend(x: Float64, offset: Float64, inverse: Float64, total: Float64, rounds: int) -> Float64:
    ratio, cube, step = np.empty_like(offset), np.empty_like(offset), np.zeros_like(x)
    for _ in range(STEPS_AT_ONCE):  # in place: large temporaries cost more than the arithmetic
        np.subtract(x, offset, out=ratio)
        ratio *= inverse
        np.multiply(ratio, ratio, out=cube)
        cube *= ratio
        ratio *= cube
        cube *= inverse
        power = ratio.sum(axis=0)
        step = power * (1.0 - np.sqrt(np.sqrt(total / power))) / cube.sum(axis=0)
        x = x - step
    unfinished = np.flatnonzero(np.abs(step) * inverse.max(axis=0) > LAST_STEP)
    if unfinished.size and rounds:
        x[unfinished] = _descend(
            x[unfinished], offset[:, unfinished], inverse[:, unfinished], total[unfinished], rounds - 1
        )
    return x


def _with_exact_rows(
    band: AlertBand, forecasts: Float64, tolerance: Float64, threshold: Float64, exact: Bool
) -> AlertBand:
    """Settle rows with a forecast of tolerance 0: one value, or forecasts that contradict each other exactly."""
    lower, upper, disagree, used = band.lower.copy(), band.upper.copy(), band.disagree.copy(), band.threshold.copy()
    is_exact = _present(forecasts, tolerance) & (tolerance < SMALLEST_TOLERANCE)
    low = np.where(is_exact, forecasts, np.inf).min(axis=1)
    high = np.where(is_exact, forecasts, -np.inf).max(axis=1)
    single, torn = exact & (low == high), exact & (low < high)
    lower[single] = upper[single] = low[single]
    smallest = combined_z(low[single], forecasts[single], np.where(is_exact, 0.0, tolerance)[single])
    used[single] = np.maximum(threshold[single], RAISE * smallest)
    if torn.any():
        equal = alert_band(forecasts[torn], np.where(is_exact[torn], 1.0, np.nan), np.zeros(int(torn.sum())))
        lower[torn], upper[torn], used[torn] = equal.lower, equal.upper, np.inf
    disagree[exact] = used[exact] > threshold[exact]
    return AlertBand(lower, upper, disagree, used)

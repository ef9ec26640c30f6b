"""What is expected of a series: yhat and the alert band, with everything in it that a policy can ask for.

    clip forecasts to the bounds -> alert band -> yhat -> at least so wide -> clip to the bounds

Verdicts are made of this, and what is drawn ahead of now too: a flagged point lies outside the drawn band.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.forecast.bands import AlertBand, alert_band, clipped_yhat
from collector_processor.telemetry.points import Bool, Float64

Limits = npt.NDArray[np.void]
"""Array (n,) of LIMITS_DTYPE."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Columns `(n,)`, NaN where no forecast is present; `forecasts` `(n, F)` are those within the bounds."""

    yhat: Float64
    lower: Float64
    upper: Float64
    disagree: Bool
    forecasts: Float64


def expectation(
    forecasts: Float64, winner: npt.NDArray[np.uint8], tolerance: Float64, threshold: Float64, limits: Limits
) -> Expectation:
    """Return what is expected under forecasts and tolerances `(n, F)` and thresholds and limits `(n,)`."""
    low, high = limits["low"], limits["high"]
    is_bounded = bool(np.isfinite(low).any() or np.isfinite(high).any())
    if is_bounded:
        forecasts = np.clip(forecasts.T, low, high).T
    band = alert_band(forecasts, tolerance, threshold)
    yhat = clipped_yhat(forecasts, winner, band)
    lower, upper = _widened(band, yhat, limits)
    if is_bounded:
        yhat, lower, upper = (np.clip(edge, low, high) for edge in (yhat, lower, upper))
    return Expectation(yhat, lower, upper, band.disagree, forecasts)


def least_deviation(yhat: Float64, limits: Limits) -> Float64:
    """Return how far `(n,)` a value may always be from yhat."""
    return np.asarray(np.maximum(limits["least"], limits["least_share"] * np.abs(yhat)), np.float64)


def _widened(band: AlertBand, yhat: Float64, limits: Limits) -> tuple[Float64, Float64]:
    least = least_deviation(yhat, limits)
    return np.minimum(band.lower, yhat - least), np.maximum(band.upper, yhat + least)

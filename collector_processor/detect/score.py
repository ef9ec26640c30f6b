"""One number that says how unusual a value is, whatever its unit: |1.0| is the edge of the alert band."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.forecast.bands import AlertBand, alert_band, clipped_yhat
from collector_processor.telemetry.points import Bool, Float64, Int64
from collector_processor.telemetry.verdict import VerdictBatch

_JUST_OUTSIDE = float(np.nextafter(1.0, 2.0))


@dataclass(frozen=True, slots=True)
class Scored:
    """Verdicts `(n,)`, which values are usual to one forecast at least, and where the forecasts disagree."""

    verdicts: VerdictBatch
    is_usual: Bool
    disagree: Bool

    def take(self, index: Int64 | Bool) -> "Scored":
        """Select rows by index or mask."""
        return Scored(self.verdicts.take(index), self.is_usual[index], self.disagree[index])


def judge(
    value: Float64,
    forecasts: Float64,
    winner: npt.NDArray[np.uint8],
    tolerance: Float64,
    threshold: Float64,
    is_active: Bool,
) -> Scored:
    """Judge values `(n,)` by forecasts and tolerances `(n, F)`; `winner` indexes the forecast drawn as yhat.

    A value that is not finite gets the band but no score. A value is anomalous exactly when it lies outside the band
    and its series is active, and |score| > 1 exactly when it lies outside the band.
    """
    band = alert_band(forecasts, tolerance, threshold)
    yhat = clipped_yhat(forecasts, winner, band)
    score = _score(value, yhat, band)
    outside = np.abs(score) > 1.0  # False for NaN
    anomaly = np.where(outside & is_active, np.sign(np.nan_to_num(score)), 0.0).astype(np.int8)
    with np.errstate(invalid="ignore"):
        is_usual: Bool = np.any(np.abs(value[:, np.newaxis] - forecasts) <= tolerance, axis=1)
    return Scored(VerdictBatch(yhat, band.lower, band.upper, score, anomaly), is_usual, band.disagree)


def _score(value: Float64, yhat: Float64, band: AlertBand) -> Float64:
    with np.errstate(all="ignore"):
        residual = value - yhat
        half_width = np.where(residual > 0.0, band.upper - yhat, yhat - band.lower)
        score = np.where(residual == 0.0, 0.0, residual / half_width)
        # Two different values may divide to exactly 1: the edges decide, not the quotient.
        score = np.where(value > band.upper, np.maximum(score, _JUST_OUTSIDE), score)
        score = np.where(value < band.lower, np.minimum(score, -_JUST_OUTSIDE), score)
    return np.where(np.isfinite(value) & ~np.isnan(yhat), score, np.nan)

"""One number that says how unusual a value is, whatever its unit: |1.0| is the edge of the alert band."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.forecast.expectation import Expectation, Limits, expectation
from collector_processor.telemetry.points import Bool, Float64, Int64
from collector_processor.telemetry.verdict import VerdictBatch

JUST_OUTSIDE = float(np.nextafter(1.0, 2.0))


@dataclass(frozen=True, slots=True)
class Scored:
    """Verdicts `(n,)`, and where the forecasts disagree.

    `forecasts` `(n, F)` are those judged by: within the bounds of their series.
    """

    verdicts: VerdictBatch
    disagree: Bool
    forecasts: Float64

    def take(self, index: Int64 | Bool) -> "Scored":
        """Select rows by index or mask."""
        return Scored(self.verdicts.take(index), self.disagree[index], self.forecasts[index])


def judge(
    value: Float64,
    forecasts: Float64,
    winner: npt.NDArray[np.uint8],
    tolerance: Float64,
    threshold: Float64,
    limits: Limits,
    is_active: Bool,
) -> Scored:
    """Judge values `(n,)` by forecasts and tolerances `(n, F)`; `winner` indexes the forecast drawn as yhat.

    A value that is not finite gets the band but no score. A value is anomalous exactly when it lies outside the band
    and its series is active, and |score| > 1 exactly when it lies outside the band.
    """
    expected = expectation(forecasts, winner, tolerance, threshold, limits)
    score = _score(value, expected)
    above, below = is_active & (score > 1.0), is_active & (score < -1.0)  # neither for NaN
    anomaly = above.astype(np.int8) - below
    verdicts = VerdictBatch(expected.yhat, expected.lower, expected.upper, score, anomaly)
    return Scored(verdicts, expected.disagree, expected.forecasts)


def _score(value: Float64, expected: Expectation) -> Float64:
    yhat, lower, upper = expected.yhat, expected.lower, expected.upper
    with np.errstate(all="ignore"):
        residual = value - yhat
        half_width = np.where(residual > 0.0, upper - yhat, yhat - lower)
        score = np.where(residual == 0.0, 0.0, residual / half_width)
        # Two different values may divide to exactly 1: the edges decide, not the quotient.
        score = np.where(value > upper, np.maximum(score, JUST_OUTSIDE), score)
        score = np.where(value < lower, np.minimum(score, -JUST_OUTSIDE), score)
    return np.where(np.isfinite(value) & ~np.isnan(yhat), score, np.nan)

"""The compiled loop over the verdicts of a commit, rounded as `verdict_codec.rounded` does it, to the last bit.

Importing this imports numba, so that is done when there is much to write.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from collector_processor.compiled import exact_entry, pasted, source_digest
from collector_processor.store.verdict_codec import BAND_BITS, SCORE_TOLERANCE
from collector_processor.telemetry.points import Float64, Int8

_FINEST = 2.0**-BAND_BITS
_SMALLEST = 2.0**-1022  # whose bits say what power of two is below it


@pasted
def _unit(yhat: float, lower: float, upper: float) -> float:
    """Return what a band is rounded to a multiple of, 0 where it has no width to take it from."""
    above, below = upper - yhat, yhat - lower
    half = min(above, below)
    if math.isnan(above) or math.isnan(below) or not _SMALLEST <= half < np.inf:
        return 0.0
    return math.ldexp(1.0, math.frexp(half)[1] - 1) * _FINEST


@pasted
def _rounded(x: float, unit: float) -> float:
    """Round to a multiple of `unit`; what overflows it, or has none, stays as it is."""
    multiple = np.rint(x / unit) * unit + 0.0
    return multiple if math.isfinite(multiple) else x


@pasted
def _score(value: float, yhat: float, lower: float, upper: float, score: float) -> float:
    """Return the score that follows from a band where that is this one."""
    follows = (value - yhat) / (upper - yhat if value >= yhat else yhat - lower)
    is_close = abs(follows - score) <= SCORE_TOLERANCE * (1 + abs(score))
    return follows if is_close and (abs(follows) > 1) == (abs(score) > 1) else score


def _bind(sources: str) -> Callable[[Float64, Float64, Float64, Float64, Float64, Int8, Any], int]:
    """Compile `pack` over the digest of the sources that its constants are of."""

    @exact_entry
    def pack(
        value: Float64, yhat: Float64, lower: Float64, upper: Float64, score: Float64, anomaly: Int8, packed: Any
    ) -> int:
        """Write rounded verdicts `(n,)` that say something into records; return how many do."""
        _ = sources
        said = 0
        for i in range(value.size):
            y, low, high, s = yhat[i], lower[i], upper[i], score[i]
            if math.isnan(y) and math.isnan(low) and math.isnan(high) and math.isnan(s) and anomaly[i] == 0:
                continue
            unit = _unit(y, low, high)
            y, low, high = _rounded(y, unit), _rounded(low, unit), _rounded(high, unit)
            row = packed[said]
            row.row, row.anomaly = i, anomaly[i]
            row.yhat, row.lower, row.upper, row.score = y, low, high, _score(value[i], y, low, high, s)
            said += 1
        return said

    return pack


pack = _bind(source_digest(__file__))

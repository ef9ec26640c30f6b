"""The compiled alert band, row by row what `bands.alert_band` makes of columns, to the last bit.

It knows the common case: forecasts that agree, none of them exact. Columns are `(F, B)` and `(B,)`, of a block of rows.
Importing this imports numba.
"""

import math
from typing import Any

import numpy as np

from collector_processor.compiled import exact, pasted
from collector_processor.forecast.bands import INNER_MARGIN, LAST_STEP, MAX_ROUNDS, RAISE, STEPS_AT_ONCE
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64

_F = len(FORECASTS)


@pasted
def clipped(x: Any, low: Any, high: Any) -> Any:
    """Return x within bounds; NaN stays."""
    x = max(x, low)
    return min(x, high)


@pasted
def agree(offset: Float64, inverse: Float64, b: Any, count: Any, threshold: Any) -> Any:
    """Tell whether forecasts agree so well that the threshold need not be raised."""
    weighted, weights, power = 0.0, 0.0, 0.0
    for f in range(_F):
        weighted += offset[f, b] * inverse[f, b]
        weights += inverse[f, b]
    middle = weighted / weights
    for f in range(_F):
        ratio = (middle - offset[f, b]) * inverse[f, b]
        ratio *= ratio
        power += ratio * ratio
    limit = threshold / RAISE
    limit *= limit
    return count <= 1.0 or power <= count * limit * limit


@pasted
def _step(offset: Float64, inverse: Float64, b: Any, side: Any, x: Any, count: Any) -> Any:
    """Return a step of Newton's towards the edge on a side, 1 above and -1 below."""
    power, slope = 0.0, 0.0
    for f in range(_F):
        ratio = (x - side * offset[f, b]) * inverse[f, b]
        cube = ratio * ratio * ratio
        power += ratio * cube
        slope += cube * inverse[f, b]
    return power * (1.0 - math.sqrt(math.sqrt(count / power))) / slope


@pasted
def _settled(offset: Float64, inverse: Float64, b: Any, side: Any, x: Any, count: Any, steepest: Any) -> Any:
    """Return where an edge is that some steps did not come to."""
    for _ in range(MAX_ROUNDS):
        last = 0.0
        for _ in range(STEPS_AT_ONCE):
            last = _step(offset, inverse, b, side, x, count)
            x -= last
        if not abs(last) * steepest > LAST_STEP:
            break
    return x


@exact
def find_edges(
    offset: Float64, inverse: Float64, count: Float64, above: Float64, below: Float64, last: Float64, size: int
) -> None:
    """Find how far `above (B,)` and `below` the first forecast the bands of `size` rows reach; `last` is `(2, B)`."""
    for b in range(size):
        root, up, down = math.sqrt(math.sqrt(count[b])), np.inf, np.inf
        for f in range(_F):
            alone = root / inverse[f, b]
            edge = alone + offset[f, b] if inverse[f, b] > 0.0 else np.inf
            up = min(up, edge)
            edge = alone - offset[f, b] if inverse[f, b] > 0.0 else np.inf
            down = min(down, edge)
        above[b], below[b] = up, down
    for _ in range(STEPS_AT_ONCE):
        for b in range(size):
            last[0, b] = _step(offset, inverse, b, 1.0, above[b], count[b])
            last[1, b] = _step(offset, inverse, b, -1.0, below[b], count[b])
            above[b] -= last[0, b]
            below[b] -= last[1, b]
    for b in range(size):
        steepest = 0.0
        for f in range(_F):
            steepest = max(steepest, inverse[f, b])
        if abs(last[0, b]) * steepest > LAST_STEP:
            above[b] = _settled(offset, inverse, b, 1.0, above[b], count[b], steepest)
        if abs(last[1, b]) * steepest > LAST_STEP:
            below[b] = _settled(offset, inverse, b, -1.0, below[b], count[b], steepest)


@pasted
def drawn(forecast: Float64, b: Any, winner: Any, lower: Any, upper: Any) -> Any:
    """Return yhat: the forecast that is drawn, or the first there is, well inside the band."""
    yhat = forecast[winner, b]
    for f in range(_F):
        yhat = forecast[f, b] if math.isnan(yhat) else yhat
    margin = INNER_MARGIN * (upper - lower)
    inside = min(max(yhat, lower + margin), upper - margin)
    return min(max(inside, lower), upper)

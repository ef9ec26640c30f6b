"""What a calm point leaves behind in the records of its series, as the compiled loops of `calm_kernel` leave it.

Importing this imports numba.
"""

import math
from typing import Any

import numpy as np

from collector_processor.clock import HOUR
from collector_processor.compiled import pasted
from collector_processor.detect.calibrate import OFFSET_SHARE, STEP_SHARE, TAIL
from collector_processor.detect.status import STRAINED
from collector_processor.detect.threshold import HOURS, LARGEST, MAX_CREDITED_GAP
from collector_processor.telemetry.band import FORECASTS, INTERVAL_WIDTHS
from collector_processor.telemetry.points import Float64

_F, _L = len(FORECASTS), len(INTERVAL_WIDTHS)
_TAIL = tuple(TAIL.ravel().tolist())


@pasted
def note(status: Any, score: Any) -> None:
    """Note that nothing but its score is to be said about a point."""
    status.disagree, status.unjudged, status.is_strained = False, 0, abs(score) > STRAINED


@pasted
def add(level: Any, value: Any) -> None:
    """Count a value towards the running slot of a level."""
    level.total += value
    level.count += 1


@pasted
def move_offsets(tracker: Any, residual: Any, maxima: Any) -> None:
    """Count a residual as inside or outside the calibrated band, and move its offsets."""
    largest = maxima.reach[0]
    for f in range(1, _F):
        largest = max(largest, maxima.reach[f])
    reach = float(largest)
    step = tracker.step if tracker.step > 0.0 else STEP_SHARE * reach
    lower, upper, inside = tracker.offset_lower, tracker.offset_upper, tracker.inside
    for k in range(_L):
        below, above = residual < lower[k], residual > upper[k]
        if not (below or above):
            inside[k] += np.uint32(1)
        lower[k] -= max(step, OFFSET_SHARE * abs(lower[k])) * ((1.0 if below else 0.0) - _TAIL[k])
        upper[k] += max(step, OFFSET_SHARE * abs(upper[k])) * ((1.0 if above else 0.0) - _TAIL[k])
    tracker.scored += np.uint32(1)
    middle, are_crossed = 0.5 * (lower[0] + upper[0]), lower[0] > upper[0]
    for k in range(_L):
        if are_crossed:
            lower[k], upper[k] = min(lower[k], middle), max(upper[k], middle)
        if k > 0:
            lower[k], upper[k] = min(lower[k], lower[k - 1]), max(upper[k], upper[k - 1])


@pasted
def turn(maxima: Any, rings: Any, time: Any) -> Any:
    """Tell whether an hour ended before a time of the same day, and file it; what is between them was silent."""
    old_hour, hour = maxima.newest // HOUR, time // HOUR
    if hour == old_hour:
        return False
    for f in range(_F):
        for silent in range(old_hour + 1, hour):
            rings.hourly[f, silent % HOURS] = 0.0
        this_hour = maxima.this_hour[f]
        is_silent = math.isnan(this_hour)
        rings.hourly[f, old_hour % HOURS] = 0.0 if is_silent else this_hour
        if not (is_silent or maxima.this_block[f] >= this_hour):
            maxima.this_block[f] = this_hour
        maxima.this_hour[f] = np.nan
        maxima.reach[f] = maxima.usual[f]
    for h in range(HOURS):
        for f in range(_F):
            maxima.reach[f] = max(maxima.reach[f], rings.hourly[f, h])
    return True


@pasted
def take_in(maxima: Any, forecast: Float64, b: Any, time: Any, value: Any) -> None:
    """Learn how far a value is from each of the forecasts in column b."""
    gap = min(time - maxima.newest, MAX_CREDITED_GAP)
    for f in range(_F):
        if not math.isnan(forecast[f, b]):
            distance = np.float32(min(abs(value - forecast[f, b]), LARGEST))
            maxima.observed[f] += gap
            if not maxima.this_hour[f] >= distance:
                maxima.this_hour[f] = distance
            if not maxima.reach[f] >= distance:
                maxima.reach[f] = distance
    maxima.newest = time

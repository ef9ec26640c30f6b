"""How good the forecast and its stated coverage were, on what it had not seen."""

from dataclasses import dataclass

import numpy as np

from collector_processor.evaluation.dataset import LabelledSeries
from collector_processor.evaluation.events import within_events
from collector_processor.evaluation.trace import Trace
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.points import Float64

_TAIL = (1.0 - np.array(INTERVAL_WIDTHS)) / 2.0


@dataclass(frozen=True, slots=True, eq=False)
class ForecastError:
    """Of one series: errors in units of those of the value 24 hours earlier, NaN where that never erred.

    `pinball` is of the median and the six edges of the calibrated bands; the peer has bands of its own, calibrated the
    same way. `coverage` `(L,)` is the share of points inside each calibrated band.
    """

    hour_ahead: float
    day_ahead: float
    pinball: float
    coverage: Float64


def forecast_error(series: LabelledSeries, trace: Trace) -> ForecastError:
    """Measure everything after the warm-up; errors outside the windows of events, coverage everywhere."""
    scored = trace.time_unix_nano >= series.eval_from
    calm = scored & ~within_events(trace.time_unix_nano, series.events)
    naive = np.abs(trace.value - trace.day_before)
    ours = np.stack([trace.offset_lower, trace.offset_upper], axis=1) + trace.yhat[:, np.newaxis, np.newaxis]
    theirs = np.stack([trace.day_before_lower, trace.day_before_upper], axis=1)
    theirs = theirs + trace.day_before[:, np.newaxis, np.newaxis]
    return ForecastError(
        hour_ahead=_ratio(np.abs(trace.value - trace.hour_ahead)[calm], naive[calm]),
        day_ahead=_ratio(np.abs(trace.value - trace.day_ahead)[calm], naive[calm]),
        pinball=_ratio(
            _pinball(trace.value, trace.yhat, ours)[calm], _pinball(trace.value, trace.day_before, theirs)[calm]
        ),
        coverage=_coverage(trace.value[scored], ours[scored]),
    )


def _ratio(loss: Float64, peer: Float64) -> float:
    common = np.isfinite(loss) & np.isfinite(peer)
    if not common.any():
        return np.nan
    mean, of_peer = float(loss[common].mean()), float(peer[common].mean())
    return mean / of_peer if min(mean, of_peer) > 0.0 else np.nan


def _pinball(value: Float64, median: Float64, edges: Float64) -> Float64:
    """Return the mean pinball loss `(n,)` of the median and of the edges `(n, 2, L)`."""
    levels = np.stack([_TAIL, 1.0 - _TAIL])
    below = value[:, np.newaxis, np.newaxis] - edges
    loss = np.maximum(levels * below, (levels - 1.0) * below)
    return np.asarray((0.5 * np.abs(value - median) + loss.sum(axis=(1, 2))) / (1 + levels.size))


def _coverage(value: Float64, edges: Float64) -> Float64:
    known = np.isfinite(edges[:, 0, 0]) & np.isfinite(value)
    if not known.any():
        return np.full(_TAIL.size, np.nan)
    at = value[known, np.newaxis]
    return np.asarray(((at >= edges[known, 0]) & (at <= edges[known, 1])).mean(axis=0))

"""How long spans should take.

A span is judged against its operation: from the lower alert edge of the median duration to the upper alert edge of the
slowest quantile that is modelled (p99, else p95, else p50). It is anomalous when it took longer than that upper edge.
"""

from dataclasses import dataclass

import numpy as np

from collector_processor.detect.detector import Detector
from collector_processor.forecast.fleet import FleetModel
from collector_processor.telemetry.points import Float64, Int32, Int64


@dataclass(frozen=True, slots=True)
class ExpectedDurations:
    """What each of `n` spans should have taken, in seconds; NaN where its operation has no forecast."""

    yhat: Float64
    lower: Float64
    upper: Float64
    model_version: Int64


def expected_durations(series: Int32, end: Int64, fleet: FleetModel, detector: Detector) -> ExpectedDurations:
    """Return what spans should have taken, from the P50, P95 and P99 series `(n, 3)` of their operations.

    Operations are evaluated once, at the last `end` of their spans here: a band moves little within one micro-batch.
    """
    _, row, span_of = np.unique(series[:, 0], return_index=True, return_inverse=True)
    stream = series[row]
    at = np.zeros(len(stream), np.int64)
    np.maximum.at(at, span_of, end)
    edges = _edges(stream.T.ravel(), np.tile(at, 3), fleet, detector)
    (yhat, _, _), (lower, _, _), (upper, upper95, upper99) = (edge.reshape(3, -1) for edge in edges)
    upper = np.where(np.isnan(upper99), np.where(np.isnan(upper95), upper, upper95), upper99)
    return ExpectedDurations(
        yhat[span_of],
        np.maximum(lower, 0.0)[span_of],
        np.maximum(upper, yhat)[span_of],
        fleet.versions(stream[:, 0]).astype(np.int64)[span_of],
    )


def _edges(series: Int32, at: Int64, fleet: FleetModel, detector: Detector) -> tuple[Float64, Float64, Float64]:
    known = np.maximum(series, 0)
    expected = detector.expected(known, fleet.forecasts(known, at), fleet.winners(known))
    absent = series < 0
    return (
        np.where(absent, np.nan, expected.yhat),
        np.where(absent, np.nan, expected.lower),
        np.where(absent, np.nan, expected.upper),
    )

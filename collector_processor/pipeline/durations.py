"""How long spans should take.

A span is judged against its operation: from the lower alert edge of the median duration to the upper alert edge of the
slowest quantile that is modelled (p99, else p95, else p50). It is anomalous when it took longer than that upper edge.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from collector_processor.clock import MINUTE, NANOS_PER_SECOND
from collector_processor.detect.detector import Detector
from collector_processor.forecast.fleet import FleetModel
from collector_processor.signals.columns import grown
from collector_processor.telemetry.points import Float64, Int32, Int64

_HOLDS_AFTER, _HOLDS_BEFORE = NANOS_PER_SECOND, MINUTE
_NEVER = -(2**62)
_OPERATION = np.dtype([("at", "<i8"), ("yhat", "<f8"), ("lower", "<f8"), ("upper", "<f8"), ("version", "<i8")])
_UNKNOWN = np.array((_NEVER, np.nan, np.nan, np.nan, 0), _OPERATION)


@dataclass(frozen=True, slots=True)
class ExpectedDurations:
    """What each of `n` spans should have taken, in seconds; NaN where its operation has no forecast."""

    yhat: Float64
    lower: Float64
    upper: Float64
    model_version: Int64


class Durations:
    """What is expected of each operation by now; one thread.

    An operation is evaluated at the last end of its spans in a micro-batch. Under the same models that holds for a
    second of their time, since a band moves little in that; what its series learn meanwhile waits as long.
    """

    def __init__(self) -> None:
        self._fleet = FleetModel.empty()
        self._operations = np.full(1, _UNKNOWN)  # by stream, that of 0 at 1: the first is of spans without one

    def expected(
        self,
        stream: Int32,
        end: Int64,
        series_of: Callable[[Int32], Int32],
        fleet: FleetModel,
        detector: Detector,
    ) -> ExpectedDurations:
        """Return what spans of streams `(n,)` that ended then should have taken.

        `series_of` finds the P50, P95 and P99 series `(n, 3)` of streams; nothing is expected of negative ones.
        """
        if fleet is not self._fleet:
            self._fleet, self._operations = fleet, np.full(len(self._operations), _UNKNOWN)
        operation = np.maximum(stream, -1) + 1
        self._operations = grown(self._operations, int(operation.max(initial=0)) + 1, _UNKNOWN)
        found = self._operations.take(operation)
        since = end - found["at"]
        is_stale = ((since > _HOLDS_AFTER) | (since < -_HOLDS_BEFORE)) & (operation > 0)
        if is_stale.any():
            self._evaluate(stream[operation > 0], end[operation > 0], series_of, detector)
            found = self._operations.take(operation)
        return ExpectedDurations(found["yhat"], found["lower"], found["upper"], found["version"])

    def _evaluate(self, stream: Int32, end: Int64, series_of: Callable[[Int32], Int32], detector: Detector) -> None:
        """Evaluate the operations of spans, each at its last end."""
        stream, of = np.unique(stream, return_inverse=True)
        at = np.full(stream.size, _NEVER)
        np.maximum.at(at, of, end)
        series = series_of(stream)
        edges = _edges(series.T.ravel(), np.tile(at, 3), self._fleet, detector)
        (yhat, _, _), (lower, _, _), (upper, upper95, upper99) = (edge.reshape(3, -1) for edge in edges)
        upper = np.where(np.isnan(upper99), np.where(np.isnan(upper95), upper, upper95), upper99)
        evaluated = np.empty(stream.size, _OPERATION)
        evaluated["at"], evaluated["yhat"], evaluated["lower"] = at, yhat, np.maximum(lower, 0.0)
        evaluated["upper"], evaluated["version"] = np.maximum(upper, yhat), self._fleet.versions(series[:, 0])
        self._operations[stream + 1] = evaluated


def _edges(series: Int32, at: Int64, fleet: FleetModel, detector: Detector) -> tuple[Float64, Float64, Float64]:
    known = np.maximum(series, 0)
    expected = detector.expected(known, fleet.forecasts(known, at), fleet.winners(known))
    absent = series < 0
    return (
        np.where(absent, np.nan, expected.yhat),
        np.where(absent, np.nan, expected.lower),
        np.where(absent, np.nan, expected.upper),
    )

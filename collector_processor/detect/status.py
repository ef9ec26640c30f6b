"""What the newest points, and others, have to say about a series beside its calibration: why it is not fully active."""

import numpy as np
import numpy.typing as npt

from collector_processor.detect import record
from collector_processor.detect.threshold import Standing
from collector_processor.telemetry.band import FORECASTS, Reason
from collector_processor.telemetry.points import Bool, Float64, Int32

STRAINED = 0.5

DTYPE = np.dtype(
    [
        ("mark", "u1"),  # a Reason that only others can know
        ("disagree", "?"),  # the forecasts, about the newest point
        ("unjudged", "u1"),  # the Reason why the newest point was not, or not as it was scored
        ("is_strained", "?"),  # the newest point was more than half way to the edge of its band
        ("held_back", "<f8", (len(FORECASTS),)),  # the largest distance of the running episode, not learned yet
    ]
)
_WARMING, _ACTIVE, _DEGRADED = 0, 1, 2
_STATE_OF_REASON = np.full(len(Reason), _DEGRADED, np.uint8)
_STATE_OF_REASON[[Reason.NONE, Reason.MAINTENANCE, Reason.LOW_TRAFFIC, Reason.OTHER_DIRECTION]] = _ACTIVE
_STATE_OF_REASON[[Reason.NO_HISTORY, Reason.SHORT_HISTORY, Reason.NOT_MODELLED, Reason.SIBLINGS]] = _WARMING


class Status:
    """The standing of all series; `series` arguments are dense ids, each at most once per call."""

    def __init__(self) -> None:
        self.records = record.filled(DTYPE, 0, {})

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self.records = record.grown(self.records, n, {})

    def mark(self, series: Int32, reason: npt.NDArray[np.uint8] | Reason) -> None:
        """Note a reason that only others can know, or NONE to take it back."""
        self.records["mark"][series] = reason

    def is_marked(self, series: Int32, reason: Reason) -> Bool:
        """Tell which series `(n,)` are marked with a reason."""
        is_marked: Bool = self.records["mark"][series] == reason
        return is_marked

    def note(self, series: Int32, disagree: Bool, unjudged: npt.NDArray[np.uint8]) -> None:
        """Note about the newest points `(n,)` where the forecasts disagree, and the Reason why they were not judged."""
        self.records["disagree"][series] = disagree
        self.records["unjudged"][series] = unjudged

    def strain(self, series: Int32, score: Float64) -> None:
        """Note which of the newest points `(n,)` were more than half way to the edge, by their scores."""
        self.records["is_strained"][series] = np.abs(score) > STRAINED

    def is_strained(self, series: Int32) -> Bool:
        """Tell whose newest point `(n,)` was more than half way to the edge of its band."""
        is_strained: Bool = self.records["is_strained"][series]
        return is_strained

    def is_unjudged(self, series: Int32, reason: Reason) -> Bool:
        """Tell whose newest point `(n,)` was not judged for a reason."""
        is_unjudged: Bool = self.records["unjudged"][series] == reason
        return is_unjudged

    def hold_back(self, series: Int32, is_open: Bool, distance: Float64) -> Float64:
        """Hold back, in `distance` `(n, F)`, those of series in an episode; give them back where one has ended."""
        held_back = self.records.take(series)["held_back"]
        at = np.flatnonzero(is_open | np.ascontiguousarray(held_back.T).any(axis=0))
        if not at.size:
            return distance
        is_open = is_open[at, np.newaxis]
        largest = np.fmax(held_back[at], distance[at])
        self.records["held_back"][series[at]] = np.where(is_open, np.nan_to_num(largest), 0.0)
        distance[at] = np.where(np.isnan(distance[at]), np.nan, np.where(is_open, 0.0, largest))
        return distance

    def reason(self, rows: slice, standing: Standing) -> npt.NDArray[np.uint8]:
        """Return the weightiest reason why each series of `rows` is not fully active."""
        status = self.records[rows]
        mark, unknown = status["mark"], np.isnan(standing.tolerance).all(axis=1)
        reasons = [
            (mark == Reason.NOT_MODELLED, np.uint8(Reason.NOT_MODELLED)),
            (unknown, np.uint8(Reason.NO_HISTORY)),
            (standing.complete_days < 1, np.uint8(Reason.SHORT_HISTORY)),
            (mark != Reason.NONE, mark),
            (status["unjudged"] == Reason.MAINTENANCE, np.uint8(Reason.MAINTENANCE)),
            (status["disagree"], np.uint8(Reason.FORECASTS_DISAGREE)),
            (status["unjudged"] != Reason.NONE, status["unjudged"]),
        ]
        return np.select(
            [when for when, _ in reasons], [np.asarray(reason) for _, reason in reasons], np.uint8(Reason.NONE)
        )


def state_of(reason: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return what reasons `(n,)` make of their series: 0 warming, 1 active, 2 degraded."""
    return _STATE_OF_REASON[reason]

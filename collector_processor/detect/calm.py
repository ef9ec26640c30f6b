"""Points that change nothing but numbers, which is nearly all of them, judged by compiled code once many come.

NumPy takes a microsecond a point for them, `calm_kernel` a seventh of it; what they say and leave behind is the same,
to the last bit.
"""

from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from collector_processor.detect.known import Known
from collector_processor.detect.rulebook import Rulebook
from collector_processor.kernels import MUCH_POINTS, LateKernel
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch

UInt8 = npt.NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)


class Points(NamedTuple):
    """Points `(n,)` of which each series has one, what the model expects of them `(F, n)`, and which of it is drawn."""

    series: Int32
    time: Int64
    value: Float64
    forecasts: Float64
    winner: UInt8
    held: UInt8


class Parts(NamedTuple):
    """The records of all series that a point changes or is judged by, and the factors of their thresholds."""

    maxima: Any
    rings: Any
    is_turned: Bool
    tracker: Any
    level: Any
    status: Any
    episode: Any
    days: Any
    rule: Any
    factor: Any


def points_of(batch: PointBatch, forecasts: Float64, winner: UInt8, held: UInt8) -> Points:
    """Return a batch, with forecasts `(n, F)`, as the kernel is compiled for: for another layout it would be anew."""
    return Points(
        _plain(batch.series),
        _plain(batch.time_unix_nano),
        _plain(batch.value),
        _plain(forecasts.T),
        _plain(winner),
        _plain(held),
    )


def parts_of(known: Known, rulebook: Rulebook) -> Parts:
    """Return the records of all series that `known` has; they are those themselves."""
    return Parts(
        *known.maxima.records,
        known.tracker.records,
        known.levels.records,
        known.status.records,
        known.episodes.records,
        known.days.records,
        rulebook.all(known.size),
        rulebook.factors(),
    )


def judged(kernel: ModuleType, points: Points, parts: Parts) -> tuple[VerdictBatch, Int64]:
    """Judge and learn what is calm; return verdicts, absent where it is not, and the rows `(m,)` left to others."""
    n = points.series.size
    columns, is_left = np.full((4, n), np.nan), np.ones(n, np.bool_)
    kernel.judge(points, parts, columns, is_left)
    yhat, lower, upper, score = columns
    return VerdictBatch(yhat, lower, upper, score, np.zeros(n, np.int8)), np.flatnonzero(is_left)


def _plain(column: npt.NDArray[Number]) -> npt.NDArray[Number]:
    return column if column.flags.carray else column.copy()


def _loaded() -> ModuleType:
    from collector_processor.detect import calm_kernel

    known, rulebook = Known(), Rulebook(1.0)
    known.grow(1)
    rulebook.grow(1)
    one = PointBatch(np.zeros(1, np.int32), np.zeros(1, np.int64), np.full(1, np.nan))
    nothing = np.zeros(1, np.uint8)
    points, parts = points_of(one, np.empty((1, 4)), nothing, nothing), parts_of(known, rulebook)
    calm_kernel.is_due(points, parts)
    judged(calm_kernel, points, parts)
    return calm_kernel


KERNEL = LateKernel("judging points", _loaded, MUCH_POINTS)

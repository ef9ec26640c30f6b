"""What whoever decides on fits needs to know of the fast path: times of all series, and which of them do badly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.signals.columns import grown
from collector_processor.telemetry.band import INTERVAL_WIDTHS, BandStates, Reason
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.series import SeriesKey

_NEVER = np.int64(2**63 - 1)
_LEVEL = INTERVAL_WIDTHS.index(0.95)
_ENOUGH_SCORED = 288
_LITTLE = 0.05


@dataclass(frozen=True, slots=True)
class Overview:
    """What others may know of the series, by dense id; replaced as a whole, never changed."""

    first_time: Int64
    last_time: Int64
    is_modelled: Bool
    need: Float64
    mark: npt.NDArray[np.uint8]


class SeriesTimes:
    """First and last point of every series, for whoever decides what to fit."""

    def __init__(self, series: Int32, first: Int64, last: PointBatch) -> None:
        size = int(max(series.max(initial=-1), last.series.max(initial=-1))) + 1
        self._first = np.full(size, _NEVER)
        self._last = np.zeros(size, np.int64)
        self._is_modelled = np.zeros(0, np.bool_)
        self._first[series] = first
        self._last[last.series] = last.time_unix_nano

    def note(self, points: PointBatch) -> None:
        """Take in new points."""
        if not len(points):
            return
        self._grow(int(points.series.max(initial=-1)) + 1)
        np.minimum.at(self._first, points.series, points.time_unix_nano)
        np.maximum.at(self._last, points.series, points.time_unix_nano)

    def overview(self, keys: Sequence[SeriesKey], bands: BandStates, mark: npt.NDArray[np.uint8]) -> Overview:
        """Return copies, as long as there are keys; a time of 0 means no point.

        `bands` are the band states saved last and `mark` what series are marked with; either may be shorter.
        """
        size = len(keys)
        self._grow(size)
        first = self._first[:size]
        return Overview(
            np.where(first == _NEVER, 0, first),
            self._last[:size].copy(),
            self.is_modelled(keys),
            np.pad(need(bands[:size]), (0, max(0, size - bands.size))),
            np.pad(mark[:size], (0, max(0, size - mark.size))),
        )

    def silent_since(self, time: int) -> int:
        """Return how many series have had a point, and none after `time`."""
        return int(np.count_nonzero((self._last > 0) & (self._last <= time)))

    def is_modelled(self, keys: Sequence[SeriesKey]) -> Bool:
        """Tell which series get forecasts at all."""
        known = self._is_modelled.size
        more = [key.statistic.is_modelled for key in keys[known:]]
        self._is_modelled = np.concatenate([self._is_modelled, np.array(more, np.bool_)])
        return self._is_modelled

    def _grow(self, size: int) -> None:
        self._first = grown(self._first, size, _NEVER)
        self._last = grown(self._last, size, 0)


def need(bands: BandStates) -> Float64:
    """Return how badly each series needs a better model: the share its 95 % band lacks, 1 where forecasts disagree.

    0 below five points in a hundred, and before a day's worth of points was scored: that much is chance.
    """
    lacking = INTERVAL_WIDTHS[_LEVEL] - bands["inside"][:, _LEVEL] / np.maximum(bands["scored"], 1)
    known = np.where((bands["scored"] >= _ENOUGH_SCORED) & (lacking > _LITTLE), lacking, 0.0)
    return np.where(bands["reason"] == Reason.FORECASTS_DISAGREE, 1.0, known)

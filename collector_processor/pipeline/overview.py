"""What whoever decides on fits needs to know of the fast path: times of all series, and which of them do badly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.signals.columns import grown
from collector_processor.telemetry.band import INTERVAL_WIDTHS, BandStates, Reason
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.series import SeriesKey

NEVER = np.int64(2**63 - 1)
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
    """First and last point of every series, for whoever decides what to fit, and which to forget.

    A series without a point is as old as this process knows of it.
    """

    def __init__(self, series: Int32, first: Int64, last: PointBatch) -> None:
        size = int(max(series.max(initial=-1), last.series.max(initial=-1))) + 1
        self._first = np.full(size, NEVER)
        self._last = np.zeros(size, np.int64)
        self.made = np.full(size, NEVER)
        """When each series was made, or found in the store."""
        self._is_modelled = np.zeros(size, np.bool_)
        self._first[series] = first
        self._last[last.series] = last.time_unix_nano

    def add(self, series: Int32, keys: Sequence[SeriesKey], now: int) -> None:
        """Take in series `(n,)` that were made now."""
        self._grow(int(series.max(initial=-1)) + 1)
        self.made[series] = now
        self._is_modelled[series] = [key.statistic.is_modelled for key in keys]

    def remember(self, made: Int64) -> None:
        """Take over when series were made, from what was known before all was read anew."""
        size = min(self.made.size, made.size)
        were_known = (self.made[:size] != NEVER) & (made[:size] != NEVER)
        self.made[:size][were_known] = made[:size][were_known]

    def note(self, points: PointBatch) -> None:
        """Take in new points."""
        if not len(points):
            return
        series, time = points.series, points.time_unix_nano
        self._grow(int(series.max()) + 1)
        is_earlier = time < self._first.take(series)
        if is_earlier.any():
            np.minimum.at(self._first, series[is_earlier], time[is_earlier])
        np.maximum.at(self._last, series, time)

    def overview(self, size: int, bands: BandStates, mark: npt.NDArray[np.uint8]) -> Overview:
        """Return copies for ids below `size`; a time of 0 means no point.

        `bands` are the band states saved last and `mark` what series are marked with; either may be shorter.
        """
        self._grow(size)
        first = self._first[:size]
        return Overview(
            np.where(first == NEVER, 0, first),
            self._last[:size].copy(),
            self.is_modelled(size),
            np.pad(need(bands[:size]), (0, max(0, size - bands.size))),
            np.pad(mark[:size], (0, max(0, size - mark.size))),
        )

    def silent(self, last: int, made: int) -> Int32:
        """Return the series with no point after `last`, of those without any the ones made up to `made`."""
        is_silent = np.where(self._last > 0, self._last <= last, self.made <= made)
        return np.flatnonzero(is_silent & (self.made != NEVER)).astype(np.int32)

    def is_modelled(self, size: int) -> Bool:
        """Tell which ids below `size` are series that get forecasts at all."""
        self._grow(size)
        return self._is_modelled[:size]

    def _grow(self, size: int) -> None:
        self._first = grown(self._first, size, NEVER)
        self._last = grown(self._last, size, 0)
        self.made = grown(self.made, size, NEVER)
        self._is_modelled = grown(self._is_modelled, size, False)


def need(bands: BandStates) -> Float64:
    """Return how badly each series needs a better model: the share its 95 % band lacks, 1 where forecasts disagree.

    0 below five points in a hundred, and before a day's worth of points was scored: that much is chance.
    """
    lacking = INTERVAL_WIDTHS[_LEVEL] - bands["inside"][:, _LEVEL] / np.maximum(bands["scored"], 1)
    known = np.where((bands["scored"] >= _ENOUGH_SCORED) & (lacking > _LITTLE), lacking, 0.0)
    return np.where(bands["reason"] == Reason.FORECASTS_DISAGREE, 1.0, known)

"""First and last times of all series: what whoever decides on fits needs to know of the fast path."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.telemetry.points import Bool, Int32, Int64, PointBatch
from collector_processor.telemetry.series import SeriesKey


@dataclass(frozen=True, slots=True)
class Overview:
    """What others may know of the series, by dense id; replaced as a whole, never changed."""

    first_time: Int64
    last_time: Int64
    is_modelled: Bool


class SeriesTimes:
    """First and last point of every series, for whoever decides what to fit."""

    def __init__(self, series: Int32, first: Int64, last: PointBatch) -> None:
        size = int(max([-1, *series.tolist(), *last.series.tolist()])) + 1
        self._first = np.zeros(size, np.int64)
        self._last = np.zeros(size, np.int64)
        self._is_modelled = np.zeros(0, np.bool_)
        self._first[series] = first
        self._last[last.series] = last.time_unix_nano

    def note(self, points: PointBatch) -> None:
        """Take in new points."""
        if not len(points):
            return
        self._grow(int(points.series.max()) + 1)
        first = np.where(self._first == 0, np.iinfo(np.int64).max, self._first)
        np.minimum.at(first, points.series, points.time_unix_nano)
        self._first = np.where(first == np.iinfo(np.int64).max, 0, first)
        np.maximum.at(self._last, points.series, points.time_unix_nano)

    def overview(self, keys: Sequence[SeriesKey]) -> Overview:
        """Return copies, as long as there are keys."""
        self._grow(len(keys))
        known = self._is_modelled.size
        more = [key.statistic.is_modelled for key in keys[known:]]
        self._is_modelled = np.concatenate([self._is_modelled, np.array(more, np.bool_)])
        return Overview(self._first[: len(keys)].copy(), self._last[: len(keys)].copy(), self._is_modelled)

    def _grow(self, size: int) -> None:
        if size > self._first.size:
            more = np.zeros(max(size, 2 * self._first.size) - self._first.size, np.int64)
            self._first = np.concatenate([self._first, more])
            self._last = np.concatenate([self._last, more])

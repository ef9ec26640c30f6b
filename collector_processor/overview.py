"""First and last times of all series: what whoever decides on fits needs to know of the fast path."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector_processor.signals.columns import grown
from collector_processor.telemetry.points import Bool, Int32, Int64, PointBatch
from collector_processor.telemetry.series import SeriesKey

_NEVER = np.int64(2**63 - 1)


@dataclass(frozen=True, slots=True)
class Overview:
    """What others may know of the series, by dense id; replaced as a whole, never changed."""

    first_time: Int64
    last_time: Int64
    is_modelled: Bool


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
        self._grow(int(points.series.max(initial=-1)) + 1)
        np.minimum.at(self._first, points.series, points.time_unix_nano)
        np.maximum.at(self._last, points.series, points.time_unix_nano)

    def overview(self, keys: Sequence[SeriesKey]) -> Overview:
        """Return copies, as long as there are keys; a time of 0 means no point."""
        self._grow(len(keys))
        known = self._is_modelled.size
        more = [key.statistic.is_modelled for key in keys[known:]]
        self._is_modelled = np.concatenate([self._is_modelled, np.array(more, np.bool_)])
        first = self._first[: len(keys)]
        return Overview(np.where(first == _NEVER, 0, first), self._last[: len(keys)].copy(), self._is_modelled)

    def _grow(self, size: int) -> None:
        self._first = grown(self._first, size, _NEVER)
        self._last = grown(self._last, size, 0)

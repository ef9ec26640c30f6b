"""The first rung of the ladder: a new series borrows a wide band from those like it until it has a level of its own.

Like it are series of the same metric, unit, kind and statistic that the same policies match. Three at least of the
first 64 of them must have a day of calibration. The median of their levels is the middle of the band; it reaches out to
where the furthest of them, with its own tolerance, is still usual. Nothing is flagged by such a band, or learned from.
"""

import numpy as np

from collector_processor.detect.known import Known
from collector_processor.telemetry.band import LEVEL
from collector_processor.telemetry.points import Float64, Int32

LEAST, MOST = 3, 64


class Siblings:
    """Who is like whom, by the numbers of families; 0 is none."""

    def __init__(self) -> None:
        self._members: dict[int, dict[int, None]] = {}
        self._family: dict[int, int] = {}

    def join(self, series: Int32, family: Int32) -> None:
        """Take note of the families `(n,)` of series; one that takes another's id leaves that one's family."""
        for i, number in zip(series.tolist(), family.tolist(), strict=True):
            self._members.get(self._family.pop(i, 0), {}).pop(i, None)
            members = self._members.setdefault(number, {})
            if number and len(members) < MOST:
                members[i], self._family[i] = None, number

    def band(self, family: Int32, known: Known) -> tuple[Float64, Float64]:
        """Return the middle and the width to each side `(n,)` of what families lend, NaN where that is nothing."""
        numbers, row = np.unique(family, return_inverse=True)
        members = [np.fromiter(self._members.get(number, ()), np.int32) for number in numbers.tolist()]
        of = np.repeat(np.arange(numbers.size), [some.size for some in members])
        everybody = np.concatenate([np.empty(0, np.int32), *members])
        is_mature = known.maxima.is_mature(everybody, LEVEL)
        everybody, of = everybody[is_mature], of[is_mature]
        if everybody.size < LEAST:
            return np.full(family.size, np.nan), np.full(family.size, np.nan)
        standing, level = known.maxima.standing(everybody), known.levels.now(everybody)
        tolerance = standing.tolerance[:, LEVEL]
        sound = (standing.complete_days >= 1) & np.isfinite(level) & np.isfinite(tolerance)
        lent = np.full((numbers.size, 2), np.nan)
        for number in np.flatnonzero(np.bincount(of[sound], minlength=numbers.size) >= LEAST).tolist():
            lenders = sound & (of == number)
            with np.errstate(over="ignore"):
                middle = float(np.median(level[lenders]))
                width = float((np.abs(level[lenders] - middle) + tolerance[lenders]).max())
            if np.isfinite(width):  # not past the largest double
                lent[number] = middle, width
        return lent[row, 0], lent[row, 1]

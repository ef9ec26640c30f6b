"""Who is far out within its band: what one series does now and then, and many at once only when something is wrong."""

import numpy as np

from collector_processor.detect import record
from collector_processor.telemetry.points import Float64, Int32, Int64

STRAINED, CALM = 0.4, 0.25
"""Half-widths of the alert band from which on a series is strained, and below which it is calm again."""

_UNKNOWN, _CALM, _STRAINED = 0, 1, 2
DTYPE = np.dtype([("strain", "u1")])


class Strain:
    """Which series are strained; `series` arguments are dense ids. What is judged anew after a start is told anew."""

    def __init__(self) -> None:
        self._records = record.filled(DTYPE, 0, {})

    def changed(self, series: Int32, score: Float64) -> Int64:
        """Take in scores `(n,)`; return the rows of series that became strained, or calm after that.

        Of several rows of one series the last one counts.
        """
        if not series.size:
            return np.empty(0, np.int64)
        self._records = record.grown(self._records, int(series.max()) + 1, {})
        before, size = self._records["strain"].take(series), np.abs(score)
        is_strained, is_calm = size >= STRAINED, size < CALM
        rows = np.flatnonzero((is_strained & (before != _STRAINED)) | (is_calm & (before != _CALM)))
        if rows.size:
            self._records["strain"][series[rows]] = np.where(is_strained[rows], _STRAINED, _CALM)
            rows = rows[is_strained[rows] | (before[rows] == _STRAINED)]
        return rows

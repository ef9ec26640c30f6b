"""The compiled loop that takes note of who reports, as `Silence` does it with NumPy, to the last bit.

Importing this imports numba, so that is done when there is much to note.
"""

from collections.abc import Callable
from typing import Any

from collector_processor.compiled import exact_entry, pasted, source_digest
from collector_processor.detect.silence import FOLLOW, FORGOTTEN_AFTER, LONGEST, REGULAR
from collector_processor.telemetry.points import Float64, Int32, Int64


@pasted
def _followed(usual: float, gap: float) -> float:
    """Return a usual interval after one more."""
    start = usual if usual > 0 else gap
    return start + FOLLOW * (min(gap, LONGEST * start) - start) if gap > 0 else usual


def _bind(sources: str) -> Callable[[Any, Int32, Int64, Float64, int], None]:
    """Compile `note` over the digest of the sources that its constants are of."""

    @exact_entry
    def note(records: Any, series: Int32, time: Int64, value: Float64, now: int) -> None:
        """Take note of a point each of series, which arrive now."""
        _ = sources
        for i in range(series.size):
            row = records[series[i]]
            is_newer = time[i] > row.newest
            span = time[i] - row.newest if is_newer and row.newest > 0 else 0
            gap = float(span)
            if gap <= REGULAR * (row.usual if row.usual > 0 else gap):
                row.regular += span
            elif row.scope == 0 or span >= FORGOTTEN_AFTER:
                row.regular = 0
            row.usual = _followed(row.usual, gap)
            row.pause = _followed(row.pause, float(now - row.seen) if row.seen > 0 else 0.0)
            if is_newer:
                row.newest, row.value = time[i], value[i]
            row.seen = now

    return note


note = _bind(source_digest(__file__))

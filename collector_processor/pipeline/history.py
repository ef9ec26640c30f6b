"""What comes too much at once to be judged: of a series, the newest points of a batch are, what lies before is history.

A point is judged by what the one before it taught, so points of one series take their turns, a millisecond each.
Whoever sent the past of a series in one request would keep all others waiting beyond their time-outs.
"""

import numpy as np

from collector_processor.telemetry.points import Bool, PointBatch

MOST_IN_TURN = 1024


def are_newest(points: PointBatch) -> Bool | None:
    """Tell which rows are among the newest `MOST_IN_TURN` of their series; None where all are."""
    if len(points) <= MOST_IN_TURN or np.bincount(points.series).max() <= MOST_IN_TURN:
        return None
    order = np.lexsort((points.time_unix_nano, points.series))
    series = points.series[order]
    newer = np.searchsorted(series, series, side="right") - np.arange(1, series.size + 1)
    is_newest = np.empty(series.size, np.bool_)
    is_newest[order] = newer < MOST_IN_TURN
    return is_newest

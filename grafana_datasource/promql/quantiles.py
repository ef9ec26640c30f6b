"""The quantile of sorted values, between neighbours by linear interpolation."""

import numpy as np

from collector_processor.telemetry.points import Float64, Int64


def quantile_of_sorted(value: Float64, start: Int64, count: Int64, rank: Float64) -> Float64:
    """Return one quantile per group; group `i` has the `count[i]` ascending values from `start[i]` on, at least one.

    A rank below 0 gives -Inf, above 1 +Inf, NaN gives NaN.
    """
    place = np.clip(np.nan_to_num(rank), 0.0, 1.0) * (count - 1)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, count - 1)
    weight = place - below
    found = value[start + below] * (1 - weight) + value[start + above] * weight
    found = np.where(rank < 0, -np.inf, np.where(rank > 1, np.inf, found))
    return np.where(np.isnan(rank), np.nan, found)

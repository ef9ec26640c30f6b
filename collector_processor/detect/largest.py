"""What the largest value of a day usually is: a quantile of the largest ones of the last 42 days."""

import numpy as np

from collector_processor.telemetry.points import Float32, Int32

BLOCKS = 42
MIN_BLOCKS = 3
QUANTILE = 0.9


def usual(daily: Float32, count: Int32) -> Float32:
    """Return Q `(m,)` of rings `(m, 42)` into which `count` `(m,)` maxima were written; 0 for fewer than three."""
    held = np.minimum(count, BLOCKS)
    ordered = np.sort(np.where(np.arange(BLOCKS) < held[:, np.newaxis], daily, np.float32(np.inf)), axis=1)
    place = QUANTILE * np.maximum(held - 1, 0)
    below = place.astype(np.int64)
    above = np.minimum(below + 1, np.maximum(held - 1, 0))
    row = np.arange(len(daily))
    low, high = ordered[row, below], ordered[row, above]
    with np.errstate(invalid="ignore"):  # empty rings hold only infinities
        quantile = low + (place - below) * (high - low)
    return np.where(held >= MIN_BLOCKS, quantile, 0.0).astype(np.float32)

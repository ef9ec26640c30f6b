"""What the largest error of a day comes to once in a while: Gumbel's law, fitted to the largest of the last 42 days.

With m the median of n daily maxima and l their second L-moment (half of what two of them differ by on average), the
scale of Gumbel's law is l / ln 2, and

    U = m + 2 (1 + 2 / n) l / ln 2

is passed on one day in eleven where many days are known, and less often where few are. A quantile of the same days
would rest on the few largest of them, and says nothing of how far beyond them the next may lie (J. R. M. Hosking,
"L-moments", 1990).
"""

import numpy as np

from collector_processor.telemetry.points import Float32, Int32

BLOCKS = 42
MIN_BLOCKS = 3
SCALES_ABOVE = 2.0
FEW_DAYS = 2.0

_LARGEST = float(np.finfo(np.float32).max)


def usual(daily: Float32, count: Int32) -> Float32:
    """Return U `(m,)` of rings `(m, 42)` into which `count` `(m,)` maxima were written; 0 for fewer than three."""
    held = np.clip(count, MIN_BLOCKS, BLOCKS)  # fewer are not used
    n, place = held[:, np.newaxis], np.arange(BLOCKS)
    ordered = np.sort(np.where(place < n, daily.astype(np.float64), np.inf), axis=1)
    row = np.arange(len(daily))
    median = 0.5 * (ordered[row, (held - 1) // 2] + ordered[row, held // 2])
    weight = np.where(place < n, 2.0 * place + 1.0 - n, 0.0)
    second = (weight * np.where(place < n, ordered, 0.0)).sum(axis=1) / (held * (held - 1.0))
    expected = median + SCALES_ABOVE * (1.0 + FEW_DAYS / held) * second / np.log(2.0)
    return np.where(count >= MIN_BLOCKS, np.minimum(expected, _LARGEST), 0.0).astype(np.float32)

"""Means over a step: what models are fitted on."""

import numpy as np

from collector_processor.telemetry.points import Float64, Int64


def means(time_unix_nano: Int64, value: Float64, step: int) -> tuple[Int64, Float64]:
    """Return, for each step `[i * step, (i + 1) * step)` that has finite values, its middle and their mean.

    Times `(n,)` are ascending. The mean of finite values is finite, however large they are.
    """
    finite = np.isfinite(value)
    time, observed = (time_unix_nano, value) if finite.all() else (time_unix_nano[finite], value[finite])
    if not time.size:
        return time, observed
    block = time // step
    first = np.flatnonzero(block[1:] != block[:-1]) + 1
    if first.size + 1 < time.size:
        first = np.concatenate([[0], first])
        scale = float(np.abs(observed).max()) or 1.0
        count = np.diff(first, append=time.size)
        block, observed = block[first], np.add.reduceat(observed / scale, first) / count * scale
    return block * step + step // 2, observed


def standard_deviation(value: Float64) -> float:
    """Return the standard deviation of the finite values, 0 for none; large values do not overflow."""
    observed = value[np.isfinite(value)]
    if not observed.size:
        return 0.0
    scale = float(np.abs(observed).max()) or 1.0
    return float(np.std(observed / scale) * scale)

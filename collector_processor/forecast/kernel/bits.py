"""Compare floats by their bits: as integers that can be vectorised, also where NaN is among them."""

import numpy as np

from collector_processor.compiled import compiled
from collector_processor.telemetry.points import Float64

MAGNITUDE = 0x7FFFFFFFFFFFFFFF
_INFINITY = 0x7FF0000000000000


@compiled
def ordered(bits: int) -> int:
    """Turn the bits of a float into an integer of its rank, and back."""
    return bits ^ (bits >> 63 & MAGNITUDE)


@compiled
def greatest(x: Float64) -> float:
    """Return max|x| of what is finite, 0 where nothing is."""
    bits, found = x.view(np.int64), np.int64(0)
    for i in range(len(bits)):
        magnitude = bits[i] & np.int64(MAGNITUDE)
        found = max(found, magnitude if magnitude < np.int64(_INFINITY) else np.int64(0))
    value: float = np.array([found]).view(np.float64)[0]
    return value

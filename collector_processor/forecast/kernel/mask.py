"""Leave out what lies far from a fit, by median absolute deviations."""

import numpy as np

from collector_processor.compiled import compiled
from collector_processor.forecast.kernel.bits import MAGNITUDE, greatest, ordered
from collector_processor.forecast.kernel.layout import Problem, Shared, Work
from collector_processor.forecast.kernel.optimum import evaluate
from collector_processor.telemetry.points import Float64


@compiled
def mask_outliers(observed: Float64, problem: Problem, shared: Shared, work: Work) -> bool:
    """Mask in `values` what lies further from the fit than the median deviation allows; tell whether that changed."""
    fitted, scratch = work.spare, work.z
    evaluate(problem, shared, work, fitted)
    mean = problem.mu * problem.scale + problem.offset
    inverse = 1.0 / problem.scale
    count = 0
    for i in range(len(observed)):
        fitted[i] = (observed[i] - mean) * inverse - fitted[i]
        count += fitted[i] == fitted[i]
    centre = _median(fitted, count, -greatest(fitted))
    for i in range(len(observed)):
        scratch[i] = abs(fitted[i] - centre)
    limit = shared.mask_mads * _median(scratch, count, 0.0)
    if not limit > 0.0:  # more than half the points are met exactly: the rest is no outlier by this measure
        return False
    changed = 0
    for i in range(len(observed)):
        before = work.values[i]
        work.values[i] = np.nan if abs(fitted[i] - centre) > limit else observed[i]
        changed += (work.values[i] == work.values[i]) != (before == before)  # noqa: PLR0124 - vectorised
    return changed > 0


@compiled
def _median(x: Float64, count: int, least: float) -> float:
    """Return the median of the `count` numbers in `x` that are not NaN, all of at least `least`.

    The range that holds it is narrowed by how many numbers lie below, and by half now and then in case they crowd:
    counting takes no branches, and fewer rounds than there are digits.
    """
    rank = (count - 1) // 2
    low, high = np.nextafter(least, -np.inf), greatest(x)
    below, above, turn = 0, count, 0
    while above - below > 1:
        share = 0.5 if turn % 3 == 2 else (rank + 0.5 - below) / (above - below)
        middle = low + share * (high - low)
        if not low < middle < high:
            break  # the rest is equal
        up_to = _count_up_to(x, middle)
        if up_to <= rank:
            low, below = middle, up_to
        else:
            high, above = middle, up_to
        turn += 1
    one = _least_above(x, low)
    other = one if count % 2 == 1 or rank + 1 < above else _least_above(x, one)
    median: float = 0.5 * (one + other)
    return median


@compiled
def _count_up_to(x: Float64, limit: float) -> int:
    count = 0
    for i in range(len(x)):
        count += x[i] <= limit
    return count


@compiled
def _least_above(x: Float64, limit: float) -> float:
    """Return the least number above `limit`, of which there is one; compared as integers, that can be vectorised."""
    bits, least = x.view(np.int64), MAGNITUDE
    for i in range(len(x)):
        rank = ordered(bits[i])
        least = min(least, rank if x[i] > limit else MAGNITUDE)
    found: float = np.array([ordered(least)]).view(np.float64)[0]
    return found

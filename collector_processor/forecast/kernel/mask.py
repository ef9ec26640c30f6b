"""Leave out what lies far from a fit, by median absolute deviations."""

import numpy as np

from collector_processor.forecast.kernel.compiled import compiled
from collector_processor.forecast.kernel.layout import Problem, Shared, Work
from collector_processor.forecast.kernel.moments import greatest
from collector_processor.forecast.kernel.optimum import evaluate
from collector_processor.telemetry.points import Float64

_FEW = 24  # numbers left to sort when a median is narrowed down


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
        scratch[count] = fitted[i]
        count += fitted[i] == fitted[i]
    centre = _median(scratch[:count], -greatest(scratch[:count]))
    for i in range(count):
        scratch[i] = abs(scratch[i] - centre)
    limit = shared.mask_mads * _median(scratch[:count], 0.0)
    if not limit > 0.0:  # more than half the points are met exactly: the rest is no outlier by this measure
        return False
    changed = 0
    for i in range(len(observed)):
        before = work.values[i]
        work.values[i] = np.nan if abs(fitted[i] - centre) > limit else observed[i]
        changed += (work.values[i] == work.values[i]) != (before == before)  # noqa: PLR0124 - vectorised
    return changed > 0


@compiled
def _median(x: Float64, least: float) -> float:
    """Return the median of finite numbers of at least `least`, halving the range that holds it.

    Counting takes no branches.
    """
    rank = (len(x) - 1) // 2
    high = greatest(x)
    low = np.nextafter(least, -np.inf)
    below, above = 0, len(x)
    while above - below > _FEW:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return high  # the rest is equal
        count = _count_up_to(x, middle)
        if count <= rank:
            low, below = middle, count
        else:
            high, above = middle, count
    few = np.sort(_between(x, low, high, above - below))
    if len(x) % 2 == 1:
        following = few[rank - below]
    elif rank + 1 < above:
        following = few[rank + 1 - below]
    else:
        following = np.min(x[x > high])
    median: float = 0.5 * (few[rank - below] + following)
    return median


@compiled
def _between(x: Float64, low: float, high: float, count: int) -> Float64:
    """Return the numbers in `(low, high]`, of which there are `count`."""
    few = np.empty(count + 1)
    at = 0
    for i in range(len(x)):
        few[at] = x[i]
        at += (x[i] > low) & (x[i] <= high)
    return few[:count]


@compiled
def _count_up_to(x: Float64, limit: float) -> int:
    count = 0
    for i in range(len(x)):
        count += x[i] <= limit
    return count

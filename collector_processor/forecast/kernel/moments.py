"""One pass over a series: scale it, place its changepoints, and sum what the optimum depends on.

Sums over a grid are shared. A series with gaps subtracts its missing rows from them, or adds up its observed rows
when those are fewer; afterwards the cost of a fit no longer depends on the number of points.
"""

import numpy as np

from collector_processor.compiled import compiled
from collector_processor.forecast.kernel.bits import ordered
from collector_processor.forecast.kernel.layout import CONSTANT_SIGMA, Problem, Shared, Work
from collector_processor.telemetry.points import Float64, Int32


@compiled
def observed_extent(values: Float64) -> tuple[int, int, int]:
    """Return the first and last observed row, and how many are observed."""
    n = len(values)
    count = 0
    for i in range(n):
        count += values[i] == values[i]
    first = 0
    while first < n - 1 and np.isnan(values[first]):
        first += 1
    last = n - 1
    while last > first and np.isnan(values[last]):
        last -= 1
    return first, last, count


@compiled
def list_rows(observed: int, work: Work) -> int:
    """List the missing rows, or the observed ones where those are fewer; return how many."""
    if observed == len(work.values):
        return 0
    is_missing = 2 * observed >= len(work.values)
    count = 0
    for i in range(len(work.values)):
        work.listed[count] = i
        count += np.isnan(work.values[i]) == is_missing
    return count


@compiled
def place_changepoints(first: int, last: int, count: int, shared: Shared, work: Work, listed: int) -> int:
    """Find the grid rows of the changepoints, which Prophet counts in observed rows; return how many there are."""
    ranks = shared.changepoint_rows[count]
    work.starts[0] = first
    work.at[0] = 0.0
    are_missing = 2 * count >= len(work.values)
    placed, passed = 0, 0
    while placed < len(ranks) and ranks[placed] >= 0:
        if are_missing:  # one row further for each that is missing before
            while passed < listed and work.listed[passed] - passed <= ranks[placed]:
                passed += 1
            row = ranks[placed] + passed
        else:
            row = work.listed[ranks[placed]]
        placed += 1
        work.starts[placed] = row
        work.at[placed] = (row - first) / (last - first)
    return placed


@compiled
def scale_values(
    values: Float64, z: Float64, extent: tuple[int, int, int, int], is_minmax: bool
) -> tuple[Problem, bool]:
    """Write (values - mean) / scale to `z`, 0 where missing; also tell whether the values differ at all.

    `extent` is the first and last observed row, how many are observed, and the number of changepoints. The scale is
    max|values|, or their range, whose lowest value is then the offset.
    """
    first, last, count, changepoints = extent
    lowest, highest = _range(values, first)
    offset = lowest if is_minmax else 0.0
    mean, share = 0.0, 1.0 / count
    for i in range(len(values)):
        z[i] = values[i] - offset
        mean += z[i] * share if values[i] == values[i] else 0.0
    scale = max(abs(lowest - offset), abs(highest - offset))
    scale = 1.0 if scale == 0.0 else scale
    inverse = 1.0 / scale
    yy = 0.0
    for i in range(len(values)):
        z[i] = (z[i] - mean) * inverse if values[i] == values[i] else 0.0
        yy += z[i] * z[i]
    floor = min(CONSTANT_SIGMA**2, 1e-12 * yy / count)
    return Problem(yy, mean / scale, scale, offset, floor, count, first, last, changepoints), lowest < highest


@compiled
def _range(values: Float64, first: int) -> tuple[float, float]:
    """Return the least and the greatest of what is observed, as row `first` is; their bits are ordered as they are."""
    bits = values.view(np.int64)
    known = ordered(bits[first])
    low, high = known, known
    for i in range(len(bits)):
        rank = ordered(bits[i]) if values[i] == values[i] else known
        low, high = min(low, rank), max(high, rank)
    ends = np.array([ordered(low), ordered(high)]).view(np.float64)
    return ends[0], ends[1]


@compiled
def sum_moments(problem: Problem, shared: Shared, work: Work, listed: int) -> None:
    """Sum the regressors, and z against them, over the observed rows from every changepoint on."""
    _sum_z(problem, shared, work)
    _sum_regressors(problem, shared, work, listed)
    for j in range(problem.changepoints - 1, -1, -1):
        for q in range(work.zsums.shape[1]):
            work.zsums[j, q] += work.zsums[j + 1, q]
    columns = shared.columns
    paired = len(columns) - len(columns) % 2
    for k in range(0, paired, 2):
        total, other = 0.0, 0.0
        for i in range(len(work.z)):
            total += columns[k, i] * work.z[i]
            other += columns[k + 1, i] * work.z[i]
        work.moment[2 + k], work.moment[3 + k] = total, other
    for k in range(paired, len(columns)):
        total = 0.0
        for i in range(len(work.z)):
            total += columns[k, i] * work.z[i]
        work.moment[2 + k] = total


@compiled
def _sum_z(problem: Problem, shared: Shared, work: Work) -> None:
    """Sum z and u z over every segment between changepoints."""
    for j in range(problem.changepoints + 1):
        end = work.starts[j + 1] if j < problem.changepoints else len(work.z)
        total, moment = 0.0, 0.0
        for i in range(work.starts[j], end):
            total += work.z[i]
            moment += shared.u[i] * work.z[i]
        work.zsums[j, 0], work.zsums[j, 1] = total, moment


@compiled
def _sum_regressors(problem: Problem, shared: Shared, work: Work, listed: int) -> None:
    """Sum [1, u, u^2, F, uF] from every changepoint on, and F'F: all rows less the missing, or the observed alone."""
    n, subtract = len(work.z), 2 * problem.observed >= len(work.z)
    sign = -1.0 if subtract else 1.0
    work.summed[:] = 0.0
    index = listed - 1
    for j in range(problem.changepoints, -1, -1):
        start = work.starts[j]
        while index >= 0 and work.listed[index] >= start:
            _add(work.summed, shared.terms[work.listed[index]])
            index -= 1
        for q in range(len(work.summed)):
            complete = shared.prefix[n, q] - shared.prefix[start, q] if subtract else 0.0
            work.sums[j, q] = complete + sign * work.summed[q]
    _sum_products(work.listed[:listed], sign, subtract, shared, work)


@compiled
def _add(summed: Float64, row: Float64) -> None:
    for q in range(len(summed)):
        summed[q] += row[q]


@compiled
def _sum_products(listed: Int32, sign: float, subtract: bool, shared: Shared, work: Work) -> None:
    """Write F'F over the observed rows into the seasonal block of the Gram matrix (lower triangle)."""
    for k in range(len(shared.gram)):
        for index in range(len(listed)):
            work.picked[k, index] = shared.columns[k, listed[index]]
        for other in range(k + 1):
            total = 0.0
            for index in range(len(listed)):
                total += work.picked[k, index] * work.picked[other, index]
            complete = shared.gram[k, other] if subtract else 0.0
            work.gram[2 + k, 2 + other] = complete + sign * total


@compiled
def assemble(problem: Problem, shared: Shared, work: Work) -> None:
    """Turn the sums into Z'Z (lower triangle) and Z'z for scaled time, first observed row 0 and last 1."""
    k, ridge = len(shared.gram), len(shared.ridge)
    span = problem.last - problem.first
    a, b = len(work.z) / span, problem.first / span
    for j in range(problem.changepoints + 1):
        _rescale(work.sums[j], work.zsums[j], a, b, k)
    sums = work.sums[0]
    work.gram[1, 1] = sums[0]
    work.moment[1] = work.zsums[0, 0]
    work.gram[2:ridge, 1] = sums[3 : 3 + k]
    work.gram[0, 0], work.gram[1, 0] = sums[2], sums[1]
    work.gram[2:ridge, 0] = sums[3 + k :]
    work.moment[0] = work.zsums[0, 1]
    for j in range(problem.changepoints):
        _assemble_hinge(j, ridge, k, work)


@compiled
def _rescale(sums: Float64, zsums: Float64, a: float, b: float, k: int) -> None:
    """Replace sums over u by sums over t = a u - b."""
    sums[2] = a * a * sums[2] - 2.0 * a * b * sums[1] + b * b * sums[0]
    sums[1] = a * sums[1] - b * sums[0]
    for i in range(3, 3 + k):
        sums[k + i] = a * sums[k + i] - b * sums[i]
    zsums[1] = a * zsums[1] - b * zsums[0]


@compiled
def _assemble_hinge(j: int, ridge: int, k: int, work: Work) -> None:
    """Fill the row of changepoint `j`, whose regressor is max(t - at, 0)."""
    sums, at = work.sums[j + 1], work.at[j + 1]
    row = work.gram[ridge + j]
    row[0] = sums[2] - at * sums[1]
    row[1] = sums[1] - at * sums[0]
    for i in range(k):
        row[2 + i] = sums[3 + k + i] - at * sums[3 + i]
    for i in range(j + 1):
        other = work.at[i + 1]
        row[ridge + i] = sums[2] - (at + other) * sums[1] + at * other * sums[0]
        work.gram[ridge + i, ridge + j] = row[ridge + i]
    work.moment[ridge + j] = work.zsums[j + 1, 1] - at * work.zsums[j + 1, 0]

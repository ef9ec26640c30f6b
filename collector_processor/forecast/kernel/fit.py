"""The compiled entries: fit and measure the rows of a batch."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from collector_processor.compiled import compiled, entry, source_digest
from collector_processor.forecast.kernel.layout import (
    CONSTANT,
    CONSTANT_SIGMA,
    CONVERGED,
    NOT_CONVERGED,
    TOO_SHORT,
    USUALLY_LEFT,
    Problem,
    Result,
    Shared,
    Warm,
    Work,
)
from collector_processor.forecast.kernel.mask import mask_outliers
from collector_processor.forecast.kernel.moments import (
    assemble,
    list_rows,
    observed_extent,
    place_changepoints,
    scale_values,
    sum_moments,
)
from collector_processor.forecast.kernel.optimum import choose_active, find_optimum
from collector_processor.telemetry.points import Float64, Int64

Rows = Float64 | npt.NDArray[np.float32]


def _bind(sources: str) -> Callable[[Rows, Int64, Shared, Warm, Result], None]:
    """Compile `fit_rows` over the digest of the sources it calls into."""

    @entry
    def fit_rows(y: Rows, members: Int64, shared: Shared, warm: Warm, result: Result) -> None:
        """Fit rows `members` of `y (B, n)` into `result`; NaN and infinities are missing."""
        _ = sources
        work = _allocate(shared)
        for b in members:
            _load(y[b], work.values)
            result.status[b] = _fit_robustly(b, shared, warm, work, result)

    return fit_rows


fit_rows = _bind(source_digest(__file__))


@entry
def measure_rows(y: Rows, extents: Int64) -> None:
    """Write the first and last observed row of every series, its least spacing, and how many it has; -1, -1, n, 0."""
    n = y.shape[1]
    for b in range(len(y)):
        row = y[b]
        extents[b, 0], extents[b, 1], extents[b, 2], extents[b, 3] = -1, -1, n, 0
        for i in range(n):
            if row[i] - row[i] == 0.0:
                if extents[b, 0] < 0:
                    extents[b, 0] = i
                else:
                    extents[b, 2] = min(extents[b, 2], i - extents[b, 1])
                extents[b, 1] = i
            if extents[b, 2] == 1:
                break
        for i in range(n - 1, extents[b, 1], -1):
            if row[i] - row[i] == 0.0:
                extents[b, 1] = i
                break
        observed = 0
        for i in range(n):
            observed += row[i] - row[i] == 0.0
        extents[b, 3] = observed


@compiled
def _allocate(shared: Shared) -> Work:
    k, n = shared.columns.shape
    c = shared.changepoint_rows.shape[1]
    p = len(shared.ridge) + c
    return Work(
        np.empty(n),
        np.empty(n),
        np.empty(n),
        np.empty(n, np.int32),
        np.empty(c + 1, np.int32),
        np.empty(c + 1),
        np.empty(3 + 2 * k),
        np.empty((c + 1, 3 + 2 * k)),
        np.empty((c + 1, 2)),
        np.empty((k, n)),
        np.empty((p, p)),
        np.empty(p),
        np.empty((p, p)),
        np.empty(p),
        np.empty(p),
        np.empty(p),
        np.arange(p).astype(np.int32),
        np.zeros(p),
    )


@compiled
def _load(row: Rows, values: Float64) -> None:
    """Copy a row as float64, infinities as NaN."""
    for i in range(len(row)):
        value = np.float64(row[i])
        values[i] = value if value - value == 0.0 else np.nan


@compiled
def _fit_robustly(b: int, shared: Shared, warm: Warm, work: Work, result: Result) -> int:
    """Fit, then mask what lies far off and fit again, until the mask stays or the passes are used up."""
    problem, status = _fit(b, shared, warm.sigma[b], warm.delta[b], work, result)
    if shared.mask_passes == 0 or status != CONVERGED:
        return status
    observed = work.values.copy()
    for _ in range(shared.mask_passes):
        if not mask_outliers(observed, problem, shared, work):
            break
        scale = result.scale[b]
        problem, status = _fit(b, shared, result.sigma[b] * scale, result.delta[b] * scale, work, result)
        if status != CONVERGED:
            break
    return status


@compiled
def _fit(b: int, shared: Shared, sigma: float, delta: Float64, work: Work, result: Result) -> tuple[Problem, int]:
    """Fit `work.values` into row `b` of the result, starting from `sigma` and `delta` in value units."""
    first, last, count = observed_extent(work.values)
    result.rows[b, 0], result.rows[b, 1], result.rows[b, 2] = first, last, count
    if count < 2:
        return Problem(0.0, 0.0, 1.0, 0.0, 0.0, count, first, last, 0), TOO_SHORT
    listed = list_rows(count, work)
    placed = place_changepoints(first, last, count, shared, work, listed)
    result.changepoints[b, :placed] = work.starts[1 : placed + 1]
    result.changepoints[b, placed:] = -1
    problem, varies = scale_values(work.values, work.z, (first, last, count, placed), shared.is_minmax)
    result.scale[b] = problem.scale
    result.offset[b] = problem.offset
    if not (problem.scale < np.inf and 1.0 / problem.scale < np.inf):
        return problem, NOT_CONVERGED
    if not varies:
        work.w[:] = 0.0
        _store(b, problem, CONSTANT_SIGMA, shared, work, result)
        return problem, CONSTANT
    sum_moments(problem, shared, work, listed)
    assemble(problem, shared, work)
    start = sigma / problem.scale if sigma > 0.0 else math.sqrt(USUALLY_LEFT * problem.yy / count)
    active = choose_active(problem, shared, delta, work)
    s2, status = find_optimum(problem, shared, work, start * start, active)
    _store(b, problem, math.sqrt(s2), shared, work, result)
    return problem, status


@compiled
def _store(b: int, problem: Problem, sigma: float, shared: Shared, work: Work, result: Result) -> None:
    """Write the parameters in Prophet's convention: not centred, a lone changepoint at the start folded into k."""
    ridge, c = len(shared.ridge), problem.changepoints
    result.sigma[b] = sigma
    result.k[b] = work.w[0]
    result.m[b] = work.w[1] + problem.mu
    for k in range(len(result.beta_columns)):
        result.beta[b, result.beta_columns[k]] = work.w[2 + k]
    result.delta[b] = 0.0
    result.delta[b, :c] = work.w[ridge : ridge + c]
    if c == 1 and work.starts[1] == problem.first:
        result.k[b] += result.delta[b, 0]
        result.delta[b, 0] = 0.0

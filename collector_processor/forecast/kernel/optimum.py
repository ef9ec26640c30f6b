"""The joint optimum of parameters and noise: the fixed point of s^2 -> F(s^2)."""

import math

import numpy as np

from collector_processor.compiled import compiled
from collector_processor.forecast.kernel.lasso import forward, solve_lasso
from collector_processor.forecast.kernel.layout import (
    CONVERGED,
    EXACT,
    KM_VARIANCE,
    MAX_OUTER,
    NOT_CONVERGED,
    RECOMPUTE_BELOW,
    TOLERANCE,
    Problem,
    Shared,
    Work,
)
from collector_processor.telemetry.points import Float64


@compiled
def choose_active(problem: Problem, shared: Shared, delta: Float64, work: Work) -> int:
    """Start from the deltas of an earlier fit; return how many are active."""
    ridge = len(shared.ridge)
    work.w[:] = 0.0
    work.sign[:] = 0.0
    active = 0
    for j in range(problem.changepoints):
        if delta[j] != 0.0:
            work.w[ridge + j] = delta[j] / problem.scale
            work.sign[ridge + j] = math.copysign(1.0, delta[j])
            work.order[ridge + active] = ridge + j
            active += 1
    return active


@compiled
def find_optimum(problem: Problem, shared: Shared, work: Work, s2: float, active: int) -> tuple[float, int]:
    """Find the fixed point of s^2 -> F(s^2) from above; return it with the outcome."""
    x = math.log(max(s2, problem.floor))
    low, high = -np.inf, np.inf
    for _ in range(MAX_OUTER):
        s2 = math.exp(x)
        active = solve_lasso(problem, shared, work, s2, active)
        if active < 0:
            return s2, NOT_CONVERGED
        best, slope = _best_s2(problem, shared, work, s2, active)
        gap = math.log(best) - x
        if abs(gap) <= TOLERANCE:
            return best, EXACT if best <= problem.floor * 1.001 else CONVERGED
        low, high = (x, high) if gap > 0.0 else (low, x)
        x = _step(x, gap, slope, low, high)
    return s2, NOT_CONVERGED


@compiled
def _step(x: float, gap: float, slope: float, low: float, high: float) -> float:
    """Take Newton's step towards a maximum, or the plain one: F is monotone, so that never passes the fixed point."""
    newton = x + gap / (1.0 - slope)
    return newton if slope < 1.0 and low < newton < high else x + gap


@compiled
def _best_s2(problem: Problem, shared: Shared, work: Work, s2: float, active: int) -> tuple[float, float]:
    """Return F(s^2) for the current w, and d ln F / d ln s^2.

    With v the gradient of the penalties and M = Z'Z + s^2 ridge on the free parameters, Z'(z - Zw) = s^2 v, hence
    |z - Zw|^2 = z'z - w'Z'z - s^2 w'v, and its derivative by s^2 is 2 s^2 v' M^-1 v.
    """
    ridge = len(shared.ridge)
    rss = problem.yy
    _penalty_gradient(problem, shared, work, active)
    for q in range(ridge + active):
        i = work.order[q]
        rss -= work.w[i] * (work.moment[i] + s2 * work.gradient[q])
    if rss < RECOMPUTE_BELOW * problem.yy:
        rss = _residual_sum(problem, shared, work)
    norm = 0.0
    for q in range(ridge + active):
        work.gradient[q] = forward(work.factor, work.gradient, q)
        norm += work.gradient[q] * work.gradient[q]
    root = math.sqrt(problem.observed * problem.observed + 16.0 * rss)
    best = 2.0 * rss / (problem.observed + root)
    if not best > problem.floor:
        return problem.floor, 0.0
    return best, 2.0 * s2 * s2 * norm / (best * root)


@compiled
def _penalty_gradient(problem: Problem, shared: Shared, work: Work, active: int) -> None:
    """Write the gradient of the log prior's negative for the ridge and active parameters, in factor order."""
    ridge = len(shared.ridge)
    for i in range(ridge):
        work.gradient[i] = shared.ridge[i] * work.w[i]
    work.gradient[1] += problem.mu / KM_VARIANCE
    for index in range(active):
        work.gradient[ridge + index] = work.sign[work.order[ridge + index]] / shared.tau


@compiled
def _residual_sum(problem: Problem, shared: Shared, work: Work) -> float:
    """Sum the squared residuals point by point, for fits so close that the moments have lost the difference."""
    evaluate(problem, shared, work, work.spare)
    total = 0.0
    for i in range(len(work.z)):
        residual = work.z[i] - work.spare[i]
        total += residual * residual if work.values[i] == work.values[i] else 0.0
    return total


@compiled
def evaluate(problem: Problem, shared: Shared, work: Work, fitted: Float64) -> None:
    """Write Z w for all grid rows."""
    ridge = len(shared.ridge)
    slope, intercept = work.w[0], work.w[1]
    span = problem.last - problem.first
    a, b = len(fitted) / span, problem.first / span
    for j in range(problem.changepoints + 1):
        if j > 0:
            slope += work.w[ridge + j - 1]
            intercept -= work.w[ridge + j - 1] * work.at[j]
        start = work.starts[j] if j > 0 else 0
        end = work.starts[j + 1] if j < problem.changepoints else len(fitted)
        level, steepness = intercept - slope * b, slope * a  # of t = a u - b
        for i in range(start, end):
            fitted[i] = level + steepness * shared.u[i]
    columns, weights = shared.columns, work.w[2 : 2 + len(shared.columns)]
    together = len(columns) - len(columns) % 4
    for k in range(0, together, 4):  # four at a time: a quarter of the traffic
        one, two, three, four = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
        for i in range(len(fitted)):
            fitted[i] += (weights[k] * one[i] + weights[k + 1] * two[i]) + (
                weights[k + 2] * three[i] + weights[k + 3] * four[i]
            )
    for k in range(together, len(columns)):
        for i in range(len(fitted)):
            fitted[i] += weights[k] * columns[k, i]

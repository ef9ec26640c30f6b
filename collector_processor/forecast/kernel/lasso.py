"""The exact minimum over slope, offset, seasonality and deltas for a given noise.

Feature-sign search (Lee, Battle, Raina, Ng 2007) with the ridge parameters always free: the Cholesky factor of the free
block has them first, so that a delta entering or leaving only touches the last rows.
"""

import math

from collector_processor.compiled import compiled
from collector_processor.forecast.kernel.layout import KM_VARIANCE, MAX_INNER, Problem, Shared, Work
from collector_processor.telemetry.points import Float64


@compiled
def solve_lasso(problem: Problem, shared: Shared, work: Work, s2: float, active: int) -> int:
    """Minimise over w for a given s^2 by an active set of deltas; return their number, -1 if that failed.

    The parameters with a ridge are always free. A delta enters where its gradient exceeds the penalty, the free
    parameters are solved for exactly, and a delta that would change its sign on the way leaves at zero.
    """
    ridge = len(shared.ridge)
    penalty = s2 / shared.tau
    valid, entering = 0, -1
    for _ in range(MAX_INNER):
        if not _factorise(shared, work, s2, valid, ridge + active):
            return -1
        _solve_free(problem, shared, work, s2, active)
        leaving = _move(work, ridge, active)
        if leaving >= 0:
            stayed = entering >= 0 and work.order[ridge + leaving] == entering and work.w[entering] == 0.0
            valid = ridge + leaving
            active = _drop(work, ridge, leaving, active)
            if stayed:  # it came in over the threshold by rounding alone
                return active
            continue
        valid = ridge + active
        entering, sign = _most_violated(problem, shared, work, penalty, active)
        if entering < 0:
            return active
        work.order[ridge + active] = entering
        work.sign[entering] = sign
        active += 1
    return -1


@compiled
def _factorise(shared: Shared, work: Work, s2: float, valid: int, size: int) -> bool:
    """Extend the Cholesky factor of the free block from `valid` rows to `size`; False if it is singular."""
    ridge = len(shared.ridge)
    for q in range(valid, size):
        i = work.order[q]
        row = work.factor[q]
        pivot = work.gram[i, i] + (s2 * shared.ridge[i] if q < ridge else 0.0)
        least = 1e-14 * pivot
        for column in range(q):
            row[column] = work.gram[i, work.order[column]]
            row[column] = forward(work.factor, row, column)
            pivot -= row[column] * row[column]
        if not pivot > least:
            return False
        row[q] = 1.0 / math.sqrt(pivot)
    return True


@compiled
def forward(factor: Float64, x: Float64, q: int) -> float:
    """Return element `q` of the forward substitution that has been done in place up to it."""
    total: float = x[q]
    for i in range(q):
        total -= factor[q, i] * x[i]
    total *= factor[q, q]
    return total


@compiled
def _solve_free(problem: Problem, shared: Shared, work: Work, s2: float, active: int) -> None:
    """Solve for the free parameters with the signs as they are, into `trial` in factor order."""
    ridge = len(shared.ridge)
    size = ridge + active
    x = work.trial
    for q in range(size):
        i = work.order[q]
        x[q] = work.moment[i] - (s2 * work.sign[i] / shared.tau if q >= ridge else 0.0)
    x[1] -= s2 * problem.mu / KM_VARIANCE
    for q in range(size):
        x[q] = forward(work.factor, x, q)
    for q in range(size - 1, -1, -1):
        x[q] *= work.factor[q, q]
        for i in range(q):
            x[i] -= work.factor[q, i] * x[q]


@compiled
def _move(work: Work, ridge: int, active: int) -> int:
    """Go towards `trial` up to the first delta that would change its sign; return its index, -1 if none does."""
    leaving, part = -1, 1.0
    for index in range(active):
        i = work.order[ridge + index]
        if work.sign[i] * work.trial[ridge + index] <= 0.0:
            reach = work.w[i] / (work.w[i] - work.trial[ridge + index])
            if leaving < 0 or reach < part:
                leaving, part = index, reach
    for index in range(active):
        i = work.order[ridge + index]
        work.w[i] += part * (work.trial[ridge + index] - work.w[i])
    if leaving < 0:
        work.w[:ridge] = work.trial[:ridge]
    return leaving


@compiled
def _drop(work: Work, ridge: int, leaving: int, active: int) -> int:
    """Take a delta out of the active set at zero; return the new number."""
    gone = work.order[ridge + leaving]
    work.w[gone], work.sign[gone] = 0.0, 0.0
    for q in range(ridge + leaving, ridge + active - 1):
        work.order[q] = work.order[q + 1]
    return active - 1


@compiled
def _most_violated(problem: Problem, shared: Shared, work: Work, penalty: float, active: int) -> tuple[int, float]:
    """Return the inactive delta whose gradient exceeds the penalty most and the sign it takes; -1 if none does."""
    ridge = len(shared.ridge)
    worst, entering, sign = 0.0, -1, 0.0
    for j in range(ridge, ridge + problem.changepoints):
        if work.sign[j] != 0.0:
            continue
        gradient = -work.moment[j]
        for i in range(ridge):
            gradient += work.gram[j, i] * work.w[i]
        for q in range(ridge, ridge + active):
            gradient += work.gram[j, work.order[q]] * work.w[work.order[q]]
        excess = abs(gradient) - penalty * (1.0 + 1e-9) - 1e-14 * abs(work.moment[j])
        if excess > worst:
            worst, entering, sign = excess, j, -math.copysign(1.0, gradient)
    return entering, sign

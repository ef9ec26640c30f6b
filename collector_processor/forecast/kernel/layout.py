"""What the compiled functions pass to each other."""

from typing import NamedTuple

from collector_processor.telemetry.points import Float64, Int32, Int64

CONVERGED, CONSTANT, EXACT, TOO_SHORT, NOT_CONVERGED = range(5)
"""Outcome of a series; `solve.Status` names them for callers."""

MAX_OUTER = 60
MAX_INNER = 500
TOLERANCE = 1e-9  # of ln s^2
KM_VARIANCE = 25.0  # Prophet's prior variance of slope and offset
CONSTANT_SIGMA = 1e-9  # Prophet's sigma for a constant series, and our floor
USUALLY_LEFT = 0.1  # of the variance by a fit: where the search for s^2 begins; any beginning finds the same
RECOMPUTE_BELOW = 1e-5  # of the variance: a smaller residual sum has lost digits to cancellation


class Shared(NamedTuple):
    """What every series of the batch shares; `(n, K)` regressors on `n` grid rows."""

    u: Float64  # (n,) row / n
    columns: Float64  # (K, n)
    terms: Float64  # (n, 3 + 2K) 1, u, u^2, F, uF
    prefix: Float64  # (n + 1, 3 + 2K) their sums over the rows before
    gram: Float64  # (K, K)
    ridge: Float64  # (2 + K,) prior precisions of slope, offset, seasonality
    changepoint_rows: Int32  # (n + 1, C)
    tau: float
    is_minmax: bool  # values are scaled by their range, else by max|y|
    mask_passes: int
    mask_mads: float


class Warm(NamedTuple):
    """An earlier fit to start from, in value units; sigma 0 starts cold."""

    sigma: Float64  # (B,)
    delta: Float64  # (B, C)


class Result(NamedTuple):
    """Parameters in Prophet's scaled units, one row per series."""

    k: Float64
    m: Float64
    beta: Float64
    delta: Float64
    sigma: Float64
    scale: Float64
    offset: Float64  # value units, taken off before scaling
    beta_columns: Int64  # (K,) where this shared' coefficients belong in beta
    rows: Int64  # (B, 3) first and last row, number of rows used
    changepoints: Int32  # (B, C) grid rows, -1 beyond
    status: Int32


class Work(NamedTuple):
    """Scratch of one series, reused for the next."""

    values: Float64  # (n,) the row with NaN for missing or masked
    z: Float64  # (n,)
    spare: Float64  # (n,)
    listed: Int32  # (n,)
    starts: Int32  # (C + 1,) first row, then changepoints
    at: Float64  # (C + 1,) their scaled times
    summed: Float64  # (3 + 2K,)
    sums: Float64  # (C + 1, 3 + 2K)
    zsums: Float64  # (C + 1, 2)
    picked: Float64  # (K, n)
    gram: Float64  # (p, p)
    moment: Float64  # (p,)
    factor: Float64  # (p, p) Cholesky, in `order`, the diagonal inverted
    w: Float64  # (p,)
    trial: Float64  # (p,)
    gradient: Float64  # (p,) of the penalties
    order: Int32  # (p,) free parameters: those with a ridge, then the active deltas
    sign: Float64  # (p,) of active deltas, 0 elsewhere


class Problem(NamedTuple):
    """The scalars of one scaled series."""

    yy: float
    mu: float  # mean / scale, what centring took off the offset
    scale: float
    offset: float  # in value units, taken off before scaling
    floor: float  # of s^2
    observed: int
    first: int
    last: int
    changepoints: int
